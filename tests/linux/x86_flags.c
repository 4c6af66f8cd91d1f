// SPDX-License-Identifier: Apache-2.0
// The flags that a signal handler sees, at faults and in between: right after the instruction that sets them,
// behind jumps of all kinds, and before those that overwrite them.
#include "test.h"

#if defined(__x86_64__) || defined(__i386__)

#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#if defined(__x86_64__)
#define R(name) "%%r" #name
#define PC gregs[REG_RIP]
#define FLAGS gregs[REG_EFL]
#define AX gregs[REG_RAX]
#define CX gregs[REG_RCX]
#else
#define R(name) "%%e" #name
#define PC gregs[REG_EIP]
#define FLAGS gregs[REG_EFL]
#define AX gregs[REG_EAX]
#define CX gregs[REG_ECX]
#endif

static sigjmp_buf back;
static volatile unsigned seen;

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  seen = ((const ucontext_t*)context)->uc_mcontext.FLAGS & 0x8d5;
  siglongjmp(back, 1);
}

// ax and dx are numbers, si is where the fault will be.
#define SNIPPET(name, text)                                                                               \
  __attribute__((noinline)) static void name(uintptr_t a, uintptr_t d, volatile char* at) {               \
    __asm__ volatile(text : "+a"(a), "+d"(d), "+S"(at) : : "memory", "cc", "ecx", "edi", "xmm0", "xmm1"); \
  }
