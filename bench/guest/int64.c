// SPDX-License-Identifier: Apache-2.0
// Multiplication, division, bit fields, conditional selects, carries.
#include "kernel.h"

int main(int argc, char** argv) {
  uint64_t sum = 0, x = 88172645463325252u;
  unsigned __int128 wide = 1;
  for (long n = rounds(argc, argv) * 1000000; n-- > 0;) {
    const uint64_t r = next_random(&x);
    const uint32_t low = (uint32_t)r & 0xfffff, field = r >> 23 & 0x1ff;
    wide = wide * 6364136223846793005u + r;
    int64_t d = (int64_t)r / (int64_t)(field + 1);
    d = d < (int64_t)sum ? d + 1 : d - (int64_t)low;
    sum += (uint64_t)d ^ (uint64_t)(wide >> 64) ^ (unsigned)__builtin_clzll(r) ^
           (low > field ? low - field : 3 * field);
    sum = sum << 9 | sum >> 55;
  }
  return report("int64", sum);
}
