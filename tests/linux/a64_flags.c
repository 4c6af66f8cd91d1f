// SPDX-License-Identifier: Apache-2.0
// NZCV as a signal handler sees it at a fault: right after the instruction that sets it, behind jumps of all
// kinds, and before those that overwrite it. What they must be is computed here; natively there is nothing to
// see.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "test.h"

enum { kN = 8, kZ = 4, kC = 2, kV = 1 };
typedef unsigned Expected(uint64_t, uint64_t);

static unsigned of_sum(uint64_t a, uint64_t b, unsigned carry) {
  const uint64_t sum = a + b + carry;
  const unsigned out = sum < a || (carry && sum == a);
  return (sum >> 63 ? kN : 0) | (sum == 0 ? kZ : 0) | (out ? kC : 0) |
         ((~(a ^ b) & (a ^ sum)) >> 63 ? kV : 0);
}
static unsigned of_sum32(uint32_t a, uint32_t b, unsigned carry) {
  const uint64_t wide = (uint64_t)a + b + carry;
  const uint32_t sum = (uint32_t)wide;
  return (sum >> 31 ? kN : 0) | (sum == 0 ? kZ : 0) | (wide >> 32 ? kC : 0) |
         ((~(a ^ b) & (a ^ sum)) >> 31 ? kV : 0);
}
static unsigned cmp(uint64_t a, uint64_t b) { return of_sum(a, ~b, 1); }
static unsigned cmp_w(uint64_t a, uint64_t b) { return of_sum32((uint32_t)a, ~(uint32_t)b, 1); }
static unsigned cmp_0(uint64_t a, uint64_t b) { return (void)b, of_sum(a, ~(uint64_t)0, 1); }
static unsigned cmp_min(uint64_t a, uint64_t b) { return (void)b, of_sum(a, ~(uint64_t)4095, 1); }
static unsigned subs(uint64_t a, uint64_t b) { return cmp(a, b); }
static unsigned cmn(uint64_t a, uint64_t b) { return of_sum(a, b, 0); }
static unsigned adds_w(uint64_t a, uint64_t b) { return of_sum32((uint32_t)a, (uint32_t)b, 0); }
static unsigned tst(uint64_t a, uint64_t b) { return (a & b) >> 63 ? kN : (a & b) == 0 ? kZ : 0; }
static unsigned tst_8(uint64_t a, uint64_t b) { return (void)b, (a & 8) == 0 ? kZ : 0; }
static unsigned tst_self(uint64_t a, uint64_t b) { return (void)b, a >> 63 ? kN : a == 0 ? kZ : 0; }
static unsigned bics(uint64_t a, uint64_t b) { return tst(a, ~b); }
static unsigned adcs(uint64_t a, uint64_t b) { return of_sum(a, b, b >= 3); }
static unsigned sbcs(uint64_t a, uint64_t b) { return of_sum(a, ~b, b >= 3); }
static unsigned ccmp_ne(uint64_t a, uint64_t b) { return a != 5 ? cmp(b, 3) : 0; }
static unsigned ccmp_eq_0(uint64_t a, uint64_t b) { return a == 0 ? cmp_0(b, 0) : kN | kZ | kC | kV; }
static unsigned ccmp_lt(uint64_t a, uint64_t b) { return (int64_t)a < (int64_t)b ? cmp_w(a, b) : kZ; }
static unsigned ccmp_hi(uint64_t a, uint64_t b) { return a > b ? cmp(a, 1) : kC; }
static unsigned ccmp_mi(uint64_t a, uint64_t b) { return cmp(a, b) & kN ? cmp(b, a) : kV; }
static unsigned ccmn_ge(uint64_t a, uint64_t b) { return (int64_t)a >= (int64_t)b ? cmn(a, 1) : kN | kC; }
static unsigned ccmn_w(uint64_t a, uint64_t b) { return a == 0 ? kZ | kV : adds_w(a, b); }
static unsigned ccmp_twice(uint64_t a, uint64_t b) {
  const unsigned first = a != 5 ? cmp(b, 3) : kZ;
  return first & kZ ? cmp(a, b) : kN;
}
static unsigned ccmp_al(uint64_t a, uint64_t b) { return cmp(a, b); }
static unsigned order(uint64_t a, uint64_t b) {
  const int64_t x = (int64_t)a, y = (int64_t)b;
  return (double)x == (double)y ? kZ | kC : (double)x < (double)y ? kN : kC;
}

#if defined(__aarch64__)

static sigjmp_buf back;
static volatile unsigned seen;

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  seen = ((const ucontext_t*)context)->uc_mcontext.pstate >> 28 & 15;
  siglongjmp(back, 1);
}

typedef void Snippet(uint64_t, uint64_t, volatile char*);

// x0 and x1 are numbers, x2 is where the fault will be.
#define SNIPPET(name, text)                                                                              \
  __attribute__((noinline)) static void name(uint64_t a, uint64_t b, volatile char* at) {                \
    register uint64_t x0 __asm__("x0") = a, x1 __asm__("x1") = b;                                        \
    register volatile char* x2 __asm__("x2") = at;                                                       \
    __asm__ volatile(text : "+r"(x0), "+r"(x1), "+r"(x2)::"memory", "cc", "x3", "x4", "x5", "v0", "v1"); \
  }
