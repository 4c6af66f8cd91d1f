// SPDX-License-Identifier: Apache-2.0
/// SYS instructions: TLB maintenance (DDI 0487, D8.14), address translation, instruction caches. Data caches
/// have nothing to do: memory is coherent here.
#pragma once

#include "frontend/arm/system/system_state.h"

namespace lyrebird::arm {

/// An operation that check_system_op() allows; op0 of the key is 1. DC ZVA is not among them.
void system_operation(A64SystemState& state, SysRegKey key, uint64_t value);

}  // namespace lyrebird::arm
