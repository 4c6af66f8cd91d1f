// SPDX-License-Identifier: Apache-2.0
// mmap, munmap, mprotect, mremap, madvise, mincore, brk: results, errors, contents.
#include <fcntl.h>
#include <sys/mman.h>

#include "show.h"

#define PAGE 4096ul
// Beyond what any program can map.
#define FAR (sizeof(void*) == 8 ? 1ul << 50 : 0xfffff000ul)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char* map(size_t pages, int prot) { return mmap(0, pages * PAGE, prot, ANON, -1, 0); }

static void errors(void) {
  char* p = map(4, PROT_READ | PROT_WRITE);
  SHOW(mmap(0, 0, PROT_READ, ANON, -1, 0));
  SHOW(mmap(p + 1, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  SHOW(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, -1, 0));
  SHOW(mmap(0, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0));
  SHOW(mmap(0, PAGE, PROT_READ, MAP_PRIVATE, 0, 1));
  SHOW(mmap(0, 1ul << 50, PROT_READ, ANON, -1, 0));
  SHOW(mmap(p, PAGE, PROT_READ, ANON | MAP_FIXED_NOREPLACE, -1, 0));
  SHOW(mmap((void*)FAR, PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0));
  SHOW(munmap(p + 1, PAGE));
  SHOW(munmap(p, 0));
  SHOW(munmap((void*)FAR, PAGE));
  SHOW(mprotect(p + 1, PAGE, PROT_READ));
  SHOW(mprotect(p, 0, PROT_READ));
  SHOW(mprotect(p, PAGE, 0x4000000));
  SHOW(munmap(p + PAGE, PAGE));
  SHOW(mprotect(p, 3 * PAGE, PROT_READ));
  SHOW(msync(p, 3 * PAGE, MS_SYNC));
  SHOW(msync(p, PAGE, MS_SYNC | MS_ASYNC));
  SHOW(madvise(p, 3 * PAGE, MADV_DONTNEED));
  SHOW(madvise(p, PAGE, 12345));
  SHOW(madvise(p + 1, PAGE, MADV_NORMAL));
  unsigned char vec[8];
  SHOW(mincore(p, 3 * PAGE, vec));
  SHOW(mincore(p + 1, PAGE, vec));
  SHOW(mincore(p, PAGE, (void*)8));
  SHOW(mlock(p, PAGE));
  SHOW(munlock(p, PAGE));
  SHOW(mlock(p, 3 * PAGE));
  SHOW(mremap(p + 1, PAGE, PAGE, 0));
  SHOW(mremap(p, PAGE, 0, 0));
  SHOW(mremap(p, PAGE, PAGE, MREMAP_FIXED, p));
  SHOW(mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
  SHOW(mremap(p + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
  SHOW(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1));
  SHOW(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE));
}

static void contents(void) {
  char* p = map(3, PROT_READ | PROT_WRITE);
  memset(p, 'x', 3 * PAGE);
  CHECK(mmap(p + PAGE, PAGE, PROT_READ | PROT_WRITE, ANON | MAP_FIXED, -1, 0) == p + PAGE);
  printf("%d %d %d\n", p[0], p[PAGE], p[2 * PAGE]);
  char* q = mremap(p, 3 * PAGE, 100 * PAGE, MREMAP_MAYMOVE);
  CHECK(q != MAP_FAILED);
  printf("%d %d %d %d\n", q[0], q[PAGE], q[2 * PAGE], q[50 * PAGE]);
  q = mremap(q, 100 * PAGE, PAGE, 0);
  printf("%d\n", q[0]);
  SHOW(msync(q + PAGE, PAGE, MS_SYNC));
  SHOW(madvise(q, PAGE, MADV_DONTNEED));
  printf("%d\n", q[0]);
  q[0] = 7;
  char* r = mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
  if (r != MAP_FAILED) printf("%d %d\n", r[0], q[0]);
}

static void files(void) {
  char name[] = "/tmp/memory_map.XXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  CHECK(ftruncate(fd, 2 * PAGE) == 0);
  char* a = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char* b = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
  char* c = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGE);
  strcpy(a + PAGE, "shared");
  printf("%s %s\n", b, c);
  strcpy(c, "private");
  printf("%s %s\n", b, c);
  char text[8] = "";
  CHECK(pread(fd, text, 7, PAGE) == 7);
  printf("%s\n", text);
  SHOW(msync(a, 2 * PAGE, MS_SYNC));
  SHOW(mprotect(b, PAGE, PROT_READ | PROT_WRITE));
  int ro = open("/proc/self/exe", O_RDONLY);
  SHOW(mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
  char* image = mmap(0, PAGE, PROT_READ, MAP_SHARED, ro, 0);
  printf("%.3s\n", image + 1);
  SHOW(mprotect(image, PAGE, PROT_WRITE));
  SHOW(mmap(0, PAGE, PROT_READ, MAP_SHARED, 99, 0));
}

static void heap(void) {
  char* start = sbrk(0);
  CHECK(sbrk(3 * PAGE) == start);
  memset(start, 1, 3 * PAGE);
  CHECK(brk(start) == 0 && sbrk(0) == start);
  CHECK(sbrk(3 * PAGE) == start);
  printf("%d %d\n", start[PAGE], start[2 * PAGE]);
  SHOW(brk((void*)FAR));
}

int main(void) {
  errors();
  contents();
  files();
  heap();
  return 0;
}
