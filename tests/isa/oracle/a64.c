// SPDX-License-Identifier: Apache-2.0
// Runs one instruction at a time for tests/isa/generate, on whatever runs this program: reads
// records of a word and a state from standard input, writes the states after it to standard output.
// Built with aarch64-linux-gnu-gcc -O2 -static. x28 to x30 are its own.
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct state {
  uint64_t v[32][2];
  uint64_t x[31];
  uint64_t sp;
  uint32_t fpcr, fpsr, nzcv;
  uint32_t signal;  ///< out: the signal that ended it, or 0
};
struct record {
  uint32_t word, pad;
  struct state state;
  uint8_t memory[4096];  ///< at kData
};
static void* const kData = (void*)0x10000000;

_Static_assert(offsetof(struct state, x) == 512 && offsetof(struct state, sp) == 760 &&
                   offsetof(struct state, fpcr) == 768,
               "the assembly knows these");
void run(struct state* state, void* code);

#define VECTORS(op)                                                                                         \
  op " q0, q1, [x29]\n" op " q2, q3, [x29, #32]\n" op " q4, q5, [x29, #64]\n" op " q6, q7, [x29, #96]\n" op \
     " q8, q9, [x29, #128]\n" op " q10, q11, [x29, #160]\n" op " q12, q13, [x29, #192]\n" op                \
     " q14, q15, [x29, #224]\n" op " q16, q17, [x29, #256]\n" op " q18, q19, [x29, #288]\n" op              \
     " q20, q21, [x29, #320]\n" op " q22, q23, [x29, #352]\n" op " q24, q25, [x29, #384]\n" op              \
     " q26, q27, [x29, #416]\n" op " q28, q29, [x29, #448]\n" op " q30, q31, [x29, #480]\n"
#define GENERALS(op)                                                                                    \
  "add x29, x29, #512\n" op " x0, x1, [x29]\n" op " x2, x3, [x29, #16]\n" op " x4, x5, [x29, #32]\n" op \
  " x6, x7, [x29, #48]\n" op " x8, x9, [x29, #64]\n" op " x10, x11, [x29, #80]\n" op                    \
  " x12, x13, [x29, #96]\n" op " x14, x15, [x29, #112]\n" op " x16, x17, [x29, #128]\n" op              \
  " x18, x19, [x29, #144]\n" op " x20, x21, [x29, #160]\n" op " x22, x23, [x29, #176]\n" op             \
  " x24, x25, [x29, #192]\n" op                                                                         \
  " x26, x27, [x29, #208]\n"                                                                            \
  "sub x29, x29, #512\n"

__asm__(
    ".bss\n.balign 8\nown_sp: .skip 8\n.text\n"
    ".global run\nrun:\n"
    "stp x29, x30, [sp, #-160]!\nstp x27, x28, [sp, #16]\nstp x25, x26, [sp, #32]\n"
    "stp x23, x24, [sp, #48]\nstp x21, x22, [sp, #64]\nstp x19, x20, [sp, #80]\n"
    "stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
    "mov x29, x0\nmov x28, x1\n"
    "adrp x9, own_sp\nmov x10, sp\nstr x10, [x9, :lo12:own_sp]\n"
    "ldr w9, [x29, #768]\nmsr fpcr, x9\nldr w9, [x29, #772]\nmsr fpsr, x9\nldr w9, [x29, #776]\nmsr nzcv, x9\n"
    "ldr x9, [x29, #760]\nmov sp, x9\n"  //
    VECTORS("ldp") GENERALS("ldp") "blr x28\n" VECTORS("stp") GENERALS("stp")
    "mov x9, sp\nstr x9, [x29, #760]\n"
    "mrs x9, fpcr\nstr w9, [x29, #768]\nmrs x9, fpsr\nstr w9, [x29, #772]\nmrs x9, nzcv\nstr w9, [x29, #776]\n"
    "adrp x9, own_sp\nldr x10, [x9, :lo12:own_sp]\nmov sp, x10\nmsr fpcr, xzr\n"
    "ldp d14, d15, [sp, #144]\nldp d12, d13, [sp, #128]\nldp d10, d11, [sp, #112]\nldp d8, d9, [sp, #96]\n"
    "ldp x19, x20, [sp, #80]\nldp x21, x22, [sp, #64]\nldp x23, x24, [sp, #48]\n"
    "ldp x25, x26, [sp, #32]\nldp x27, x28, [sp, #16]\nldp x29, x30, [sp], #160\nret\n");

static sigjmp_buf out;
static void on_signal(int signal) { siglongjmp(out, signal); }

static uint32_t* place_code(uint32_t word) {
  enum { kWords = 1 << 16, kRet = 0xd65f03c0 };
  static uint32_t* code;
  static unsigned used;
  if (!code)
    code = mmap(0, 4 * kWords, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (used + 2 > kWords) used = 0;
  uint32_t* const at = code + used;
  used += 2;
  at[0] = word;
  at[1] = kRet;
  __builtin___clear_cache((char*)at, (char*)(at + 2));
  return at;
}

int main(void) {
  static struct record r;
  const stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
  sigaltstack(&stack, 0);
  const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
  sigaction(SIGILL, &action, 0);
  sigaction(SIGSEGV, &action, 0);
  sigaction(SIGBUS, &action, 0);
  if (mmap(kData, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != kData)
    return 1;
  while (fread(&r, sizeof r, 1, stdin) == 1) {
    memcpy(kData, r.memory, sizeof r.memory);
    uint32_t* const code = place_code(r.word);
    const int signal = sigsetjmp(out, 0);
    if (!signal) run(&r.state, code);
    r.state.signal = (uint32_t)signal;
    memcpy(r.memory, kData, sizeof r.memory);
    fwrite(&r, sizeof r, 1, stdout);
  }
  return 0;
}
