// SPDX-License-Identifier: Apache-2.0
// CRC-32, a table look-up for each byte.
#include "kernel.h"

int main(int argc, char** argv) {
  static uint32_t table[256];
  static uint8_t data[65536];
  uint64_t seed = 1;
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = c >> 1 ^ (c & 1) * 0xedb88320u;
    table[i] = c;
  }
  for (unsigned i = 0; i < sizeof data; ++i) data[i] = (uint8_t)next_random(&seed);
  uint32_t crc = ~0u;
  for (long n = rounds(argc, argv) * 200; n-- > 0;)
    for (unsigned i = 0; i < sizeof data; ++i) crc = table[(crc ^ data[i]) & 255] ^ crc >> 8;
  return report("crc", crc);
}
