// SPDX-License-Identifier: Apache-2.0
// Litmus tests that run freely: no thread waits for another between two rounds. Shared words only
// count up, and the threads log what they saw of the others' words at each of their own steps, so
// that every pair of steps is judged afterwards. Outcomes that DDI 0487 B2.3 forbids:
//   message passing   the flag is seen, data that were stored before it are not
//   store buffering   both threads miss the other's store
//   load buffering    both threads see a store that comes after the other's load
//   independent reads two readers see the stores of two writers in different orders
// each by every kind of instruction that forbids it: STLR and LDAR, LDAPR, DMB, LSE atomics, LL/SC.
#include <pthread.h>
#include <sched.h>

#include "test.h"

#define ROUNDS 250000
#define PAIRS 2

#if defined(__aarch64__)
#define ASM(text, ...) __asm__ volatile(".arch_extension lse\n\t.arch_extension rcpc\n\t" text __VA_ARGS__)
static inline void store(uint32_t* p, uint32_t v) { ASM("str %w1, %0", : "=Q"(*p) : "r"(v) : "memory"); }
static inline uint32_t load(uint32_t* p) {
  uint32_t v;
  ASM("ldr %w0, %1", : "=r"(v) : "Q"(*p) : "memory");
  return v;
}
static inline void store_release(uint32_t* p, uint32_t v) {
  ASM("stlr %w1, %0", : "=Q"(*p) : "r"(v) : "memory");
}
static inline uint32_t load_acquire(uint32_t* p) {
  uint32_t v;
  ASM("ldar %w0, %1", : "=r"(v) : "Q"(*p) : "memory");
  return v;
}
static inline uint32_t load_acquire_pc(uint32_t* p) {
  uint32_t v;
  ASM("ldapr %w0, %1", : "=r"(v) : "Q"(*p) : "memory");
  return v;
}
static inline void swap_release(uint32_t* p, uint32_t v) {
  ASM("swpl %w1, wzr, %0", : "+Q"(*p) : "r"(v) : "memory");
}
static inline void swap_both(uint32_t* p, uint32_t v) {
  uint32_t old;
  ASM("swpal %w2, %w0, %1", : "=&r"(old), "+Q"(*p) : "r"(v) : "memory");
}
static inline uint32_t add_acquire(uint32_t* p) {
  uint32_t v;
  ASM("ldadda wzr, %w0, %1", : "=r"(v), "+Q"(*p)::"memory");
  return v;
}
static inline void exclusive_release(uint32_t* p, uint32_t v) {
  uint32_t old, failed;
  ASM("1: ldxr %w0, %2\n\tstlxr %w1, %w3, %2\n\tcbnz %w1, 1b", : "=&r"(old), "=&r"(failed),
      "+Q"(*p) : "r"(v) : "memory");
}
static inline uint32_t exclusive_acquire(uint32_t* p) {
  uint32_t v, failed;
  ASM("1: ldaxr %w0, %2\n\tstxr %w1, %w0, %2\n\tcbnz %w1, 1b", : "=&r"(v), "=&r"(failed), "+Q"(*p)::"memory");
  return v;
}
static inline void fence(void) { ASM("dmb ish", :: : "memory"); }
static inline void fence_stores(void) { ASM("dmb ishst", :: : "memory"); }
static inline void fence_loads(void) { ASM("dmb ishld", :: : "memory"); }
#else
static inline void store(uint32_t* p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELAXED); }
static inline uint32_t load(uint32_t* p) { return __atomic_load_n(p, __ATOMIC_RELAXED); }
static inline void store_release(uint32_t* p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_SEQ_CST); }
static inline uint32_t load_acquire(uint32_t* p) { return __atomic_load_n(p, __ATOMIC_SEQ_CST); }
static inline uint32_t load_acquire_pc(uint32_t* p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void swap_release(uint32_t* p, uint32_t v) { __atomic_exchange_n(p, v, __ATOMIC_RELEASE); }
static inline void swap_both(uint32_t* p, uint32_t v) { __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
static inline uint32_t add_acquire(uint32_t* p) { return __atomic_fetch_add(p, 0, __ATOMIC_ACQUIRE); }
static inline void exclusive_release(uint32_t* p, uint32_t v) { __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST); }
static inline uint32_t exclusive_acquire(uint32_t* p) { return __atomic_fetch_add(p, 0, __ATOMIC_SEQ_CST); }
static inline void fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void fence_stores(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }
static inline void fence_loads(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
#endif

static struct {
  _Alignas(128) uint32_t x;
  _Alignas(128) uint32_t y;
} words[PAIRS];
// What each side saw of the other's word at its own step, from 1 on.
static uint32_t seen[PAIRS][2][ROUNDS + 1];
static long forbidden[PAIRS];
static pthread_barrier_t start;

// Others may need the processor to get on.
static inline void patience(uint32_t now, uint32_t* last, unsigned* same) {
  if (now != *last) {
    *last = now;
    *same = 0;
  } else if (++*same > 500) {
    sched_yield();
    *same = 0;
  }
}

#define MESSAGE_PASSING(NAME, SEND, RECEIVE)                        \
  static void* message_##NAME(void* arg) {                          \
    long me = (long)arg, pair = me / 2, bad = 0;                    \
    uint32_t *data = &words[pair].x, *flag = &words[pair].y;        \
    pthread_barrier_wait(&start);                                   \
    if (me % 2 == 0) {                                              \
      for (uint32_t i = 1; i <= ROUNDS; i++) {                      \
        store(data, i);                                             \
        SEND(flag, i);                                              \
      }                                                             \
      return 0;                                                     \
    }                                                               \
    uint32_t f = 0, last = 0;                                       \
    for (unsigned same = 0, n = 0; f < ROUNDS || n < ROUNDS; n++) { \
      f = RECEIVE(flag);                                            \
      bad += load(data) < f;                                        \
      patience(f, &last, &same);                                    \
    }                                                               \
    forbidden[pair] = bad;                                          \
    return 0;                                                       \
  }

static inline void send_fenced(uint32_t* p, uint32_t v) {
  fence_stores();
  store(p, v);
}
static inline uint32_t receive_fenced(uint32_t* p) {
  uint32_t v = load(p);
  fence_loads();
  return v;
}
MESSAGE_PASSING(stlr_ldar, store_release, load_acquire)
MESSAGE_PASSING(stlr_ldapr, store_release, load_acquire_pc)
MESSAGE_PASSING(dmb, send_fenced, receive_fenced)
MESSAGE_PASSING(lse, swap_release, add_acquire)
MESSAGE_PASSING(llsc, exclusive_release, exclusive_acquire)

// Each side stores to its own word and loads the other's.
#define BOTH_SIDES(NAME, STEP)                                  \
  static void* NAME(void* arg) {                                \
    long me = (long)arg, pair = me / 2;                         \
    uint32_t* mine = me % 2 ? &words[pair].y : &words[pair].x;  \
    uint32_t* other = me % 2 ? &words[pair].x : &words[pair].y; \
    uint32_t* log = seen[pair][me % 2];                         \
    pthread_barrier_wait(&start);                               \
    for (uint32_t i = 1; i <= ROUNDS; i++) {                    \
      STEP                                                      \
    }                                                           \
    return 0;                                                   \
  }
BOTH_SIDES(buffer_stlr_ldar, store_release(mine, i); log[i] = load_acquire(other);)
BOTH_SIDES(buffer_dmb, store(mine, i); fence(); log[i] = load(other);)
BOTH_SIDES(buffer_lse, swap_both(mine, i); log[i] = load_acquire(other);)
BOTH_SIDES(buffer_llsc, exclusive_release(mine, i); log[i] = load_acquire(other);)
BOTH_SIDES(load_buffer, log[i] = load_acquire(other); store_release(mine, i);)
BOTH_SIDES(load_buffer_dmb, log[i] = load(other); fence_loads(); store(mine, i);)

// Of a word that counts up nobody sees an older value later.
static long backwards(const uint32_t* log, uint32_t n) {
  long bad = 0;
  for (uint32_t i = 2; i <= n; i++) bad += log[i] < log[i - 1];
  return bad;
}

// Step i of one side missed step j of the other, which missed i. The first one missed is enough.
static long both_missed(int pair) {
  const uint32_t *a = seen[pair][0], *b = seen[pair][1];
  long bad = backwards(a, ROUNDS) + backwards(b, ROUNDS);
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    uint32_t j = a[i] + 1;
    if (j <= ROUNDS && b[j] < i) bad++;
  }
  return bad;
}

