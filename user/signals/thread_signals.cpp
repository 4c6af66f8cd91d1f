// SPDX-License-Identifier: Apache-2.0
#include "user/signals/thread_signals.h"

namespace lyrebird::user {

void SignalSlots::put(int signal, const siginfo_t& info) {
  if (contains(set_.load(std::memory_order_relaxed), signal)) return;
  info_[signal] = info;
  // The handler and take() are one thread. Anything stronger would ask tsan for a lock, which the
  // interrupted thread may hold.
  std::atomic_signal_fence(std::memory_order_release);
  set_.fetch_or(sig_bit(signal), std::memory_order_relaxed);
}

int SignalSlots::take(SigSet allowed, siginfo_t& info) {
  const int signal = first_signal(set() & allowed);
  if (!signal) return 0;
  info = info_[signal];
  set_.fetch_and(~sig_bit(signal), std::memory_order_acq_rel);
  return signal;
}

}  // namespace lyrebird::user
