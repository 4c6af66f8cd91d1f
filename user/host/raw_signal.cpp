// SPDX-License-Identifier: Apache-2.0
#include "user/host/raw_signal.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include "user/host/safe_syscall.h"

namespace lyrebird::user::host {

namespace {
constexpr uint64_t kRestorerFlag = 0x04000000;  // SA_RESTORER
constexpr size_t kHandlerStackSize = 64 << 10;
}  // namespace

int sigaction(int signal, const KernelAction* action, KernelAction* old) {
  KernelAction copy;
  if (action) {
    copy = *action;
    copy.flags |= kRestorerFlag;
    copy.restorer = reinterpret_cast<uint64_t>(&lyrebird_signal_restorer);
  }
  return static_cast<int>(call(SYS_rt_sigaction, signal, action ? &copy : nullptr, old, sizeof copy.mask));
}

uint64_t set_signal_mask(int how, uint64_t mask) {
  uint64_t old = 0;
  call(SYS_rt_sigprocmask, how, &mask, &old, sizeof mask);
  return old;
}

uint64_t pending_signals() {
  uint64_t set = 0;
  call(SYS_rt_sigpending, &set, sizeof set);
  return set;
}

HandlerStack::HandlerStack() {
  memory_ = mmap(nullptr, kHandlerStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;
    return;
  }
  const stack_t stack{memory_, 0, kHandlerStackSize};
  ::sigaltstack(&stack, nullptr);
}

HandlerStack::~HandlerStack() {
  if (!memory_) return;
  const stack_t off{nullptr, SS_DISABLE, 0};
  ::sigaltstack(&off, nullptr);
  munmap(memory_, kHandlerStackSize);
}

void die_by_signal(int signal) {
  // A core file of the emulator helps nobody who debugs the guest.
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  const KernelAction default_handling{};
  sigaction(signal, &default_handling, nullptr);
  call(SYS_tgkill, getpid(), call(SYS_gettid), signal);
  set_signal_mask(SIG_UNBLOCK, uint64_t{1} << (signal - 1));
  for (;;) call(SYS_exit_group, 128 + signal);
}

}  // namespace lyrebird::user::host
