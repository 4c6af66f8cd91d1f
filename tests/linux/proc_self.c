// SPDX-License-Identifier: Apache-2.0
// /proc shows the guest: its program, arguments, mappings, auxiliary vector; the vDSO works.
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>

#include "proc_maps.h"
#include "show.h"

int main(int argc, char** argv) {
  char exe[4096] = "", pid_exe[4096] = "", path[64];
  SHOW(readlink("/proc/self/exe", exe, sizeof exe) > 0);
  snprintf(path, sizeof path, "/proc/%d/exe", getpid());
  SHOW(readlink(path, pid_exe, sizeof pid_exe) > 0);
  printf("%d %.9s\n", strcmp(exe, pid_exe), basename(exe));
  int fd = open("/proc/self/exe", O_RDONLY);
  SHOW(read(fd, text, 4));
  printf("%.3s\n", text + 1);

  const ssize_t n = slurp("/proc/self/cmdline");
  CHECK(n == (ssize_t)strlen(argv[0]) + 1 && !strcmp(text, argv[0]) && argc == 1);
  slurp("/proc/self/comm");
  printf("%.9s\n", text);
  SHOW(prctl(PR_SET_NAME, "renamed"));
  slurp("/proc/self/comm");
  printf("%s", text);
  slurp("/proc/thread-self/status");
  printf("%.13s\n", text);
  slurp("/proc/self/stat");
  printf("%d %.9s\n", atoi(text) == getpid(), strchr(text, ' ') + 1);

  slurp("/proc/self/auxv");
  ElfW(auxv_t)* aux = (void*)text;
  for (; aux->a_type != AT_NULL; ++aux)
    if (aux->a_type == AT_PHDR || aux->a_type == AT_ENTRY || aux->a_type == AT_RANDOM ||
        aux->a_type == AT_EXECFN)
      CHECK(aux->a_un.a_val == getauxval(aux->a_type));
  printf("page %lu clock %lu secure %lu\n", getauxval(AT_PAGESZ), getauxval(AT_CLKTCK), getauxval(AT_SECURE));
  CHECK(getauxval(AT_UID) == getuid() && getauxval(AT_EGID) == getegid());
  CHECK(getauxval(AT_RANDOM) && getauxval(AT_SYSINFO_EHDR) && getauxval(AT_PLATFORM));
  CHECK(strcmp((char*)getauxval(AT_EXECFN), argv[0]) == 0);

  static int data;
  int local;
  rights_of("code", (void*)main);
  rights_of("data", &data);
  rights_of("stack", &local);
  void* p = mmap(0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  rights_of("shared", p);
  munmap(p, 4096);
  rights_of("gone", p);
  rights_of("null", 0);

  struct timespec a, b;
  struct timeval c;
  clock_gettime(CLOCK_REALTIME, &a);
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &b);
  gettimeofday(&c, 0);
  CHECK(b.tv_sec - a.tv_sec <= 1 && c.tv_sec - a.tv_sec <= 1 && c.tv_sec >= a.tv_sec);
  SHOW(open("/proc/self/none", O_RDONLY));
  fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  SHOW(fcntl(fd, F_GETFD));
  SHOW(readlink("/proc/self/none", exe, 10));
  SHOW(readlink("/proc/self/cwd", exe, sizeof exe) > 0);
  return 0;
}
