// SPDX-License-Identifier: Apache-2.0
// A guest that reads and writes every register of `virt` at random, in all sizes, on all CPUs at once, and now
// and then sets virtio devices up as a driver would, so that they look into rings full of nonsense. Ends by PSCI
// when it has made as many accesses as `run` wrote behind the mark.
//
// x19 accesses to go   x20 state of the generator   x21 scratch memory   x22 number of the CPU
// Interrupts stay masked. Whatever is refused is skipped: x28 and x29 are the handler's.
        .set    kRam, 0x40000000
        .set    kHome, 0x40400000       // where it runs
        .set    kScratch, 0x40800000    // 4 MiB that devices may read and write
        .set    kScratchMask, 0x3ffff8
        .text
        .global _start
_start:
        // Started from flash (which is flooded, too): go to memory.
        adr     x0, _start
        ldr     x1, =kHome
        cmp     x0, x1
        b.eq    at_home
        adrp    x2, image_end
        add     x2, x2, :lo12:image_end
        mov     x4, x1
1:      ldp     x5, x6, [x0], #16
        stp     x5, x6, [x4], #16
        cmp     x0, x2
        b.lo    1b
        dsb     sy
        ic      iallu
        dsb     sy
        isb
        br      x1
at_home:
        mov     x22, #0
        // The others: PSCI CPU_ON, as far as there are any.
        mov     x23, #1
2:      ldr     x0, =0xc4000003
        mov     x1, x23
        adr     x2, secondary
        mov     x3, x23
        hvc     #0
        add     x23, x23, #1
        cmp     x23, #4
        b.lo    2b
        b       common
secondary:
        mov     x22, x0
common:
        adr     x0, vectors
        msr     vbar_el1, x0
        isb
        ldr     x0, seed
        mov     x1, #0x9e37
        movk    x1, #0x79b9, lsl #16
        add     x2, x22, #1
        mul     x1, x1, x2
        eor     x20, x0, x1
        ldr     x19, accesses
        ldr     x21, =kScratch

flood:
        bl      random
        tst     x0, #0x3ff
        b.ne    3f
        bl      set_up_mmio
        bl      set_up_pci
3:      bl      access
        subs    x19, x19, #1
        b.ne    flood
        cbnz    x22, .                  // the first CPU ends it
        ldr     x0, =0x84000008         // PSCI SYSTEM_OFF
        hvc     #0
        b       .

// x0 = a random number (xorshift64*).
random:
        eor     x20, x20, x20, lsr #12
        eor     x20, x20, x20, lsl #25
        eor     x20, x20, x20, lsr #27
        ldr     x0, =0x2545f4914f6cdd1d
        mul     x0, x20, x0
        ror     x0, x0, #29
        ret

// x0 = a value to write: any, small, one bit, an address of scratch memory.
value:
        mov     x15, x30
        bl      random
        mov     x1, x0
        bl      random
        and     x2, x1, #7
        cmp     x2, #2
        b.lo    4f                      // any
        cmp     x2, #4
        b.lo    5f
        cmp     x2, #5
        b.eq    6f
        and     x0, x0, #kScratchMask
        add     x0, x0, x21
        b       4f
5:      and     x0, x0, #15
        b       4f
6:      and     x0, x0, #63
        mov     x1, #1
        lsl     x0, x1, x0
4:      mov     x30, x15
        ret

// One access of a random kind to a random register of a random region.
access:
        mov     x14, x30
        bl      random
        and     x3, x0, #31
        adr     x4, regions
        add     x4, x4, x3, lsl #4
        ldp     x5, x6, [x4]            // start, size - 1
        lsr     x7, x0, #8
        and     x7, x7, x6
        add     x5, x5, x7
        lsr     x8, x0, #56
        and     x9, x8, #3              // size
        mov     x10, #1
        lsl     x10, x10, x9
        sub     x10, x10, #1
        tst     x8, #0xe0               // one in eight is not aligned, which is refused
        b.eq    7f
        bic     x5, x5, x10
7:      bl      value
        and     x8, x8, #0x1c
        tst     x8, #0x10
        b.ne    8f
        adr     x10, loads
        b       9f
8:      adr     x10, stores
9:      add     x10, x10, x9, lsl #3
        blr     x10
        tst     x8, #0x0c
        b.ne    10f
        bl      random                  // the GIC's system registers, and memory that devices look into
        and     x10, x0, #15
        adr     x9, system
        add     x9, x9, x10, lsl #3
        mov     x10, x0
        bl      value
        blr     x9
