// SPDX-License-Identifier: Apache-2.0
// What programs see of a processor's exceptions, translation and debug registers through the kernel: run in a
// machine.
#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int failed;
#define EXPECT(condition)                                        \
  do {                                                           \
    if (!(condition)) {                                          \
      printf("cpu: line %d failed: %s\n", __LINE__, #condition); \
      failed = 1;                                                \
    }                                                            \
  } while (0)

// --- single steps of ptrace: the software step exception

static void stepped_child(void) {
  ptrace(PTRACE_TRACEME);
  raise(SIGSTOP);
  asm volatile(
      "mov x0, #0\n"
      "1: add x0, x0, #1\n"
      "cmp x0, #1000\n"
      "b.ne 1b\n"
      "mov x8, #93\n"
      "mov x0, #7\n"
      "svc #0" ::
          : "x0", "x8");
}

static void single_steps(void) {
  const pid_t child = fork();
  if (child == 0) stepped_child();
  int status = 0;
  waitpid(child, &status, 0);
  long steps = 0, standing = 0;
  uint64_t last = 0;
  while (ptrace(PTRACE_SINGLESTEP, child, 0, 0) == 0) {
    waitpid(child, &status, 0);
    if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) break;
    struct user_regs_struct registers;
    struct iovec view = {&registers, sizeof registers};
    ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &view);
    standing += registers.pc == last;
    last = registers.pc;
    ++steps;
  }
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT(steps > 3000 && steps < 3200);
  EXPECT(standing == 0);
}

// --- faults: address and reason

static sigjmp_buf after_fault;
static siginfo_t fault;
static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)context;
  fault = *info;
  siglongjmp(after_fault, signal);
}
/// The signal of the statement, or 0.
#define SIGNAL_OF(statement)                       \
  ({                                               \
    const int signal_ = sigsetjmp(after_fault, 1); \
    if (signal_ == 0) {                            \
      statement;                                   \
    }                                              \
    signal_;                                       \
  })

static void faults(void) {
  const struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  for (const int* s = (const int[]){SIGSEGV, SIGBUS, SIGILL, SIGTRAP, 0}; *s; ++s) sigaction(*s, &action, 0);
  volatile char* p = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  p[4096] = 1;
  mprotect((char*)p + 4096, 4096, PROT_READ);
  EXPECT(SIGNAL_OF(p[4096] = 2) == SIGSEGV);
  EXPECT(fault.si_addr == p + 4096 && fault.si_code == SEGV_ACCERR);
  munmap((char*)p + 4096, 4096);
  EXPECT(SIGNAL_OF((void)p[4097]) == SIGSEGV);
  EXPECT(fault.si_addr == p + 4097 && fault.si_code == SEGV_MAPERR);
  EXPECT(SIGNAL_OF(*(volatile uint64_t*)(p + 4092) = 5) == SIGSEGV);
  EXPECT(fault.si_addr == p + 4096);
  EXPECT(SIGNAL_OF(((void (*)(void))p)()) == SIGSEGV);
  EXPECT(fault.si_addr == p && fault.si_code == SEGV_ACCERR);
  EXPECT(SIGNAL_OF(((void (*)(void))(p + 2))()) == SIGBUS);
  EXPECT(SIGNAL_OF(*(volatile int*)0xffff000000001000 = 1) == SIGSEGV);
  EXPECT(SIGNAL_OF(asm volatile(".word 0")) == SIGILL);
  EXPECT(SIGNAL_OF(asm volatile("mrs x0, sp_el0" :: : "x0")) == SIGILL);
  EXPECT(SIGNAL_OF(asm volatile("brk #1")) == SIGTRAP);
  uint64_t value = 0;
  EXPECT(SIGNAL_OF(asm volatile("mrs %0, id_aa64isar0_el1" : "=r"(value))) == 0);
  EXPECT(SIGNAL_OF(asm volatile("mrs %0, cntvct_el0" : "=r"(value))) == 0);
  EXPECT(SIGNAL_OF(asm volatile("mrs %0, ctr_el0" : "=r"(value))) == 0);
  volatile char* const tagged = (volatile char*)((uintptr_t)p | (uint64_t)0x5a << 56);
  EXPECT(SIGNAL_OF(*tagged = 9) == 0 && *p == 9);
}

// --- threads: FP state, code that changes, address spaces that come and go, atomics

static void* float_state(void* number) {
  const double before = (double)(uintptr_t)number + 0.5;
  for (unsigned round = 0; round < 100; ++round) {
    double after = 0;
    asm volatile(
        "fmov d20, %1\n"
        "mov x9, #20000\n"
        "1: fadd d20, d20, d20\n"
        "fmov d21, #0.5\n"
        "fmul d20, d20, d21\n"
        "subs x9, x9, #1\n"
        "b.ne 1b\n"
        "fmov %0, d20"
        : "=r"(after)
        : "r"(before)
        : "x9", "v20", "v21", "cc");
    EXPECT(after == before);
    if (round % 20 == 0) sched_yield();
  }
  return 0;
}

static void* changing_code(void* unused) {
  (void)unused;
  uint32_t* const code =
      mmap(0, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned i = 0; i < 3000; ++i) {
    uint32_t* const at = code + i * 16 % 8192;
    at[0] = 0x52800000 | (i & 0xffff) << 5;  // mov w0, #i
    at[1] = 0xd65f03c0;                      // ret
    __builtin___clear_cache((char*)at, (char*)(at + 2));
    const unsigned got = ((unsigned (*)(void))at)();
    EXPECT(got == (i & 0xffff));
    if (got != (i & 0xffff)) break;
  }
  return 0;
}

static void* forks(void* unused) {
  (void)unused;
  for (int i = 0; i < 30; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      char* const memory = malloc(1 << 20);
      memset(memory, i, 1 << 20);
      _exit(memory[12345] == (char)i ? i : 99);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == i);
  }
  return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long locked, atomic;
static void* counts(void* unused) {
  (void)unused;
  for (int i = 0; i < 20000; ++i) {
    pthread_mutex_lock(&mutex);
    ++locked;
    pthread_mutex_unlock(&mutex);
    __atomic_add_fetch(&atomic, 1, __ATOMIC_SEQ_CST);
  }
  return 0;
}

static void in_threads(const char* what, void* (*body)(void*), unsigned count) {
  pthread_t threads[8];
  for (unsigned i = 0; i < count; ++i) pthread_create(&threads[i], 0, body, (void*)(uintptr_t)i);
  for (unsigned i = 0; i < count; ++i) pthread_join(threads[i], 0);
  printf("cpu: %s done\n", what);
}

static void sleeps(void) {
  struct timespec before, after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  nanosleep(&(struct timespec){.tv_nsec = 200000000}, 0);
  clock_gettime(CLOCK_MONOTONIC, &after);
  EXPECT((after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec >= 200000000);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  single_steps();
  faults();
  in_threads("float state", float_state, 6);
  in_threads("changing code", changing_code, 4);
  in_threads("forks", forks, 4);
  in_threads("counts", counts, 6);
  EXPECT(locked == 120000 && atomic == 120000);
  sleeps();
  puts(failed ? "cpu: bad" : "cpu: good");
  return failed;
}
