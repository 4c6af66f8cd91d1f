// SPDX-License-Identifier: Apache-2.0
/// A slow, plain way to run a block: to see that a pass changes nothing that a
/// guest can see. Memory is a fiction: reads give numbers made from the address
/// and the number of accesses before, some addresses fault, and every access is
/// noted.
#pragma once

#include <string>
#include <vector>

#include "ir/block.h"

namespace lyrebird::ir::test {

struct Outcome {
  std::vector<std::string> events;  ///< accesses, calls, barriers, in order
  std::vector<uint8_t> state;       ///< bytes of the whole struct at the end
  uint32_t fp_flags = 0;
  uint32_t f80_flags = 0;  ///< as f80_flags() of a CpuHeader
  std::string exit;  ///< how and where to the block was left
};

/// `state` starts with the CpuHeader; `seed` makes the memory.
Outcome run(const Block& block, std::vector<uint8_t> state, uint64_t seed, HelperTable helpers);

}  // namespace lyrebird::ir::test
