// SPDX-License-Identifier: Apache-2.0
// What `run` debugs in a machine: two CPUs with tables of their own. CPU 0 sees the memory again at
// 0x80000000, CPU 1 at 0xc0000000. Ends when gdb sets `over`.
        .text
        .global _start
_start:
        adr     x19, table0
        bl      mmu_on
        adrp    x0, stack0
        add     sp, x0, :lo12:stack0
        // PSCI CPU_ON: CPU 1 begins at `second`.
        ldr     x0, =0xc4000003
        mov     x1, #1
        adr     x2, second
        mov     x3, #0
        hvc     #0
first_loop:
        mov     x0, #1
        mov     x1, #2
        bl      work
        adrp    x1, over
        ldr     w2, [x1, :lo12:over]
        cbz     w2, first_loop
        ldr     x0, =0x84000008         // PSCI SYSTEM_OFF
        hvc     #0
        b       .

second:
        adr     x19, table1
        bl      mmu_on
        adrp    x0, stack1
        add     sp, x0, :lo12:stack1
second_loop:
        bl      other_work
        b       second_loop

        .type   work, %function
        .global work
work:
        add     x2, x0, x1
        adrp    x3, counter
        add     x3, x3, :lo12:counter
        ldr     x4, [x3]
        add     x4, x4, x0
work_store:
        str     x4, [x3]
        nop
        ret
        .size   work, . - work

        .type   other_work, %function
        .global other_work
other_work:
        adrp    x3, other_counter
        add     x3, x3, :lo12:other_counter
        ldr     x4, [x3]
        add     x4, x4, #1
        str     x4, [x3]
        ret
        .size   other_work, . - other_work

// 4 KiB pages, 39-bit addresses, tables at x19.
mmu_on:
        mov     x0, #0xff00             // attribute 1 is normal memory, 0 device
        msr     mair_el1, x0
        ldr     x0, =0x80803519         // T0SZ 25, write-back, shareable; no TTBR1
        movk    x0, #2, lsl #32         // 40-bit physical addresses
        msr     tcr_el1, x0
        msr     ttbr0_el1, x19
        isb
        tlbi    vmalle1
        dsb     sy
        mrs     x0, sctlr_el1
        orr     x0, x0, #1
        msr     sctlr_el1, x0
        isb
        ret

        .data
        .balign 4096
table0: .quad   0x0000000000000401      // 0: device
        .quad   0x0000000040000705      // 1 GiB: memory
        .quad   0x0000000040000705      // 2 GiB: again
        .quad   0
        .fill   508, 8, 0
table1: .quad   0x0000000000000401
        .quad   0x0000000040000705
        .quad   0
        .quad   0x0000000040000705      // 3 GiB: again
        .fill   508, 8, 0
        .global counter, other_counter, over, text
counter: .quad  100
other_counter: .quad 5000
over:   .word   0
text:   .asciz  "in memory"
        .bss
        .balign 16
        .space  4096
stack0:
        .space  4096
stack1:
