// SPDX-License-Identifier: Apache-2.0
/// The reference executor: blocks as direct-threaded code (jit/interp/code.h).
#pragma once

#include <vector>

#include "jit/engine.h"
#include "jit/interp/code.h"

namespace lyrebird::jit {

class Interpreter final : public Engine {
 public:
  explicit Interpreter(ir::HelperTable helpers) : helpers_(helpers) {}

  std::unique_ptr<CompiledBlock> compile(const ir::Block& block) override;
  Stop run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) override;

 private:
  ir::HelperTable helpers_;
};

}  // namespace lyrebird::jit
