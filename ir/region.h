// SPDX-License-Identifier: Apache-2.0
/// What the optimising tier compiles at once: a set of blocks with the jumps among them.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/block.h"

namespace lyrebird::ir {

/// Entered at the first block only. A Jump, Branch or ExitIf to a pc, taken in a mode, that is the key of
/// one of the blocks goes to that block; every other one leaves the region. The keys are distinct.
/// A block's mode at a jump is its key's unless the block writes CpuHeader::mode; where it writes
/// what is not a constant, the jump leaves.
struct Region {
  struct Part {
    Block block;
    /// Where the block's JumpIndirect is expected to go, likeliest first: pcs of blocks of the
    /// region in the mode of the jump. Compared before the jump leaves. Empty: it leaves.
    std::vector<uint64_t> guesses;
  };
  std::vector<Part> parts;

  /// Index of the block for the key, or -1.
  int find(BlockKey key) const {
    for (size_t i = 0; i < parts.size(); ++i)
      if (parts[i].block.key == key) return static_cast<int>(i);
    return -1;
  }
  uint32_t guest_count() const {
    uint32_t n = 0;
    for (const Part& part : parts) n += part.block.guest_count;
    return n;
  }
};

}  // namespace lyrebird::ir
