// SPDX-License-Identifier: Apache-2.0
// AES-128 in counter mode with the cryptography extension, and GHASH's product. AArch64 only.
#include "kernel.h"

#pragma GCC target("+crypto")
#include <arm_neon.h>

int main(int argc, char** argv) {
  uint64_t seed = 1;
  uint8x16_t key[11], sum = vdupq_n_u8(0);
  for (int i = 0; i < 11; ++i)
    key[i] =
        vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(next_random(&seed)), vcreate_u64(next_random(&seed))));
  poly128_t hash = 1;
  uint64_t counter = 0;
  for (long n = rounds(argc, argv) * 60000; n-- > 0;) {
    uint8x16_t x[4];
    for (int i = 0; i < 4; ++i)
      x[i] = vreinterpretq_u8_u64(vcombine_u64(vcreate_u64(counter++), vcreate_u64(42)));
    for (int r = 0; r < 9; ++r)
      for (int i = 0; i < 4; ++i) x[i] = vaesmcq_u8(vaeseq_u8(x[i], key[r]));
    for (int i = 0; i < 4; ++i) sum = veorq_u8(sum, veorq_u8(vaeseq_u8(x[i], key[9]), key[10]));
    hash = vmull_p64((poly64_t)hash, (poly64_t)vgetq_lane_u64(vreinterpretq_u64_u8(sum), 0)) ^ (hash >> 64);
  }
  return report("aes_ce", mix(vgetq_lane_u64(vreinterpretq_u64_u8(sum), 1), (uint64_t)hash));
}
