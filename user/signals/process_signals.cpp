// SPDX-License-Identifier: Apache-2.0
#include "user/signals/process_signals.h"

#include <cerrno>

#include "user/signals/host_handler.h"

namespace lyrebird::user {

host::KernelAction host_action(int signal, const GuestAction& guest, bool intercept) {
  constexpr uint64_t kPassed = kSaRestart | kSaNoCldStop | kSaNoCldWait;
  host::KernelAction action;
  action.flags = guest.flags & kPassed;
  const bool fault = contains(kHostFaults, signal);
  const bool want_all = intercept && guest.handler == GuestAction::kDefault;
  if (!guest.handled() && !fault && !want_all) {
    action.handler = guest.handler;
    return action;
  }
  action.handler = host_handler_address();
  action.flags |= kSaSigInfo | kSaOnStack;
  if (!guest.handled()) action.flags |= kSaRestart;
  // A fault's handler jumps out of it: nothing may stay blocked. The others block all but faults
  // until the guest's frame is built, and so does SIGFPE's, which returns: what a handler in the middle of it
  // blocks would not stay so.
  if (fault) action.flags |= kSaNoDefer;
  if (!fault || signal == SIGFPE) action.mask = ~kHostFaults;
  return action;
}

SignalActions::SignalActions(const SignalActions& other) {
  const std::lock_guard lock(other.mutex_);
  actions_ = other.actions_;
  intercept_ = other.intercept_;
}

void SignalActions::take_over_from_host() {
  const std::lock_guard lock(mutex_);
  for (int signal = 1; signal <= kSignals; signal++) {
    host::KernelAction old;
    if (host::sigaction(signal, nullptr, &old) == 0 && old.handler == GuestAction::kIgnore)
      actions_[signal].handler = GuestAction::kIgnore;
    if (contains(kHostFaults, signal)) apply_locked(signal);
  }
}

void SignalActions::take_back_from_libc() {
  constexpr int kSetXid = 33;
  const std::lock_guard lock(mutex_);
  (void)apply_locked(kSetXid);
}

GuestAction SignalActions::get(int signal) const {
  const std::lock_guard lock(mutex_);
  return actions_[signal];
}

int SignalActions::set(int signal, const GuestAction& action) {
  const std::lock_guard lock(mutex_);
  const GuestAction old = actions_[signal];
  actions_[signal] = action;
  actions_[signal].flags &= kSaKnown;
  actions_[signal].mask &= ~kUnblockable;
  const int error = apply_locked(signal);
  if (error) actions_[signal] = old;
  return error;
}

void SignalActions::reset_handler(int signal) {
  const std::lock_guard lock(mutex_);
  actions_[signal].handler = GuestAction::kDefault;
  apply_locked(signal);
}

void SignalActions::clear_handlers() {
  const std::lock_guard lock(mutex_);
  for (int signal = 1; signal <= kSignals; signal++) {
    if (!actions_[signal].handled()) continue;
    actions_[signal] = {};
    apply_locked(signal);
  }
}

void SignalActions::set_intercept(bool on) {
  const std::lock_guard lock(mutex_);
  intercept_ = on;
  for (int signal = 1; signal <= kSignals; signal++) {
    if (!contains(kUnblockable, signal)) apply_locked(signal);
  }
}

void SignalActions::prepare_exec() {
  const std::lock_guard lock(mutex_);
  const host::KernelAction ignore{GuestAction::kIgnore, 0, 0, 0};
  for (const int signal : kHostFaultSignals) {
    if (actions_[signal].handler == GuestAction::kIgnore) host::sigaction(signal, &ignore, nullptr);
  }
}

void SignalActions::after_failed_exec() {
  const std::lock_guard lock(mutex_);
  for (const int signal : kHostFaultSignals) apply_locked(signal);
}

int SignalActions::apply_locked(int signal) {
  const host::KernelAction action = host_action(signal, actions_[signal], intercept_);
  return host::sigaction(signal, &action, nullptr);
}

}  // namespace lyrebird::user
