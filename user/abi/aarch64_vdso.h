// SPDX-License-Identifier: Apache-2.0
/// The vDSO that AArch64 guests find at AT_SYSINFO_EHDR.
#pragma once

#include <cstdint>
#include <span>

namespace lyrebird::user {

std::span<const uint8_t> aarch64_vdso();

}  // namespace lyrebird::user
