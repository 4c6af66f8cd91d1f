// SPDX-License-Identifier: Apache-2.0
// memcpy, memmove, memset, memcmp, strlen, memchr of the C library, 16 bytes to 64 KiB.
#include "kernel.h"

int main(int argc, char** argv) {
  static char a[1 << 16], b[1 << 16];
  uint64_t sum = 0;
  for (long n = rounds(argc, argv) * 40; n-- > 0;)
    for (unsigned size = 16; size <= sizeof a; size *= 4)
      for (unsigned i = 0; i < sizeof a / size; ++i) {
        memset(a, (int)(n & 63) + 1, size);
        memcpy(b, a, size);
        memmove(b + 1, b, size - 1);
        b[size - 1] = 0;
        sum = mix(sum, strlen(b) + (uint64_t)(memcmp(a, b, size) > 0) + (memchr(b, 0, size) != 0));
        __asm__ volatile("" ::: "memory");
      }
  return report("memory", sum);
}
