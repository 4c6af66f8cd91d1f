// SPDX-License-Identifier: Apache-2.0
/// A virtual processor's state in the stream that snapshots and migration are made of.
#pragma once

#include "frontend/x86/system/x86_system_state.h"
#include "system/state_stream.h"

namespace lyrebird::x86 {

/// Every field of X86State by its name in x86_layout(), then what only machines have. What reset() puts back
/// is the processor's own and not part of it.
void save_state(const X86SystemState& state, system::StateWriter& to);
Result<void> load_state(X86SystemState& state, system::StateReader& from);

}  // namespace lyrebird::x86
