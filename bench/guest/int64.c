// SPDX-License-Identifier: Apache-2.0
// Multiplication, division, bit fields, conditional selects, carries.
#include "kernel.h"

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 wide_t;
static inline uint64_t top(wide_t x) { return (uint64_t)(x >> 64); }
#else
typedef uint64_t wide_t;
static inline uint64_t top(wide_t x) { return x >> 32; }
#endif

int main(int argc, char** argv) {
  uint64_t sum = 0, x = 88172645463325252u;
  wide_t wide = 1;
  for (long n = rounds(argc, argv) * 1000000; n-- > 0;) {
    const uint64_t r = next_random(&x);
    const uint32_t low = (uint32_t)r & 0xfffff, field = r >> 23 & 0x1ff;
    wide = wide * 6364136223846793005u + r;
    int64_t d = (int64_t)r / (int64_t)(field + 1);
    d = d < (int64_t)sum ? d + 1 : d - (int64_t)low;
    sum += (uint64_t)d ^ top(wide) ^ (unsigned)__builtin_clzll(r) ^
           (low > field ? low - field : 3 * field);
    sum = sum << 9 | sum >> 55;
  }
  return report("int64", sum);
}
