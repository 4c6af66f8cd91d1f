// SPDX-License-Identifier: Apache-2.0
// Four threads, ten million operations: atomic counters of every width and form lose no update,
// message passing never shows the flag before the data, sequentially consistent store buffering
// never shows two zeros, a stack of nodes keeps every node.
#include <pthread.h>
#include <stdatomic.h>

#include "test.h"

#define THREADS 4
#define ROUNDS 250000

static _Atomic uint64_t add64;
static _Atomic uint32_t add32, cas32, weak32, bits;
static _Atomic uint16_t add16;
static _Atomic uint8_t add8;
static uint64_t locked;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;

static void* counters(void* arg) {
  long me = (long)arg;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < ROUNDS; i++) {
    atomic_fetch_add(&add64, 3);
    atomic_fetch_add_explicit(&add32, 1, memory_order_relaxed);
    atomic_fetch_add(&add16, 1);
    atomic_fetch_sub(&add8, 1);
    uint32_t old = atomic_load(&cas32);
    while (!atomic_compare_exchange_strong(&cas32, &old, old + 1)) {
    }
    old = atomic_load_explicit(&weak32, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&weak32, &old, old + 2, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
    }
    atomic_fetch_xor(&bits, 1u << me);
    if (i % 16 == 0) {
      pthread_mutex_lock(&mutex);
      locked++;
      pthread_mutex_unlock(&mutex);
    }
  }
  return 0;
}

#if defined(__aarch64__)
static uint64_t exclusive, lse;
__attribute__((target("arch=armv8.1-a"))) static void lse_add(uint64_t* at) {
  uint64_t old;
  __asm__ volatile("ldaddal %2, %0, %1" : "=r"(old), "+Q"(*at) : "r"(1ul) : "memory");
}
static void exclusive_add(uint64_t* at) {
  uint64_t value;
  uint32_t failed;
  do {
    __asm__ volatile("ldaxr %0, %1" : "=r"(value) : "Q"(*at) : "memory");
    value++;
    __asm__ volatile("stlxr %w0, %2, %1" : "=&r"(failed), "=Q"(*at) : "r"(value) : "memory");
  } while (failed);
}
#else
static _Atomic uint64_t exclusive, lse;
static void lse_add(_Atomic uint64_t* at) { atomic_fetch_add(at, 1); }
static void exclusive_add(_Atomic uint64_t* at) { atomic_fetch_add(at, 1); }
#endif

static void* instructions(void* arg) {
  (void)arg;
  pthread_barrier_wait(&barrier);
  for (int i = 0; i < ROUNDS; i++) {
    exclusive_add(&exclusive);
    lse_add(&lse);
  }
  return 0;
}

// Spins a little, then lets others run: there may be fewer processors than threads.
static void relax(unsigned* n) {
  if (++*n > 50) sched_yield();
}

// Message passing: each pair of threads, with release/acquire and with barriers.
static _Atomic int flag[2];
static int data[2];
static _Atomic long forbidden;
#define MESSAGES 3000
static void* passing(void* arg) {
  long me = (long)arg, pair = me / 2;
  for (int i = 1; i <= MESSAGES; i++) {
    if (me % 2 == 0) {
      data[pair] = i;
      atomic_store_explicit(&flag[pair], i, memory_order_release);
      unsigned n = 0;
      while (atomic_load_explicit(&flag[pair], memory_order_acquire) != -i) relax(&n);
    } else {
      unsigned n = 0;
      while (atomic_load_explicit(&flag[pair], memory_order_acquire) != i) relax(&n);
      if (data[pair] != i) forbidden++;
      atomic_store_explicit(&flag[pair], -i, memory_order_release);
    }
  }
  return 0;
}

static _Atomic int x[2], y[2], rx[2], ry[2], turn[2];
#define BUFFERINGS 2000
static void* buffering(void* arg) {
  long me = (long)arg, pair = me / 2;
  for (int i = 1; i <= BUFFERINGS; i++) {
    unsigned n = 0;
    if (me % 2 == 0) {
      atomic_store(&x[pair], i);
      atomic_store(&ry[pair], atomic_load(&y[pair]));
    } else {
      atomic_store(&y[pair], i);
      atomic_store(&rx[pair], atomic_load(&x[pair]));
    }
    atomic_fetch_add(&turn[pair], 1);
    while (atomic_load(&turn[pair]) < 2 * i) relax(&n);
    if (rx[pair] != i && ry[pair] != i) forbidden++;
    // Nobody starts the next round before both have looked.
    static _Atomic int looked[2];
    atomic_fetch_add(&looked[pair], 1);
    while (atomic_load(&looked[pair]) < 2 * i) relax(&n);
  }
  return 0;
}

// A lock-free stack with a version beside the pointer.
struct node {
  struct node* next;
  long owner;
};
static struct node nodes[THREADS * 64];
static _Atomic uint64_t head;  // index + 1 in the low half, version in the high
static void push(uint32_t n) {
  uint64_t old = atomic_load(&head);
  do {
    nodes[n].next = (struct node*)(uintptr_t)(uint32_t)old;
  } while (!atomic_compare_exchange_weak(&head, &old, ((old >> 32) + 1) << 32 | (n + 1)));
}
static int pop(void) {
  uint64_t old = atomic_load(&head);
  for (;;) {
    if ((uint32_t)old == 0) return -1;
    uint64_t next = (uint32_t)(uintptr_t)nodes[(uint32_t)old - 1].next;
    if (atomic_compare_exchange_weak(&head, &old, ((old >> 32) + 1) << 32 | next)) return (uint32_t)old - 1;
  }
}
static void* stacking(void* arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS / 2; i++) {
    int n = pop();
    if (n >= 0) push(n);
  }
  return 0;
}

static void run(void* (*what)(void*)) {
  pthread_t threads[THREADS];
  for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, what, (void*)i);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], 0);
}

int main(void) {
  pthread_barrier_init(&barrier, 0, THREADS);
  run(counters);
  printf("64: %lu 32: %u 16: %u 8: %u cas: %u weak: %u bits: %u locked: %lu\n", (unsigned long)add64, add32,
         add16, add8, cas32, weak32, bits, (unsigned long)locked);
  run(instructions);
  printf("exclusive: %lu lse: %lu\n", (unsigned long)exclusive, (unsigned long)lse);
  run(passing);
  printf("message passing: %ld forbidden\n", forbidden);
  run(buffering);
  printf("store buffering: %ld forbidden\n", forbidden);
  for (uint32_t i = 0; i < THREADS * 64; i++) push(i);
  run(stacking);
  int left = 0;
  while (pop() >= 0) left++;
  printf("stack: %d\n", left);
  return 0;
}
