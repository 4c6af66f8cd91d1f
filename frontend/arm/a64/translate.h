// SPDX-License-Identifier: Apache-2.0
/// The translate loop of user mode and of machines.
#pragma once

#include "frontend/arm/cpu_model.h"
#include "frontend/frontend.h"

namespace lyrebird::arm {
struct SystemConfig;
}

namespace lyrebird::arm::a64 {

/// Frontend::translate(). `system`: of a machine's CPU, nullptr for user mode.
void translate(const CpuModel& cpu, const SystemConfig* system, const frontend::TranslateRequest& request,
               ir::Block& out);

}  // namespace lyrebird::arm::a64
