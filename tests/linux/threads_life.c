// SPDX-License-Identifier: Apache-2.0
// Threads come and go: join, detach, exit of the first thread, thread-local storage, robust and
// priority-inheritance mutexes, condition variables, clear_child_tid, per-thread ids.
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "test.h"

static __thread int local = 5;
static pthread_mutex_t robust, inherit;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turns;

static void* tls(void* arg) {
  local += (int)(long)arg;
  sched_yield();
  return (void*)(long)local;
}

static void* take_and_die(void* arg) {
  pthread_mutex_lock(arg);
  return 0;
}

static void* count_inherit(void* arg) {
  (void)arg;
  for (int i = 0; i < 2000; i++) {
    pthread_mutex_lock(&inherit);
    turns++;
    pthread_mutex_unlock(&inherit);
  }
  return 0;
}

static void* alternate(void* arg) {
  long me = (long)arg;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < 2000; i++) {
    while (turns % 2 != me) pthread_cond_wait(&changed, &lock);
    turns++;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&lock);
  return 0;
}

static void* outlive(void* arg) {
  (void)arg;
  usleep(50000);
  printf("the first thread is gone\n");
  fflush(stdout);
  return 0;
}

static void* exit_all(void* arg) {
  (void)arg;
  _exit(17);
}

static void* sleep_forever(void* arg) {
  (void)arg;
  for (;;) pause();
}

static void cleanup(void* arg) { printf("cleaned up %s\n", (char*)arg); }
static void* cancelled(void* arg) {
  pthread_cleanup_push(cleanup, arg);
  for (;;) pause();
  pthread_cleanup_pop(0);
  return 0;
}

static int status_of(pid_t pid) {
  int status;
  waitpid(pid, &status, 0);
  return status;
}

int main(void) {
  setvbuf(stdout, 0, _IONBF, 0);
  pthread_t t[8];
  long sum = 0;
  for (int round = 0; round < 50; round++) {
    for (long i = 0; i < 8; i++) CHECK(pthread_create(&t[i], 0, tls, (void*)i) == 0);
    for (int i = 0; i < 8; i++) {
      void* result;
      pthread_join(t[i], &result);
      sum += (long)result;
    }
  }
  printf("tls: %ld and %d\n", sum, local);

  pthread_mutexattr_t attr;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&robust, &attr);
  pthread_create(&t[0], 0, take_and_die, &robust);
  pthread_join(t[0], 0);
  int r = pthread_mutex_lock(&robust);
  printf("robust: %s\n", strerror(r));
  CHECK(pthread_mutex_consistent(&robust) == 0);
  pthread_mutex_unlock(&robust);
  // Somebody waits while the owner dies.
  pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&robust, &attr);
  pthread_create(&t[0], 0, take_and_die, &robust);
  pthread_join(t[0], 0);
  r = pthread_mutex_lock(&robust);
  printf("robust pi: %s\n", strerror(r));

  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
  pthread_mutex_init(&inherit, &attr);
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, count_inherit, 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
  printf("pi: %d\n", turns);
  turns = 0;
  for (long i = 0; i < 2; i++) pthread_create(&t[i], 0, alternate, (void*)i);
  for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
  printf("cond: %d\n", turns);
  pthread_create(&t[0], 0, cancelled, "a cancelled thread");
  usleep(10000);
  pthread_cancel(t[0]);
  void* result;
  pthread_join(t[0], &result);
  printf("cancelled: %d\n", result == PTHREAD_CANCELED);

  pid_t pid = fork();
  if (pid == 0) {
    pthread_create(&t[0], 0, outlive, 0);
    pthread_exit(0);
  }
  printf("status %x\n", status_of(pid));
  pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, sleep_forever, 0);
    pthread_create(&t[5], 0, exit_all, 0);
    for (;;) pause();
  }
  printf("status %x\n", status_of(pid));
  pid = fork();
  if (pid == 0) {
    for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, sleep_forever, 0);
    usleep(5000);
    abort();
  }
  printf("status %x\n", status_of(pid) & 0x7f);
  pid = fork();
  if (pid == 0) {
    pthread_create(&t[0], 0, sleep_forever, 0);
    execl("/bin/sh", "sh", "-c", "exit 3", (char*)0);
    _exit(99);
  }
  printf("status %x\n", status_of(pid));
  // fork from a thread that is not the first.
  printf("ids: %d %d\n", getpid() == syscall(SYS_gettid), getppid() > 0);
  return 0;
}
