// SPDX-License-Identifier: Apache-2.0
/// The suite's programs for AArch64. a0..a3 are x0..x3.
#pragma once

#include <cstdint>

namespace lyrebird::conformance::a64 {

constexpr uint32_t kStore[] = {
    0xf100085f,  // cmp x2, #0x2
    0x540000c3,  // b.cc store+1c
    0x540000e0,  // b.eq store+24
    0xf100105f,  // cmp x2, #0x4
    0x540000e0,  // b.eq store+2c
    0xf9000001,  // str x1, [x0]
    0x14000006,  // b store+30
    0x39000001,  // strb w1, [x0]
    0x14000004,  // b store+30
    0x79000001,  // strh w1, [x0]
    0x14000002,  // b store+30
    0xb9000001,  // str w1, [x0]
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b store+38
};

constexpr uint32_t kLoad[] = {
    0xf100085f,  // cmp x2, #0x2
    0x540000c3,  // b.cc load+1c
    0x540000e0,  // b.eq load+24
    0xf100105f,  // cmp x2, #0x4
    0x540000e0,  // b.eq load+2c
    0xf9400020,  // ldr x0, [x1]
    0x14000006,  // b load+30
    0x39400020,  // ldrb w0, [x1]
    0x14000004,  // b load+30
    0x79400020,  // ldrh w0, [x1]
    0x14000002,  // b load+30
    0xb9400020,  // ldr w0, [x1]
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b load+38
};

constexpr uint32_t kSpin[] = {
    0x91000400,  // add x0, x0, #0x1
    0x17ffffff,  // b spin
};

constexpr uint32_t kCount[] = {
    0x91000400,  // add x0, x0, #0x1
    0x91000800,  // add x0, x0, #0x2
    0x91001000,  // add x0, x0, #0x4
    0x91002000,  // add x0, x0, #0x8
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b count+18
};

constexpr uint32_t kSelfModify[] = {
    0x5280000a,  // mov w10, #0x0
    0x1000012c,  // adr x12, self_modify+28
    0x52aa500e,  // mov w14, #0x52800000
    0x2a0115cd,  // orr w13, w14, w1, lsl #5
    0xb900018d,  // str w13, [x12]
    0xd50b7b2c,  // dc cvau, x12
    0xd5033b9f,  // dsb ish
    0xd50b752c,  // ic ivau, x12
    0xd5033b9f,  // dsb ish
    0xd5033fdf,  // isb
    0x52800000,  // mov w0, #0x0
    0x350000aa,  // cbnz w10, self_modify+40
    0xaa0003e3,  // mov x3, x0
    0x1100054a,  // add w10, w10, #0x1
    0x2a0215cd,  // orr w13, w14, w2, lsl #5
    0x17fffff5,  // b self_modify+10
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b self_modify+48
};

constexpr uint32_t kHalt[] = {
    0xaa0103f3,  // mov x19, x1
    0xaa0003f5,  // mov x21, x0
    0xd503207f,  // wfi
    0xd50342ff,  // msr daifclr, #0x2
    0xd503201f,  // nop
    0xd50342df,  // msr daifset, #0x2
    0xf9400274,  // ldr x20, [x19]
    0xeb15029f,  // cmp x20, x21
    0x54ffff43,  // b.cc halt+8
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b halt+2c
};

constexpr uint32_t kHaltMasked[] = {
    0xaa0103f3,  // mov x19, x1
    0xaa0003f5,  // mov x21, x0
    0xaa0203ea,  // mov x10, x2
    0xf100054a,  // subs x10, x10, #0x1
    0x54ffffe1,  // b.ne halt_masked+c
    0xd50342ff,  // msr daifclr, #0x2
    0xd503201f,  // nop
    0xd50342df,  // msr daifset, #0x2
    0xf9400274,  // ldr x20, [x19]
    0xeb15029f,  // cmp x20, x21
    0x54ffff03,  // b.cc halt_masked+8
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b halt_masked+34
};

constexpr uint32_t kFill[] = {
    0xb40000a2,  // cbz x2, fill+14
    0xf9000001,  // str x1, [x0]
    0x91400400,  // add x0, x0, #0x1, lsl #12
    0xd1000442,  // sub x2, x2, #0x1
    0x17fffffc,  // b fill
    0xd2820009,  // mov x9, #0x1000
    0xf2a20009,  // movk x9, #0x1000, lsl #16
    0xf9000120,  // str x0, [x9]
    0x17ffffff,  // b fill+1c
};

constexpr uint32_t kHandler[] = {
    0xf9400276,  // ldr x22, [x19]
    0x910006d6,  // add x22, x22, #0x1
    0xf9000276,  // str x22, [x19]
    0xd2840016,  // mov x22, #0x2000
    0xf2a20016,  // movk x22, #0x1000, lsl #16
    0xf90002d6,  // str x22, [x22]
    0xd69f03e0,  // eret
};

}  // namespace lyrebird::conformance::a64