// Step i of one side saw step j of the other, which saw i.
static long both_saw(int pair) {
  const uint32_t *a = seen[pair][0], *b = seen[pair][1];
  long bad = backwards(a, ROUNDS) + backwards(b, ROUNDS);
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    uint32_t j = a[i];
    if (j >= 1 && b[j] >= i) bad++;
  }
  return bad;
}

// Threads 0 and 1 write x and y; 2 reads x, then y; 3 reads y, then x.
static uint32_t first_seen[2][ROUNDS + 1], then_seen[2][ROUNDS + 1];
static void* independent(void* arg) {
  long me = (long)arg;
  uint32_t *x = &words[0].x, *y = &words[0].y;
  pthread_barrier_wait(&start);
  if (me < 2) {
    for (uint32_t i = 1; i <= ROUNDS; i++) store_release(me ? y : x, i);
    return 0;
  }
  uint32_t *first = me == 2 ? x : y, *then = me == 2 ? y : x;
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    first_seen[me - 2][i] = load_acquire(first);
    then_seen[me - 2][i] = load_acquire(then);
  }
  return 0;
}
static long different_orders(void) {
  long bad = 0;
  for (int r = 0; r < 2; r++) bad += backwards(first_seen[r], ROUNDS) + backwards(then_seen[r], ROUNDS);
  // x = a was there and y = b was not, says one; y = b was there and x = a was not, the other.
  uint32_t k = 1;
  for (uint32_t i = 1; i <= ROUNDS; i++) {
    uint32_t a = first_seen[0][i], b = then_seen[0][i] + 1;
    while (k <= ROUNDS && first_seen[1][k] < b) k++;
    if (k > ROUNDS) break;
    bad += then_seen[1][k] < a;
  }
  return bad;
}

