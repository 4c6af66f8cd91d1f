// SPDX-License-Identifier: Apache-2.0
/// One guest thread's signal state.
///
/// The host's kernel keeps the queues: while guest code runs, the host thread's mask is the
/// guest's (less kHostFaults). A signal that gets through comes to the host handler, which
/// stores it in this thread's slot for its number, blocks everything and kicks the vCPU; so at most
/// one signal besides those is on its way, and order, queueing of real-time signals,
/// sigpending, signalfd and sigtimedwait are the kernel's own. The thread then builds the guest's
/// frame and gives the host the mask that the handler runs with.
#pragma once

#include <array>
#include <atomic>
#include <csignal>
#include <memory>

#include "user/signals/process_signals.h"
#include "user/signals/sigset.h"

namespace lyrebird::user {

/// sigaltstack(2), in guest addresses.
struct AltStack {
  static constexpr uint32_t kOnStack = 1, kDisable = 2, kAutoDisarm = 1u << 31;

  uint64_t sp = 0, size = 0;
  uint32_t flags = kDisable;

  /// A handler runs on it, as far as the stack pointer tells.
  bool in_use(uint64_t stack_pointer) const {
    return !(flags & kAutoDisarm) && stack_pointer > sp && stack_pointer - sp <= size;
  }
  /// ss_flags as the guest reads them.
  uint32_t flags_seen(uint64_t stack_pointer) const {
    const uint32_t state = size == 0 ? kDisable : in_use(stack_pointer) ? kOnStack : 0;
    return state | (flags & kAutoDisarm);
  }
};

/// Signals that the host handler took, one slot each. Written by handlers of the owning host
/// thread, read by that thread.
class SignalSlots {
 public:
  /// Keeps the first if the slot is taken. Async-signal-safe.
  void put(int signal, const siginfo_t& info);
  /// Removes the most urgent signal of `allowed`; 0 if there is none.
  int take(SigSet allowed, siginfo_t& info);
  SigSet set() const { return set_.load(std::memory_order_acquire); }
  void clear() { set_.store(0); }

 private:
  std::atomic<SigSet> set_{0};
  std::array<siginfo_t, kSignals + 1> info_;
};

struct ThreadSignals {
  /// Some slot may have to be handled before guest code runs on. Set by handlers.
  std::atomic<bool> pending{false};
  /// The handler has left the host's mask full for the signal in hand; `pending` is set, too. Not for
  /// kHostFaults: what lowers the mask again does not know of those.
  std::atomic<bool> host_blocks_all{false};
  SignalSlots slots;
  /// The guest's mask. Handlers read it to see whether one of kHostFaults can be taken.
  std::atomic<SigSet> blocked{0};
  /// sigsuspend() and the like: `blocked` is the temporary mask, `saved` is what a frame saves and
  /// what comes back when no handler runs.
  SigSet saved = 0;
  bool restore_saved = false;
  AltStack alt_stack;
  std::shared_ptr<SignalActions> actions;
  /// Last synchronous fault as the frame's record of it says (Arm: sigcontext.fault_address, ESR).
  uint64_t fault_address = 0, fault_syndrome = 0;
  unsigned retried_faults = 0;  ///< since the last one that became a signal
};

}  // namespace lyrebird::user
