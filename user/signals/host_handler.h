// SPDX-License-Identifier: Apache-2.0
/// The one host handler of all signals.
///
/// SIGSEGV, SIGBUS and SIGFPE that the host CPU raised go to base/fault_guard.h first: a guarded access to
/// guest memory becomes a value, generated code goes on where it says. What is left is a bug of the emulator:
/// one line, then death by that signal. All others are queued in ThreadSignals::slots.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "accel/vcpu.h"
#include "user/signals/thread_signals.h"

namespace lyrebird::user {

uint64_t host_handler_address();

/// From now on handlers on this host thread queue into `signals` and kick `vcpu`; both null: this
/// host thread runs no guest code. Returns what was set before (vfork's child borrows the thread).
struct HandlerTarget {
  ThreadSignals* signals = nullptr;
  accel::Vcpu* vcpu = nullptr;
};
HandlerTarget set_handler_target(HandlerTarget target);

/// Interrupts whatever the host thread `tid` does for its guest, without the guest noticing: a
/// blocking syscall comes back as one to be restarted. Uses SIGBUS with a value of its own, as the
/// guest may use every signal number and SIGBUS is never blocked.
void interrupt_host_thread(pid_t tid);

}  // namespace lyrebird::user
