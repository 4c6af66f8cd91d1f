// SPDX-License-Identifier: Apache-2.0
// Five bodies: scalar doubles with divisions and square roots.
#include <math.h>

#include "kernel.h"

static double p[5][3] = {
    {0, 0, 0}, {4.84, -1.16, -.10}, {8.34, 4.12, -.4}, {12.89, -15.11, -.22}, {15.37, -25.9, .17}};
static double v[5][3] = {{0, 0, 0}, {.6, 2.8, -.02}, {-1.01, 1.8, .008}, {1.08, .86, -.01}, {.97, .59, -.03}};
static const double m[5] = {39.47, .037, .011, .0017, .002};

int main(int argc, char** argv) {
  for (long n = rounds(argc, argv) * 20000; n-- > 0;) {
    for (int i = 0; i < 5; ++i)
      for (int j = i + 1; j < 5; ++j) {
        const double dx = p[i][0] - p[j][0], dy = p[i][1] - p[j][1], dz = p[i][2] - p[j][2];
        const double d2 = dx * dx + dy * dy + dz * dz, mag = 0.001 / (d2 * sqrt(d2));
        v[i][0] -= dx * m[j] * mag;
        v[i][1] -= dy * m[j] * mag;
        v[i][2] -= dz * m[j] * mag;
        v[j][0] += dx * m[i] * mag;
        v[j][1] += dy * m[i] * mag;
        v[j][2] += dz * m[i] * mag;
      }
    for (int i = 0; i < 5; ++i)
      for (int k = 0; k < 3; ++k) p[i][k] += 0.001 * v[i][k];
  }
  uint64_t bits;
  memcpy(&bits, &p[3][1], sizeof bits);
  return report("nbody", bits);
}
