// SPDX-License-Identifier: Apache-2.0
// Signals between threads and processes at full speed: none lost, none twice, none slept through.
#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

#include "test.h"

#define ROUNDS 3000
static volatile int queued;
static volatile sig_atomic_t pings;
static pthread_t ping_thread;

static void count_queued(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  queued += info->si_value.sival_int;
}
static void count_ping(int signal) {
  (void)signal;
  pings++;
}

// Waits in sigsuspend for each ping: one slept through would hang the test.
static void* suspender(void* arg) {
  (void)arg;
  sigset_t none;
  sigemptyset(&none);
  while (pings < ROUNDS) sigsuspend(&none);
  return 0;
}

int main(void) {
  // Real-time signals from a child: each is queued.
  raw_sigaction(40, (void*)count_queued, SA_SIGINFO | SA_RESTART, 0);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    for (int i = 0; i < ROUNDS; i++) {
      union sigval one = {.sival_int = 1};
      while (sigqueue(parent, 40, one) != 0) usleep(100);
    }
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  while (queued < ROUNDS) sched_yield();
  printf("queued %d\n", queued);

  raw_sigaction(SIGUSR1, (void*)count_ping, 0, 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  pthread_create(&ping_thread, 0, suspender, 0);
  for (int i = 0; i < ROUNDS; i++) {
    pthread_kill(ping_thread, SIGUSR1);
    while (pings == i) sched_yield();
  }
  pthread_join(ping_thread, 0);
  printf("pings %d\n", (int)pings);
  return 0;
}