#define LOOK "ldr w3, [x2]\n\tcmp w3, #5\n\t"
#define WAYS(name, text)                                                                                     \
  SNIPPET(name##_here, text LOOK)                                                                            \
  SNIPPET(name##_later, text "add x4, x0, #9\n\tmov x1, x4\n\t" LOOK)                                        \
  SNIPPET(name##_jump, text "b 1f\n\tnop\n1: add x4, x0, #9\n\t" LOOK)                                       \
  SNIPPET(name##_branch, text "b.lo 1f\n\tadd x4, x0, #9\n\t" LOOK "b 2f\n1: " LOOK "2:\n\t")                \
  SNIPPET(name##_twice, text "b.gt 1f\n\tb.vs 1f\n\tldrb w5, [sp]\n\tmul x4, x1, x1\n\t" LOOK                \
                             "b 2f\n1: eor x5, x5, x5\n\t" LOOK "2:\n\t")                                    \
  SNIPPET(name##_same, text "b.mi 1f\n\tb 3f\n\tnop\n3: " LOOK "b 2f\n1: cset w4, ge\n\t" LOOK "2:\n\t")     \
  SNIPPET(name##_indirect, "adr x5, 1f\n\t" text "br x5\n\tnop\n1: " LOOK)                                   \
  SNIPPET(name##_loop, "mov x4, #3\n\tmov x5, sp\n1: ldrb w3, [x5]\n\tmov x5, x2\n\tsub x4, x4, #1\n\t" text \
                       "cbnz x4, 1b\n\t" LOOK)                                                               \
  static Snippet* const name##_ways[] = {name##_here,  name##_later, name##_jump,     name##_branch,         \
                                         name##_twice, name##_same,  name##_indirect, name##_loop};

WAYS(cmp, "cmp x0, x1\n\t")
WAYS(cmp_w, "cmp w0, w1\n\t")
WAYS(cmp_0, "cmp x0, #0\n\t")
WAYS(cmp_min, "cmp x0, #4095\n\t")
WAYS(subs, "subs x3, x0, x1\n\t")
WAYS(cmn, "cmn x0, x1\n\t")
WAYS(adds_w, "adds w3, w0, w1\n\t")
WAYS(tst, "tst x0, x1\n\t")
WAYS(tst_8, "tst x0, #8\n\t")
WAYS(tst_self, "tst x0, x0\n\t")
WAYS(bics, "bics x3, x0, x1\n\t")
WAYS(adcs, "cmp x1, #3\n\tadcs x3, x0, x1\n\t")
WAYS(sbcs, "cmp x1, #3\n\tsbcs x3, x0, x1\n\t")
WAYS(ccmp_ne, "cmp x0, #5\n\tccmp x1, #3, #0, ne\n\t")
WAYS(ccmp_eq_0, "cmp x0, #0\n\tccmp x1, #0, #15, eq\n\t")
WAYS(ccmp_lt, "cmp x0, x1\n\tccmp w0, w1, #4, lt\n\t")
WAYS(ccmp_hi, "cmp x0, x1\n\tccmp x0, #1, #2, hi\n\t")
WAYS(ccmp_mi, "cmp x0, x1\n\tccmp x1, x0, #1, mi\n\t")
WAYS(ccmn_ge, "cmp x0, x1\n\tccmn x0, #1, #10, ge\n\t")
WAYS(ccmn_w, "cmp x0, #0\n\tccmn w0, w1, #5, ne\n\t")
WAYS(ccmp_twice, "cmp x0, #5\n\tccmp x1, #3, #4, ne\n\tccmp x0, x1, #8, eq\n\t")
WAYS(ccmp_al, "ccmp x0, x1, #8, al\n\t")
WAYS(order, "scvtf d0, x0\n\tscvtf d1, x1\n\tfcmp d0, d1\n\t")

static char* page;  // the next one is not there

static void check(const char* name, Snippet* const* ways, unsigned count, Expected* expected) {
  static const uint64_t numbers[] = {
      0, 1, 3, 5, 8, 0x7fffffff, 0x80000000, ~UINT64_C(0), UINT64_C(1) << 63, INT64_MAX};
  enum { kNumbers = sizeof numbers / sizeof *numbers };
  for (unsigned way = 0; way < count; ++way)
    for (unsigned round = 0; round < 3; ++round)
      for (unsigned i = 0; i < kNumbers; ++i)
        for (unsigned j = 0; j < kNumbers; ++j) {
          const uint64_t a = numbers[i], b = numbers[j];
          // First without a fault, so that all of it is translated and linked.
          ways[way](a, b, page);
          if (!sigsetjmp(back, 1)) ways[way](a, b, page + 4096);
          const unsigned wanted = expected(a, b);
          if (seen != wanted)
            printf("%s, way %u: %#llx and %#llx: %x, not %x\n", name, way, (unsigned long long)a,
                   (unsigned long long)b, seen, wanted);
        }
}
#define SHOW(name) \
  (check(#name, name##_ways, sizeof name##_ways / sizeof *name##_ways, name), printf(#name "\n"))

#else
#define SHOW(name) (name(1, 2), printf(#name "\n"))
#endif

int main(void) {
#if defined(__aarch64__)
  page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, NULL);
#endif
  SHOW(cmp);
  SHOW(cmp_w);
  SHOW(cmp_0);
  SHOW(cmp_min);
  SHOW(subs);
  SHOW(cmn);
  SHOW(adds_w);
  SHOW(tst);
  SHOW(tst_8);
  SHOW(tst_self);
  SHOW(bics);
  SHOW(adcs);
  SHOW(sbcs);
  SHOW(ccmp_ne);
  SHOW(ccmp_eq_0);
  SHOW(ccmp_lt);
  SHOW(ccmp_hi);
  SHOW(ccmp_mi);
  SHOW(ccmn_ge);
  SHOW(ccmn_w);
  SHOW(ccmp_twice);
  SHOW(ccmp_al);
  SHOW(order);
  return 0;
}
