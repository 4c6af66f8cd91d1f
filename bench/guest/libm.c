// SPDX-License-Identifier: Apache-2.0
// sin, exp, log, pow, atan2 of the C library.
#include <math.h>

#include "kernel.h"

int main(int argc, char** argv) {
  double total = 0;
  for (long n = rounds(argc, argv); n-- > 0;)
    for (int i = 1; i < 20000; ++i) {
      const double x = i * 0.001 + (double)n * 1e-7;
      total += sin(x) + exp(-x) + log(x) + pow(x, 0.3) + atan2(x, 2) + (double)expf((float)-x);
    }
  uint64_t bits;
  memcpy(&bits, &total, sizeof bits);
  return report("libm", bits);
}
