// SPDX-License-Identifier: Apache-2.0
// Sieve of Eratosthenes, a byte for each number.
#include "kernel.h"

int main(int argc, char** argv) {
  enum { kSize = 1000000 };
  static uint8_t composite[kSize];
  uint64_t sum = 0;
  for (long n = rounds(argc, argv) * 5; n-- > 0;) {
    memset(composite, 0, sizeof composite);
    for (int i = 2; i * i < kSize; ++i)
      if (!composite[i])
        for (int k = i * i; k < kSize; k += i) composite[k] = 1;
    int count = 0;
    for (int i = 2; i < kSize; ++i) count += !composite[i];
    sum = mix(sum, (uint64_t)count);
  }
  return report("sieve", sum);
}
