// SPDX-License-Identifier: Apache-2.0
/// clone(2) in all its forms: a thread, a process of its own, a process in our memory.
///
/// - CLONE_THREAD: a host pthread.
/// - CLONE_VM without CLONE_THREAD (vfork, posix_spawn): a host process that shares all of our
///   memory, the emulator's too. It runs on the parent's host TLS while the parent sleeps
///   (CLONE_VFORK); without CLONE_VFORK a helper pthread sleeps in the parent's place.
/// - otherwise fork(), with the emulator's locks held around it.
#pragma once

#include <cstdint>

namespace lyrebird::user {

class Thread;

struct CloneRequest {
  uint64_t flags = 0;  ///< CLONE_*, without the signal
  int exit_signal = 0;
  uint64_t stack_pointer = 0;  ///< 0: as the parent's
  uint64_t tls = 0;
  bool clear_handlers = false;                        ///< CLONE_CLEAR_SIGHAND
  uint64_t parent_tid = 0, child_tid = 0, pidfd = 0;  ///< guest addresses
};

/// What the kernel refuses at once: 0 or -EINVAL.
int64_t check_clone(const CloneRequest& request);
/// The child's id, 0 in the child, or -errno.
int64_t do_clone(Thread& t, const CloneRequest& request);

}  // namespace lyrebird::user
