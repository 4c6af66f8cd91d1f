// SPDX-License-Identifier: Apache-2.0
/// What the host's processor offers beyond SSE4.2, which is required.
#pragma once

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
/// Whether shifts and turns leave the flags that StatusOfShift says. Asks the processor when first called.
bool has_shift_status();

}  // namespace lyrebird::jit::baseline
