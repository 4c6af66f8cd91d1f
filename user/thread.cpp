// SPDX-License-Identifier: Apache-2.0
#include "user/thread.h"

#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/log.h"
#include "user/debugger.h"
#include "user/semihosting.h"
#include "user/syscalls/dispatch.h"

namespace lyrebird::user {
namespace {
// initial-exec: signal handlers read it.
thread_local Thread* current_thread __attribute__((tls_model("initial-exec"))) = nullptr;

// Stops that come after an instruction, not before it.
bool completes_instruction(ir::ExitKind kind) { return ir::pc_is_after(kind); }
}  // namespace

Thread::Thread(Process& process, const ir::CpuHeader* from)
    : process(process),
      state(process.abi.create_state(from)),
      vcpu((state->memory_base = process.memory.base(), process.accelerator.create_vcpu(*state))) {}

Thread::~Thread() {
  if (current_thread == this) current_thread = nullptr;
}

Thread* Thread::current() { return current_thread; }
void Thread::set_current(Thread* thread) { current_thread = thread; }

int Thread::run() {
  current_thread = this;
  tid = static_cast<pid_t>(::gettid());
  abi().set_guarded(cpu(), memory().any_guarded());
  while (!finished_) {
    if (signals.pending.load(std::memory_order_relaxed) || interrupted.code) {
      deliver_pending_signals();
      if (finished_) break;
      if (interrupted.code) rewind_interrupted();
    }
    Debugger* const watcher = debugger();
    const bool step = watcher && watcher->before_run(*this);
    accel::Exit exit = step || process.options.single_step ? vcpu->step() : vcpu->run();
    // A breakpoint that another process's debugger set in the memory we share.
    if (exit.kind == ir::ExitKind::Debug && !watcher) exit = vcpu->step();
    while (exit.kind == ir::ExitKind::MemoryFault && wrote_code()) {
      const AddressSpace::UnwatchedFetch scope;
      exit = vcpu->step();
      if (exit.kind == ir::ExitKind::Debug && !step) exit.kind = ir::ExitKind::None;
    }
    if (log_enabled(LogTopic::Cpu)) log_detail::write(abi().dump(cpu()));
    handle(exit);
    if (watcher && (exit.kind == ir::ExitKind::Debug || (step && completes_instruction(exit.kind))))
      watcher->on_debug_stop(*this);
  }
  return status_;
}

bool Thread::wrote_code() {
  return cpu().fault_signal == SIGSEGV && cpu().fault_code == SEGV_ACCERR &&
         memory().code_written(cpu().fault_address);
}

void Thread::rewind_interrupted() {
  abi().rewind_syscall(cpu(), interrupted.frame);
  interrupted.rewound = interrupted.code;
  interrupted.rewound_to = cpu().pc;
  resuming = interrupted.code == kERestartRestartBlock;
  interrupted.code = 0;
}

void Thread::take_back_rewind() {
  const bool slept = interrupted.rewound == kERestartNoHand || interrupted.rewound == kERestartRestartBlock;
  if (!slept || cpu().pc != interrupted.rewound_to) return;
  cpu().pc += abi().syscall_insn_size;
  abi().set_syscall_result(cpu(), -EINTR);
  interrupted.code = interrupted.rewound;
}

void Thread::handle(const accel::Exit& exit) {
  switch (abi().call_kind(cpu(), exit, process.program)) {
    case CallKind::Vdso:
      return abi().set_syscall_result(cpu(), answer_vdso(*this, abi().syscall_frame(cpu())));
    case CallKind::Syscall:
      return do_syscall();
    case CallKind::None:
      break;
  }
  switch (exit.kind) {
    case ir::ExitKind::InvalidateCode:
      process.accelerator.invalidate(cpu().fault_address, cpu().fault_size);
      break;
    case ir::ExitKind::Yield:
      ::sched_yield();
      break;
    case ir::ExitKind::None:
    case ir::ExitKind::Interrupted:
      break;
    case ir::ExitKind::Debug:
      break;
    case ir::ExitKind::Undefined:
      if (!answer_semihosting(*this, exit.detail)) raise_fault(exit);
      break;
    case ir::ExitKind::Syscall:  // by another instruction than call_kind() knows
    case ir::ExitKind::FetchFault:
      if (!abi().answer_fault(*this, exit)) raise_fault(exit);
      break;
    case ir::ExitKind::MemoryFault:
      if (cpu().fault_code == SEGV_MAPERR && memory().grow_down(cpu().fault_address)) break;
      [[fallthrough]];
    default:
      raise_fault(exit);
      break;
  }
}

void Thread::do_syscall() {
  interrupted.rewound = 0;
  const SyscallFrame frame = abi().syscall_frame(cpu());
  const int64_t result = dispatch_syscall(*this, frame);
  resuming = false;
  abi().set_guarded(cpu(), memory().any_guarded());
  if (finished_ || result == kKeepRegisters) return;
  if (result <= -kERestartSys && result >= -kERestartRestartBlock) {
    interrupted.code = static_cast<int>(-result);
    interrupted.frame = frame;
    abi().set_syscall_result(cpu(), -EINTR);
    return;
  }
  abi().set_syscall_result(cpu(), result);
}

}  // namespace lyrebird::user
