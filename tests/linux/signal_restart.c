// SPDX-License-Identifier: Apache-2.0
// What a system call does when a signal interrupts it: with SA_RESTART, without, and the calls
// that never restart.
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "test.h"

static volatile int handled;
static int pipe_fds[2];

static void handler(int signal) {
  (void)signal;
  handled++;
}
// The second alarm also feeds the reader.
static void feeding(int signal) {
  (void)signal;
  if (++handled == 2) CHECK(write(pipe_fds[1], "x", 1) == 1);
}

static void alarms(long first_us, long interval_us) {
  struct itimerval t = {{0, interval_us}, {0, first_us}};
  setitimer(ITIMER_REAL, &t, 0);
}

static void report(const char* what, long result) {
  int error = errno;
  alarms(0, 0);
  printf("%s: %ld %s handled %d\n", what, result, result < 0 ? strerror(error) : "-", handled > 0);
  handled = 0;
}

int main(void) {
  char c;
  CHECK(pipe(pipe_fds) == 0);
  raw_sigaction(SIGALRM, (void*)feeding, SA_RESTART, 0);
  alarms(20000, 20000);
  report("read with restart", read(pipe_fds[0], &c, 1));
  raw_sigaction(SIGALRM, (void*)handler, 0, 0);
  alarms(20000, 20000);
  report("read", read(pipe_fds[0], &c, 1));

  for (int restart = 0; restart < 2; restart++) {
    raw_sigaction(SIGALRM, (void*)handler, restart ? SA_RESTART : 0, 0);
    printf("restart %d\n", restart);
    struct timespec second = {5, 0}, left = {0, 0};
    alarms(20000, 20000);
    report("nanosleep", nanosleep(&second, &left));
    printf("left: %d\n", left.tv_sec == 4);
    alarms(20000, 20000);
    errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &second, &left);
    report("clock_nanosleep", errno ? -1 : 0);
    struct pollfd p = {pipe_fds[0], POLLIN, 0};
    alarms(20000, 20000);
    report("poll", poll(&p, 1, 5000));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(pipe_fds[0], &set);
    struct timeval tv = {5, 0};
    alarms(20000, 20000);
    report("select", select(pipe_fds[0] + 1, &set, 0, 0, &tv));
    int ep = epoll_create1(0);
    struct epoll_event event;
    alarms(20000, 20000);
    report("epoll_wait", epoll_wait(ep, &event, 1, 5000));
    close(ep);
    uint64_t none = 0;
    alarms(20000, 20000);
    report("sigsuspend", syscall(SYS_rt_sigsuspend, &none, 8));
    alarms(20000, 20000);
    report("pause", pause());
    uint64_t usr1 = bit_of(SIGUSR1);
    raw_sigmask(SIG_BLOCK, usr1, 0);
    alarms(20000, 20000);
    report("sigtimedwait", syscall(SYS_rt_sigtimedwait, &usr1, (void*)0, &second, 8));
    raw_sigmask(SIG_UNBLOCK, usr1, 0);
    int word = 0;
    alarms(20000, 20000);
    report("futex with timeout", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &second, 0, 0));
    pid_t pid = fork();
    if (pid == 0) {
      usleep(100000);
      _exit(5);
    }
    int status = 0;
    alarms(20000, 20000);
    long r = waitpid(pid, &status, 0);
    report("waitpid", r == pid ? 1 : r);
    if (r != pid) waitpid(pid, &status, 0);
    printf("status %d\n", WEXITSTATUS(status));
  }

  // ppoll's mask lets a blocked signal in; the handler runs under it; then the old mask is back.
  raw_sigaction(SIGALRM, (void*)handler, 0, 0);
  raw_sigmask(SIG_BLOCK, bit_of(SIGALRM), 0);
  kill(getpid(), SIGALRM);
  uint64_t empty = 0, now = 0;
  struct timespec second = {5, 0};
  report("ppoll", syscall(SYS_ppoll, (void*)0, 0, &second, &empty, 8));
  raw_sigmask(SIG_BLOCK, 0, &now);
  printf("mask back: %d\n", now == bit_of(SIGALRM));
  return 0;
}
