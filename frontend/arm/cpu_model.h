// SPDX-License-Identifier: Apache-2.0
/// The processors that -cpu names: features, ID registers and what Linux reports of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "frontend/arm/features.h"

namespace lyrebird::arm {

struct CpuModel {
  std::string_view name;
  std::string_view text;  ///< one line for -cpu help
  Features features;
  uint64_t midr = 0;  ///< MIDR_EL1
};

/// nullptr for a name that is not there.
const CpuModel* find_cpu_model(std::string_view name);
std::span<const CpuModel> cpu_models();

/// AT_HWCAP and AT_HWCAP2 as Linux arm64 derives them from the ID registers.
uint64_t hwcap(const CpuModel& model);
uint64_t hwcap2(const CpuModel& model);

/// The value that a program reads from S3_0_C0_C<m>_<op2>, as Linux emulates it: fields the kernel
/// does not export read as if absent. nullopt: SIGILL.
std::optional<uint64_t> id_register(const CpuModel& model, unsigned m, unsigned op2);

/// The fields of the identification register S3_0_C0_C<m>_<op2> that say which instructions there are.
uint64_t feature_fields(const CpuModel& model, unsigned m, unsigned op2);

/// MIDR_EL1 of `max`.
inline constexpr uint64_t kMaxMidr = 0x000f0510;
/// CTR_EL0: 64-byte lines, PIPT; code changes need cache maintenance (IDC and DIC are 0).
inline constexpr uint64_t kCtrEl0 = 0x8444c004;
/// DCZID_EL0: DC ZVA clears 64 bytes.
inline constexpr uint64_t kDczidEl0 = 4;
/// CNTFRQ_EL0 in Hz. The counter is CLOCK_MONOTONIC in nanoseconds.
inline constexpr uint64_t kCounterFrequency = 1'000'000'000;

}  // namespace lyrebird::arm
