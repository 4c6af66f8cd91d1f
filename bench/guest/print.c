// SPDX-License-Identifier: Apache-2.0
// snprintf and strtod.
#include "kernel.h"

int main(int argc, char** argv) {
  char text[256];
  uint64_t sum = 0;
  for (long n = rounds(argc, argv) * 10000; n-- > 0;) {
    snprintf(text, sizeof text, "%ld %s %08lx %.6f %g", n, "lyrebird", n * 77, (double)n / 7,
             (double)n * 1e10);
    sum = mix(sum, strlen(text) + (uint64_t)text[n % 20] + (uint64_t)strtod(text, NULL));
  }
  return report("print", sum);
}
