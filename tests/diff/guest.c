// SPDX-License-Identifier: Apache-2.0
// Runs under the peer: reads batches of DiffInput from stdin, executes each one's words with its
// state and writes DiffOutputs to stdout. Everything happens in one signal handler: returning from
// it loads a state, the undefined word after the code (or whatever fault comes first) brings the
// next one back.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "vector.h"

static struct DiffInput inputs[kDiffBatch];
static struct DiffOutput outputs[kDiffBatch];
static uint32_t count, current;
/* What is in memory; at first nothing that a seed makes. */
static uint64_t seed_in_memory, hash_in_memory = 1;
static int started;

static void transfer(int out, void* at, size_t size) {
  char* p = at;
  while (size) {
    const ssize_t n = out ? write(1, p, size) : read(0, p, size);
    if (n <= 0) _exit(0);
    p += n;
    size -= (size_t)n;
  }
}

static struct fpsimd_context* fpsimd(ucontext_t* context) {
  char* at = (char*)context->uc_mcontext.__reserved;
  for (;;) {
    struct _aarch64_ctx* head = (struct _aarch64_ctx*)at;
    if (head->magic == FPSIMD_MAGIC) return (struct fpsimd_context*)head;
    if (head->magic == 0) _exit(3);
    at += head->size;
  }
}

static void save(int signal, ucontext_t* context, struct DiffOutput* out) {
  const mcontext_t* m = &context->uc_mcontext;
  const struct fpsimd_context* f = fpsimd(context);
  memcpy(out->state.x, m->regs, sizeof out->state.x);
  out->state.sp = m->sp;
  memcpy(out->state.v, f->vregs, sizeof out->state.v);
  out->state.nzcv = (uint32_t)m->pstate & 0xf0000000;
  out->state.fpcr = f->fpcr;
  out->state.fpsr = f->fpsr;
  out->pc = m->pc;
  out->signal = (uint32_t)signal;
  out->memory_hash = diff_hash_memory((const uint64_t*)DIFF_DATA);
  hash_in_memory = out->memory_hash;
}

static void load(const struct DiffInput* in, ucontext_t* context) {
  mcontext_t* m = &context->uc_mcontext;
  struct fpsimd_context* f = fpsimd(context);
  static uint64_t fresh_hash;
  if (in->memory_seed != seed_in_memory || hash_in_memory != fresh_hash) {
    diff_fill_memory(in->memory_seed, (uint64_t*)DIFF_DATA);
    seed_in_memory = in->memory_seed;
    fresh_hash = diff_hash_memory((const uint64_t*)DIFF_DATA);
  }
  uint32_t* code = (uint32_t*)DIFF_CODE;
  for (uint32_t i = 0; i < kDiffMaxWords; ++i) {
    const uint32_t word = i < in->word_count ? in->words[i] : kDiffUdf;
    if (code[i] != word) code[i] = word;
  }
  __builtin___clear_cache((char*)code, (char*)(code + kDiffMaxWords));
  memcpy(m->regs, in->state.x, sizeof in->state.x);
  m->sp = in->state.sp;
  m->pc = DIFF_CODE;
  m->pstate = in->state.nzcv;
  memcpy(f->vregs, in->state.v, sizeof in->state.v);
  f->fpcr = in->state.fpcr;
  f->fpsr = in->state.fpsr;
}

static void handler(int signal, siginfo_t* info, void* context) {
  (void)info;
  if (started) save(signal, context, &outputs[current++]);
  started = 1;
  if (current == count) {
    if (count) {
      transfer(1, outputs, count * sizeof *outputs);
      if (inputs[count - 1].want_memory) transfer(1, (void*)DIFF_DATA, kDiffPage);
    }
    transfer(0, &count, sizeof count);
    transfer(0, inputs, count * sizeof *inputs);
    current = 0;
  }
  load(&inputs[current], context);
}

int main(void) {
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  uint32_t* code = mmap((void*)DIFF_CODE, kDiffPage, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0);
  void* data = mmap((void*)DIFF_DATA, kDiffPage, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (code == MAP_FAILED || data == MAP_FAILED) return 2;
  for (int i = 0; i < kDiffPage / 4; ++i) code[i] = kDiffUdf;

  static char stack[1 << 16];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigaction(SIGILL, &action, NULL);
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  sigaction(SIGTRAP, &action, NULL);
  ((void (*)(void))code)();
  return 2;
}
