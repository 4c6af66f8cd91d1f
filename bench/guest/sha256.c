// SPDX-License-Identifier: Apache-2.0
// SHA-256 in plain C: rotations, logic, additions.
#include "sha256.h"

#include "kernel.h"

static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }
static void block(uint32_t h[8], const uint8_t* data) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; ++i) {
    memcpy(&w[i], data + 4 * i, 4);
    w[i] = __builtin_bswap32(w[i]);
  }
  for (int i = 16; i < 64; ++i)
    w[i] = w[i - 16] + w[i - 7] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
           (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 64; ++i) {
    const uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
                        ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRound[i] + w[i];
    const uint32_t t2 =
        (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    for (int k = 7; k > 0; --k) s[k] = s[k - 1];
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (int i = 0; i < 8; ++i) h[i] += s[i];
}

int main(int argc, char** argv) {
  static uint8_t data[16384];
  uint64_t seed = 1;
  for (unsigned i = 0; i < sizeof data; ++i) data[i] = (uint8_t)next_random(&seed);
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  for (long n = rounds(argc, argv) * 20; n-- > 0;)
    for (unsigned i = 0; i < sizeof data; i += 64) block(h, data + i);
  return report("sha256", (uint64_t)h[0] << 32 | h[7]);
}
