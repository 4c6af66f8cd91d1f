// SPDX-License-Identifier: Apache-2.0
/// Tables of instructions by the width of a lane.
#pragma once

#include "ir/type.h"

namespace lyrebird::jit::baseline {

/// 0..3 for lanes of 8..64 bits, 4 for others.
inline unsigned lane_index(ir::Type elem) {
  switch (ir::bit_width(elem)) {
    case 8:
      return 0;
    case 16:
      return 1;
    case 32:
      return 2;
    case 64:
      return 3;
    default:
      return 4;
  }
}

}  // namespace lyrebird::jit::baseline
