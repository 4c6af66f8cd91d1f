// SPDX-License-Identifier: Apache-2.0
// launch -f FD [-r ROOT] [-d DIR] PROGRAM FILE [ARGUMENT...]: runs FILE as PROGRAM (its argv[0]), in ROOT
// if given, and writes to descriptor FD: wall, user and system seconds, the largest resident set in KiB
// and the wait status. It is small, so that the resident set is not that of whoever started it.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  const char *root = NULL, *dir = NULL;
  int i = 1, report = 3;
  for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
    if (strcmp(argv[i], "-f") == 0) report = atoi(argv[i + 1]);
    if (strcmp(argv[i], "-r") == 0) root = argv[i + 1];
    if (strcmp(argv[i], "-d") == 0) dir = argv[i + 1];
  }
  if (argc - i < 2) return 2;
  fcntl(report, F_SETFD, FD_CLOEXEC);
  const double start = now();
  const pid_t child = fork();
  if (child == 0) {
    if (root && chroot(root) != 0) _exit(125);
    if (dir && chdir(dir) != 0) _exit(125);
    char* const file = argv[i + 1];
    argv[i + 1] = argv[i];
    execv(file, argv + i + 1);
    _exit(124);
  }
  int status = 0;
  struct rusage usage;
  if (child < 0 || wait4(child, &status, 0, &usage) != child) return 1;
  dprintf(report, "%.6f %ld.%06ld %ld.%06ld %ld %d\n", now() - start, (long)usage.ru_utime.tv_sec,
          (long)usage.ru_utime.tv_usec, (long)usage.ru_stime.tv_sec, (long)usage.ru_stime.tv_usec,
          usage.ru_maxrss, status);
  return 0;
}
