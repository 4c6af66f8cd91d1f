// SPDX-License-Identifier: Apache-2.0
// argv[2] threads (2 unless told) that share the work: arithmetic of their own, a lock and an atomic
// counter now and then.
#include <pthread.h>
#include <stdatomic.h>

#include "kernel.h"

enum { kMost = 64, kSlices = 240 };
static atomic_ulong next_slice, counter;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t sum;
static unsigned long slices;

static uint64_t slice(uint64_t number) {
  uint32_t table[256];
  uint64_t seed = number + 1, result = 0;
  for (int i = 0; i < 256; ++i) table[i] = (uint32_t)next_random(&seed);
  for (int i = 0; i < 20000; ++i) {
    const uint32_t x = table[i & 255];
    table[(x >> 7) & 255] += x * 31 + (uint32_t)i;
    result += x ^ (x >> 11);
  }
  return result;
}

static void* work(void* unused) {
  (void)unused;
  for (unsigned long n; (n = atomic_fetch_add(&next_slice, 1)) < slices;) {
    const uint64_t result = slice(n);
    atomic_fetch_add(&counter, result & 7);
    pthread_mutex_lock(&lock);
    sum += result;
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

int main(int argc, char** argv) {
  const int threads = argc > 2 && atoi(argv[2]) > 0 && atoi(argv[2]) <= kMost ? atoi(argv[2]) : 2;
  slices = (unsigned long)rounds(argc, argv) * kSlices;
  pthread_t thread[kMost];
  for (int i = 0; i < threads; ++i)
    if (pthread_create(&thread[i], NULL, work, NULL) != 0) return 1;
  for (int i = 0; i < threads; ++i) pthread_join(thread[i], NULL);
  return report("threads", mix(sum, counter));
}
