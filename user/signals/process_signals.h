// SPDX-License-Identifier: Apache-2.0
/// What the guest's sigaction() said, and the host dispositions that follow from it.
///
/// The host's kernel does as much as it can: a signal that the guest ignores or leaves at its
/// default is ignored or left so on the host, so that children, stops and deaths come out right by
/// themselves. Only what the guest handles goes through the emulator's handler. kHostFaults
/// always do, because the emulator's own accesses to guest memory and its generated code raise them.
#pragma once

#include <array>
#include <memory>
#include <mutex>

#include "user/host/raw_signal.h"
#include "user/signals/sigset.h"

namespace lyrebird::user {

// sa_flags: the same for every Linux but MIPS and PA-RISC.
inline constexpr uint64_t kSaNoCldStop = 1;
inline constexpr uint64_t kSaNoCldWait = 2;
inline constexpr uint64_t kSaSigInfo = 4;
inline constexpr uint64_t kSaExposeTagBits = 0x800;
inline constexpr uint64_t kSaRestorer = 0x04000000;
inline constexpr uint64_t kSaOnStack = 0x08000000;
inline constexpr uint64_t kSaRestart = 0x10000000;
inline constexpr uint64_t kSaNoDefer = 0x40000000;
inline constexpr uint64_t kSaResetHand = 0x80000000;
inline constexpr uint64_t kSaKnown = kSaNoCldStop | kSaNoCldWait | kSaSigInfo | kSaExposeTagBits |
                                     kSaRestorer | kSaOnStack | kSaRestart | kSaNoDefer | kSaResetHand;

struct GuestAction {
  static constexpr uint64_t kDefault = 0;
  static constexpr uint64_t kIgnore = 1;

  uint64_t handler = kDefault;
  uint64_t flags = 0;
  uint64_t restorer = 0;
  SigSet mask = 0;

  bool handled() const { return handler > kIgnore; }
  /// Nothing happens when it is delivered.
  bool ignores(int signal) const {
    return handler == kIgnore || (handler == kDefault && (default_action(signal) == DefaultAction::Ignore ||
                                                          default_action(signal) == DefaultAction::Continue));
  }
};

/// The host action for a guest action. `intercept`: a debugger wants to see every signal.
host::KernelAction host_action(int signal, const GuestAction& guest, bool intercept);

/// One table of actions, shared by the threads that were cloned with CLONE_SIGHAND.
class SignalActions {
 public:
  SignalActions() = default;
  SignalActions(const SignalActions& other);

  /// Takes the host's ignored signals over (they survive execve) and installs the handlers for
  /// kHostFaults. Once per process.
  void take_over_from_host();
  /// After a host thread was made: the libc's first one takes a signal (setuid() of all threads) that
  /// the guest may use.
  void take_back_from_libc();

  GuestAction get(int signal) const;
  /// 0 or -errno; the host follows.
  int set(int signal, const GuestAction& action);
  /// SA_RESETHAND, or a forced signal that can't be handled: only the handler changes.
  void reset_handler(int signal);
  /// Every handled signal gets its default action (CLONE_CLEAR_SIGHAND).
  void clear_handlers();
  /// From now on every signal that isn't ignored comes to the emulator; or no longer.
  void set_intercept(bool on);
  /// Before execve: what the guest ignores is ignored on the host, kHostFaults too. Undone
  /// by after_failed_exec().
  void prepare_exec();
  void after_failed_exec();

  void before_fork() { mutex_.lock(); }
  void after_fork() { mutex_.unlock(); }

 private:
  int apply_locked(int signal);

  mutable std::mutex mutex_;
  std::array<GuestAction, kSignals + 1> actions_{};
  bool intercept_ = false;
};

/// What a Process has of its signals: the actions that its first thread starts with.
struct ProcessSignals {
  std::shared_ptr<SignalActions> actions = std::make_shared<SignalActions>();
};

}  // namespace lyrebird::user
