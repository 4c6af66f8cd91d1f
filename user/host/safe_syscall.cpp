// SPDX-License-Identifier: Apache-2.0
#include "user/host/safe_syscall.h"

#include "user/thread.h"

namespace lyrebird::user::host {

namespace {
constinit const std::atomic<bool> kNeverPending{false};
// initial-exec: read in every system call and in handlers, never allocated lazily.
thread_local const std::atomic<bool>* pending_flag __attribute__((tls_model("initial-exec"))) =
    &kNeverPending;
thread_local volatile bool interrupted_internally __attribute__((tls_model("initial-exec"))) = false;
}  // namespace

void note_internal_interrupt() { interrupted_internally = true; }

void set_signal_pending_flag(const std::atomic<bool>* flag) { pending_flag = flag ? flag : &kNeverPending; }

int64_t safe_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
  interrupted_internally = false;
  const int64_t result = lyrebird_safe_syscall(pending_flag, number, a, b, c, d, e, f);
  // Whether the guest has a handler for what interrupted us shows when it is delivered. Without
  // any signal the kernel itself wanted EINTR (some calls do after SIGCONT).
  if (result == -EINTR && (pending_flag->load() || interrupted_internally)) return -kERestartNoHand;
  return result;
}

}  // namespace lyrebird::user::host
