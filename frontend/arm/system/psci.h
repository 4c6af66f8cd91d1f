// SPDX-License-Identifier: Apache-2.0
/// Power State Coordination Interface 1.1 (DEN 0022): what HVC or SMC asks when the board is its own
/// firmware.
#pragma once

#include "frontend/arm/system/system_state.h"

namespace lyrebird::arm {

/// The call in x0..x3; the result goes to x0. Calls that are not PSCI give NOT_SUPPORTED, as SMCCC says.
void psci_call(A64SystemState& state);

}  // namespace lyrebird::arm
