// SPDX-License-Identifier: Apache-2.0
/// Guest addresses in a block's code that move with its pc (BlockInfo::moves()).
#pragma once

#include <cstdint>

#include "jit/jump_cache.h"

namespace lyrebird::jit::baseline {

/// In the offset of an address: so many bytes before it lies (32 bits each) where in the jump cache its mode
/// and its entry are.
inline constexpr uint32_t kMoveIndex = uint32_t{1} << 31;
inline constexpr uint32_t kMoveModeAt = 23;
inline constexpr uint32_t kMoveEntryAt = 6;

/// Bytes from the start of the jump cache.
struct JumpPlaces {
  uint32_t mode, entry;
};
constexpr JumpPlaces jump_places(uint64_t pc) {
  const uint32_t index = jump_cache_index(pc);
  return {static_cast<uint32_t>(JumpCache::kModes) + index * uint32_t{sizeof(uint32_t)},
          index * uint32_t{sizeof(JumpCacheEntry)}};
}

}  // namespace lyrebird::jit::baseline
