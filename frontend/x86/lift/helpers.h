// SPDX-License-Identifier: Apache-2.0
/// What x86 code needs that is not worth an IR operation: functions called through CallHelper.
#pragma once

#include "ir/block.h"

namespace lyrebird::x86 {

/// Indexes in helper_table(). The table is the rows of helpers.inc.
enum Helper : unsigned {
#define HELPER(enumerator, function, arguments, result, effects) kHelper##enumerator,
#include "frontend/x86/lift/helpers.inc"
#undef HELPER
};

ir::HelperTable helper_table();

}  // namespace lyrebird::x86
