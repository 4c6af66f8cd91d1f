// SPDX-License-Identifier: Apache-2.0
#include "base/fault_guard.h"

#include <ucontext.h>

#include <cstring>

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

#if defined(__x86_64__)
void save_x87(FaultGuard::Registers& to, const _libc_fpstate& image) {
  // Behind the legacy image: what of it is not in its initial state, and so filled in.
  constexpr uint32_t kMagic = 0x46505853;
  constexpr size_t kMagicOffset = 464, kPartsOffset = 512;
  uint32_t magic;
  std::memcpy(&magic, reinterpret_cast<const uint8_t*>(&image) + kMagicOffset, sizeof magic);
  if (magic == kMagic) {
    uint64_t parts;
    std::memcpy(&parts, reinterpret_cast<const uint8_t*>(&image) + kPartsOffset, sizeof parts);
    if ((parts & 1) == 0) return;
  }
  to.x87_status = image.swd;
  static_assert(sizeof to.x87 == sizeof image._st);
  std::memcpy(to.x87, image._st, sizeof to.x87);
}
#endif

void save_registers([[maybe_unused]] FaultGuard::Registers& to, [[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  if (!context) return;
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (int i = 0; i < 16; ++i) to.general[i] = static_cast<uint64_t>(machine.gregs[kOrder[i]]);
  to.pc = static_cast<uint64_t>(machine.gregs[REG_RIP]);
  to.flags = static_cast<uint64_t>(machine.gregs[REG_EFL]);
  to.mxcsr = machine.fpregs ? machine.fpregs->mxcsr : 0;
  if (machine.fpregs) save_x87(to, *machine.fpregs);
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
