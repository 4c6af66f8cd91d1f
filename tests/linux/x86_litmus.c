// SPDX-License-Identifier: Apache-2.0
// x86's memory model: four threads, plain MOVs and locked instructions. What must never be seen is counted
// and is 0; store buffering, which may be seen, is not (with MFENCE between it may not). LOCK holds over the
// ends of cache lines and pages, too. On other machines there is nothing to show. `x86_litmus v` tells more.
#include "show.h"

#if defined(__x86_64__) || defined(__i386__)

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#define ROUNDS 500000
#define PLAIN(type, at) (*(volatile type*)(at))

static struct {
  _Alignas(64) int x;
  _Alignas(64) int y;
} cells[2];
static unsigned char* memory;
static pthread_barrier_t barrier;
static _Alignas(64) volatile int turn[4];
static long forbidden[4], buffered;
static int seen[2][2];

static void compiler(void) { __asm__ volatile("" ::: "memory"); }

/// Threads 0 and 1 of pair `p` meet for each round, without a system call if the other one is running.
static void meet(int p, int side, int round) {
  int* const mine = (int*)&turn[2 * p + side];
  __atomic_store_n(mine, round, __ATOMIC_SEQ_CST);
  for (int i = 0; __atomic_load_n(&turn[2 * p + !side], __ATOMIC_SEQ_CST) < round; i++) {
    __asm__ volatile("pause");
    if (i > 1000) sched_yield();
  }
}

/// Message passing: values of x come before those of y that follow them.
static void message_passing(int p, int side) {
  for (int i = 1; i <= ROUNDS; i++) {
    if (side == 0) {
      PLAIN(int, &cells[p].x) = i;
      compiler();
      PLAIN(int, &cells[p].y) = i;
    } else {
      const int y = PLAIN(int, &cells[p].y);
      compiler();
      const int x = PLAIN(int, &cells[p].x);
      __atomic_fetch_add(&forbidden[0], x < y, __ATOMIC_RELAXED);
    }
  }
}

/// Load buffering and store buffering, in turns of a few.
static void buffering(int p, int side, int fence) {
  for (int i = 1; i <= ROUNDS / 500; i++) {
    int* const own = side ? &cells[p].y : &cells[p].x;
    int* const other = side ? &cells[p].x : &cells[p].y;
    *own = 0;
    meet(p, side, 4 * i + 1);
    if (fence < 0) {  // load, then store
      seen[p][side] = PLAIN(int, other);
      compiler();
      PLAIN(int, own) = 1;
    } else {
      PLAIN(int, own) = 1;
      if (fence)
        __asm__ volatile("mfence" ::: "memory");
      else
        compiler();
      seen[p][side] = PLAIN(int, other);
    }
    meet(p, side, 4 * i + 2);
    if (side == 0) {
      const int a = seen[p][0], b = seen[p][1];
      if (fence < 0) __atomic_fetch_add(&forbidden[1], a && b, __ATOMIC_RELAXED);
      if (fence > 0) __atomic_fetch_add(&forbidden[2], !a && !b, __ATOMIC_RELAXED);
      if (fence == 0) __atomic_fetch_add(&buffered, !a && !b, __ATOMIC_RELAXED);
    }
    meet(p, side, 4 * i + 3);
  }
}

static void add(unsigned char* at) { __asm__ volatile("lock addl $3, %0" : "+m"(*(int*)(void*)at)); }
static void xadd(unsigned char* at) {
  int one = 1;
  __asm__ volatile("lock xaddl %1, %0" : "+m"(*(int*)(void*)at), "+r"(one));
}
static void swap(unsigned char* at) {
  unsigned char done;
  do {
    unsigned old = PLAIN(unsigned, (void*)at);
    __asm__ volatile("lock cmpxchgl %3, %0\n\tsetz %1"
                     : "+m"(*(int*)(void*)at), "=q"(done), "+a"(old)
                     : "r"(old + 1)
                     : "memory");
  } while (!done);
}

static void locked(void) {
  static void (*const all[])(unsigned char*) = {add, xadd, swap};
  for (int which = 0; which < 3; which++)
    for (int i = 0; i < ROUNDS; i++) {
      all[which](memory + 512);
      if (i % 250 == 0) all[which](memory + 62), all[which](memory + 4096 - 1);
    }
}

static void* thread(void* arg) {
  const int me = (int)(intptr_t)arg, p = me / 2, side = me % 2;
  pthread_barrier_wait(&barrier);
  message_passing(p, side);
  for (int fence = -1; fence <= 1; fence++) {
    pthread_barrier_wait(&barrier);
    turn[me] = 0;
    pthread_barrier_wait(&barrier);
    buffering(p, side, fence);
  }
  pthread_barrier_wait(&barrier);
  locked();
  return 0;
}

static int at(unsigned offset) {
  int value;
  memcpy(&value, memory + offset, 4);
  return value;
}

int main(int argc, char** argv) {
  (void)argv;
  alarm(240);
  pthread_t threads[4];
  memory = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pthread_barrier_init(&barrier, 0, 4);
  for (intptr_t i = 0; i < 4; i++) pthread_create(&threads[i], 0, thread, (void*)i);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  printf("message passing %ld, load buffering %ld, store buffering past a fence %ld\n", forbidden[0],
         forbidden[1], forbidden[2]);
  printf("locked: %d, over a line's end %d, over a page's end %d\n", at(512), at(62), at(4095));
  if (argc > 1) fprintf(stderr, "store buffering %ld\n", buffered);
  return 0;
}

#else
int main(void) { return 0; }
#endif
