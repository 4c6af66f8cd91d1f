// SPDX-License-Identifier: Apache-2.0
/// From a hot block to the region around it: the blocks that have run, are reached from it and
/// lead back to it, or, if none do, those that it falls through to.
#pragma once

#include <functional>
#include <optional>

#include "ir/region.h"

namespace lyrebird::jit {

struct GrowLimits {
  uint32_t guest_instructions = 300;
  uint32_t blocks = 48;
  uint32_t call_depth = 4;
  bool paths = true;  ///< false: nothing if no block leads back to the entry
};

/// Gives the optimised IR of a block that has run, or nothing. Asked once for each key.
using BlockSource = std::function<std::optional<ir::Block>(ir::BlockKey)>;

/// Nothing if `entry` has no block. All are within 1 GiB of it. Nearest blocks come first when the limits are hit. Calls (JumpHint)
/// are followed, and the returns inside expected to go to the block behind the call.
std::optional<ir::Region> grow(ir::BlockKey entry, const BlockSource& source, const GrowLimits& limits = {});

}  // namespace lyrebird::jit
