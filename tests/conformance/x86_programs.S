// SPDX-License-Identifier: Apache-2.0
// The suite's programs for x86-64, as data. a0 is rdi, a1 rsi, a2 rdx, a3 r8. Position-independent.
    .section .rodata

.macro program name
    .globl x86_\name
    .globl x86_\name\()_end
x86_\name:
.endm
.macro done name
    mov     $0x10001000, %r9d
1:  mov     %rdi, (%r9)
    jmp     1b
x86_\name\()_end:
.endm

program store
    cmp     $2, %dl
    jb      1f
    je      2f
    cmp     $4, %dl
    je      4f
    mov     %rsi, (%rdi)
    jmp     9f
1:  mov     %sil, (%rdi)
    jmp     9f
2:  mov     %si, (%rdi)
    jmp     9f
4:  mov     %esi, (%rdi)
9:
done store

program load
    cmp     $2, %dl
    jb      1f
    je      2f
    cmp     $4, %dl
    je      4f
    mov     (%rsi), %rdi
    jmp     9f
1:  movzbl  (%rsi), %edi
    jmp     9f
2:  movzwl  (%rsi), %edi
    jmp     9f
4:  mov     (%rsi), %edi
9:
done load

program port_out
    mov     %edx, %ecx
    mov     %esi, %eax
    mov     %edi, %edx
    cmp     $2, %cl
    jb      1f
    je      2f
    out     %eax, %dx
    jmp     9f
1:  out     %al, %dx
    jmp     9f
2:  out     %ax, %dx
9:
done port_out

program port_in
    mov     %edx, %ecx
    mov     %esi, %edx
    xor     %eax, %eax
    cmp     $2, %cl
    jb      1f
    je      2f
    in      %dx, %eax
    jmp     9f
1:  in      %dx, %al
    jmp     9f
2:  in      %dx, %ax
9:  mov     %eax, %edi
done port_in

program spin
1:  inc     %rdi
    jmp     1b
x86_spin_end:

program count
    add     $1, %rdi
    add     $2, %rdi
    add     $4, %rdi
    add     $8, %rdi
done count

program self_modify
    mov     %edx, %r11d
    xor     %r10d, %r10d
    mov     %esi, 2f+1(%rip)
    jmp     2f
2:  mov     $0, %eax
    mov     %eax, %edi
    test    %r10d, %r10d
    jnz     3f
    mov     %edi, %r8d
    inc     %r10d
    mov     %r11d, 2b+1(%rip)
    jmp     2b
3:
done self_modify

program halt
    mov     %rsi, %r12
    mov     %rdi, %rcx
1:  sti
    hlt
    cli
    dec     %rcx
    jnz     1b
done halt

program halt_masked
    mov     %rsi, %r12
    mov     %rdi, %rcx
1:  cli
    mov     %rdx, %r10
2:  dec     %r10
    jnz     2b
    sti
    nop
    cli
    cmp     %rcx, (%rsi)
    jb      1b
done halt_masked

program fill
1:  test    %rdx, %rdx
    jz      2f
    mov     %rsi, (%rdi)
    add     $4096, %rdi
    dec     %rdx
    jmp     1b
2:
done fill

program crash
    push    $0
    push    $0
    lidt    (%rsp)
    ud2
x86_crash_end:

// The handler of the suite's one interrupt: r12 holds a1.
program handler
    push    %rax
    incq    (%r12)
    mov     $0x10002000, %eax
    movl    $1, (%rax)
    pop     %rax
    iretq
x86_handler_end:

    .section .note.GNU-stack,"",@progbits
