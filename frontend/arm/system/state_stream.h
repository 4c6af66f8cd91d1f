// SPDX-License-Identifier: Apache-2.0
/// An AArch64 vCPU's state in the stream that snapshots and migration are made of.
#pragma once

#include "frontend/arm/system/system_state.h"
#include "system/state_stream.h"

namespace lyrebird::arm {

/// Every field of a64_system_layout() by its name and what is collected beside them. An exclusive access that
/// has begun is not part of it: its store fails, and guests try again.
void save_state(const A64SystemState& state, system::StateWriter& to);
/// Into a state whose services and config are set; what follows from it (mode, TLB, timers) is brought up to
/// date.
Result<void> load_state(A64SystemState& state, system::StateReader& from);

}  // namespace lyrebird::arm
