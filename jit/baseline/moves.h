// SPDX-License-Identifier: Apache-2.0
/// Guest addresses in a block's code that move with its pc (BlockInfo::moves()).
#pragma once

#include <cstdint>

namespace lyrebird::jit::baseline {

/// In the offset of an address: so many bytes before it is how far the address's entry is from the start of
/// the jump cache (32 bits).
inline constexpr uint32_t kMoveIndex = uint32_t{1} << 31;
inline constexpr uint32_t kMoveIndexAt = 6;

}  // namespace lyrebird::jit::baseline
