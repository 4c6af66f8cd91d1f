// SPDX-License-Identifier: Apache-2.0
/// arch/x86: what a fault becomes (kernel/traps.c, mm/fault.c).
#include <csignal>

#include "base/bits.h"
#include "user/abi/x86_state.h"
#include "user/signals/signal_abi.h"
#include "user/signals/x86_fp.h"

namespace lyrebird::user {
namespace {

using x86::X86State;

// Vectors (SDM volume 3, table 6-1).
enum Trap : uint32_t {
  kDivide = 0,
  kDebug = 1,
  kBreakpoint = 3,
  kOverflow = 4,
  kBound = 5,
  kInvalidOpcode = 6,
  kSegmentAbsent = 11,
  kStack = 12,
  kProtection = 13,
  kPage = 14,
  kX87 = 16,
  kAlignment = 17,
  kSimd = 19,
};

// Error code of a page fault.
constexpr uint32_t kPresent = 1, kWrite = 2, kUser = 4, kFetch = 16;

FaultSignal trap(int signal, int code, uint64_t address, uint32_t number, uint32_t error = 0) {
  FaultSignal f;
  f.signal = signal, f.code = code, f.address = address;
  f.fault_syndrome = x86_syndrome(number, error);
  return f;
}
/// force_sig(): no address.
FaultSignal plain(int signal, uint32_t number, uint32_t error = 0) {
  return trap(signal, SI_KERNEL, 0, number, error);
}

/// fpu__exception_code(): the most important of the unmasked exceptions.
int fp_code(uint32_t raised) {
  if (raised & 0x01) return FPE_FLTINV;
  if (raised & 0x04) return FPE_FLTDIV;
  if (raised & 0x08) return FPE_FLTOVF;
  if (raised & 0x12) return FPE_FLTUND;
  return raised & 0x20 ? FPE_FLTRES : 0;
}

FaultSignal page_fault(const ir::CpuHeader& cpu, int signal, int code, bool wide) {
  const auto access = static_cast<ir::Access>(cpu.fault_access);
  const uint64_t address = wide ? cpu.fault_address : static_cast<uint32_t>(cpu.fault_address);
  const bool canonical = static_cast<uint64_t>(sign_extend(address, 48)) == address;
  if (!canonical) return plain(SIGSEGV, kProtection);
  uint32_t error = kUser;
  if (access == ir::Access::Write) error |= kWrite;
  if (access == ir::Access::Fetch) error |= kFetch;
  // The kernel's own half looks protected whatever is there.
  if ((signal == SIGSEGV && code == SEGV_ACCERR) || address >> 47) error |= kPresent;
  FaultSignal f = trap(signal, code, address, kPage, error);
  f.fault_address = address;
  f.recorded = true;
  return f;
}

FaultSignal arithmetic(X86State& s, uint64_t detail) {
  switch (detail) {
    case x86::kTrapDivide:
      return trap(SIGFPE, FPE_INTDIV, s.header.pc, kDivide);
    case x86::kTrapBound:
      return plain(SIGSEGV, kBound);
    case x86::kTrapAlignment:
      return trap(SIGBUS, BUS_ADRALN, 0, kAlignment);
    case x86::kTrapX87:
      return trap(SIGFPE, fp_code(x86::x87_status(s) & ~uint32_t{s.x87_control}), s.header.pc, kX87);
    case x86::kTrapSimd: {
      const uint32_t word = x86::mxcsr(s);
      return trap(SIGFPE, fp_code(word & ~(word >> 7) & 0x3f), s.header.pc, kSimd);
    }
    default:  // kTrapSingleStep
      return trap(SIGTRAP, TRAP_TRACE, s.header.pc, kDebug);
  }
}

FaultSignal software_interrupt(X86State& s, uint64_t detail) {
  const unsigned vector = detail & 0xff, length = static_cast<unsigned>(detail >> 8);
  if (vector == kBreakpoint) return plain(SIGTRAP, kBreakpoint);
  if (vector == kOverflow) return plain(SIGSEGV, kOverflow);
  // The gate is the kernel's: a fault, so pc is that of the instruction.
  s.header.pc -= length;
  return plain(SIGSEGV, kProtection, vector << 3 | 2);
}

}  // namespace

FaultSignal x86_fault_signal(ir::CpuHeader& cpu, const accel::Exit& exit, int signal, int code, bool wide) {
  X86State& s = x86_state(cpu);
  const uint32_t error = exit.detail == x86::kErrorCodeInState ? s.error_code : 0;
  FaultSignal f;
  switch (exit.kind) {
    case ir::ExitKind::MemoryFault:
    case ir::ExitKind::FetchFault:
      f = page_fault(cpu, signal, code, wide);
      break;
    case ir::ExitKind::Unaligned:
      f = plain(SIGSEGV, kProtection);
      break;
    case ir::ExitKind::Breakpoint:
      cpu.pc += 1;
      f = exit.detail == kBreakpoint ? plain(SIGTRAP, kBreakpoint)
                                     : trap(SIGTRAP, TRAP_BRKPT, cpu.pc, kDebug);
      break;
    case ir::ExitKind::SoftwareInterrupt:
      f = software_interrupt(s, exit.detail);
      break;
    case ir::ExitKind::ArithmeticTrap:
      f = arithmetic(s, exit.detail);
      break;
    case ir::ExitKind::ProtectionFault:
      f = plain(SIGSEGV, kProtection, error);
      break;
    case ir::ExitKind::StackFault:
      f = plain(SIGBUS, kStack, error);
      break;
    case ir::ExitKind::SegmentAbsent:
      f = plain(SIGBUS, kSegmentAbsent, error);
      break;
    default:
      f = trap(SIGILL, ILL_ILLOPN, cpu.pc, kInvalidOpcode);
      break;
  }
  // CR2 keeps the address of the last page fault.
  if (!f.recorded) f.fault_address = s.cr2;
  s.cr2 = f.fault_address;
  f.recorded = true;
  return f;
}

}  // namespace lyrebird::user
