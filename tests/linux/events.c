// SPDX-License-Identifier: Apache-2.0
// Waiting: poll, select, epoll, eventfd, timerfd, signalfd, inotify, pidfd; timers and clocks.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "show.h"

static long elapsed_ms(struct timespec from) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000;
}

static void polls(void) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  struct pollfd fds[3] = {{ends[0], POLLIN, 0}, {ends[1], POLLOUT, 0}, {99, POLLIN, 0}};
  SHOW(poll(fds, 3, 0));
  printf("%x %x %x\n", fds[0].revents, fds[1].revents, fds[2].revents);
  CHECK(write(ends[1], "x", 1) == 1);
  SHOW(poll(fds, 1, 1000));
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(ends[0], &in);
  FD_SET(ends[1], &out);
  struct timeval wait = {5, 0};
  SHOW(select(ends[1] + 1, &in, &out, 0, &wait));
  printf("%d %d %d\n", FD_ISSET(ends[0], &in), FD_ISSET(ends[1], &out), FD_ISSET(0, &in));
  SHOW(select(-1, 0, 0, 0, 0));
  struct timespec start, none = {0, 20000000};
  clock_gettime(CLOCK_MONOTONIC, &start);
  SHOW(ppoll(0, 0, &none, 0));
  CHECK(elapsed_ms(start) >= 20);
  close(ends[1]);
  CHECK(read(ends[0], &ends[1], 1) == 1);
  SHOW(poll(fds, 1, 0));
  printf("%x\n", fds[0].revents);
}

static void epolls(void) {
  int ep = epoll_create1(EPOLL_CLOEXEC), event = eventfd(3, EFD_NONBLOCK);
  struct epoll_event e = {EPOLLIN | EPOLLET, {.u64 = 0x1122334455667788}}, got[4] = {0};
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, event, &e));
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, event, &e));
  SHOW(epoll_wait(ep, got, 4, 0));
  printf("%x %llx\n", got[0].events, (unsigned long long)got[0].data.u64);
  SHOW(epoll_wait(ep, got, 4, 0));
  uint64_t value = 0;
  SHOW(read(event, &value, 8));
  SHOW(value);
  SHOW(read(event, &value, 8));
  value = 5;
  SHOW(write(event, &value, 8));
  SHOW(epoll_wait(ep, got, 4, -1));
  e.events = EPOLLOUT;
  SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, event, &e));
  SHOW(epoll_pwait(ep, got, 4, 0, 0));
  printf("%x\n", got[0].events);
  SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, event, 0));
  SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, event, 0));
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
}

static void timers(void) {
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct itimerspec value = {{0, 5000000}, {0, 10000000}}, left;
  SHOW(timerfd_settime(fd, 0, &value, 0));
  SHOW(timerfd_gettime(fd, &left));
  printf("%ld %ld\n", (long)left.it_interval.tv_nsec, (long)left.it_value.tv_sec);
  struct pollfd wait = {fd, POLLIN, 0};
  SHOW(poll(&wait, 1, 1000));
  uint64_t ticks = 0;
  SHOW(read(fd, &ticks, 8));
  CHECK(ticks >= 1);
  SHOW(timerfd_create(12345, 0));

  struct timespec start, rest = {9, 9}, nap = {0, 30000000};
  clock_gettime(CLOCK_MONOTONIC, &start);
  SHOW(nanosleep(&nap, &rest));
  CHECK(elapsed_ms(start) >= 30);
  start.tv_sec += 0;
  start.tv_nsec += 60000000;
  if (start.tv_nsec >= 1000000000) start.tv_nsec -= 1000000000, ++start.tv_sec;
  SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, 0));
  nap.tv_nsec = 2000000000;
  SHOW(nanosleep(&nap, 0));
  struct timespec resolution;
  SHOW(clock_getres(CLOCK_MONOTONIC, &resolution));
  SHOW(resolution.tv_nsec);
  SHOW(clock_gettime(77, &resolution));

  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &set, 0);
  timer_t timer;
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3, .sigev_value.sival_int = 42};
  SHOW(timer_create(CLOCK_MONOTONIC, &event, &timer));
  struct itimerspec once = {{0, 0}, {0, 1000000}};
  SHOW(timer_settime(timer, 0, &once, 0));
  siginfo_t info;
  SHOW(sigwaitinfo(&set, &info) == SIGRTMIN + 3);
  printf("code %d value %d overrun %d\n", info.si_code, info.si_value.sival_int, info.si_overrun);
  SHOW(timer_getoverrun(timer));
  SHOW(timer_delete(timer));
  SHOW(timer_delete(timer));
  struct itimerval real = {{0, 0}, {100, 0}}, old;
  SHOW(setitimer(ITIMER_REAL, &real, 0));
  real.it_value.tv_sec = 0;
  SHOW(setitimer(ITIMER_REAL, &real, &old));
  printf("%d\n", old.it_value.tv_sec == 99 || old.it_value.tv_sec == 100);
}

static void signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  struct signalfd_siginfo info;
  SHOW(read(fd, &info, sizeof info));
  union sigval value = {.sival_int = 7};
  SHOW(sigqueue(getpid(), SIGUSR1, value));
  SHOW(read(fd, &info, sizeof info));
  printf("signal %d code %d value %d\n", info.ssi_signo, info.ssi_code, info.ssi_int);
}

static void watches(void) {
  char name[] = "/tmp/events.XXXXXX", file[64];
  CHECK(mkdtemp(name));
  snprintf(file, sizeof file, "%s/f", name);
  int fd = inotify_init1(IN_NONBLOCK);
  SHOW(inotify_add_watch(fd, name, IN_CREATE | IN_DELETE | IN_CLOSE_WRITE));
  close(creat(file, 0600));
  unlink(file);
  char buffer[1024] __attribute__((aligned(8)));
  const ssize_t n = read(fd, buffer, sizeof buffer);
  for (ssize_t at = 0; at < n;) {
    const struct inotify_event* event = (void*)(buffer + at);
    printf("%x %s\n", event->mask, event->name);
    at += sizeof *event + event->len;
  }
  SHOW(inotify_rm_watch(fd, 1));
  SHOW(inotify_rm_watch(fd, 1));
  SHOW(inotify_add_watch(fd, "/none/none", IN_CREATE));
  rmdir(name);

  const pid_t child = fork();
  if (child == 0) _exit(3);
  int pidfd = syscall(SYS_pidfd_open, child, 0);
  struct pollfd wait = {pidfd, POLLIN, 0};
  SHOW(poll(&wait, 1, 5000));
  siginfo_t info;
  SHOW(waitid(P_PIDFD, pidfd, &info, WEXITED));
  printf("%d %d\n", info.si_code, info.si_status);
}

int main(void) {
  polls();
  epolls();
  timers();
  signals();
  watches();
  return 0;
}