10:     mov     x30, x14
        ret

loads:  ldrb    w0, [x5]
        ret
        ldrh    w0, [x5]
        ret
        ldr     w0, [x5]
        ret
        ldr     x0, [x5]
        ret
stores: strb    w0, [x5]
        ret
        strh    w0, [x5]
        ret
        str     w0, [x5]
        ret
        str     x0, [x5]
        ret
system: msr     S3_0_C4_C6_0, x0        // ICC_PMR_EL1
        ret
        mrs     x0, S3_0_C12_C12_0      // ICC_IAR1_EL1
        ret
        msr     S3_0_C12_C12_1, x0      // ICC_EOIR1_EL1
        ret
        mrs     x0, S3_0_C12_C8_0       // ICC_IAR0_EL1
        ret
        msr     S3_0_C12_C8_1, x0       // ICC_EOIR0_EL1
        ret
        msr     S3_0_C12_C11_5, x0      // ICC_SGI1R_EL1
        ret
        msr     S3_0_C12_C11_7, x0      // ICC_SGI0R_EL1
        ret
        msr     S3_0_C12_C11_6, x0      // ICC_ASGI1R_EL1
        ret
        msr     S3_0_C12_C12_7, x0      // ICC_IGRPEN1_EL1
        ret
        msr     S3_0_C12_C12_6, x0      // ICC_IGRPEN0_EL1
        ret
        msr     S3_0_C12_C12_4, x0      // ICC_CTLR_EL1
        ret
        msr     S3_0_C12_C11_1, x0      // ICC_DIR_EL1
        ret
        msr     S3_0_C12_C8_3, x0       // ICC_BPR0_EL1
        ret
        msr     S3_0_C12_C9_0, x0       // ICC_AP1R0_EL1
        ret
        mrs     x0, S3_0_C12_C12_2      // ICC_HPPIR1_EL1
        ret
        msr     cntv_tval_el0, x0
        ret

