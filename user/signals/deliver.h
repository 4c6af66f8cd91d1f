// SPDX-License-Identifier: Apache-2.0
/// From a queued signal to a guest frame, a stop or a death; the guest's mask and the host's.
#pragma once

#include <csignal>

#include "user/signals/sigset.h"

namespace lyrebird::user {

class Thread;
struct FaultSignal;

/// Changes the guest's mask, and the host's with it. 0, or -kERestartNoIntr when a signal came
/// first: the guest's syscall has to run again after it.
int64_t set_blocked(Thread& t, SigSet mask);

/// A signal that can't be refused, from the thread itself: blocked or ignored, it kills.
void force_signal(Thread& t, const FaultSignal& fault);
/// The same for one that is not a fault, in the middle of a system call.
void force_signal(Thread& t, const siginfo_t& info);
/// The same with SI_KERNEL and no address (a frame that can't be written).
void force_segv(Thread& t, int code, uint64_t address);

/// The process dies by `signal`, as its parent will see.
[[noreturn]] void die_of_signal(Thread& t, int signal);

/// A mask that holds for one blocking system call (ppoll, pselect6, epoll_pwait, sigsuspend).
///
///     TemporaryMask mask(t, set);
///     if (mask.ready()) return mask.finish(-kERestartNoHand);
///     return mask.finish(host::safe_syscall(..., mask.host(), 8));
class TemporaryMask {
 public:
  TemporaryMask(Thread& t, SigSet mask);
  /// A signal that the mask lets through is there already: do not sleep.
  bool ready() const;
  /// Pointer to the kernel's set for the call.
  const SigSet* host() const { return &host_mask_; }
  /// With the call's result: when a signal ended it, the mask stays until the handler has its frame.
  int64_t finish(int64_t result);

 private:
  Thread& t_;
  const SigSet old_, mask_, host_mask_;
};

}  // namespace lyrebird::user
