// SPDX-License-Identifier: Apache-2.0
#include "base/fault_guard.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <ucontext.h>

#include <atomic>
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

/// Where xmm16 to xmm31 are in an XSAVE image; 0 if the host has none.
uint32_t upper_vectors() {
  constexpr unsigned kLeaf = 13, kPart = 7;
  static std::atomic<uint32_t> known{0};
  uint32_t at = known.load(std::memory_order_relaxed);
  if (at == 0) {
    uint32_t length, offset, ecx, edx;
    const bool has = __get_cpuid_count(kLeaf, kPart, &length, &offset, &ecx, &edx) && length == 1024;
    at = has ? offset : 1;
    known.store(at, std::memory_order_relaxed);
  }
  return at == 1 ? 0 : at;
}

void save_vectors(FaultGuard::Registers& to, const _libc_fpstate& image) {
  static_assert(sizeof image._xmm == sizeof to.xmm / 2);
  constexpr uint32_t kMagic = 0x46505853;
  constexpr size_t kMagicOffset = 464, kSizeOffset = 480, kPartsOffset = 512;
  constexpr uint64_t kLower = 1 << 1, kUpper = 1 << 7;
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&image);
  uint32_t magic, size = 0;
  uint64_t parts = kLower;
  std::memcpy(&magic, bytes + kMagicOffset, sizeof magic);
  if (magic == kMagic) {
    std::memcpy(&size, bytes + kSizeOffset, sizeof size);
    std::memcpy(&parts, bytes + kPartsOffset, sizeof parts);
  }
  // A part that is in its initial state, zeros, need not be filled in.
  std::memset(to.xmm, 0, sizeof to.xmm);
  if (parts & kLower) std::memcpy(to.xmm, image._xmm, sizeof image._xmm);
  // In the standard format the third part has one place only (SDM volume 1, 13.4.2).
  constexpr uint64_t kHigh = 1 << 2;
  constexpr uint32_t kHighAt = 576;
  std::memset(to.ymm, 0, sizeof to.ymm);
  if ((parts & kHigh) && kHighAt + sizeof to.ymm <= size) std::memcpy(to.ymm, bytes + kHighAt, sizeof to.ymm);
  const uint32_t upper = parts & kUpper ? upper_vectors() : 0;
  if (upper == 0 || upper + 1024 > size) return;
  for (unsigned i = 0; i < 16; ++i) std::memcpy(to.xmm[16 + i], bytes + upper + 64 * i, 16);
}
#endif

void save_registers([[maybe_unused]] FaultGuard::Registers& to, [[maybe_unused]] const void* context,
                    [[maybe_unused]] bool legacy) {
#if defined(__x86_64__)
  if (!context) return;
  const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  for (int i = 0; i < 16; ++i) to.general[i] = static_cast<uint64_t>(machine.gregs[kOrder[i]]);
  to.x87_status = 0;
  std::memset(to.x87, 0, sizeof to.x87);
  constexpr int kWrite = 1 << 1;  // of a page fault's error code
  to.wrote = (machine.gregs[REG_ERR] & kWrite) != 0;
  to.pc = static_cast<uint64_t>(machine.gregs[REG_RIP]);
  to.flags = static_cast<uint64_t>(machine.gregs[REG_EFL]);
  to.mxcsr = machine.fpregs ? machine.fpregs->mxcsr : 0;
  if (machine.fpregs) {
    if (legacy) std::memcpy(to.legacy, machine.fpregs, sizeof to.legacy);
    save_x87(to, *machine.fpregs);
    save_vectors(to, *machine.fpregs);
  }
  to.valid = true;
#endif
}

bool deliver_trap([[maybe_unused]] TrapOwner& owner, [[maybe_unused]] void* context) {
#if defined(__x86_64__)
  if (!context) return false;
  mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
  if (!machine.fpregs) return false;
  auto pc = static_cast<uint64_t>(machine.gregs[REG_RIP]);
  const auto sp = static_cast<uint64_t>(machine.gregs[REG_RSP]);
  if (!owner.trap({.sp = sp, .pc = pc, .mxcsr = machine.fpregs->mxcsr})) return false;
  machine.gregs[REG_RIP] = static_cast<greg_t>(pc);
  return true;
#else
  return false;
#endif
}

}  // namespace

bool FaultGuard::deliver(int signal, const siginfo_t& info, void* context) {
  FaultGuard* const guard = current();
  if (!guard) return false;
  if (signal == SIGFPE && !guard->takes_traps) return guard->traps && deliver_trap(*guard->traps, context);
  guard->disarm();
  save_registers(guard->registers, context, guard->takes_traps);
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
