// SPDX-License-Identifier: Apache-2.0
// What tests/gdb/run debugs. The first argument chooses what it does.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int global = 5;
double real = 0.5;
char text[32] = "before";
volatile int spin = 1;

__attribute__((noinline)) int add(int a, int b) {
  global += a;
  return a + b;
}

__attribute__((noinline)) double scale(double x) { return x * real; }

static void handler(int signal) {
  printf("handled %d\n", signal);
  fflush(stdout);
}

static void *worker(void *arg) {
  add(100, (int)(long)arg);
  return arg;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "plain";
  signal(SIGUSR1, handler);
  if (!strcmp(what, "threads")) {
    pthread_t t[2];
    for (long i = 0; i < 2; i++) pthread_create(&t[i], 0, worker, (void *)(i + 1));
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    return 4;
  }
  if (!strcmp(what, "signal")) {
    raise(SIGUSR1);
    return 5;
  }
  if (!strcmp(what, "crash")) {
    *(volatile int *)16 = 1;
    return 6;
  }
  if (!strcmp(what, "spin")) {
    while (spin) {
    }
    return 7;
  }
  if (!strcmp(what, "sleep")) {
    while (spin) pause();
    return 8;
  }
  if (!strcmp(what, "fork")) {
    pid_t pid = fork();
    if (pid == 0) _exit(add(3, 4));
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status) + 10;
  }
  int sum = add(1, 2);
  double d = scale(sum);
  printf("%d %.2f %s\n", sum, d, text);
  return sum;
}
