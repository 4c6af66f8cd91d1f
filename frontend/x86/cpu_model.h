// SPDX-License-Identifier: Apache-2.0
/// The processors that -cpu names: features, and what CPUID, XGETBV and Linux's auxiliary vector say
/// of them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "frontend/x86/features.h"

namespace lyrebird::x86 {

struct CpuModel {
  std::string_view name;
  std::string_view text;    ///< one line for -cpu help
  std::string_view vendor;  ///< 12 letters
  std::string_view brand;   ///< at most 47 letters
  uint32_t signature;       ///< CPUID.1:EAX
  Features features;
};

inline constexpr std::string_view kDefaultCpuModel = "x86-64-v3";

/// nullptr for a name that is not there.
const CpuModel* find_cpu_model(std::string_view name);
std::span<const CpuModel> cpu_models();
/// Its index in cpu_models().
unsigned cpu_number(const CpuModel& model);

struct CpuidResult {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
/// `xcr0` is the register's value now.
CpuidResult cpuid(const CpuModel& model, uint32_t leaf, uint32_t subleaf, uint64_t xcr0);

/// All bits that XCR0 can have: x87, SSE, AVX. Linux sets them; without XSAVE it is 1, which nobody
/// can ask for.
uint64_t xcr0_of(const CpuModel& model);
/// Bytes of an XSAVE image of those parts, in the standard format.
uint32_t xsave_size(uint64_t parts);

/// AT_HWCAP and AT_HWCAP2 as Linux gives them.
uint64_t hwcap(const CpuModel& model);
uint64_t hwcap2(const CpuModel& model);

}  // namespace lyrebird::x86
