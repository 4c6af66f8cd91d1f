// SPDX-License-Identifier: Apache-2.0
/// The host kernel's signal calls, without the libc in between: it would keep signals 32 and 33
/// for itself. Sets are the kernel's 64 bits.
#pragma once

#include <csignal>
#include <cstdint>

namespace lyrebird::user::host {

/// The kernel's struct sigaction.
struct KernelAction {
  uint64_t handler = 0;  ///< a function, 0 (SIG_DFL) or 1 (SIG_IGN)
  uint64_t flags = 0;
  uint64_t restorer = 0;
  uint64_t mask = 0;
};
static_assert(sizeof(KernelAction) == 32);

/// Set and/or get; the restorer is filled in here. 0 or -errno.
int sigaction(int signal, const KernelAction* action, KernelAction* old);
/// `how` as in the libc; returns the old mask.
uint64_t set_signal_mask(int how, uint64_t mask);
inline uint64_t signal_mask() { return set_signal_mask(SIG_BLOCK, 0); }
uint64_t pending_signals();
/// An alternate stack for handlers on this host thread; unmapped by the destructor.
class HandlerStack {
 public:
  HandlerStack();
  ~HandlerStack();
  HandlerStack(const HandlerStack&) = delete;
  HandlerStack& operator=(const HandlerStack&) = delete;

 private:
  void* memory_ = nullptr;
};
/// Ends the process by this signal, so that the parent's wait status says so.
[[noreturn]] void die_by_signal(int signal);

}  // namespace lyrebird::user::host
