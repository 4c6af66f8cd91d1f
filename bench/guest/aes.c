// SPDX-License-Identifier: Apache-2.0
// AES-128 with tables, in plain C.
#include "kernel.h"

static uint8_t sbox[256];
static uint32_t table[4][256];
static uint8_t twice(uint8_t x) { return (uint8_t)(x << 1 ^ (x >> 7) * 0x1b); }

static void make_tables(void) {
  uint8_t p = 1, q = 1;
  do {
    p = (uint8_t)(p ^ twice(p));
    q = (uint8_t)(q ^ q << 1);
    q = (uint8_t)(q ^ q << 2);
    q = (uint8_t)(q ^ q << 4);
    if (q & 0x80) q ^= 9;
    sbox[p] =
        (uint8_t)(q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4) ^ 0x63);
  } while (p != 1);
  sbox[0] = 0x63;
  for (int i = 0; i < 256; ++i) {
    const uint32_t s = sbox[i], d = twice(sbox[i]);
    uint32_t t = d | s << 8 | s << 16 | (s ^ d) << 24;
    for (int k = 0; k < 4; ++k) {
      table[k][i] = t;
      t = t << 8 | t >> 24;
    }
  }
}

int main(int argc, char** argv) {
  make_tables();
  uint64_t seed = 7, sum = 0;
  uint32_t key[44];
  for (int i = 0; i < 44; ++i) key[i] = (uint32_t)next_random(&seed);
  uint32_t s[4] = {1, 2, 3, 4};
  for (long n = rounds(argc, argv) * 60000; n-- > 0;) {
    for (int i = 0; i < 4; ++i) s[i] ^= key[i];
    for (int r = 1; r < 11; ++r) {
      uint32_t t[4];
      for (int i = 0; i < 4; ++i)
        t[i] = table[0][s[i] & 255] ^ table[1][s[(i + 1) & 3] >> 8 & 255] ^
               table[2][s[(i + 2) & 3] >> 16 & 255] ^ table[3][s[(i + 3) & 3] >> 24] ^ key[4 * r + i];
      memcpy(s, t, sizeof s);
    }
    sum = mix(sum, s[0]);
  }
  return report("aes", sum);
}
