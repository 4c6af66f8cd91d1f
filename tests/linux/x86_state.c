// SPDX-License-Identifier: Apache-2.0
// What only x86 has: faults with their trap numbers and error codes, the vector state in a signal frame,
// the red zone, segment bases and descriptors. On other machines there is nothing to show.
#include "show.h"

#if defined(__x86_64__) || defined(__i386__)

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <emmintrin.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#if defined(__x86_64__)
#define PC gregs[REG_RIP]
#else
#define PC gregs[REG_EIP]
#endif
#define TRAP gregs[REG_TRAPNO]
#define ERR gregs[REG_ERR]

static sigjmp_buf back;
static uintptr_t start, page;

static const char* place(uintptr_t at, char* text) {
  if (at == 0)
    strcpy(text, "0");
  else if (at - page < 8192)
    sprintf(text, "page+%#lx", (unsigned long)(at - page));
  else if (at - start < 64)
    sprintf(text, "code+%lu", (unsigned long)(at - start));
  else
    sprintf(text, "%#lx", (unsigned long)at);
  return text;
}

static void on_fault(int signal, siginfo_t* info, void* context) {
  const ucontext_t* u = context;
  char address[32], pc[32];
  printf("  signal %d code %d addr %s pc %s trap %d err %#x\n", signal, info->si_code,
         place((uintptr_t)info->si_addr, address), place((uintptr_t)u->uc_mcontext.PC, pc),
         (int)u->uc_mcontext.TRAP, (unsigned)u->uc_mcontext.ERR);
  siglongjmp(back, 1);
}

// The code to try: a label before it, so that pc is shown as a distance.
#define TRY(what, text, ...)                                                                          \
  do {                                                                                                \
    puts(what);                                                                                       \
    if (!sigsetjmp(back, 1)) {                                                                        \
      uintptr_t here;                                                                                 \
      __asm__ volatile("call 1f\n1: pop %0\n\tadd $2f-1b, %0\n\tmov %0, %1\n2: " text                  \
                       : "=&r"(here), "=m"(start)                                                     \
                       : __VA_ARGS__                                                                  \
                       : "memory", "cc", "eax", "ecx", "edx", "xmm0", "xmm1");                        \
    }                                                                                                 \
  } while (0)