// Sets the status of a virtio-mmio slot up to FEATURES_OK, gives it queues in scratch memory and starts it.
set_up_mmio:
        mov     x13, x30
        bl      random
        and     x0, x0, #0x1f00         // slots 0..31, in steps of 0x200 once shifted
        lsl     x0, x0, #1
        ldr     x5, =0x0a000000
        add     x5, x5, x0
        str     wzr, [x5, #0x70]        // Status: reset
        mov     w0, #3
        str     w0, [x5, #0x70]
        mov     w6, #0
11:     str     w6, [x5, #0x14]         // DeviceFeaturesSel
        ldr     w7, [x5, #0x10]
        str     w6, [x5, #0x24]         // DriverFeaturesSel
        bl      random
        orr     w8, w0, w0, lsr #16     // most of what is offered
        and     w7, w7, w8
        cbz     w6, 12f
        orr     w7, w7, #1              // VERSION_1
12:     str     w7, [x5, #0x20]
        add     w6, w6, #1
        cmp     w6, #2
        b.lo    11b
        mov     w0, #11
        str     w0, [x5, #0x70]
        mov     w6, #0
13:     str     w6, [x5, #0x30]         // QueueSel
        bl      random
        and     w7, w0, #7
        mov     w8, #1
        lsl     w7, w8, w7
        str     w7, [x5, #0x38]         // QueueNum
        mov     w9, #0x80               // QueueDescLow, QueueDriverLow, QueueDeviceLow
14:     bl      value
        bl      random
        ldr     x8, =kScratchMask - 8
        and     x0, x0, x8
        add     x0, x0, x21
        str     w0, [x5, x9]
        add     w8, w9, #4
        str     wzr, [x5, x8]
        add     w9, w9, #0x10
        cmp     w9, #0xb0
        b.lo    14b
        mov     w0, #1
        str     w0, [x5, #0x44]         // QueueReady
        add     w6, w6, #1
        cmp     w6, #4
        b.lo    13b
        mov     w0, #15
        str     w0, [x5, #0x70]
        bl      random
        and     w0, w0, #3
        str     w0, [x5, #0x50]         // QueueNotify
        mov     x30, x13
        ret

// The same for a device on bus 0 of PCI, whose BARs it sets first.
set_up_pci:
        mov     x13, x30
        bl      random
        and     x6, x0, #15
        ldr     x5, =0x4010000000
        add     x5, x5, x6, lsl #15
        ldr     x7, =0x10000000
        add     x7, x7, x6, lsl #18     // 256 KiB for each device
        mov     x8, #0
15:     add     x9, x5, #0x10
        add     x9, x9, x8, lsl #2
        str     w7, [x9]
        add     x7, x7, #0x8000
        add     x8, x8, #1
        cmp     x8, #4
        b.lo    15b
        str     w7, [x5, #0x20]         // BAR 4, 64-bit
        str     wzr, [x5, #0x24]
        mov     w0, #7
        strh    w0, [x5, #4]            // ports, memory, bus master
        mov     x5, x7
        mov     w0, #0
        strb    w0, [x5, #0x14]         // device_status
        mov     w0, #3
        strb    w0, [x5, #0x14]
        mov     w6, #0
16:     str     w6, [x5]
        ldr     w7, [x5, #4]
        str     w6, [x5, #8]
        bl      random
        orr     w8, w0, w0, lsr #16
        and     w7, w7, w8
        cbz     w6, 17f
        orr     w7, w7, #1
17:     str     w7, [x5, #0xc]
        add     w6, w6, #1
        cmp     w6, #2
        b.lo    16b
        mov     w0, #11
        strb    w0, [x5, #0x14]
        mov     w6, #0
18:     strh    w6, [x5, #0x16]         // queue_select
        bl      random
        and     w7, w0, #7
        mov     w8, #1
        lsl     w7, w8, w7
        strh    w7, [x5, #0x18]         // queue_size
        mov     w9, #0x20
19:     bl      random
        ldr     x8, =kScratchMask - 8
        and     x0, x0, x8
        add     x0, x0, x21
        str     w0, [x5, x9]
        add     w8, w9, #4
        str     wzr, [x5, x8]
        add     w9, w9, #8
        cmp     w9, #0x38
        b.lo    19b
        mov     w0, #1
        strh    w0, [x5, #0x1c]         // queue_enable
        add     w6, w6, #1
        cmp     w6, #4
        b.lo    18b
        mov     w0, #15
        strb    w0, [x5, #0x14]
        bl      random
        and     w0, w0, #3
        add     x8, x5, #0x3000
        str     w0, [x8, x0, lsl #2]    // notify
        mov     x30, x13
        ret

        .balign 8
seed:   .ascii  "FLOODSED"              // `run` writes here
accesses: .ascii "FLOODCNT"

// 32 regions: start, size - 1.
        .balign 16
regions:
        .quad   0x00000000, 0x7ffffff   // flash
        .quad   0x00000000, 0xfff
        .quad   0x04000000, 0x3ffff
        .quad   0x08000000, 0xfff       // distributor
        .quad   0x08000000, 0xffff
        .quad   0x08010000, 0x1fff      // CPU interface of a GICv2
        .quad   0x08020000, 0xfff       // GICv2m
        .quad   0x08080000, 0x1ffff     // ITS
        .quad   0x08080000, 0xff
        .quad   0x080a0000, 0x3ffff     // redistributors
        .quad   0x080b0000, 0xfff
        .quad   0x09000000, 0xfff       // PL011
        .quad   0x09000000, 0x7f
        .quad   0x09010000, 0x3f        // PL031
        .quad   0x09020000, 0x1f        // fw_cfg
        .quad   0x09020000, 0x1f
        .quad   0x09030000, 0xfff       // PL061
        .quad   0x0a000000, 0x3fff      // virtio-mmio
        .quad   0x0a000000, 0x3fff
        .quad   0x0a000000, 0x1fff
        .quad   0x0a003000, 0xfff
        .quad   0x0a003e00, 0x1ff
        .quad   0x0c000000, 0x1fff      // nothing
        .quad   0x10000000, 0x3fffff    // PCI memory
        .quad   0x10000000, 0x1fffff
        .quad   0x10000000, 0xfffff
        .quad   0x3eff0000, 0xffff      // PCI ports
        .quad   0x4010000000, 0x7ffff   // PCI configuration
        .quad   0x4010000000, 0xfffffff
        .quad   0x8000000000, 0xfffff   // PCI memory, 64-bit
        .quad   kScratch, 0x3fffff
        .quad   kScratch, 0x3fffff

        .balign 2048
vectors:
        .rept   16
        .balign 128
        mrs     x28, elr_el1
        add     x28, x28, #4
        msr     elr_el1, x28
        eret
        .endr
        .ltorg
        .balign 16
image_end:
