// SPDX-License-Identifier: Apache-2.0
// The top byte of a data address is ignored, by exclusives and atomics too. Elsewhere there is none.
#include <stdatomic.h>

#include "test.h"

#if defined(__aarch64__)
#define TAG(p) ((__typeof__(p))((uintptr_t)(p) | 0x5aull << 56))
static uint64_t exclusive_add(uint64_t *p, uint64_t n) {
  uint64_t old, sum;
  uint32_t failed;
  __asm__ volatile("1: ldxr %0, [%3]\n add %1, %0, %4\n stxr %w2, %1, [%3]\n cbnz %w2, 1b"
                   : "=&r"(old), "=&r"(sum), "=&r"(failed) : "r"(p), "r"(n) : "memory");
  return old;
}
#else
#define TAG(p) (p)
static uint64_t exclusive_add(uint64_t *p, uint64_t n) { return __atomic_fetch_add(p, n, __ATOMIC_RELAXED); }
#endif

int main(void) {
  static uint64_t word[8];
  uint64_t sum = 0;
  // A few, before anything is known of tags, and then often.
  for (int round = 0; round < 3; ++round) {
    const int times = round == 0 ? 3 : 1000;
    for (int i = 0; i < times; ++i) sum += exclusive_add(TAG(&word[0]), 3);
    for (int i = 0; i < times; ++i) sum += exclusive_add(i % 2 ? TAG(&word[1]) : &word[1], 5);
    for (int i = 0; i < times; ++i) sum += atomic_fetch_add((_Atomic uint64_t *)TAG(&word[2]), 7);
    for (int i = 0; i < times; ++i) *(volatile uint64_t *)TAG(&word[3]) += word[2];
    for (int i = 0; i < times; ++i) {
      uint64_t expected = word[4];
      CHECK(atomic_compare_exchange_strong((_Atomic uint64_t *)TAG(&word[4]), &expected, expected + 9));
    }
    printf("%d: %llu %llu %llu %llu %llu, %llu\n", round, (unsigned long long)word[0], (unsigned long long)word[1],
           (unsigned long long)word[2], (unsigned long long)word[3], (unsigned long long)word[4],
           (unsigned long long)sum);
  }
  return 0;
}
