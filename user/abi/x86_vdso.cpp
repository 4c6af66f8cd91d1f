// SPDX-License-Identifier: Apache-2.0
#include "user/abi/x86_vdso.h"

#include <elf.h>

namespace lyrebird::user {
namespace {

using Code = std::vector<uint8_t>;
constexpr uint8_t kNop[] = {0x90};

/// mov eax, number; syscall; ret
Code call64(uint8_t number, uint8_t high = 0) { return {0xb8, number, high, 0, 0, 0x0f, 0x05, 0xc3}; }

/// push ebx; mov ebx, [esp+8]; mov ecx, [esp+12]; mov edx, [esp+16]; mov eax, number; int 0x80; pop ebx; ret
Code call32(uint8_t number, uint8_t high = 0) {
  return {0x53, 0x8b, 0x5c, 0x24,   0x08, 0x8b, 0x4c, 0x24, 0x0c, 0x8b, 0x54,
          0x24, 0x10, 0xb8, number, high, 0,    0,    0xcd, 0x80, 0x5b, 0xc3};
}

}  // namespace

const X86Vdso& x86_64_vdso() {
  static const X86Vdso vdso = [] {
    const VdsoFunction functions[] = {
        {"__vdso_clock_gettime", call64(228)}, {"__vdso_gettimeofday", call64(96)},
        {"__vdso_clock_getres", call64(229)},  {"__vdso_time", call64(201)},
        {"__vdso_getcpu", call64(0x35, 1)},  // 309
        {"clock_gettime", call64(228)},        {"gettimeofday", call64(96)},
        {"clock_getres", call64(229)},         {"time", call64(201)},
        {"getcpu", call64(0x35, 1)},
    };
    X86Vdso v;
    v.image = make_vdso(EM_X86_64, 8, "linux-vdso.so.1", "LINUX_2.6", kNop, functions);
    v.calls_start = v.image.offsets.front();
    v.calls_end = v.image.offsets.back() + functions[std::size(functions) - 1].code.size();
    return v;
  }();
  return vdso;
}

const X86Vdso& i386_vdso() {
  static const X86Vdso vdso = [] {
    const VdsoFunction functions[] = {
        {"__vdso_clock_gettime", call32(0x09, 1)},  // 265
        {"__vdso_gettimeofday", call32(78)},
        {"__vdso_time", call32(13)},
        {"__vdso_clock_getres", call32(0x0a, 1)},     // 266
        {"__vdso_clock_gettime64", call32(0x93, 1)},  // 403
        {"__vdso_getcpu", call32(0x3e, 1)},           // 318
        // Behind it, what the kernel has there for SYSENTER: int 0x80; pop ebp; pop edx; pop ecx; ret
        {"__kernel_vsyscall", {0xcd, 0x80, 0xc3, 0xcd, 0x80, 0x5d, 0x5a, 0x59, 0xc3}},
        // Unwinders know the bytes of these two.
        {"__kernel_sigreturn", {0x58, 0xb8, 119, 0, 0, 0, 0xcd, 0x80}},
        {"__kernel_rt_sigreturn", {0xb8, 173, 0, 0, 0, 0xcd, 0x80}},
    };
    constexpr size_t kVsyscall = 6;
    X86Vdso v;
    v.image = make_vdso(EM_386, 4, "linux-gate.so.1", "LINUX_2.6", kNop, functions, kVsyscall);
    v.calls_start = v.image.offsets.front();
    v.calls_end = v.vsyscall = v.image.offsets[kVsyscall];
    v.sysenter = v.vsyscall + 3;
    v.sigreturn = v.image.offsets[kVsyscall + 1];
    v.rt_sigreturn = v.image.offsets[kVsyscall + 2];
    return v;
  }();
  return vdso;
}

}  // namespace lyrebird::user
