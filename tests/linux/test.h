// SPDX-License-Identifier: Apache-2.0
// What the guest programs share. Each prints facts that are the same on every Linux; the runner
// compares with the same source built for the host.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

// The kernel's sigaction, without the libc's opinion about 32 and 33.
struct kernel_action {
  void *handler;
  unsigned long flags;
  void *restorer;
  uint64_t mask;
};

#if defined(__x86_64__)
extern void test_restorer(void);
__asm__(".text\ntest_restorer: mov $15, %eax\n syscall\n");
#define RESTORER_FLAG 0x04000000ul
#define RESTORER ((void *)test_restorer)
#else
#define RESTORER_FLAG 0ul
#define RESTORER ((void *)0)
#endif

static inline int raw_sigaction(int signal, void *handler, unsigned long flags, uint64_t mask) {
  struct kernel_action action = {handler, flags | RESTORER_FLAG, RESTORER, mask};
  return syscall(SYS_rt_sigaction, signal, &action, (void *)0, 8);
}
static inline int raw_sigmask(int how, uint64_t set, uint64_t *old) {
  return syscall(SYS_rt_sigprocmask, how, &set, old, 8);
}
static inline uint64_t bit_of(int signal) { return 1ull << (signal - 1); }
static inline int tgkill_self(int signal) { return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal); }

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) printf("%d: failed: %s\n", __LINE__, #condition); \
  } while (0)
