// SPDX-License-Identifier: Apache-2.0
#include "base/fault_guard.h"

namespace lyrebird {

FaultGuard*& FaultGuard::current() {
  // initial-exec: a signal handler must not allocate the TLS block on first use.
  static thread_local FaultGuard* guard __attribute__((tls_model("initial-exec"))) = nullptr;
  return guard;
}

FaultGuard* FaultGuard::exchange(FaultGuard* guard) {
  FaultGuard* const old = current();
  current() = guard;
  return old;
}

void FaultGuard::deliver(int signal, const siginfo_t& info) {
  FaultGuard* const guard = current();
  if (!guard) return;
  guard->disarm();
  guard->address = reinterpret_cast<uint64_t>(info.si_addr);
  guard->signal = signal;
  guard->code = info.si_code;
#if __has_feature(thread_sanitizer)
  // Its handlers run with every signal blocked, whatever sa_flags say; the jump would keep that.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
#endif
  siglongjmp(guard->env, 1);
}

}  // namespace lyrebird
