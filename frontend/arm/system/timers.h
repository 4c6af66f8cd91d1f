// SPDX-License-Identifier: Apache-2.0
/// The generic timers of a vCPU (DDI 0487, D12): registers here, waiting and interrupt lines are the board's.
#pragma once

#include "frontend/arm/system/system_state.h"

namespace lyrebird::arm {

/// CNTPCT_EL0 and CNTVCT_EL0 as the current level sees them.
uint64_t physical_count(const A64SystemState& state);
uint64_t virtual_count(const A64SystemState& state);

/// CNTx_CTL with ISTATUS.
uint64_t timer_control(const A64SystemState& state, GenericTimer timer);
/// CNTx_TVAL: CVAL less the count, 32 bits.
uint64_t timer_value(const A64SystemState& state, GenericTimer timer);
void set_timer_control(A64SystemState& state, GenericTimer timer, uint64_t value);
void set_timer_value(A64SystemState& state, GenericTimer timer, uint64_t value);
void set_timer_compare(A64SystemState& state, GenericTimer timer, uint64_t value);

/// Tells the board what the timer's registers say, or those of all.
void timer_updated(A64SystemState& state, GenericTimer timer);
void reset_timers(A64SystemState& state);

}  // namespace lyrebird::arm
