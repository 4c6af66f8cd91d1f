// SPDX-License-Identifier: Apache-2.0
// Signals that a thread sends to itself, handled and returned from, and faults that are handled.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "kernel.h"

static volatile uint64_t handled;
static sigjmp_buf after;

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)info, (void)context;
  handled += (uint64_t)number;
}
static void on_fault(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  handled += (uintptr_t)info->si_addr & 0xfff;
  siglongjmp(after, 1);
}

int main(int argc, char** argv) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, NULL);
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, NULL);
  char* const none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long n = rounds(argc, argv) * 1000; n-- > 0;) {
    raise(SIGUSR1);
    if (n % 4 == 0 && sigsetjmp(after, 1) == 0) none[n & 0xfff] = 1;
  }
  return report("signals", mix(1, handled));
}
