// SPDX-License-Identifier: Apache-2.0
// System calls, identification, counters, random numbers, caches and fences (SDM volume 1, 7.3.17 on;
// volume 3, 8.2.5). What needs CPL 0 comes with the system mode.
#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/helpers.h"

namespace lyrebird::x86 {
namespace {

struct System : Lifter {
  using Lifter::Lifter;

  bool SYSCALL() {
    const Value flags = eflags();
    set_gpr(kRcx, imm(I64, next_pc()));
    set_gpr(11, flags);
    ir.Raise(ExitKind::Syscall, kSyscallInsn);
    return false;
  }

  bool SYSENTER() {
    if (is_real_or_v86()) return protection_fault();
    ir.Raise(ExitKind::Syscall, kSysenterInsn);
    return false;
  }

  bool CPUID() {
    ir.CallHelper(kHelperCpuid, None, {imm(I64, cpu_number(ctx.cpu))});
    return true;
  }

  bool RDTSC() {
    read_counter();
    return true;
  }

  bool RDTSCP() {
    read_counter();
    set_gpr(kRcx, field(offsetof(X86State, tsc_aux), I32));
    return true;
  }

  bool RDPID() {
    set_gpr(operand(0).reg, field(offsetof(X86State, tsc_aux), I32));
    return true;
  }

  /// CR4.PCE is clear.
  bool RDPMC() { return protection_fault(); }

  bool XGETBV() {
    const Value index = gpr(kRcx, I32);
    if (has(Feature::XSAVEC)) {
      // XCR1 is XCR0 and which parts are in use; all of them, as far as is known.
      ir.RaiseIf(ir.CmpLtU(imm(I32, 1), index), ExitKind::ProtectionFault);
    } else {
      ir.RaiseIf(ir.CmpNe(index, imm(I32, 0)), ExitKind::ProtectionFault);
    }
    const Value value = field(offsetof(X86State, xcr0), I64);
    set_gpr(kRax, ir.Trunc(value, I32));
    set_gpr(kRdx, ir.ShrU(value, imm(I64, 32)));
    return true;
  }

  bool RDRAND() { return random(); }
  bool RDSEED() { return random(); }

  bool PREFETCH() { return true; }
  bool PREFETCHW() { return true; }
  bool PREFETCHNTA() { return true; }
  bool PREFETCHT0() { return true; }
  bool PREFETCHT1() { return true; }
  bool PREFETCHT2() { return true; }

  /// Memory is coherent; what remains is that the byte must be readable.
  bool CLFLUSH() {
    load(I8, address(1, false));
    return true;
  }
  bool CLFLUSHOPT() { return CLFLUSH(); }
  bool CLWB() { return CLFLUSH(); }

  bool LFENCE() {
    ir.Fence(1);
    return true;
  }
  bool SFENCE() {
    ir.Fence(2);
    return true;
  }
  bool MFENCE() {
    ir.Fence(3);
    return true;
  }

 private:
  void read_counter() {
    const Value counter = ir.CallHelper(kHelperCounter, I64, {});
    set_gpr(kRax, ir.Trunc(counter, I32));
    set_gpr(kRdx, ir.ShrU(counter, imm(I64, 32)));
  }

  bool random() {
    write(0, ir.Trunc(ir.CallHelper(kHelperRandom, I64, {}), type(0)));
    const Value no = ir.False();
    set_flags({{Flag::CF, ir.True()},
               {Flag::PF, no},
               {Flag::AF, no},
               {Flag::ZF, no},
               {Flag::SF, no},
               {Flag::OF, no}});
    return true;
  }
};

}  // namespace

#define X86_CHAPTER System
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/system.inc"
#undef HANDLER

}  // namespace lyrebird::x86
