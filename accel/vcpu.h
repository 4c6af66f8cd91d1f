// SPDX-License-Identifier: Apache-2.0
/// One virtual CPU, whatever runs it: translation (accel/soft) or hardware (accel/kvm).
#pragma once

#include <cstdint>

#include "ir/cpu_header.h"
#include "ir/inst.h"

namespace lyrebird::accel {

/// Why guest code stopped; see ir::ExitKind for where pc points.
struct Exit {
  ir::ExitKind kind = ir::ExitKind::None;
  uint64_t detail = 0;
};

/// run() is called by one thread at a time; kick() by any thread or signal handler.
class Vcpu {
 public:
  virtual ~Vcpu() = default;
  /// Runs guest code until there is something for the caller to do. The state is precise.
  virtual Exit run() = 0;
  /// Runs one guest instruction; Exit{Debug} when it went well. Breakpoints are ignored.
  virtual Exit step() = 0;
  /// Makes run() return Exit{Interrupted} soon, now or at its next call. Async-signal-safe.
  virtual void kick() = 0;
  virtual ir::CpuHeader& state() = 0;
};

}  // namespace lyrebird::accel
