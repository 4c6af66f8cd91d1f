// SPDX-License-Identifier: Apache-2.0
// Four threads, ten million operations: atomic counters of every width and form lose no update, a
// stack of nodes keeps every node. The order of accesses is memory_order.c's.
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
  for (int i = 0; i < ROUNDS; i++) {
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
  for (uint32_t i = 0; i < THREADS * 64; i++) push(i);
  run(stacking);
  int left = 0;
  while (pop() >= 0) left++;
  printf("stack: %d\n", left);
  return 0;
}
