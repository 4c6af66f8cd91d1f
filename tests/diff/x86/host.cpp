// SPDX-License-Identifier: Apache-2.0
// In the child nothing may use TLS: FS is the tests'. So: no libc in the handler, no stack protector.
#include "tests/diff/x86/host.h"

#include <asm/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace lyrebird::x86diff {
namespace {

// --- the child

Case* all_cases;
int from_parent, to_parent;
unsigned current, count;
bool running;

long raw_syscall(long number, long a, long b, long c) {
  long result;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

void copy(void* to, const void* from, size_t size) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}
void fill(void* to, uint8_t value, size_t size) {
  asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
}

uint64_t read_fs() {
  uint64_t v;
  asm volatile("rdfsbase %0" : "=r"(v));
  return v;
}
uint64_t read_gs() {
  uint64_t v;
  asm volatile("rdgsbase %0" : "=r"(v));
  return v;
}

constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                            REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
constexpr size_t kLegacyUsed = 416;  // of the 512 bytes; the kernel has its own at the end
constexpr size_t kXstate = 512, kYmmHigh = 576;
constexpr uint64_t kUserSelectors64 = 0x002b000000000033, kUserSelectors32 = 0x002b000000000023;

void save(const ucontext_t& context, int signal, const siginfo_t& info) {
  Case& c = all_cases[current];
  const auto& regs = context.uc_mcontext.gregs;
  for (unsigned i = 0; i < 16; ++i) c.out.gpr[i] = static_cast<uint64_t>(regs[kOrder[i]]);
  c.out.rip = static_cast<uint64_t>(regs[REG_RIP]);
  c.out.eflags = static_cast<uint64_t>(regs[REG_EFL]);
  c.out.fs_base = read_fs();
  c.out.gs_base = read_gs();
  const auto* const image = reinterpret_cast<const uint8_t*>(context.uc_mcontext.fpregs);
  uint64_t parts;
  copy(&parts, image + kXstate, 8);
  copy(&c.out.legacy, image, kLegacyUsed);
  // What is in its initial state is not in the image.
  if ((parts & 1) == 0) {
    fill(&c.out.legacy, 0, 24);
    fill(c.out.legacy.st, 0, sizeof c.out.legacy.st);
    c.out.legacy.control = 0x37f;
  }
  if ((parts & 2) == 0) fill(c.out.legacy.xmm, 0, sizeof c.out.legacy.xmm);
  if (parts & 4)
    copy(c.out.ymm_high, image + kYmmHigh, sizeof c.out.ymm_high);
  else
    fill(c.out.ymm_high, 0, sizeof c.out.ymm_high);
  copy(c.out.memory, reinterpret_cast<void*>(kData), kPage);
  c.ending.signal = signal;
  const bool alignment = signal == SIGBUS && info.si_code == BUS_ADRALN;
  const bool memory =
      (signal == SIGSEGV || signal == SIGBUS) && info.si_code > 0 && info.si_code < 16 && !alignment;
  c.ending.has_address = memory;
  c.ending.address = memory ? reinterpret_cast<uint64_t>(info.si_addr) : 0;
}

/// NT and ID: sigreturn leaves them as the handler has them.
void set_kept_flags(uint64_t flags) {
  constexpr uint64_t kKept = 1u << 14 | 1u << 21;
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\t"
      "pushfq\n\t"
      "andq %0, (%%rsp)\n\t"
      "orq %1, (%%rsp)\n\t"
      "popfq\n\t"
      "lea 128(%%rsp), %%rsp"
      :
      : "r"(~kKept), "r"(flags & kKept)
      : "memory", "cc");
}

