// SPDX-License-Identifier: Apache-2.0
// Runs on an AArch64 oracle: reads blocks of cases, executes the instruction of each
// row of ops.inc, writes results and FPSR.
//
//   in:  { uint32 row, fpcr; uint64 count; { uint64 a, b, c } [count] } ...
//   out: { uint64 result, fpsr } per case
#include <stdint.h>
#include <stdio.h>

typedef struct { uint64_t a, b, c; } Case;
typedef struct { uint64_t result, fpsr; } Answer;
typedef void Runner(const Case*, Answer*, uint64_t count);

#define ROW(name, wa, wb, wc, wr, text, model)                                            \
  static void run_##name(const Case* in, Answer* out, uint64_t count) {                    \
    for (uint64_t i = 0; i < count; ++i) {                                                 \
      asm volatile(                                                                        \
          "fmov d0, %4\n fmov d1, %2\n fmov d2, %3\n fmov d3, %4\n mov x1, %2\n"           \
          "msr fpsr, xzr\n" text "\n fmov %0, d0\n mrs %1, fpsr\n"                         \
          : "=&r"(out[i].result), "=&r"(out[i].fpsr)                                       \
          : "r"(in[i].a), "r"(in[i].b), "r"(in[i].c)                                       \
          : "x1", "x9", "v0", "v1", "v2", "v3", "cc");                                     \
    }                                                                                      \
  }
#include "ops.inc"

static Runner* const kRunners[] = {
#define ROW(name, wa, wb, wc, wr, text, model) run_##name,
#include "ops.inc"
};

enum { kChunk = 4096 };

int main(void) {
  static Case cases[kChunk];
  static Answer answers[kChunk];
  struct { uint32_t row, fpcr; uint64_t count; } head;
  while (fread(&head, sizeof head, 1, stdin) == 1) {
    if (head.row >= sizeof kRunners / sizeof *kRunners) return 2;
    asm volatile("msr fpcr, %0" ::"r"((uint64_t)head.fpcr));
    while (head.count) {
      const uint64_t n = head.count < kChunk ? head.count : kChunk;
      if (fread(cases, sizeof *cases, n, stdin) != n) return 3;
      kRunners[head.row](cases, answers, n);
      if (fwrite(answers, sizeof *answers, n, stdout) != n) return 4;
      head.count -= n;
    }
  }
  return 0;
}
