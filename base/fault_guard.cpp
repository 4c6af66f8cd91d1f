// SPDX-License-Identifier: Apache-2.0
#include "base/fault_guard.h"

#include <ucontext.h>

namespace lyrebird {

FaultGuard*& FaultGuard::current() {
  // initial-exec: a signal handler must not allocate the TLS block on first use.
  static thread_local FaultGuard* guard __attribute__((tls_model("initial-exec"))) = nullptr;
  return guard;
}

FaultGuard* FaultGuard::exchange(FaultGuard* guard) {
  FaultGuard* const old = current();
  current() = guard;
  return old;
}

namespace {

void save_registers([[maybe_unused]] FaultGuard::Registers& to, [[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  if (!context) return;
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (int i = 0; i < 16; ++i) to.general[i] = static_cast<uint64_t>(machine.gregs[kOrder[i]]);
  to.pc = static_cast<uint64_t>(machine.gregs[REG_RIP]);
  to.mxcsr = machine.fpregs ? machine.fpregs->mxcsr : 0;
  to.valid = true;
#endif
}

}  // namespace

void FaultGuard::deliver(int signal, const siginfo_t& info, const void* context) {
  FaultGuard* const guard = current();
  if (!guard) return;
  guard->disarm();
  save_registers(guard->registers, context);
  guard->address = reinterpret_cast<uint64_t>(info.si_addr);
  guard->signal = signal;
  guard->code = info.si_code;
#if __has_feature(thread_sanitizer)
  // Its handlers run with every signal blocked, whatever sa_flags say; the jump would keep that.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
#endif
  siglongjmp(guard->env, 1);
}

}  // namespace lyrebird
