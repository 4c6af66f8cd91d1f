// SPDX-License-Identifier: Apache-2.0
/// Host system calls on behalf of the guest.
///
/// A guest signal is first taken by the host handler (signals/host_handler.cpp), which only
/// queues it. Were it to arrive between the check for queued signals and the syscall
/// instruction, the call would sleep although the guest has a signal to handle. safe_syscall()
/// closes the gap: the handler looks whether the interrupted pc is between the check and the
/// instruction, or at the instruction because the kernel is about to restart it (SA_RESTART),
/// and then makes the call return -kERestartNoIntr instead. That therefore always means: nothing
/// has happened, deliver the signal, then run the guest's syscall instruction again. When a call
/// was interrupted, the host's kernel, which knows the guest's SA_RESTART flags, has decided:
/// either it comes back the same way, or -kERestartNoHand does, EINTR if a handler runs.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <type_traits>

namespace lyrebird::user::host {

/// A host system call that does not block: result or -errno.
template <typename T>
long as_word(T value) {
  // A narrow argument of a variadic function leaves the upper half of its place undefined.
  if constexpr (std::is_null_pointer_v<T>)
    return 0;
  else if constexpr (std::is_pointer_v<T>)
    return reinterpret_cast<long>(value);
  else
    return static_cast<long>(value);
}
template <typename... Args>
int64_t call(long number, Args... args) {
  const long result = ::syscall(number, as_word(args)...);
  return result < 0 ? -errno : result;
}

/// A host system call that may block: result, -errno, -kERestartNoIntr or -kERestartNoHand.
int64_t safe_syscall(long number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0,
                     uint64_t e = 0, uint64_t f = 0);

/// The flag that the calling host thread's safe_syscall() checks: true while a signal is queued.
/// Host threads that run no guest code have one that stays false.
void set_signal_pending_flag(const std::atomic<bool>* flag);

/// In a handler: the calling thread is interrupted for the emulator's own sake.
void note_internal_interrupt();

extern "C" {
int64_t lyrebird_safe_syscall(const std::atomic<bool>* pending, long number, uint64_t a, uint64_t b,
                              uint64_t c, uint64_t d, uint64_t e, uint64_t f);
/// First instruction that may still be abandoned; end of the syscall instruction; where to go.
extern const char lyrebird_safe_syscall_start[];
extern const char lyrebird_safe_syscall_end[];
extern const char lyrebird_safe_syscall_interrupted[];
/// What the kernel's signal frames return to.
void lyrebird_signal_restorer();
}

}  // namespace lyrebird::user::host
