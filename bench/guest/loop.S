// SPDX-License-Identifier: Apache-2.0
// The integer loop: argv[1] hundred thousands of rounds, ten instructions each,
// no memory access; exit status 0. A program with no library under it, so that
// what is measured is instructions.
    .globl _start
_start:
    ldr x0, [sp, #16]           // argv[1]
    mov x1, #0
    mov x4, #10
digit:
    ldrb w2, [x0], #1
    cbz w2, parsed
    sub w2, w2, #'0'
    madd x1, x1, x4, x2
    b digit
parsed:
    mov x2, #34464
    movk x2, #1, lsl #16        // 100,000
    mul x1, x1, x2
    cbz x1, done
    mov x3, #1
    mov x5, #0
round:
    add x3, x3, x3, lsl #5
    eor x5, x5, x3
    lsr x6, x3, #7
    add x5, x5, x6
    and x7, x5, #0xff
    sub x3, x3, x7
    orr x8, x7, #1
    add x3, x3, x8
    subs x1, x1, #1
    b.ne round
done:
    mov x0, #0
    mov x8, #93
    svc #0
