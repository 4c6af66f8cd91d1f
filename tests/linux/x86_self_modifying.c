// SPDX-License-Identifier: Apache-2.0
// Code that changes without a word: the new bytes count from the next instruction on, whoever wrote them
// and how. On other machines there is nothing to show.
#include "show.h"

#if defined(__x86_64__) || defined(__i386__)

#include <emmintrin.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SIZE 8192
#if defined(__x86_64__)
#define SP "rsp"
#else
#define SP "esp"
#endif

typedef int function(void);

static unsigned char* map(void) {
  return mmap(0, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
/// At `at`: mov $value, %eax; ret.
static void put_constant(volatile unsigned char* at, unsigned value) {
  at[0] = 0xb8;
  for (int i = 0; i < 4; i++) at[1 + i] = value >> 8 * i;
  at[5] = 0xc3;
}
static int call(const volatile void* at) { return ((function*)(uintptr_t)at)(); }

static void rewritten(unsigned char* p) {
  long sum = 0;
  for (int i = 0; i < 2000; i++) {
    put_constant(p, i);
    sum += call(p);
  }
  printf("rewritten: %ld\n", sum);
}

/// The store is followed at once by the instruction that it changes.
static void next_instruction(unsigned char* p) {
  // mov $constant, %rcx; mov $value, %dl; mov %dl, (%rcx); mov $CONSTANT, %eax; ret
  unsigned char* at = p;
#if defined(__x86_64__)
  *at++ = 0x48;
#endif
  *at++ = 0xb9;
  unsigned char* const address = at;
  at += sizeof(void*);
  *at++ = 0xb2;  // mov $imm, %dl
  unsigned char* const value = at++;
  *at++ = 0x88, *at++ = 0x11;  // mov %dl, (%rcx)
  unsigned char* const constant = at + 1;
  memcpy(address, &constant, sizeof constant);
  put_constant(at, 0);
  int sum = 0;
  for (int i = 1; i <= 200; i++) {
    *value = i;
    sum += call(p) == i;
  }
  printf("the next instruction: %d\n", sum);
}

/// REP MOVSB writes over what comes after it.
static void by_string(unsigned char* p) {
  static const unsigned char to[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xc3};
  void* const target = p + 64;
  put_constant(p + 64, 1);
  int good = 0;
  for (int i = 0; i < 50; i++) {
    put_constant(p + 64, i);
    good += call(p + 64) == i;
    const void* from = to;
    void* into = target;
    size_t count = sizeof to;
    __asm__ volatile("rep movsb" : "+S"(from), "+D"(into), "+c"(count) : : "memory");
    good += call(p + 64) == 0x12345678;
  }
  printf("by a string: %d\n", good);
}

/// Every kind of store, onto the constant of a function that has just run.
static void stores(unsigned char* p) {
  unsigned char* const code = p + 512;
  int* const constant = (int*)(void*)(code + 1);
  unsigned char image[16] __attribute__((aligned(16)));
#define TRY(what, ...)                               \
  do {                                               \
    put_constant(code, 0x55);                        \
    CHECK(call(code) == 0x55);                       \
    __VA_ARGS__;                                     \
    printf("%s: %#x\n", what, (unsigned)call(code)); \
  } while (0)
  TRY("byte", *(volatile char*)constant = 1);
  TRY("word", *(volatile short*)constant = 2);
  TRY("add to memory", __asm__ volatile("addl $3, %0" : "+m"(*constant)));
  TRY("lock add", __asm__ volatile("lock addl $4, %0" : "+m"(*constant)));
  TRY("xchg", __asm__ volatile("xchgl %1, %0" : "+m"(*constant) : "r"(5)));
  TRY("cmpxchg", __asm__ volatile("lock cmpxchgl %1, %0" : "+m"(*constant) : "r"(6), "a"(0x55)));
  TRY("xadd", __asm__ volatile("xaddl %1, %0" : "+m"(*constant) : "r"(7)));
  TRY("bts", __asm__ volatile("btsl $20, %0" : "+m"(*constant)));
  TRY("push",
      __asm__ volatile("xchg %0, %%" SP "\n\tpush %1\n\txchg %0, %%" SP : : "r"(code + 1 + sizeof(void*)),
                       "r"((uintptr_t)0x000000c300000008ull)));
  TRY("fist", __asm__ volatile("fldpi\n\tfistpl %0" : "=m"(*constant)));
  memcpy(image, code, 16);
  image[1] = 0x42;
  TRY("movups", _mm_storeu_si128((__m128i*)(void*)code, _mm_load_si128((__m128i*)(void*)image)));
  TRY("rep stosb", memset((char*)constant, 9, 4));
#undef TRY
}

/// A store over a page's end onto code on both sides.
static void across(unsigned char* p) {
  unsigned char* const code = p + 4096 - 3;
  int good = 0;
  for (int i = 0; i < 20; i++) {
    put_constant(code, 0x01010101 * i);
    put_constant(p + 4096 + 64, i);
    good += call(code) == 0x01010101 * i && call(p + 4096 + 64) == i;
    *(volatile uint32_t*)(void*)(code + 1) = 0x11111111;
    good += call(code) == 0x11111111;
  }
  printf("across pages: %d\n", good);
}

static void by_kernel(unsigned char* p) {
  int fds[2], good = 0;
  CHECK(pipe(fds) == 0);
  for (int i = 0; i < 50; i++) {
    unsigned char code[6];
    put_constant(p, 1);
    good += call(p) == 1;
    put_constant(code, i);
    CHECK(write(fds[1], code, 6) == 6);
    CHECK(read(fds[0], p, 6) == 6);
    good += call(p) == i;
  }
  close(fds[0]);
  close(fds[1]);
  printf("by the kernel: %d\n", good);
}

/// The same memory at two addresses: one to write, one to execute.
static void by_alias(void) {
  const int fd = memfd_create("code", 0);
  CHECK(ftruncate(fd, SIZE) == 0);
  unsigned char* const x = mmap(0, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  unsigned char* const w = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int good = 0;
  for (int i = 0; i < 50; i++) {
    put_constant(w + 4096, i);
    good += call(x + 4096) == i;
  }
  unsigned char* const later = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
  put_constant(later, 77);
  good += call(x + 4096) == 77;
  put_constant(w + 4096, 78);
  good += call(x + 4096) == 78;
  munmap(x, SIZE);
  munmap(w, SIZE);
  munmap(later, 4096);
  close(fd);
  printf("by an alias: %d\n", good);
}

static void rights(unsigned char* p) {
  int good = 0;
  for (int i = 0; i < 50; i++) {
    mprotect(p, SIZE, PROT_READ | PROT_WRITE);
    put_constant(p, i);
    mprotect(p, SIZE, PROT_READ | PROT_EXEC);
    good += call(p) == i;
  }
  mprotect(p, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
  put_constant(p, 5);
  good += call(p) == 5;
  unsigned char* moved = mremap(p, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
  put_constant(moved, 6);
  good += call(moved) == 6;
  put_constant(moved, 7);
  good += call(moved) == 7;
  munmap(moved, 2 * SIZE);
  printf("rights: %d\n", good);
}

static int child_value(unsigned char* p) {
  int status;
  const pid_t child = fork();
  if (child == 0) {
    int good = call(p) == 1;
    put_constant(p, 33);
    _exit(good ? call(p) : 99);
  }
  waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}
static void in_child(unsigned char* p) {
  put_constant(p, 1);
  CHECK(call(p) == 1);
  printf("in the child %d, ", child_value(p));
  printf("in the parent %d\n", call(p));
}

/// Code on the stack, among what is pushed, and under a signal's frame.
static void on_stack_signal(int signal) { (void)signal; }
static void on_stack(void) {
  volatile unsigned char code[64] __attribute__((aligned(64)));
  const uintptr_t page = (uintptr_t)code & -4096ul;
  mprotect((void*)page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
  signal(SIGUSR1, on_stack_signal);
  int good = 0;
  for (int i = 0; i < 50; i++) {
    put_constant(code, i);
    good += call(code) == i;
    raise(SIGUSR1);
    good += call(code) == i;
  }
  printf("on the stack: %d\n", good);
}

// --- two threads

static atomic_int seen, stop;
static unsigned char* shared_code;

static void* caller(void* arg) {
  (void)arg;
  int last = 0, wrong = 0;
  while (!atomic_load(&stop)) {
    const int now = call(shared_code);
    wrong += now < last;
    last = now;
    atomic_store(&seen, now);
  }
  return (void*)(intptr_t)wrong;
}
static void two_threads(unsigned char* p) {
  pthread_t thread;
  void* wrong;
  shared_code = p;
  put_constant(p, 0);
  pthread_create(&thread, 0, caller, 0);
  for (int i = 1; i <= 300; i++) {
    *(volatile char*)(p + 1 + (i > 255 ? 1 : 0)) =
        i > 255 ? i - 255 : i;  // one byte: never half of it is seen
    const int want = *(volatile int*)(void*)(p + 1);
    while (atomic_load(&seen) != want) sched_yield();
  }
  atomic_store(&stop, 1);
  pthread_join(thread, &wrong);
  printf("two threads: %d at last, %d backwards\n", atomic_load(&seen), (int)(intptr_t)wrong);
}

static void* spin(void* at) { return (void*)(intptr_t)call(at); }
/// A thread that does nothing but jump to itself is let go.
static void spinning(unsigned char* p) {
  pthread_t thread;
  void* value;
  p[0] = 0xeb, p[1] = 0xfe;  // jmp .
  put_constant(p + 2, 12);
  pthread_create(&thread, 0, spin, p);
  usleep(20000);
  *(volatile uint16_t*)(void*)p = 0x9090;
  pthread_join(thread, &value);
  printf("let go: %d\n", (int)(intptr_t)value);
}

int main(void) {
  alarm(200);
  unsigned char* const p = map();
  rewritten(p);
  next_instruction(p);
  by_string(p);
  stores(p);
  across(p);
  by_kernel(p);
  by_alias();
  in_child(p);
  on_stack();
  two_threads(p);
  spinning(p);
  rights(p);
  return 0;
}

#else
int main(void) { return 0; }
#endif
