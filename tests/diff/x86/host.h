// SPDX-License-Identifier: Apache-2.0
/// The host's processor as the oracle: a child process that runs one instruction after the other.
/// Each is entered by returning from a signal handler with the registers it shall see, and left by
/// the trap behind it or the signal it raises; so the kernel loads and stores all registers, and
/// 32-bit code is a matter of CS.
#pragma once

#include <sys/types.h>

#include <span>

#include "tests/diff/x86/machine.h"

namespace lyrebird::x86diff {

inline constexpr unsigned kBatch = 256;

/// Ours are the undefined flags of AMD's processors; of another maker's, no more counts than what the manual
/// says.
inline bool is_amd() { return __builtin_cpu_is("amd") != 0; }

class Host {
 public:
  Host();
  ~Host();
  /// Where a batch is put together; at most kBatch.
  std::span<Case> cases() { return {shared_, kBatch}; }
  /// Runs the first `count` of them; fills in `out` and `ending`. False: the child is dead, and a new
  /// one has started.
  bool run(unsigned count);

 private:
  void start();
  void stop();

  Case* shared_ = nullptr;
  pid_t child_ = -1;
  int to_child_ = -1, from_child_ = -1;
};

}  // namespace lyrebird::x86diff
