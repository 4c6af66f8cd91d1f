// SPDX-License-Identifier: Apache-2.0
// Every signal from 1 to 64 can be handled, ignored, blocked, queued and taken by sigtimedwait.
#include "test.h"

static volatile int seen, seen_code, seen_value;
static volatile pid_t seen_pid;

static void handler(int signal, siginfo_t* info, void* context) {
  (void)context;
  seen = signal;
  seen_code = info->si_code;
  seen_pid = info->si_pid;
  seen_value = info->si_value.sival_int;
}

int main(void) {
  for (int signal = 1; signal <= 64; signal++) {
    errno = 0;
    int r = raw_sigaction(signal, (void*)handler, SA_SIGINFO, 0);
    printf("%d: %d %d:", signal, r, errno);
    if (r) {
      printf("\n");
      continue;
    }
    seen = 0;
    kill(getpid(), signal);
    printf(" kill %d %d %d", seen, seen_code, seen_pid == getpid());
    seen = 0;
    tgkill_self(signal);
    printf(" tgkill %d %d", seen, seen_code);
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_pid = 4711;
    info.si_value.sival_int = 1000 + signal;
    seen = 0;
    syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), signal, &info);
    printf(" queue %d %d %d %d", seen, seen_code, seen_pid, seen_value);
    // Blocked: pending, and sigtimedwait takes it.
    raw_sigmask(SIG_BLOCK, bit_of(signal), 0);
    seen = 0;
    kill(getpid(), signal);
    uint64_t pending = 0, set = bit_of(signal);
    syscall(SYS_rt_sigpending, &pending, 8);
    struct timespec zero = {0, 0};
    int taken = syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 8);
    printf(" blocked %d pending %d taken %d %d", seen, pending == bit_of(signal), taken, info.si_signo);
    errno = 0;
    taken = syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 8);
    printf(" again %d %d", taken, errno == EAGAIN);
    // Unblocked: it comes.
    kill(getpid(), signal);
    raw_sigmask(SIG_UNBLOCK, bit_of(signal), 0);
    printf(" unblocked %d", seen);
    raw_sigaction(signal, (void*)SIG_IGN, 0, 0);
    seen = 0;
    kill(getpid(), signal);
    printf(" ignored %d\n", seen);
    raw_sigaction(signal, (void*)SIG_DFL, 0, 0);
  }
  return 0;
}
