// SPDX-License-Identifier: Apache-2.0
#include "user/abi/x86_64.h"

#include <elf.h>

#include <cerrno>

#include "user/abi/rows.h"
#include "user/abi/x86.h"
#include "user/abi/x86_vdso.h"
#include "user/signals/signal_abi.h"
#include "user/syscalls/ipc.h"
#include "user/syscalls/old.h"
#include "user/syscalls/time.h"
#include "user/threads/syscalls.h"

namespace lyrebird::user {
namespace {

using x86::X86State;

class X86_64 final : public X86Abi {
 public:
  X86_64() : X86Abi(x86::Mode::k64) {
    name = "x86_64";
    machine = "x86_64";
    elf_machine = EM_X86_64;
    has_low_mappings = true;
    maps_end = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";
    syscalls = x86_64_syscalls();
    min_signal_stack = 1360;  // struct rt_sigframe with an XSAVE area that has AVX
  }

  const StructDesc& desc(const StructDesc& common) const override {
    return &common == &Desc<struct semid_ds>::desc ? kX86Semid : common;
  }

  CallKind call_kind(const ir::CpuHeader& cpu, const accel::Exit& exit,
                     const Program& program) const override {
    if (exit.kind != ir::ExitKind::Syscall || exit.detail != x86::kSyscallInsn) return CallKind::None;
    const uint64_t at = cpu.pc - program.vdso;
    const X86Vdso& vdso = x86_64_vdso();
    return at >= vdso.calls_start && at < vdso.calls_end ? CallKind::Vdso : CallKind::Syscall;
  }
  SyscallFrame syscall_frame(const ir::CpuHeader& cpu) const override {
    using namespace x86;
    const auto& r = x86_state(cpu).gpr;
    return {static_cast<uint32_t>(r[kRax]), {r[kRdi], r[kRsi], r[kRdx], r[10], r[8], r[9]}};
  }

  void set_tls(Thread& child, uint64_t tls) const override { x86_state(child.cpu()).fs = {.base = tls}; }

  bool answer_fault(Thread& t, const accel::Exit& exit) const override;
  const SignalAbi& signals() const override { return x86_64_signals(); }
  std::span<const uint8_t> vdso() const override { return x86_64_vdso().image.bytes; }
};

// arch/x86/entry/vsyscall/vsyscall_64.c: three calls at fixed addresses, of the time before vDSOs. The
// page can't be read; who jumps there gets the call and comes back.
bool X86_64::answer_fault(Thread& t, const accel::Exit& exit) const {
  constexpr uint64_t kPageAddress = 0xffffffffff600000, kApart = 1024;
  const uint64_t pc = t.cpu().pc;
  if (exit.kind != ir::ExitKind::FetchFault || pc < kPageAddress || pc % kApart != 0) return false;
  X86State& s = x86_state(t.cpu());
  uint64_t back;
  if (!get_u64(t, s.gpr[x86::kRsp], back)) return false;
  const uint64_t first = s.gpr[x86::kRdi], second = s.gpr[x86::kRsi];
  int64_t result;
  switch ((pc - kPageAddress) / kApart) {
    case 0:
      result = sys::time::gettimeofday(t, Ptr<struct timeval>{{first}}, Ptr<struct timezone>{{second}}).raw;
      break;
    case 1:
      result = sys::old::time(t, Addr{first}).raw;
      break;
    case 2:
      result = sys::thread::getcpu(t, Addr{first}, Addr{second}).raw;
      break;
    default:
      return false;
  }
  if (result == -EFAULT) return false;
  s.gpr[x86::kRax] = static_cast<uint64_t>(result);
  s.gpr[x86::kRsp] += 8;
  t.cpu().pc = back;
  return true;
}

}  // namespace

const Abi& x86_64_abi() {
  static const X86_64 abi;
  return abi;
}

}  // namespace lyrebird::user
