// SPDX-License-Identifier: Apache-2.0
/// The processors that -cpu names: features, ID registers and what Linux reports of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "frontend/arm/features.h"

namespace lyrebird::arm {

struct CpuModel {
  std::string_view name;
  Features features;
  uint64_t midr = 0;  ///< MIDR_EL1
};

/// nullptr for a name that is not there.
const CpuModel* find_cpu_model(std::string_view name);
std::span<const CpuModel> cpu_models();

/// AT_HWCAP and AT_HWCAP2 as Linux arm64 derives them from the ID registers.
uint64_t hwcap(const CpuModel& model);
uint64_t hwcap2(const CpuModel& model);

}  // namespace lyrebird::arm
