// SPDX-License-Identifier: Apache-2.0
/// The host's two bits of rounding control, the same in MXCSR, the x87 control word and the immediates
/// of ROUNDPS and VCVTPS2PH (SDM volume 1, table 4-8).
#pragma once

#include <optional>

#include "ir/fp_mode.h"

namespace lyrebird::jit::baseline {

/// Nothing if the host can't round so.
inline std::optional<unsigned> rounding_control(ir::Round round) {
  switch (round) {
    case ir::Round::NearestEven:
      return 0;
    case ir::Round::TowardNegative:
      return 1;
    case ir::Round::TowardPositive:
      return 2;
    case ir::Round::TowardZero:
      return 3;
    default:
      return std::nullopt;
  }
}

}  // namespace lyrebird::jit::baseline
