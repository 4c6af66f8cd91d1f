// SPDX-License-Identifier: Apache-2.0
// What a compiler without SSE makes: all floating point in the x87, float, double and long double.
#include <math.h>
#include <stdio.h>

#define N 24

static double matrix[N][N];

static double determinant(void) {
  double product = 1;
  for (int k = 0; k < N; k++) {
    product *= matrix[k][k];
    for (int i = k + 1; i < N; i++) {
      const double factor = matrix[i][k] / matrix[k][k];
      for (int j = k; j < N; j++) matrix[i][j] -= factor * matrix[k][j];
    }
  }
  return product;
}

static long double series(long double x) {
  long double sum = 0, term = 1;
  for (int i = 1; i < 200; i++) sum += term, term *= x / i;
  return sum;
}

int main(void) {
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < N; i++)
      for (int j = 0; j < N; j++) matrix[i][j] = 1.0 / (i + j + 1) + (i == j) * (round + 1);
    const double d = determinant();
    if (round % 20 == 0) printf("%.17g\n", d);
  }
  float single = 1;
  double sum = 0;
  long double extended = 0;
  for (int i = 1; i < 60000; i++) {
    const double x = i * 0.001;
    single = single * 1.0001f + sinf(i);
    sum += sin(x) * cos(x) + atan2(x, 3) + log(x) * exp(-x) + sqrt(x) + fmod(1e6, x) + pow(x, 1.7) + floor(x * 7);
    extended += series(x / 60) + fmodl(extended, 3) + sinl(x) + log2l(x) + (long long)(x * 1e9) % 7;
  }
  printf("%.9g %.17g %.21Lg %.21Lg\n", single, sum, extended, series(1));
  return 0;
}
