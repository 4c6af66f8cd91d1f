// SPDX-License-Identifier: Apache-2.0
// Loops that the compiler makes vector code of: sums, clamps, conversions, dot products.
#include "kernel.h"

#pragma GCC optimize("O3")

enum { kSize = 8192 };
static int16_t a[kSize], b[kSize], c[kSize];
static uint8_t u[kSize], w[kSize];
static float x[kSize], y[kSize];

static __attribute__((noinline)) int dot(void) {
  int s = 0;
  for (int i = 0; i < kSize; ++i) s += a[i] * b[i];
  return s;
}
static __attribute__((noinline)) void blend(int f) {
  for (int i = 0; i < kSize; ++i) {
    const int v = (u[i] * f + w[i] * (256 - f) + 128) >> 8;
    u[i] = (uint8_t)(v > 255 ? 255 : v);
  }
}
static __attribute__((noinline)) unsigned difference(void) {
  unsigned s = 0;
  for (int i = 0; i < kSize; ++i) s += (unsigned)abs(u[i] - w[i]);
  return s;
}
static __attribute__((noinline)) void scale(int n) {
  for (int i = 0; i < kSize; ++i) c[i] = (int16_t)((a[i] * n) >> 4);
}
static __attribute__((noinline)) void axpy(float f) {
  for (int i = 0; i < kSize; ++i) y[i] = x[i] * f + y[i] * 0.5f;
}
static __attribute__((noinline)) void convert(void) {
  for (int i = 0; i < kSize; ++i) c[i] = (int16_t)(int)(y[i] + (float)a[i]);
}

int main(int argc, char** argv) {
  uint64_t sum = 0, seed = 1;
  for (int i = 0; i < kSize; ++i) {
    a[i] = (int16_t)(next_random(&seed) % 2000);
    b[i] = (int16_t)next_random(&seed);
    u[i] = (uint8_t)next_random(&seed);
    w[i] = (uint8_t)next_random(&seed);
    x[i] = (float)(next_random(&seed) % 1000);
  }
  for (long n = rounds(argc, argv) * 100; n-- > 0;) {
    blend((int)(n & 255));
    scale((int)n & 15);
    axpy(0.25f);
    convert();
    sum = mix(sum, (uint64_t)dot() + difference() + (uint64_t)c[n % kSize]);
  }
  return report("neon", sum);
}
