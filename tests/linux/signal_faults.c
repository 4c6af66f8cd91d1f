// SPDX-License-Identifier: Apache-2.0
// Synchronous signals: si_code and si_addr, handlers that repair the cause and return, nested
// faults, longjmp out of a handler, and death when the signal is blocked or ignored.
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "test.h"

static char* page;
static volatile int count;
static sigjmp_buf out;

static void describe(const char* what, int signal, siginfo_t* info, char* base) {
  printf("%s: %d code %d at +%ld\n", what, signal, info->si_code, (long)((char*)info->si_addr - base));
}

static void repair(int signal, siginfo_t* info, void* context) {
  (void)context;
  describe("repair", signal, info, page);
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
  count++;
}

static void escape(int signal, siginfo_t* info, void* context) {
  (void)context;
  describe("escape", signal, info, page);
  siglongjmp(out, 1);
}

static void nested(int signal, siginfo_t* info, void* context) {
  (void)context;
  describe("nested", signal, info, page);
  if (count++ == 0) {
    page[8192 + 7] = 1;  // faults again, inside the handler
    printf("back in the first\n");
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
  } else {
    mprotect(page + 8192, 4096, PROT_READ | PROT_WRITE);
  }
}

static void catch_with(void (*handler)(int, siginfo_t*, void*), int flags) {
  raw_sigaction(SIGSEGV, (void*)handler, SA_SIGINFO | flags, 0);
  raw_sigaction(SIGBUS, (void*)handler, SA_SIGINFO | flags, 0);
}

static void die_with(const char* what, int blocked, int ignored) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    catch_with(repair, 0);
    if (ignored) raw_sigaction(SIGSEGV, (void*)SIG_IGN, 0, 0);
    if (blocked) raw_sigmask(SIG_BLOCK, bit_of(SIGSEGV), 0);
    *(volatile int*)8 = 1;
    _exit(9);
  }
  int status;
  waitpid(pid, &status, 0);
  printf("%s: signaled %d by %d\n", what, WIFSIGNALED(status), WTERMSIG(status));
}

int main(void) {
  page = mmap(0, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(page + 4096, 4096);
  catch_with(repair, 0);
  page[5] = 42;
  printf("repaired: %d, %d\n", page[5], count);
  mprotect(page, 4096, PROT_READ);
  page[6] = 43;
  printf("repaired: %d, %d\n", page[6], count);

  catch_with(escape, 0);
  if (!sigsetjmp(out, 1)) page[4096] = 1;
  if (!sigsetjmp(out, 1)) (void)*(volatile char*)(page + 4096 + 77);
  // Eight bytes over the end of the last good page: the address is the bad page's first byte.
  if (!sigsetjmp(out, 1)) (void)*(volatile uint64_t*)(page + 4096 - 4);

  char name[] = "/tmp/lyrebird-faults-XXXXXX";
  int fd = mkstemp(name);
  unlink(name);
  page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (!sigsetjmp(out, 1)) page[4096 + 3] = 1;

  page = mmap(0, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  count = 0;
  catch_with(nested, SA_NODEFER);
  page[3] = 1;
  printf("both: %d %d\n", page[3], page[8192 + 7]);

  // Jumping to nowhere, and to memory that is not executable.
  catch_with(escape, 0);
  page = 0;
  if (!sigsetjmp(out, 1)) ((void (*)(void))(uintptr_t)0x1000)();
  page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (!sigsetjmp(out, 1)) ((void (*)(void))(uintptr_t)page)();

  die_with("blocked", 1, 0);
  die_with("ignored", 0, 1);
  raw_sigaction(SIGSEGV, (void*)SIG_DFL, 0, 0);
  // Sent by somebody, a blocked SIGSEGV waits like any other.
  catch_with(escape, 0);
  page = 0;
  raw_sigmask(SIG_BLOCK, bit_of(SIGSEGV), 0);
  tgkill_self(SIGSEGV);
  uint64_t pending = 0;
  syscall(SYS_rt_sigpending, &pending, 8);
  printf("pending: %d\n", pending == bit_of(SIGSEGV));
  struct timespec zero = {0, 0};
  siginfo_t info;
  uint64_t set = bit_of(SIGSEGV);
  printf("taken: %ld\n", syscall(SYS_rt_sigtimedwait, &set, &info, &zero, 8));
  return 0;
}
