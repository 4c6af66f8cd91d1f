// SPDX-License-Identifier: Apache-2.0
// What old programs of x86 do: SYSENTER, readdir(2), data that is executed (READ_IMPLIES_EXEC), the vsyscall page.
#include "show.h"

#if defined(__x86_64__) || defined(__i386__)

#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "proc_maps.h"

// --- data as code

static sigjmp_buf back;
static void on_fault(int signal) { siglongjmp(back, signal); }

static void run_data(const char* what, void* at) {
  *(unsigned char*)at = 0xc3;  // ret
  rights_of(what, at);
  const int fault = sigsetjmp(back, 1);
  if (!fault) ((void (*)(void))at)();
  printf("%s %s\n", what, fault ? strsignal(fault) : "ran");
}

static void* data_page(int prot) { return mmap(0, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void executed_data(void) {
  void* const before = data_page(PROT_READ | PROT_WRITE);
  run_data("plain", before);
  const int old = personality(0xffffffff);
  SHOW(personality((unsigned)old | READ_IMPLIES_EXEC) == old);
  SHOW((personality(0xffffffff) & READ_IMPLIES_EXEC) != 0);
  run_data("mapped before", before);
  run_data("mapped after", data_page(PROT_READ | PROT_WRITE));
  void* const none = data_page(PROT_NONE);
  rights_of("none", none);
  mprotect(none, 4096, PROT_READ | PROT_WRITE);
  run_data("protected", none);
  void* const top = sbrk(8192);
  rights_of("heap", (char*)top + 4096);
  SHOW(personality((unsigned)old) == (old | READ_IMPLIES_EXEC));
  run_data("plain again", data_page(PROT_READ | PROT_WRITE));
}

// --- programs that do not say what their stack needs

static void copy_without_stack_header(const char* to) {
  int fd = open("/proc/self/exe", O_RDONLY);
  struct stat st;
  fstat(fd, &st);
  char* image = mmap(0, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
#if defined(__x86_64__)
  const Elf64_Ehdr* header = (Elf64_Ehdr*)image;
  Elf64_Phdr* p = (Elf64_Phdr*)(image + header->e_phoff);
#else
  const Elf32_Ehdr* header = (Elf32_Ehdr*)image;
  Elf32_Phdr* p = (Elf32_Phdr*)(image + header->e_phoff);
#endif
  for (int i = 0; i < header->e_phnum; i++)
    if (p[i].p_type == PT_GNU_STACK) p[i].p_type = PT_NULL;
  int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  CHECK(write(out, image, st.st_size) == st.st_size);
  close(out);
  close(fd);
}

static void old_program(void) {
  char name[64];
  snprintf(name, sizeof name, "/tmp/lyrebird-old-%d", getpid());
  copy_without_stack_header(name);
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    execl(name, name, "old", (char*)0);
    _exit(99);
  }
  int status;
  waitpid(child, &status, 0);
  printf("ended %#x\n", status);
  unlink(name);
}

static void as_old_program(void) {
  int local = 0;
  rights_of("stack of an old program", &local);
  run_data("data of an old program", data_page(PROT_READ | PROT_WRITE));
  printf("%d\n", (personality(0xffffffff) & READ_IMPLIES_EXEC) != 0);
}

#if defined(__i386__)

// --- readdir

static int compare_names(const void* a, const void* b) { return strcmp(a, b); }

static void old_readdir(void) {
  char dir[64], names[8][32];
  snprintf(dir, sizeof dir, "/tmp/lyrebird-readdir-%d", getpid());
  SHOW(mkdir(dir, 0700));
  CHECK(chdir(dir) == 0);
  for (const char* name = "a\0bc\0a-longer-name\0"; *name; name += strlen(name) + 1) close(creat(name, 0600));
  int fd = open(".", O_RDONLY | O_DIRECTORY);
  struct {
    unsigned long inode, offset;
    unsigned short length;
    char name[256];
  } entry;
  long count = 0, got;
  struct stat st;
  while ((got = syscall(SYS_readdir, fd, &entry, 1)) == 1 && count < 8) {
    snprintf(names[count++], sizeof names[0], "%.20s %d %d", entry.name, entry.length, entry.inode != 0);
    if (entry.name[0] != '.') CHECK(stat(entry.name, &st) == 0 && unlink(entry.name) == 0);
  }
  qsort(names, count, sizeof names[0], compare_names);
  for (long i = 0; i < count; i++) puts(names[i]);
  SHOW(got);
  SHOW(syscall(SYS_readdir, fd, 16, 1));  // at the end nothing is written
  lseek(fd, 0, SEEK_SET);
  SHOW(syscall(SYS_readdir, fd, 16, 1));
  SHOW(syscall(SYS_readdir, 0x7fff, &entry, 1));
  SHOW(syscall(SYS_readdir, open("/dev/null", O_RDONLY), &entry, 1));
  CHECK(chdir("/") == 0 && rmdir(dir) == 0);
}

// --- SYSENTER, which AMD's processors do not have under a 64-bit kernel: INT 0x80 there

__attribute__((naked, used)) static void by_sysenter(void) {
  __asm__("push %ecx; push %edx; push %ebp; mov %esp, %ebp; sysenter; hlt");
}
__attribute__((naked, used)) static void by_interrupt(void) { __asm__("int $0x80; ret"); }

static void (*way)(void) = by_interrupt;

static long call(long number, long a, long b, long c, long d, long e, long f) {
  const long args[] = {a, b, c, d, e, f};
  long result = number;
  __asm__ volatile(
      "push %%ebp; push %%ebx; mov %[way], %%ebp; push %%ebp\n\t"
      "mov (%%esi), %%ebx; mov 4(%%esi), %%ecx; mov 8(%%esi), %%edx; mov 16(%%esi), %%edi\n\t"
      "mov 20(%%esi), %%ebp; mov 12(%%esi), %%esi\n\t"
      "call *(%%esp); add $4, %%esp; pop %%ebx; pop %%ebp"
      : "+a"(result)
      : "S"(args), [way] "m"(way)
      : "ecx", "edx", "edi", "memory");
  return result;
}

static void restart(int signal) { (void)signal; }

static void sysenter(void) {
  unsigned a = 0, b, c = 0, d;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if (b != 0x68747541) way = by_sysenter;  // Auth
  SHOW(call(SYS_getpid, 0, 0, 0, 0, 0, 0) == getpid());
  CHECK(call(SYS_write, 1, (long)"by the other way\n", 17, 0, 0, 0) == 17);
  SHOW(call(SYS_close, 0x7fff, 0, 0, 0, 0, 0));
  // Six arguments: the second page of this file.
  int fd = open("/proc/self/exe", O_RDONLY);
  char page[16];
  const long at = call(SYS_mmap2, 0, 4096, PROT_READ, MAP_PRIVATE, fd, 1);
  CHECK(pread(fd, page, 16, 4096) == 16);
  SHOW(memcmp((void*)at, page, 16));
  // Interrupted and started again.
  struct sigaction action = {.sa_handler = restart, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, 0);
  int ends[2];
  CHECK(pipe(ends) == 0);
  if (fork() == 0) {
    usleep(200000);
    CHECK(write(ends[1], "x", 1) == 1);
    _exit(0);
  }
  ualarm(50000, 0);
  SHOW(call(SYS_read, ends[0], (long)page, 1, 0, 0, 0));
  action.sa_flags = 0;
  sigaction(SIGALRM, &action, 0);
  ualarm(50000, 0);
  SHOW(call(SYS_read, ends[0], (long)page, 1, 0, 0, 0));
  wait(0);
}

#endif

int main(int argc, char** argv) {
  signal(SIGSEGV, on_fault);
  if (argc > 1) {
    as_old_program();
    return 0;
  }
  executed_data();
  old_program();
#if defined(__i386__)
  old_readdir();
  sysenter();
#else
  slurp("/proc/self/maps");
  const char* const line = strstr(text, "[vsyscall]");
  printf("%d\n", line != 0);
#endif
  return 0;
}

#else
int main(void) { return 0; }
#endif