static void run(void* (*what)(void*)) {
  pthread_t threads[2 * PAIRS];
  memset(words, 0, sizeof words);
  memset(forbidden, 0, sizeof forbidden);
  for (long i = 0; i < 2 * PAIRS; i++) pthread_create(&threads[i], 0, what, (void*)i);
  for (int i = 0; i < 2 * PAIRS; i++) pthread_join(threads[i], 0);
}

// How often a thread saw another at work: few times if they had to take turns on one processor.
static long met(const uint32_t* log) {
  long n = 0;
  for (uint32_t i = 2; i <= ROUNDS; i++) n += log[i] != log[i - 1];
  return n;
}

static int verbose;
#define ENOUGH 2000
#define TRIES 10

static void passing(const char* name, void* (*what)(void*)) {
  run(what);
  printf("message passing, %s: %ld forbidden\n", name, forbidden[0] + forbidden[1]);
}

static void judged(const char* name, void* (*what)(void*), long (*judge)(void), long (*meetings)(void)) {
  long bad = 0, meets = 0;
  int tries = 0;
  while (tries++ < TRIES && meets < ENOUGH) {
    run(what);
    bad += judge();
    meets += meetings();
  }
  printf("%s: %ld forbidden\n", name, bad);
  if (verbose) fprintf(stderr, "%s: met %ld times in %d runs\n", name, meets, tries - 1);
}

static long any_missed(void) { return both_missed(0) + both_missed(1); }
static long any_saw(void) { return both_saw(0) + both_saw(1); }
static long pairs_met(void) { return met(seen[0][0]) + met(seen[1][0]); }
static long readers_met(void) { return met(first_seen[0]) + met(first_seen[1]); }

int main(int argc, char** argv) {
  (void)argv;
  verbose = argc > 1;
  pthread_barrier_init(&start, 0, 2 * PAIRS);
  passing("STLR and LDAR", message_stlr_ldar);
  passing("STLR and LDAPR", message_stlr_ldapr);
  passing("DMB ISHST and ISHLD", message_dmb);
  passing("SWPL and LDADDA", message_lse);
  passing("STLXR and LDAXR", message_llsc);
  judged("store buffering, STLR and LDAR", buffer_stlr_ldar, any_missed, pairs_met);
  judged("store buffering, DMB ISH", buffer_dmb, any_missed, pairs_met);
  judged("store buffering, SWPAL and LDAR", buffer_lse, any_missed, pairs_met);
  judged("store buffering, STLXR and LDAR", buffer_llsc, any_missed, pairs_met);
  judged("load buffering, LDAR and STLR", load_buffer, any_saw, pairs_met);
  judged("load buffering, DMB ISHLD", load_buffer_dmb, any_saw, pairs_met);
  judged("independent reads", independent, different_orders, readers_met);
  return 0;
}
