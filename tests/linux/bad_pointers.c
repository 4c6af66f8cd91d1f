// SPDX-License-Identifier: Apache-2.0
// EFAULT where Linux has it: null, unmapped, unreadable, half-mapped buffers.
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wrestrict"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "show.h"

#ifndef SYS_newfstatat
#define SYS_newfstatat SYS_fstatat64
#endif

#define PAGE 4096ul

int main(void) {
  char* half = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(half + PAGE, PAGE);
  mprotect(half + 2 * PAGE, PAGE, PROT_NONE);
  char *edge = half + PAGE - 4, *none = half + 2 * PAGE, *hole = half + PAGE;
  char *bad = (char*)8, *high = (char*)0xdead000000000000ul;
  memset(edge, 'e', 4);
  int ends[2];
  SHOW(pipe2(ends, O_NONBLOCK));
  SHOW(syscall(SYS_pipe2, bad, 0));
  SHOW(write(ends[1], bad, 4));
  SHOW(write(ends[1], high, 4));
  SHOW(write(ends[1], none, 4));
  SHOW(write(ends[1], hole, 4));
  SHOW(write(ends[1], edge, 4));
  SHOW(write(ends[1], bad, 0));
  SHOW(write(99, bad, 4));
  SHOW(read(ends[0], none, 2));
  SHOW(read(ends[0], edge, 4));
  SHOW(open(bad, O_RDONLY));
  SHOW(open(none, O_RDONLY));
  SHOW(open(edge, O_RDONLY));
  SHOW(syscall(SYS_newfstatat, AT_FDCWD, "/", bad, 0));
  SHOW(syscall(SYS_newfstatat, AT_FDCWD, "/", none, 0));
  SHOW(syscall(SYS_newfstatat, AT_FDCWD, "/", edge, 0));
  SHOW(syscall(SYS_uname, none));
  SHOW(syscall(SYS_clock_gettime, CLOCK_REALTIME, none));
  SHOW(syscall(SYS_clock_gettime, 12345, edge));
  SHOW(syscall(SYS_nanosleep, none, 0));
  SHOW(syscall(SYS_gettimeofday, none, 0));
  SHOW(syscall(SYS_getcwd, none, 100));
  SHOW(syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", none, 100));
  SHOW(syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", half, 0));
  struct iovec parts[2] = {{"ab", 2}, {bad, 2}};
  SHOW(writev(ends[1], parts, 2));
  SHOW(read(ends[0], half, 100));
  SHOW(writev(ends[1], (struct iovec*)bad, 2));
  SHOW(writev(ends[1], parts, 2000));
  SHOW(poll((struct pollfd*)bad, 1, 0));
  SHOW(poll((struct pollfd*)bad, 0, 0));
  int ep = epoll_create1(0);
  struct epoll_event event = {EPOLLIN, {.u64 = 0x123456789abcdef}};
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], (struct epoll_event*)bad));
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, ends[0], &event));
  SHOW(epoll_wait(ep, (struct epoll_event*)none, 4, 0));
  SHOW(write(ends[1], "z", 1));
  SHOW(epoll_wait(ep, (struct epoll_event*)none, 4, 0));
  struct epoll_event got = {0};
  SHOW(epoll_wait(ep, &got, 1, 0));
  printf("%llx\n", (unsigned long long)got.data.u64);
  SHOW(epoll_wait(ep, &got, 0, 0));
  SHOW(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)bad, 10));
  SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr*)bad, 10));
  SHOW(sendmsg(socket(AF_INET, SOCK_DGRAM, 0), (struct msghdr*)none, 0));
  SHOW(getsockopt(socket(AF_INET, SOCK_DGRAM, 0), SOL_SOCKET, SO_TYPE, bad, (socklen_t*)bad));
  SHOW(setsockopt(socket(AF_INET, SOCK_DGRAM, 0), SOL_SOCKET, SO_REUSEADDR, bad, 4));
  SHOW(syscall(SYS_getrandom, none, 8, 0));
  SHOW(setitimer(ITIMER_REAL, (struct itimerval*)none, 0));
  SHOW(syscall(SYS_statfs, "/", none));
  SHOW(syscall(9999));
  return 0;
}
