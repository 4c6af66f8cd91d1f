// SPDX-License-Identifier: Apache-2.0
/// What A64 code needs that is not worth an IR operation: functions called through CallHelper.
#pragma once

#include "ir/block.h"

namespace lyrebird::arm::a64 {

/// Indexes in helper_table().
enum Helper : unsigned {
  kHelperCounter,       ///< () -> CNTVCT_EL0
  kHelperAddPac,        ///< (pointer, modifier, key index) -> signed pointer
  kHelperAuthenticate,  ///< (pointer, modifier, key index) -> pointer, or one that faults
  kHelperGenericPac,    ///< (data, modifier) -> PACGA's result
  kHelperCount
};

ir::HelperTable helper_table();

}  // namespace lyrebird::arm::a64
