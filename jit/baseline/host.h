// SPDX-License-Identifier: Apache-2.0
/// What the host's processor offers beyond SSE4.2, which is required.
#pragma once

#include <cstdint>
#include <optional>

namespace lyrebird::jit::baseline {

struct HostFeatures {
  bool sse42 = false;
  bool avx = false, avx2 = false, fma = false;
  bool avx512 = false;  ///< F, VL, BW, DQ
  bool bmi1 = false, bmi2 = false, lzcnt = false, popcnt = false, movbe = false;
  bool aes = false, pclmul = false, sha = false, gfni = false;
};

/// Of this machine; LYREBIRD_HOST_FEATURES=sse4.2 or avx2 in the environment takes what is above away.
HostFeatures host_features();
/// The kFirstStep with which StatusOfShift says what shifts and turns of this processor leave in its flags,
/// or nothing if neither does. Asks the processor when first called.
std::optional<uint32_t> host_shift_status();

}  // namespace lyrebird::jit::baseline
