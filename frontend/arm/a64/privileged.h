// SPDX-License-Identifier: Apache-2.0
/// How a machine's CPU lifts what user mode has a simpler answer for. All of them: only with
/// LiftContext::system; false when the block has ended.
#pragma once

#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm::a64 {

/// The MRS, MSR, SYS or SYSL at hand. For DC ZVA only the checks, true: the stores are the caller's.
bool lift_system_access(LiftContext& context);
/// WFE, WFI, SEV, SEVL.
bool lift_event_hint(LiftContext& context, unsigned number);
/// DSB that completes what TLBI has begun.
void lift_flushes_done(LiftContext& context);
bool lift_supervisor_call(LiftContext& context, unsigned immediate);
/// What the mode says before the first instruction of a block: false when it has ended in an exception.
bool lift_block_start(LiftContext& context);

}  // namespace lyrebird::arm::a64
