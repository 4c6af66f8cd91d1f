// SPDX-License-Identifier: Apache-2.0
/// The reference executor: blocks as direct-threaded code (jit/interp/code.h).
#pragma once

#include <vector>

#include "jit/engine.h"
#include "jit/interp/code.h"

namespace lyrebird::jit {

class Interpreter final : public Engine {
 public:
  /// `system`: guest memory is reached by the TLB (jit/tlb.h).
  explicit Interpreter(ir::HelperTable helpers, bool system = false) : helpers_(helpers), system_(system) {}

  std::unique_ptr<CompiledBlock> compile(const ir::Block& block) override;
  Stop run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) override;

 private:
  ir::HelperTable helpers_;
  const bool system_;
};

}  // namespace lyrebird::jit
