// SPDX-License-Identifier: Apache-2.0
// Product of two matrices of doubles, and of floats.
#include "kernel.h"

enum { kSize = 120 };
static double a[kSize][kSize], b[kSize][kSize], c[kSize][kSize];
static float fa[kSize][kSize], fb[kSize][kSize], fc[kSize][kSize];

int main(int argc, char** argv) {
  uint64_t sum = 0, seed = 1;
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j) {
      a[i][j] = (double)(next_random(&seed) >> 40) / 4096;
      b[i][j] = (double)(next_random(&seed) >> 40) / 8192;
      fa[i][j] = (float)a[i][j];
      fb[i][j] = (float)b[i][j];
    }
  for (long n = rounds(argc, argv); n-- > 0;) {
    for (int i = 0; i < kSize; ++i)
      for (int j = 0; j < kSize; ++j) {
        double s = 0;
        float f = 0;
        for (int k = 0; k < kSize; ++k) {
          s += a[i][k] * b[k][j];
          f += fa[i][k] * fb[k][j];
        }
        c[i][j] = s;
        fc[i][j] = f;
      }
    a[n % kSize][0] += 1;
    uint64_t bits;
    memcpy(&bits, &c[n % kSize][3], sizeof bits);
    sum = mix(sum, bits + (uint64_t)fc[3][n % kSize]);
  }
  return report("matrix", sum);
}
