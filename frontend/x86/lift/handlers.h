// SPDX-License-Identifier: Apache-2.0
/// The handler of every decode row.
#pragma once

#include "frontend/x86/lift/chapter.h"

namespace lyrebird::x86 {

/// nullptr: nothing lifts the row yet.
Handler handler_of(uint16_t row);

}  // namespace lyrebird::x86
