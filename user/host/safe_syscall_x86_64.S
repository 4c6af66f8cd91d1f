/* SPDX-License-Identifier: Apache-2.0 */
/* See safe_syscall.h. The C calling convention passes (pending, number, a, b, c, d) in
   rdi, rsi, rdx, rcx, r8, r9 and (e, f) on the stack; the kernel wants the number in rax and
   the arguments in rdi, rsi, rdx, r10, r8, r9. */
#if defined(__x86_64__)
        .text
        .globl  lyrebird_safe_syscall
        .globl  lyrebird_safe_syscall_start
        .globl  lyrebird_safe_syscall_end
        .globl  lyrebird_safe_syscall_interrupted
        .type   lyrebird_safe_syscall, @function
        .p2align 4
lyrebird_safe_syscall:
        .cfi_startproc
        movq    %rdi, %r11
        movq    %rsi, %rax
        movq    %rdx, %rdi
        movq    %rcx, %rsi
        movq    %r8, %rdx
        movq    %r9, %r10
        movq    8(%rsp), %r8
        movq    16(%rsp), %r9
lyrebird_safe_syscall_start:
        cmpb    $0, (%r11)
        jne     lyrebird_safe_syscall_interrupted
        syscall
lyrebird_safe_syscall_end:
        ret
lyrebird_safe_syscall_interrupted:
        movq    $-513, %rax           /* -kERestartNoIntr */
        ret
        .cfi_endproc
        .size   lyrebird_safe_syscall, . - lyrebird_safe_syscall

/* The kernel's signal frames return here: sigaction()'s own restorer, because the libc's wrapper
   keeps signals 32 and 33 for itself. Debuggers and unwinders know it by its bytes. */
        .globl  lyrebird_signal_restorer
        .type   lyrebird_signal_restorer, @function
        .p2align 4
        nop
lyrebird_signal_restorer:
        movq    $15, %rax
        syscall
        .size   lyrebird_signal_restorer, . - lyrebird_signal_restorer
#endif
        .section .note.GNU-stack,"",@progbits
