// SPDX-License-Identifier: Apache-2.0
// sigaltstack: handlers run on it, nest on it, EPERM while in use, a stack overflow is survived,
// SS_AUTODISARM.
#include <setjmp.h>

#include "test.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static char stack[65536] __attribute__((aligned(16)));
static sigjmp_buf out;

static int on_stack(void) {
  char here;
  return &here >= stack && &here < stack + sizeof stack;
}

static void inner(int signal) {
  (void)signal;
  printf("inner on it: %d\n", on_stack());
}

static void handler(int signal) {
  (void)signal;
  stack_t now, other = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = 0};
  sigaltstack(0, &now);
  errno = 0;
  int r = sigaltstack(&other, 0);
  printf("on it: %d flags %x size %zu change %d %s\n", on_stack(), (unsigned)now.ss_flags, now.ss_size, r,
         r ? strerror(errno) : "");
  tgkill_self(SIGUSR2);
}

static void overflow_handler(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  printf("overflow, on it: %d code %d\n", on_stack(), info->si_code);
  siglongjmp(out, 1);
}

static int deep(int n) {
  volatile char frame[4096];
  frame[0] = (char)n;
  return deep(n + 1) + frame[0];
}

int main(void) {
  stack_t old, mine = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = 0};
  sigaltstack(0, &old);
  printf("at first: %x\n", (unsigned)old.ss_flags);
  stack_t tiny = {.ss_sp = stack, .ss_size = 1000, .ss_flags = 0};
  int r = sigaltstack(&tiny, 0);
  printf("too small: %d %s\n", r, strerror(errno));
  stack_t odd = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = 64};
  r = sigaltstack(&odd, 0);
  printf("odd flags: %d %s\n", r, strerror(errno));
  sigaltstack(&mine, 0);
  raw_sigaction(SIGUSR1, (void*)handler, SA_ONSTACK, 0);
  raw_sigaction(SIGUSR2, (void*)inner, SA_ONSTACK, 0);
  tgkill_self(SIGUSR1);
  raw_sigaction(SIGUSR1, (void*)inner, 0, 0);
  tgkill_self(SIGUSR1);

  raw_sigaction(SIGSEGV, (void*)overflow_handler, SA_ONSTACK | SA_SIGINFO, 0);
  if (!sigsetjmp(out, 1)) printf("%d\n", deep(0));

  mine.ss_flags = SS_AUTODISARM;
  sigaltstack(&mine, 0);
  raw_sigaction(SIGUSR1, (void*)handler, SA_ONSTACK, 0);
  raw_sigaction(SIGUSR2, (void*)inner, 0, 0);
  tgkill_self(SIGUSR1);
  return 0;
}
