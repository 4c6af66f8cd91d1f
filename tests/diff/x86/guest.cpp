// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/guest.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/fault_guard.h"
#include "frontend/x86/segments.h"
#include "frontend/x86/x86_mode.h"

namespace lyrebird::x86diff {
namespace {

using ir::ExitKind;
using x86::X86State;

void on_fault(int signal, siginfo_t* info, void* context) {
  FaultGuard::deliver(signal, *info, context);
  std::signal(signal, SIG_DFL);
}

unsigned top_of(const X86State& state) { return x86::x87_top_of_mode(state.header.mode); }

void load(const Machine& from, x86::Mode mode, X86State& state) {
  std::memcpy(state.gpr, from.gpr, sizeof state.gpr);
  x86::set_eflags(state, static_cast<uint32_t>(from.eflags));
  x86::enter_user_mode(state, mode);
  state.fs.base = from.fs_base;
  state.gs.base = from.gs_base;
  x86::set_x87_control(state, from.legacy.control);
  x86::set_x87_status(state, from.legacy.status);
  x86::set_x87_used(state, from.legacy.tags);
  const unsigned top = top_of(state);
  for (unsigned i = 0; i < 8; ++i) {
    std::memcpy(state.x87[(top + i) & 7], from.legacy.st[i], 16);
    std::memset(state.x87[(top + i) & 7] + 10, 0, 6);
  }
  state.x87_cs = state.x87_ds = 0;  // the host is entered in 64-bit mode
  // AMD's FXRSTOR takes the pointers only if an exception is pending.
  if (from.legacy.status & ~from.legacy.control & 0x3f) {
    state.x87_opcode = from.legacy.opcode;
    state.x87_ip = from.legacy.ip;
    state.x87_dp = from.legacy.dp;
  } else {
    state.x87_opcode = 0;
    state.x87_ip = state.x87_dp = 0;
  }
  x86::set_mxcsr(state, from.legacy.mxcsr);
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(state.ymm[i], from.legacy.xmm[i], 16);
    std::memcpy(state.ymm[i] + 16, from.ymm_high[i], 16);
  }
  state.header.pc = from.rip;
  std::memcpy(reinterpret_cast<void*>(kData), from.memory, kPage);
}

void save(const X86State& state, Machine& to) {
  std::memcpy(to.gpr, state.gpr, sizeof to.gpr);
  to.eflags = x86::eflags(state);
  to.fs_base = state.fs.base;
  to.gs_base = state.gs.base;
  to.rip = state.header.pc;
  std::memset(&to.legacy, 0, sizeof to.legacy);
  to.legacy.control = state.x87_control;
  to.legacy.status = x86::x87_status(state);
  const unsigned top = top_of(state);
  to.legacy.tags = x86::x87_used(state);
  for (unsigned i = 0; i < 8; ++i) std::memcpy(to.legacy.st[i], state.x87[(top + i) & 7], 10);
  to.legacy.opcode = state.x87_opcode;
  to.legacy.ip = state.x87_ip;
  to.legacy.dp = state.x87_dp;
  to.legacy.mxcsr = x86::mxcsr(state);
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(to.legacy.xmm[i], state.ymm[i], 16);
    std::memcpy(to.ymm_high[i], state.ymm[i] + 16, 16);
  }
  std::memcpy(to.memory, reinterpret_cast<void*>(kData), kPage);
}

/// The signal that Linux sends for it.
Ending ending_of(accel::Exit exit, const X86State& state) {
  const ir::CpuHeader& header = state.header;
  switch (exit.kind) {
    case ExitKind::FetchFault: {
      // Behind the instruction, and all over its page, the host has a trap.
      if (header.pc - kCode < kPage) return {SIGTRAP};
      return {SIGSEGV, true, exit.detail};
    }
    case ExitKind::Undefined:
      return {SIGILL};
    case ExitKind::Breakpoint:
      return {SIGTRAP};
    case ExitKind::MemoryFault:
      return {SIGSEGV, true, header.fault_address};
    case ExitKind::Unaligned:
    case ExitKind::ProtectionFault:
    case ExitKind::SoftwareInterrupt:
      return {SIGSEGV};
    case ExitKind::StackFault:
    case ExitKind::SegmentAbsent:
      return {SIGBUS};
    case ExitKind::ArithmeticTrap:
      if (exit.detail == x86::kTrapAlignment) return {SIGBUS};
      return {exit.detail == x86::kTrapBound ? SIGSEGV : SIGFPE};
    default:
      return {};
  }
}

}  // namespace

void prepare_guests() {
  void* const at = mmap(reinterpret_cast<void*>(kData), kPage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != reinterpret_cast<void*>(kData)) {
    std::perror("mmap of the data page");
    std::exit(1);
  }
  // Directly translated code runs on the guest's stack.
  static uint8_t handler_stack[64 << 10];
  const stack_t stack{.ss_sp = handler_stack, .ss_flags = 0, .ss_size = sizeof handler_stack};
  sigaltstack(&stack, nullptr);
  struct sigaction action{};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGFPE, &action, nullptr);
}

bool Guest::Source::fetch(uint64_t pc, void* to, unsigned size) {
  const uint64_t offset = pc - kStart;
  if (offset > current->length || current->length - offset < size) return false;
  std::memcpy(to, current->code + offset, size);
  return true;
}

Guest::Guest(const x86::CpuModel& cpu, accel::Executor executor, bool optimise, bool single_step,
             bool first_step)
    : frontend_(cpu, first_step),
      accelerator_(frontend_, source_, {.executor = executor, .zero_base = true, .optimise = optimise}),
      vcpu_(accelerator_.create_vcpu(state_.header)),
      single_step_(single_step) {
  state_.xcr0 = x86::xcr0_of(cpu);
}

Guest::~Guest() = default;

Ending Guest::run(const Case& c, Machine& out) {
  source_.current = &c;
  accelerator_.invalidate(kCode, kPage);
  load(c.in, c.mode, state_);
  accel::Exit exit;
  do exit = single_step_ ? vcpu_->step() : vcpu_->run();
  while (exit.kind == ExitKind::Yield || exit.kind == ExitKind::Debug);
  save(state_, out);
  return ending_of(exit, state_);
}

}  // namespace lyrebird::x86diff
