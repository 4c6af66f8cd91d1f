// SPDX-License-Identifier: Apache-2.0
// SHA-256 with the cryptography extension. AArch64 only.
#include "kernel.h"

#pragma GCC target("+crypto")
#include <arm_neon.h>

#include "sha256.h"

int main(int argc, char** argv) {
  static uint8_t data[16384];
  uint64_t seed = 1;
  for (unsigned i = 0; i < sizeof data; ++i) data[i] = (uint8_t)next_random(&seed);
  const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint32x4_t h0 = vld1q_u32(start), h1 = vld1q_u32(start + 4);
  for (long n = rounds(argc, argv) * 100; n-- > 0;)
    for (unsigned at = 0; at < sizeof data; at += 64) {
      uint32x4_t a = h0, b = h1, w[4];
      for (int i = 0; i < 4; ++i) w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(data + at + 16 * i)));
      for (int i = 0; i < 16; ++i) {
        const uint32x4_t k = vaddq_u32(w[i & 3], vld1q_u32(kRound + 4 * i)), t = a;
        if (i < 12)
          w[i & 3] =
              vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
        a = vsha256hq_u32(a, b, k);
        b = vsha256h2q_u32(b, t, k);
      }
      h0 = vaddq_u32(h0, a);
      h1 = vaddq_u32(h1, b);
    }
  return report("sha256_ce", (uint64_t)vgetq_lane_u32(h0, 0) << 32 | vgetq_lane_u32(h1, 3));
}
