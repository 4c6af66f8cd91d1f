// SPDX-License-Identifier: Apache-2.0
// mlock, mlockall and munlockall: what is locked (VmLck), who inherits it, what RLIMIT_MEMLOCK stops.
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "show.h"

#define PAGE 4096ul
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static long locked_kib(void) {
  char line[256];
  long kib = -1;
  FILE* f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmLck: %ld", &kib) == 1) break;
  if (f) fclose(f);
  return kib;
}

static void* map_fixed(void* at, size_t pages, int prot) {
  return mmap(at, pages * PAGE, prot, ANON | (at ? MAP_FIXED : 0), -1, 0);
}

static int resident(void* p, size_t pages) {
  unsigned char there[64];
  int n = 0;
  if (mincore(p, pages * PAGE, there) != 0) return -1;
  for (size_t i = 0; i < pages; i++) n += there[i] & 1;
  return n;
}

static void errors(void) {
  SHOW(mlockall(0));
  SHOW(mlockall(8));
  SHOW(mlockall(MCL_ONFAULT));
  SHOW(munlockall());
}

static void future(int flags) {
  SHOW(mlockall(flags));
  long before = locked_kib();
  char* p = map_fixed(0, 8, PROT_READ | PROT_WRITE);
  printf("mmap: %ld KiB, %d pages present\n", locked_kib() - before, resident(p, 8));
  p[0] = 1;
  printf("touched: %d pages present\n", resident(p, 8));
  map_fixed(p + 2 * PAGE, 2, PROT_NONE);
  printf("over it: %ld KiB\n", locked_kib() - before);
  p = mremap(p, PAGE, 16 * PAGE, MREMAP_MAYMOVE);
  printf("mremap: %ld KiB, %d pages present\n", locked_kib() - before, resident(p, 16));
  munmap(p, 16 * PAGE);
  char* heap = sbrk(0);
  CHECK(brk((char*)(((uintptr_t)heap | (PAGE - 1)) + 1 + 4 * PAGE)) == 0);
  printf("brk: %s\n", locked_kib() - before >= 16 + 28 ? "locked" : "not locked");
  int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
  long without = locked_kib();
  void* segment = shmat(id, 0, 0);
  printf("shmat: %ld KiB\n", locked_kib() - without);
  shmdt(segment);
  shmctl(id, IPC_RMID, 0);
  SHOW(munlockall());
  printf("after: %ld KiB\n", locked_kib());
  map_fixed(0, 8, PROT_READ | PROT_WRITE);
  printf("later: %ld KiB\n", locked_kib());
}

static void current_only(void) {
  SHOW(mlockall(MCL_FUTURE));
  SHOW(mlockall(MCL_CURRENT));  // and no longer MCL_FUTURE
  long before = locked_kib();
  map_fixed(0, 8, PROT_READ | PROT_WRITE);
  printf("later: %ld KiB\n", locked_kib() - before);
  SHOW(munlockall());
  printf("after: %ld KiB\n", locked_kib());
}

static void inherited(char** argv) {
  SHOW(mlockall(MCL_FUTURE));
  map_fixed(0, 8, PROT_READ | PROT_WRITE);
  fflush(stdout);
  if (fork() == 0) {
    map_fixed(0, 8, PROT_READ | PROT_WRITE);
    printf("child: %ld KiB\n", locked_kib());
    exit(0);
  }
  wait(0);
  SHOW(munlockall());
  SHOW(mlockall(MCL_FUTURE));
  fflush(stdout);
  if (vfork() == 0) {
    execl("/proc/self/exe", argv[0], "again", (char*)0);
    _exit(1);
  }
  wait(0);
  long before = locked_kib();
  map_fixed(0, 8, PROT_READ | PROT_WRITE);
  printf("still here: %ld KiB\n", locked_kib() - before);
  SHOW(munlockall());
}

static void set_limit(size_t bytes) {
  struct rlimit limit;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  limit.rlim_cur = bytes;
  CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
}

static void limits(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
  SHOW(syscall(SYS_capset, &header, none));
  SHOW(munlockall());
  set_limit(32 * PAGE);
  SHOW(mlockall(MCL_CURRENT));
  SHOW(mlockall(MCL_FUTURE));
  char* p = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0);
  SHOW(mmap(0, 64 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0));
  SHOW(mmap(0, 64 * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0));
  SHOW(mremap(p, 8 * PAGE, 64 * PAGE, MREMAP_MAYMOVE));
  SHOW(mremap(p, 8 * PAGE, 64 * PAGE, 0));
  SHOW(mmap(p, 64 * PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  p[0] = 5;  // still there
  SHOW(brk((char*)sbrk(0) + 64 * PAGE));
  SHOW(mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0));
  printf("%ld KiB\n", locked_kib());
  SHOW(munlockall());
  SHOW(mlockall(MCL_FUTURE | MCL_ONFAULT));
  SHOW(mmap(0, 64 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0));
  SHOW(mmap(0, 16 * PAGE, PROT_READ | PROT_WRITE, ANON, -1, 0));
  SHOW(munlockall());
  set_limit(0);
  SHOW(mlockall(MCL_FUTURE));
  SHOW(mlockall(MCL_CURRENT));
  SHOW(mlock(p, PAGE));
  SHOW(mmap(0, PAGE, PROT_READ, ANON | MAP_LOCKED, -1, 0));
  SHOW(munlockall());
}

int main(int argc, char** argv) {
  if (argc > 1) {
    map_fixed(0, 8, PROT_READ | PROT_WRITE);
    printf("%s: %ld KiB\n", argv[1], locked_kib());
    return 0;
  }
  errors();
  future(MCL_FUTURE);
  future(MCL_FUTURE | MCL_ONFAULT);
  current_only();
  inherited(argv);
  limits();
  return 0;
}
