// SPDX-License-Identifier: Apache-2.0
// The C library's qsort (calls through a pointer) and a quicksort of our own (recursion).
#include "kernel.h"

static void sort(int* a, int n) {
  while (n > 1) {
    const int pivot = a[n / 2];
    int i = 0, k = n - 1;
    for (;;) {
      while (a[i] < pivot) ++i;
      while (a[k] > pivot) --k;
      if (i >= k) break;
      const int t = a[i];
      a[i++] = a[k];
      a[k--] = t;
    }
    sort(a, i);
    a += i;
    n -= i;
  }
}
static int compare(const void* a, const void* b) {
  const int x = *(const int*)a, y = *(const int*)b;
  return (x > y) - (x < y);
}

int main(int argc, char** argv) {
  enum { kSize = 50000 };
  static int a[kSize];
  uint64_t sum = 0, seed = 1;
  for (long n = rounds(argc, argv) * 4; n-- > 0;) {
    for (int i = 0; i < kSize; ++i) a[i] = (int)next_random(&seed);
    if (n & 1)
      qsort(a, kSize, sizeof a[0], compare);
    else
      sort(a, kSize);
    sum = mix(sum, (uint64_t)a[n] + (uint64_t)a[kSize / 2]);
  }
  return report("quicksort", sum);
}