#define LOOK "mov (" R(si) "), %%ecx\n\tcmp $5, %%ecx\n\t"
// What sets flags, and five ways to where they are seen.
#define WAYS(name, text)                                                                                   \
  SNIPPET(name##_here, text LOOK)                                                                          \
  SNIPPET(name##_later, text "lea 9(" R(ax) "), " R(di) "\n\tmov " R(di) ", " R(dx) "\n\t" LOOK)           \
  SNIPPET(name##_jump, text "jmp 1f\n\tnop\n1: lea 9(" R(ax) "), " R(di) "\n\t" LOOK)                      \
  SNIPPET(name##_branch, text "jb 1f\n\tlea 9(" R(ax) "), " R(di) "\n\t" LOOK "jmp 2f\n1: " LOOK "2:\n\t") \
  SNIPPET(name##_same,                                                                                     \
          text "js 1f\n\tsub %%edx, %%edx\n\t" LOOK "jmp 2f\n1: cmp $9, %%eax\n\t" LOOK "2:\n\t")          \
  SNIPPET(name##_indirect,                                                                                 \
          "call 3f\n3: pop " R(di) "\n\tadd $1f-3b, " R(di) "\n\t" text "jmp *" R(di) "\n\tnop\n1: " LOOK)

WAYS(add, "add " R(dx) ", " R(ax) "\n\t")
WAYS(add8, "add %%dl, %%al\n\t")
WAYS(adc, "stc\n\tadc %%edx, %%eax\n\t")
WAYS(sub, "sub %%edx, %%eax\n\t")
WAYS(sbb, "cmp $3, %%edx\n\tsbb %%edx, %%eax\n\t")
WAYS(cmp, "cmp " R(dx) ", " R(ax) "\n\t")
WAYS(cmp16, "cmp %%dx, %%ax\n\t")
WAYS(and, "and %%edx, %%eax\n\t")
WAYS(test8, "test %%dl, %%al\n\t")
WAYS(xor, "xor %%edx, %%eax\n\t")
WAYS(zero, "xor %%eax, %%eax\n\t")
WAYS(neg, "neg %%eax\n\t")
WAYS(inc, "cmp $3, %%edx\n\tinc %%eax\n\t")
WAYS(dec, "cmp $3, %%edx\n\tdec " R(ax) "\n\t")
WAYS(shl, "shl $1, %%eax\n\t")
WAYS(sar, "sar $1, %%eax\n\t")
WAYS(order, "cvtsi2sd %%eax, %%xmm0\n\tcvtsi2sd %%edx, %%xmm1\n\tucomisd %%xmm1, %%xmm0\n\t")

// Loops that run into the fault, and those that it meets at once.
#define LOOPS(name, text)                                                  \
  SNIPPET(name##_loop, "cmp %%edx, %%eax\n1: " text)                       \
  SNIPPET(name##_loop_jump, "cmp %%edx, %%eax\n\tjmp 1f\n\tnop\n1: " text) \
  SNIPPET(name##_loop_indirect, "call 3f\n3: pop " R(di) "\n\tadd $1f-3b, " R(di) "\n\tsub %%edx, %%eax\n\t" \
                                "jmp *" R(di) "\n\tnop\n1: " text)
LOOPS(store, "movb $1, (" R(si) ")\n\tadd $1, " R(
                 si) "\n\tcmp %%eax, %%edx\n\tjne 1b\n\tcmp %%edx, %%edx\n\tje 1b\n\t")
LOOPS(load, "movzbl (" R(si) "), %%ecx\n\tadd $1, " R(
                si) "\n\txor %%edi, %%edi\n\tadd %%ecx, %%eax\n\tsub $1, %%edx\n\tjmp 1b\n\t")
LOOPS(scan, "mov (" R(si) "), %%cl\n\tlea 1(" R(si) "), " R(si) "\n\ttest %%cl, %%cl\n\tjns 1b\n\tjs 1b\n\t")

typedef void Snippet(uintptr_t, uintptr_t, volatile char*);

static char* page;  // the next one is not there

static void show(const char* name, Snippet* run, int loops) {
  static const uintptr_t numbers[] = {0, 1, 5, 0x7fffffff, (uintptr_t)1 << 31, (uintptr_t)-1, 0x18};
  enum { kNumbers = sizeof numbers / sizeof *numbers };
  printf("%s:", name);
  for (unsigned round = 0; round < 3; ++round)
    for (unsigned i = 0; i < kNumbers; ++i)
      for (unsigned j = 0; j < kNumbers; ++j) {
        // First without a fault, so that all of it is translated and linked; a loop comes to its fault by
        // itself.
        if (!loops) run(numbers[i], numbers[j], page);
        if (!sigsetjmp(back, 1)) run(numbers[i], numbers[j], page + 4096 - (loops ? 3 * round : 0));
        if (round == 2 || loops) printf(" %x", seen);
      }
  printf("\n");
}

// --- signals in between: at the loop's head the flags are those of the compare at its end

static uintptr_t head;
static volatile unsigned signals, wrong;

static void on_alarm(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  const ucontext_t* u = context;
  ++signals;
  if ((uintptr_t)u->uc_mcontext.PC != head) return;
  const uintptr_t a = (uintptr_t)u->uc_mcontext.AX, c = (uintptr_t)u->uc_mcontext.CX;
  unsigned char below, zero;
  __asm__("cmp %3, %2\n\tsetb %0\n\tsete %1" : "=q"(below), "=q"(zero) : "r"(a), "r"(c) : "cc");
  const unsigned flags = (unsigned)u->uc_mcontext.FLAGS;
  if ((flags & 1) != below || (flags >> 6 & 1) != zero) ++wrong;
}

__attribute__((noinline)) static void interrupted_loop(void) {
  __asm__ volatile("call 3f\n3: pop " R(ax) "\n\tadd $1f-3b, " R(ax) "\n\tmov " R(ax) ", %0\n\t"
                   "mov $3000000, %%ecx\n\txor %%eax, %%eax\n\tcmp " R(cx) ", " R(ax) "\n"
                   "1: add $1, " R(ax) "\n\tcmp " R(cx) ", " R(ax) "\n\tjne 1b\n\t"
                   : "=m"(head)
                   :
                   : "memory", "cc", "eax", "ecx");
}
__attribute__((noinline)) static void interrupted_loads(void) {
  __asm__ volatile("call 3f\n3: pop " R(ax) "\n\tadd $1f-3b, " R(ax) "\n\tmov " R(ax) ", %0\n\t"
                   "mov $3000000, %%ecx\n\txor %%eax, %%eax\n\tcmp " R(cx) ", " R(ax) "\n"
                   "1: mov (%1), %%edx\n\tadd $1, " R(ax) "\n\tcmp " R(cx) ", " R(ax) "\n\tjne 1b\n\t"
                   : "=m"(head)
                   : "r"(page)
                   : "memory", "cc", "eax", "ecx", "edx");
}

int main(void) {
  page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);

#define SHOW(name) show(#name, name, 0);
#define SHOW_WAYS(name) \
  SHOW(name##_here)     \
  SHOW(name##_later) SHOW(name##_jump) SHOW(name##_branch) SHOW(name##_same) SHOW(name##_indirect)
  SHOW_WAYS(add)
  SHOW_WAYS(add8)
  SHOW_WAYS(adc) SHOW_WAYS(sub) SHOW_WAYS(sbb) SHOW_WAYS(cmp) SHOW_WAYS(cmp16) SHOW_WAYS(and) SHOW_WAYS(test8)
      SHOW_WAYS(xor) SHOW_WAYS(zero) SHOW_WAYS(neg) SHOW_WAYS(inc) SHOW_WAYS(dec) SHOW_WAYS(shl)
          SHOW_WAYS(sar) SHOW_WAYS(order)
#define SHOW_LOOPS(name)            \
  show(#name, name##_loop, 1);      \
  show(#name, name##_loop_jump, 1); \
  show(#name, name##_loop_indirect, 1);
              SHOW_LOOPS(store) SHOW_LOOPS(load) SHOW_LOOPS(scan)

                  struct sigaction alarms = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO};
  sigaction(SIGVTALRM, &alarms, 0);
  const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
  setitimer(ITIMER_VIRTUAL, &often, 0);
  for (unsigned i = 0; i < 1000 && signals < 40; ++i) {
    interrupted_loop();
    interrupted_loads();
  }
  setitimer(ITIMER_VIRTUAL, &never, 0);
  printf("signals %s, flags wrong %u times\n", signals >= 40 ? "came" : "did not come", wrong);
  return 0;
}

#else
int main(void) { return 0; }
#endif
