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
  bool shift_status = false;  ///< shifts and turns leave the flags that StatusOfShift says
};

/// Of this machine; LYREBIRD_HOST_FEATURES=sse4.2 or avx2 in the environment takes what is above away.
HostFeatures host_features();

}  // namespace lyrebird::jit::baseline
