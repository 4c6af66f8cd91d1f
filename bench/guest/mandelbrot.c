// SPDX-License-Identifier: Apache-2.0
// The Mandelbrot set, scalar doubles.
#include "kernel.h"

int main(int argc, char** argv) {
  uint64_t sum = 0;
  for (long n = rounds(argc, argv); n-- > 0;)
    for (int y = 0; y < 100; ++y)
      for (int x = 0; x < 100; ++x) {
        const double cr = x / 50.0 - 1.5, ci = y / 50.0 - 1.0 + (double)n * 1e-9;
        double zr = 0, zi = 0;
        int i = 0;
        for (; i < 200 && zr * zr + zi * zi < 4; ++i) {
          const double t = zr * zr - zi * zi + cr;
          zi = 2 * zr * zi + ci;
          zr = t;
        }
        sum = mix(sum, (uint64_t)i);
      }
  return report("mandelbrot", sum);
}
