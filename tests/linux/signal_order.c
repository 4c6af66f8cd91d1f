// SPDX-License-Identifier: Apache-2.0
// Queueing: real-time signals keep number and order, standard ones do not; the lowest number comes
// first; handlers nest according to their masks; SA_NODEFER and SA_RESETHAND.
#include "test.h"

static void note(int signal, siginfo_t* info, void* context) {
  (void)context;
  printf(" %d/%d", signal, info->si_value.sival_int);
}

static void queue(int signal, int value) {
  union sigval v = {.sival_int = value};
  CHECK(sigqueue(getpid(), signal, v) == 0);
}

static volatile int calls;
static void nesting(int signal) {
  int mine = ++calls;
  printf(" in%d@%d", signal, mine);
  if (mine < 3) tgkill_self(SIGUSR1);
  printf(" out%d@%d", signal, mine);
}

static void raise_other(int signal) {
  printf(" [%d", signal);
  tgkill_self(SIGUSR2);
  printf("]%d", signal);
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  const int signals[] = {SIGUSR1, 34, 35, 64};
  uint64_t all = 0;
  for (unsigned i = 0; i < 4; i++) {
    raw_sigaction(signals[i], (void*)note, SA_SIGINFO, ~0ull);
    all |= bit_of(signals[i]);
  }
  raw_sigmask(SIG_BLOCK, all, 0);
  for (int i = 1; i <= 3; i++) {
    queue(64, i);
    queue(SIGUSR1, i);
    queue(35, i);
    queue(34, i);
  }
  printf("queued:");
  raw_sigmask(SIG_UNBLOCK, all, 0);
  printf("\nsigwait:");
  raw_sigmask(SIG_BLOCK, all, 0);
  for (int i = 1; i <= 3; i++) queue(35, i), queue(34, i);
  siginfo_t info;
  struct timespec zero = {0, 0};
  while (syscall(SYS_rt_sigtimedwait, &all, &info, &zero, 8) > 0)
    printf(" %d/%d", info.si_signo, info.si_value.sival_int);
  raw_sigmask(SIG_UNBLOCK, all, 0);

  printf("\ndeferred:");
  raw_sigaction(SIGUSR1, (void*)nesting, 0, 0);
  tgkill_self(SIGUSR1);
  printf("\nnodefer:");
  calls = 0;
  raw_sigaction(SIGUSR1, (void*)nesting, SA_NODEFER, 0);
  tgkill_self(SIGUSR1);

  printf("\nmasked:");
  raw_sigaction(SIGUSR2, (void*)note, SA_SIGINFO, 0);
  raw_sigaction(SIGUSR1, (void*)raise_other, 0, bit_of(SIGUSR2));
  tgkill_self(SIGUSR1);
  printf("\nunmasked:");
  raw_sigaction(SIGUSR1, (void*)raise_other, 0, 0);
  tgkill_self(SIGUSR1);

  printf("\nresethand:");
  raw_sigaction(SIGUSR1, (void*)note, SA_SIGINFO | SA_RESETHAND, 0);
  tgkill_self(SIGUSR1);
  struct kernel_action action;
  syscall(SYS_rt_sigaction, SIGUSR1, (void*)0, &action, 8);
  printf(" then %s\n", action.handler == (void*)SIG_DFL ? "default" : "something else");
  return 0;
}
