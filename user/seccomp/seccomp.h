// SPDX-License-Identifier: Apache-2.0
/// seccomp(2): what system calls a guest thread may make. The guest's filters never see the
/// emulator's own calls, only the guest's, with the guest's numbers; the host's seccomp is not used.
///
/// Left out: listeners (SECCOMP_FILTER_FLAG_NEW_LISTENER is EINVAL, as on kernels before 5.0).
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "user/abi/abi.h"

namespace lyrebird::user {

class Thread;

/// One filter of a chain. Never changes; threads and forked processes share the older ones.
struct SeccompFilter {
  std::shared_ptr<const SeccompFilter> previous;
  std::vector<sock_filter> program;
  bool log = false;  ///< SECCOMP_FILTER_FLAG_LOG
};
using SeccompChain = std::shared_ptr<const SeccompFilter>;

/// One thread's mode and filters. Other threads write it with SECCOMP_FILTER_FLAG_TSYNC.
class Seccomp {
 public:
  bool active() const { return mode_.load(std::memory_order_acquire) != SECCOMP_MODE_DISABLED; }
  int mode() const { return mode_.load(std::memory_order_acquire); }
  SeccompChain chain() const;
  void set(int mode, SeccompChain chain);
  void inherit(const Seccomp& from) { set(from.mode(), from.chain()); }
  /// Set by another thread that has no_new_privs: this one gets it before its next call.
  std::atomic<bool> take_no_new_privs{false};

  /// For execve, which starts a new emulator: a descriptor with everything in it, or -errno.
  int save() const;
  /// From such a descriptor, which is closed. False: it is none.
  bool load(int fd);

 private:
  std::atomic<int> mode_{SECCOMP_MODE_DISABLED};
  mutable std::mutex mutex_;
  SeccompChain chain_;
};

/// False: the call is not made, and `result` is what dispatch_syscall() gives instead. May not return.
/// `name`: of the call, null if the guest's kernel has none of this number.
bool seccomp_permits(Thread& t, const SyscallFrame& frame, const char* name, int64_t& result);

}  // namespace lyrebird::user
