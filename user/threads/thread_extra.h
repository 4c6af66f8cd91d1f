// SPDX-License-Identifier: Apache-2.0
/// Per-thread data of the thread system calls.
#pragma once

#include <cstdint>

namespace lyrebird::user {

struct ThreadExtra {
  uint64_t clear_child_tid = 0;   ///< guest address, 0: none
  uint64_t robust_list = 0;       ///< guest address of struct robust_list_head
  bool tagged_addresses = false;  ///< prctl(PR_SET_TAGGED_ADDR_CTRL)
  /// The host thread is the process's first, or what fork() left of another: it ends with the raw
  /// exit system call, because the libc believes it to be main().
  bool host_main = false;
  /// A process of its own in our address space (clone with CLONE_VM, without CLONE_THREAD: vfork).
  bool vm_child = false;
};

}  // namespace lyrebird::user
