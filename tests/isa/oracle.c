// SPDX-License-Identifier: Apache-2.0
// Runs instruction words with given registers and memory, natively or under an emulator: reads
// struct request after struct request from stdin, writes a struct reply for each. A signal handler
// puts the registers in, and the signal that ends the run (a BRK follows the words) takes them out.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

enum { kPage = 4096, kMaxWords = 16 };
#define CODE ((uint32_t*)0x400000)
#define DATA ((uint8_t*)0x10000000)
#define ROM (DATA + 0x10000)

struct registers {
  uint64_t x[31], sp, pc, pstate;
  uint8_t v[32][16];
  uint32_t fpcr, fpsr;
};
struct request {
  uint32_t count, guarded;
  uint32_t words[kMaxWords];
  struct registers registers;
  uint8_t memory[kPage];
};
struct reply {
  int32_t signal, code;
  uint64_t address;
  struct registers registers;
  uint8_t memory[kPage];
};

static struct request request;
static struct reply reply;
static sigjmp_buf done;

static struct fpsimd_context* fp_of(ucontext_t* context) {
  return (struct fpsimd_context*)context->uc_mcontext.__reserved;
}

static void enter(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)info;
  mcontext_t* m = &((ucontext_t*)context)->uc_mcontext;
  struct fpsimd_context* fp = fp_of(context);
  const struct registers* r = &request.registers;
  for (int i = 0; i < 31; ++i) m->regs[i] = r->x[i];
  m->sp = r->sp, m->pc = (uint64_t)CODE, m->pstate = r->pstate;
  memcpy(fp->vregs, r->v, sizeof r->v);
  fp->fpcr = r->fpcr, fp->fpsr = r->fpsr;
}

static void leave(int signal, siginfo_t* info, void* context) {
  const mcontext_t* m = &((ucontext_t*)context)->uc_mcontext;
  const struct fpsimd_context* fp = fp_of(context);
  struct registers* r = &reply.registers;
  for (int i = 0; i < 31; ++i) r->x[i] = m->regs[i];
  r->sp = m->sp, r->pc = m->pc, r->pstate = m->pstate;
  memcpy(r->v, fp->vregs, sizeof r->v);
  r->fpcr = fp->fpcr, r->fpsr = fp->fpsr;
  reply.signal = signal, reply.code = info->si_code, reply.address = (uint64_t)info->si_addr;
  siglongjmp(done, 1);
}

static void handle(int signal, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(signal, &action, NULL);
}

static int read_all(void* to, size_t size) {
  for (size_t got = 0; got < size;) {
    const ssize_t n = read(0, (char*)to + got, size - got);
    if (n <= 0) return 0;
    got += (size_t)n;
  }
  return 1;
}

static void* map(void* at, size_t size, int protection) {
  void* got = mmap(at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (got != at) abort();
  return got;
}

int main(void) {
  static char stack[65536];
  const stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternative, NULL);
  map((char*)CODE - kPage, 3 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC);
  map(DATA - 16 * kPage, 64 * kPage, PROT_NONE);
  map(DATA, kPage, PROT_READ | PROT_WRITE);
  map(ROM, kPage, PROT_READ);
  const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGFPE, SIGALRM};
  handle(SIGUSR1, enter);
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; ++i) handle(signals[i], leave);
  while (read_all(&request, sizeof request)) {
    uint32_t* const all = CODE - kPage / 4;
    for (int i = 0; i < 3 * kPage / 4; ++i) all[i] = 0xd4200fe0;  // brk #0x7f
    memcpy(CODE, request.words, 4 * request.count);
    const int guard = request.guarded ? 0x10 : 0;  // PROT_BTI
    mprotect(all, 3 * kPage, PROT_READ | PROT_WRITE | PROT_EXEC | guard);
    __builtin___clear_cache((char*)all, (char*)all + 3 * kPage);
    memcpy(DATA, request.memory, kPage);
    alarm(2);  // an endless loop ends as SIGALRM
    if (!sigsetjmp(done, 1)) raise(SIGUSR1);
    alarm(0);
    memcpy(reply.memory, DATA, kPage);
    if (write(1, &reply, sizeof reply) != sizeof reply) return 1;
  }
  return 0;
}
