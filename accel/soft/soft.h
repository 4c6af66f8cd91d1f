// SPDX-License-Identifier: Apache-2.0
/// The translation loop: look a block up, else lift, optimise, compile and publish it.
/// One SoftAccelerator per guest process (or machine), shared by its vCPUs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "accel/vcpu.h"
#include "frontend/frontend.h"
#include "jit/engine.h"

namespace lyrebird::accel {

class SoftAccelerator {
 public:
  /// All references must outlive this.
  SoftAccelerator(const frontend::Frontend& frontend, frontend::CodeSource& code);
  ~SoftAccelerator();

  /// A vCPU that runs on `state`, the start of the frontend's state struct. Thread-safe.
  std::unique_ptr<Vcpu> create_vcpu(ir::CpuHeader& state);

  /// Forgets blocks made from any byte of [start, start + size): guest code changed, was
  /// unmapped or lost its execute right. Other threads stop using them at their next block
  /// boundary at the latest. Thread-safe.
  void invalidate(uint64_t start, uint64_t size);
  /// Replaces the set of breakpoints (sorted).
  void set_breakpoints(std::vector<uint64_t> addresses);
  /// After fork() in the child: only the calling thread is left.
  void after_fork_in_child();

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace lyrebird::accel