void load(ucontext_t& context) {
  const Case& c = all_cases[current];
  auto& regs = context.uc_mcontext.gregs;
  for (unsigned i = 0; i < 16; ++i) regs[kOrder[i]] = static_cast<long long>(c.in.gpr[i]);
  regs[REG_RIP] = static_cast<long long>(c.in.rip);
  regs[REG_EFL] = static_cast<long long>(c.in.eflags);
  const uint64_t selectors = c.mode == x86::Mode::k64 ? kUserSelectors64 : kUserSelectors32;
  regs[REG_CSGSFS] = static_cast<long long>(selectors);
  auto* const image = reinterpret_cast<uint8_t*>(context.uc_mcontext.fpregs);
  copy(image, &c.in.legacy, kLegacyUsed);
  copy(image + kYmmHigh, c.in.ymm_high, sizeof c.in.ymm_high);
  const uint64_t parts = 7;
  copy(image + kXstate, &parts, 8);
  copy(reinterpret_cast<void*>(kData), c.in.memory, kPage);
  fill(reinterpret_cast<void*>(kCode), 0xcc, kPage);
  copy(reinterpret_cast<void*>(kStart), c.code, c.length);
  set_kept_flags(c.in.eflags);
  asm volatile("wrfsbase %0" : : "r"(c.in.fs_base));
  asm volatile("wrgsbase %0" : : "r"(c.in.gs_base));
}

/// Waits for the next batch.
void next_batch() {
  char byte = 0;
  if (running) raw_syscall(SYS_write, to_parent, reinterpret_cast<long>(&byte), 1);
  running = true;
  uint32_t wanted;
  if (raw_syscall(SYS_read, from_parent, reinterpret_cast<long>(&wanted), sizeof wanted) != sizeof wanted)
    raw_syscall(SYS_exit_group, 0, 0, 0);
  count = wanted;
  current = 0;
}

void clear_ac() {
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\t"
      "pushfq\n\t"
      "andq $~0x40000, (%%rsp)\n\t"
      "popfq\n\t"
      "lea 128(%%rsp), %%rsp"
      :
      :
      : "memory", "cc");
}

void handler(int signal, siginfo_t* info, void* context) {
  clear_ac();
  auto& where = *static_cast<ucontext_t*>(context);
  if (running) {
    save(where, signal, *info);
    ++current;
  }
  if (current == count) next_batch();
  load(where);
}

[[noreturn]] void child_main() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (mmap(reinterpret_cast<void*>(kCode), kPage, PROT_READ | PROT_WRITE | PROT_EXEC,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    _exit(1);
  stack_t stack{};
  stack.ss_size = 1 << 16;
  stack.ss_sp = mmap(nullptr, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&stack, nullptr);
  struct sigaction action{};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (const int signal : {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS}) sigaction(signal, &action, nullptr);
  // 32-bit code needs data segments, 64-bit code does not look at them.
  asm volatile("mov %0, %%ds\n\tmov %0, %%es" : : "r"(0x2b));
  asm volatile("int3");
  _exit(1);
}

}  // namespace

// --- the parent

Host::Host() {
  void* const at =
      mmap(nullptr, kBatch * sizeof(Case), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  shared_ = static_cast<Case*>(at);
  start();
}

Host::~Host() {
  stop();
  munmap(shared_, kBatch * sizeof(Case));
}

void Host::start() {
  int down[2], up[2];
  if (pipe(down) != 0 || pipe(up) != 0) {
    std::perror("pipe");
    std::exit(1);
  }
  child_ = fork();
  if (child_ == 0) {
    close(down[1]);
    close(up[0]);
    all_cases = shared_;
    from_parent = down[0];
    to_parent = up[1];
    child_main();
  }
  close(down[0]);
  close(up[1]);
  to_child_ = down[1];
  from_child_ = up[0];
}

void Host::stop() {
  close(to_child_);
  close(from_child_);
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

bool Host::run(unsigned count) {
  const uint32_t wanted = count;
  for (unsigned i = 0; i < count; ++i) shared_[i].ending.signal = -1;
  char byte;
  if (write(to_child_, &wanted, sizeof wanted) == sizeof wanted && read(from_child_, &byte, 1) == 1)
    return true;
  stop();
  start();
  return false;
}

}  // namespace lyrebird::x86diff
