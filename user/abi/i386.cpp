// SPDX-License-Identifier: Apache-2.0
#include "user/abi/i386.h"

#include <elf.h>

#include <cerrno>

#include "user/abi/rows.h"
#include "user/abi/x86.h"
#include "user/abi/x86_calls.h"
#include "user/abi/x86_vdso.h"
#include "user/signals/signal_abi.h"
#include "user/syscalls/ipc.h"

namespace lyrebird::user {
namespace {

class I386 final : public X86Abi {
 public:
  I386() : X86Abi(x86::Mode::k32) {
    name = "i386";
    machine = "i686";
    elf_machine = EM_386;
    old_programs_execute_data = true;
    model = {.big_endian = false, .word = 4, .align64 = 4};
    syscalls = i386_syscalls();
    min_signal_stack = 1264;  // struct rt_sigframe with FSAVE's state and an XSAVE area that has AVX
  }

  const StructDesc& desc(const StructDesc& common) const override {
    return &common == &Desc<struct semid_ds>::desc ? kX86Semid : X86Abi::desc(common);
  }

  CallKind call_kind(const ir::CpuHeader& cpu, const accel::Exit& exit,
                     const Program& program) const override {
    if (exit.kind != ir::ExitKind::SoftwareInterrupt || exit.detail != x86::interrupt_detail(0x80, 2))
      return CallKind::None;
    const uint64_t at = cpu.pc - program.vdso;
    const X86Vdso& vdso = i386_vdso();
    return at >= vdso.calls_start && at < vdso.calls_end ? CallKind::Vdso : CallKind::Syscall;
  }
  SyscallFrame syscall_frame(const ir::CpuHeader& cpu) const override {
    using namespace x86;
    const auto& r = x86_state(cpu).gpr;
    const auto low = [&](GprIndex i) { return r[i] & 0xffffffff; };
    return {low(kRax), {low(kRbx), low(kRcx), low(kRdx), low(kRsi), low(kRdi), low(kRbp)}};
  }

  /// A struct user_desc with the entry to use.
  int64_t check_tls(Thread& t, uint64_t tls) const override {
    UserDescriptor d;
    if (!d.get(t, untag(t, tls))) return -EFAULT;
    const bool known = d.entry >= kGdtTls && d.entry < kGdtTls + kGdtTlsEntries;
    return known && d.valid_for_tls() ? 0 : -EINVAL;
  }
  void set_tls(Thread& child, uint64_t tls) const override {
    UserDescriptor d;
    if (!d.get(child, untag(child, tls)) || check_tls(child, tls) != 0) return;
    set_tls_entry(child.cpu(), d.entry, d.empty() ? 0 : d.descriptor());
  }

  bool answer_fault(Thread& t, const accel::Exit& exit) const override;

  const SignalAbi& signals() const override { return i386_signals(); }
  std::span<const uint8_t> vdso() const override { return i386_vdso().image.bytes; }
  uint64_t vdso_sigreturn_offset() const override { return i386_vdso().rt_sigreturn; }
  uint64_t vdso_syscall_offset() const override { return i386_vdso().vsyscall; }
};

// arch/x86/entry/entry_64_compat.S, entry_SYSENTER_compat: EBP is the stack, which has the sixth argument on
// top, and the way back leads into the vDSO. The call itself is made by the INT 0x80 that is there.
bool I386::answer_fault(Thread& t, const accel::Exit& exit) const {
  if (exit.kind != ir::ExitKind::Syscall || exit.detail != x86::kSysenterInsn) return false;
  constexpr unsigned kInterruptSize = 2;
  auto& r = x86_state(t.cpu()).gpr;
  r[x86::kRsp] = static_cast<uint32_t>(r[x86::kRbp]);
  t.cpu().pc = t.process.program.vdso + i386_vdso().sysenter;
  uint32_t sixth;
  if (get_u32(t, r[x86::kRsp], sixth)) {
    r[x86::kRbp] = sixth;
  } else {
    r[x86::kRax] = static_cast<uint32_t>(-EFAULT);
    t.cpu().pc += kInterruptSize;
  }
  return true;
}

}  // namespace

const Abi& i386_abi() {
  static const I386 abi;
  return abi;
}

}  // namespace lyrebird::user