static void faults(void) {
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (unsigned i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
  char* p = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(p + 4096, 4096);
  (void)*(volatile char*)p;  // the error code tells whether it is there already
  page = (uintptr_t)p;
  TRY("write to a read-only page", "movb $1, 16(%2)", "r"(p));
  TRY("read of no page", "movb 4096(%2), %%al", "r"(p));
  TRY("division by zero", "mov $1, %%eax\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n\tdiv %%ecx", "r"(p));
  TRY("quotient too large", "mov $1, %%eax\n\tmov $1, %%ecx\n\tmov $1, %%edx\n\tdiv %%ecx", "r"(p));
  TRY("ud2", "ud2", "r"(p));
  TRY("int3", "int3", "r"(p));
  TRY("int $3", ".byte 0xcd, 3", "r"(p));
  TRY("int $0x81", "int $0x81", "r"(p));
  TRY("hlt", "hlt", "r"(p));
  TRY("in", "in $0x80, %%al", "r"(p));
  TRY("misaligned movaps", "movaps 1(%2), %%xmm0", "r"(p));
  TRY("bad selector", "mov %w2, %%es", "r"(0x7f));
#if defined(__x86_64__)
  TRY("address that is not canonical", "movb (%2), %%al", "r"(0x8000000000000000ul));
  TRY("address of the kernel", "movb (%2), %%al", "r"(0xffff800000000000ul));
#else
  TRY("into", "mov $0x7fffffff, %%eax\n\tadd $1, %%eax\n\tinto", "r"(p));
  TRY("bound", "mov $5, %%eax\n\tbound %%eax, (%2)", "r"(p));
#endif
  static const float ones[4] = {1, 1, 1, 1};
  unsigned unmasked = 0x1f80 & ~0x200;
  TRY("1 / 0 in SSE", "ldmxcsr %2\n\tpxor %%xmm1, %%xmm1\n\tmovups %3, %%xmm0\n\tdivps %%xmm1, %%xmm0",
      "m"(unmasked), "m"(ones));
  _mm_setcsr(0x1f80);
  for (unsigned i = 0; i < 5; i++) signal(signals[i], SIG_DFL);
}

static __m128i in_handler;
static unsigned mxcsr_in_handler;
static int marks;

static void on_usr1(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  ucontext_t* u = context;
  __asm__ volatile("movdqu %%xmm6, %0" : "=m"(in_handler));
  mxcsr_in_handler = _mm_getcsr();
  char* area = (char*)u->uc_mcontext.fpregs;
#if defined(__i386__)
  area += 112;
#endif
  uint32_t magic1, size, magic2;
  uint64_t parts;
  memcpy(&magic1, area + 464, 4);
  memcpy(&parts, area + 472, 8);
  memcpy(&size, area + 480, 4);
  memcpy(&magic2, area + size, 4);
  marks = magic1 == 0x46505853 && magic2 == 0x46505845 && (parts & 3) == 3;
  // What comes back is what the frame says.
  area[160 + 16 * 6] ^= 0xff;
  __asm__ volatile("pxor %%xmm7, %%xmm7" ::: "xmm7");
}

static void frames(void) {
  struct sigaction action = {.sa_sigaction = on_usr1, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, 0);
  const __m128i six = _mm_set1_epi32(0x66666666), seven = _mm_set1_epi32(0x77777777);
  __m128i six_after, seven_after;
  _mm_setcsr(0x7f80);
  long number = SYS_kill, pid = getpid(), kept = 0;
#if defined(__x86_64__)
  __asm__ volatile(
      "movdqa %4, %%xmm6\n\tmovdqa %5, %%xmm7\n\tmovq $12345, -64(%%rsp)\n\tsyscall\n\t"
      "movdqa %%xmm6, %1\n\tmovdqa %%xmm7, %2\n\tmovq -64(%%rsp), %3"
      : "+a"(number), "=m"(six_after), "=m"(seven_after), "=r"(kept)
      : "m"(six), "m"(seven), "D"(pid), "S"((long)SIGUSR1)
      : "rcx", "r11", "xmm6", "xmm7", "memory");
  printf("red zone: %ld\n", kept);
#else
  __asm__ volatile(
      "movdqu %3, %%xmm6\n\tmovdqu %4, %%xmm7\n\tint $0x80\n\tmovdqu %%xmm6, %1\n\tmovdqu %%xmm7, %2"
      : "+a"(number), "=m"(six_after), "=m"(seven_after)
      : "m"(six), "m"(seven), "b"(pid), "c"((long)SIGUSR1)
      : "xmm6", "xmm7", "memory");
  (void)kept;
#endif
  printf("handler: xmm6 %x mxcsr %x, frame %s\n", _mm_cvtsi128_si32(in_handler), mxcsr_in_handler,
         marks ? "with both marks" : "without marks");
  printf("after: xmm6 %x xmm7 %x mxcsr %x\n", _mm_cvtsi128_si32(six_after), _mm_cvtsi128_si32(seven_after),
         _mm_getcsr());
  _mm_setcsr(0x1f80);
}

static uint32_t words[4] = {11, 22, 33, 44};

static void descriptors(void) {
  struct user_desc d = {.entry_number = 3, .limit = 11, .seg_32bit = 1, .useable = 1};
#if defined(__i386__)
  d.base_addr = (uintptr_t)words;
#endif
  SHOW(syscall(SYS_modify_ldt, 0x11, &d, sizeof d));
  SHOW(syscall(SYS_modify_ldt, 0x11, &d, 3));
  SHOW(syscall(SYS_modify_ldt, 77, &d, sizeof d));
#if defined(__i386__)
  uint32_t value;
  __asm__ volatile("mov %1, %%fs\n\tmov %%fs:4, %0" : "=r"(value) : "r"(3 << 3 | 7));
  printf("fs:4 = %u\n", value);
  struct user_desc tls = {.entry_number = -1, .base_addr = (uintptr_t)&words[1], .limit = 0xfffff,
                          .seg_32bit = 1, .limit_in_pages = 1, .useable = 1};
  SHOW(syscall(SYS_set_thread_area, &tls));
  printf("entry %d\n", tls.entry_number);
  __asm__ volatile("mov %1, %%fs\n\tmov %%fs:4, %0" : "=r"(value) : "r"(tls.entry_number << 3 | 3));
  printf("fs:4 = %u\n", value);
  struct user_desc seen = {.entry_number = tls.entry_number};
  SHOW(syscall(SYS_get_thread_area, &seen));
  printf("same %d\n", memcmp(&seen, &tls, sizeof seen) == 0);
  seen.entry_number = 2;
  SHOW(syscall(SYS_get_thread_area, &seen));
  __asm__ volatile("mov %0, %%fs" : : "r"(0));
#else
  unsigned long base = 0;
  SHOW(syscall(SYS_arch_prctl, ARCH_SET_GS, words));
  uint32_t value;
  __asm__ volatile("mov %%gs:8, %0" : "=r"(value));
  printf("gs:8 = %u\n", value);
  SHOW(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
  printf("same %d\n", base == (uintptr_t)words);
  SHOW(syscall(SYS_arch_prctl, ARCH_SET_GS, 1ul << 60));
  SHOW(syscall(SYS_arch_prctl, ARCH_GET_GS, 8));
  SHOW(syscall(SYS_arch_prctl, 0x9999, 0));
#endif
}

// --- alignment checks, which a program asks for by a flag

#define AC 0x40000

static void on_bus(int signal, siginfo_t* info, void* context) {
  ucontext_t* u = context;
#if defined(__x86_64__)
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andl %0, (%%rsp); popfq; lea 128(%%rsp), %%rsp" : : "i"(~AC) : "cc");
#else
  __asm__ volatile("pushf; andl %0, (%%esp); popf" : : "i"(~AC) : "cc");
#endif
  printf("  signal %d code %d addr %p trap %d err %#x AC %d\n", signal, info->si_code, info->si_addr,
         (int)u->uc_mcontext.TRAP, (unsigned)u->uc_mcontext.ERR, (u->uc_mcontext.gregs[REG_EFL] & AC) != 0);
  u->uc_mcontext.PC += 3;
  u->uc_mcontext.gregs[REG_EFL] &= ~(long)AC;
}

static void alignment(void) {
  struct sigaction action = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
  sigaction(SIGBUS, &action, 0);
  static const int words[2] __attribute__((aligned(8))) = {0x44332211, 0x88776655};
  puts("not aligned");
  unsigned got = 0x1234;
  // The instruction that the handler skips has three bytes.
#if defined(__x86_64__)
  __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; orl %2, (%%rsp); popfq; movl 1(%%rcx), %%eax; lea 128(%%rsp), %%rsp"
                   : "+a"(got) : "c"(words), "i"(AC) : "cc", "memory");
#else
  __asm__ volatile("pushf; orl %2, (%%esp); popf; movl 1(%%ecx), %%eax" : "+a"(got) : "c"(words), "i"(AC) : "cc", "memory");
#endif
  printf("  %#x\n", got);
}

int main(void) {
  setvbuf(stdout, 0, _IOLBF, 0);
  faults();
  frames();
  descriptors();
  alignment();
  return 0;
}

#else
int main(void) { return 0; }
#endif
