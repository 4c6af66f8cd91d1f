// SPDX-License-Identifier: Apache-2.0
// Exception entry and return (DDI 0487, D1).
#include <gtest/gtest.h>

#include "frontend/arm/system/decode_traps.h"
#include "tests/unit/frontend_arm/system_machine.h"

namespace lyrebird::arm::test {
namespace {

using enum SysReg;
using ir::Access;
using ir::ExitKind;

constexpr uint64_t kVbar = 0x4000, kVbar2 = 0x8000, kVbar3 = 0xc000, kPc = 0x1234;

struct Cpu : Machine {
  explicit Cpu(SystemConfig wanted = {}, const char* cpu = "max") : Machine(wanted, cpu) {
    reg(VBAR_EL1) = kVbar;
    reg(VBAR_EL2) = kVbar2;
    reg(VBAR_EL3) = kVbar3;
    reg(SCR_EL3) = scr::kNs | scr::kRw | scr::kHce;
    reg(HCR_EL2) = uint64_t{1} << 31;
    reg(SCTLR_EL1) |= sctlr::kSpan;
    state.header.pc = kPc;
    go(1);
  }
  bool raise(ExitKind kind, uint64_t detail = 0) { return front->raise(state.header, kind, detail); }
  uint64_t ec(SysReg esr = ESR_EL1) { return reg(esr) >> 26; }
  uint64_t iss(SysReg esr = ESR_EL1) { return reg(esr) & low_mask(25); }
  uint64_t pc() const { return state.header.pc; }
};

TEST(Exceptions, ResetIsAtTheHighestLevel) {
  EXPECT_EQ(Machine().state.el, 1);
  EXPECT_EQ(Machine({.el2 = true}).state.el, 2);
  Machine m({.el2 = true, .el3 = true});
  EXPECT_EQ(m.state.el, 3);
  EXPECT_EQ(m.state.daif, 0xf);
  EXPECT_EQ(el_of_mode(m.state.header.mode), 3u);
  EXPECT_TRUE(m.state.header.mode & kModeAlign) << "everything is device memory while the MMU is off";
}

TEST(Exceptions, SvcFromEl0) {
  Cpu m;
  m.state.sp = 0x1100;  // SP_EL1
  m.go(0);
  m.state.sp = 0x2200;
  set_nzcv(m.state, 0xa0000000);
  take_svc(m.state, 0x42, kPc + 4);
  EXPECT_EQ(m.pc(), kVbar + 0x400);
  EXPECT_EQ(m.reg(ELR_EL1), kPc + 4);
  EXPECT_EQ(m.reg(ESR_EL1), 0x15u << 26 | 1u << 25 | 0x42);
  EXPECT_EQ(m.reg(SPSR_EL1), 0xa0000000u);
  EXPECT_EQ(m.state.sp, 0x1100u);
  EXPECT_EQ(m.reg(SP_EL0), 0x2200u);
  EXPECT_EQ(m.state.daif, 0xf);
  EXPECT_EQ(mmu_index_of_mode(m.state.header.mode), unsigned{kMmuEl1});
  exception_return(m.state, m.reg(ELR_EL1));
  EXPECT_EQ(m.state.el, 0);
  EXPECT_EQ(m.state.sp, 0x2200u);
  EXPECT_EQ(m.state.daif, 0);
  EXPECT_EQ(m.pc(), kPc + 4);
  EXPECT_EQ(nzcv(m.state), 0xa0000000u);
  EXPECT_GT(m.rechecks, 0u);
}

TEST(Exceptions, VectorsOfTheSameLevel) {
  Cpu m;
  m.go(1, 0);
  m.raise(ExitKind::Undefined, 0);
  EXPECT_EQ(m.pc(), kVbar);
  EXPECT_EQ(m.reg(SPSR_EL1) & 0xf, 4u);
  m.go(1, 1);
  m.raise(ExitKind::Undefined, 0);
  EXPECT_EQ(m.pc(), kVbar + 0x200);
  EXPECT_EQ(m.reg(SPSR_EL1) & 0xf, 5u);
  EXPECT_EQ(m.reg(ESR_EL1), 1u << 25);
}

TEST(Exceptions, PanIsSetUnlessSpan) {
  Cpu m;
  m.go(0);
  take_svc(m.state, 0, kPc);
  EXPECT_EQ(m.state.pan, 0);
  m.reg(SCTLR_EL1) &= ~sctlr::kSpan;
  m.go(0);
  take_svc(m.state, 0, kPc);
  EXPECT_EQ(m.state.pan, 1);
  EXPECT_EQ(mmu_index_of_mode(m.state.header.mode), unsigned{kMmuEl1Pan});
  Cpu old({}, "cortex-a57");
  old.reg(SCTLR_EL1) &= ~sctlr::kSpan;
  old.go(0);
  take_svc(old.state, 0, kPc);
  EXPECT_EQ(old.state.pan, 0);
}

TEST(Exceptions, DataAborts) {
  Cpu m;
  m.state.fault = {.status = 0x07, .address = 0xdead000};
  m.state.header.fault_access = static_cast<uint32_t>(Access::Write);
  m.go(0);
  m.raise(ExitKind::MemoryFault);
  EXPECT_EQ(m.ec(), 0x24u);
  EXPECT_EQ(m.iss(), 0x47u);  // WnR
  EXPECT_EQ(m.reg(FAR_EL1), 0xdead000u);
  EXPECT_EQ(m.reg(ELR_EL1), kPc);
  m.go(1);
  m.state.header.fault_access = static_cast<uint32_t>(Access::Read);
  m.raise(ExitKind::MemoryFault);
  EXPECT_EQ(m.ec(), 0x25u);
  EXPECT_EQ(m.iss(), 0x07u);
}

TEST(Exceptions, InstructionAbortsAndAlignment) {
  Cpu m;
  m.state.fault = {.status = 0x0f, .address = kPc};
  m.go(0);
  m.raise(ExitKind::FetchFault, kPc);
  EXPECT_EQ(m.reg(ESR_EL1), 0x20u << 26 | 1u << 25 | 0x0f);
  EXPECT_EQ(m.reg(FAR_EL1), kPc);
  m.go(0);
  m.state.header.pc = kPc + 2;
  m.raise(ExitKind::Unaligned);
  EXPECT_EQ(m.ec(), 0x22u);
  EXPECT_EQ(m.reg(FAR_EL1), kPc + 2);
  m.go(0);
  m.state.header.pc = kPc;
  m.state.header.fault_address = 0x777;
  m.state.header.fault_access = static_cast<uint32_t>(Access::Read);
  m.raise(ExitKind::Unaligned);
  EXPECT_EQ(m.ec(), 0x24u);
  EXPECT_EQ(m.iss(), 0x21u);
  EXPECT_EQ(m.reg(FAR_EL1), 0x777u);
}

TEST(Exceptions, Breakpoints) {
  Cpu m;
  m.go(0);
  m.raise(ExitKind::Breakpoint, 0x4d5);
  EXPECT_EQ(m.reg(ESR_EL1), 0x3cu << 26 | 1u << 25 | 0x4d5);
  EXPECT_EQ(m.reg(ELR_EL1), kPc);
}

TEST(Exceptions, FpTrapsByCpacr) {
  Cpu m;
  constexpr uint32_t kFadd = 0x1e602800, kLdrQ = 0x3dc00000, kMrsFpsr = 0xd53b4420, kAdd = 0x0b000000;
  EXPECT_TRUE(uses_fp(kFadd) && uses_fp(kLdrQ) && uses_fp_control(kMrsFpsr) && !uses_fp(kAdd));
  EXPECT_TRUE(m.state.header.mode & kModeFpTrap);
  m.raise(ExitKind::Undefined, kFadd);
  EXPECT_EQ(m.ec(), 0x07u);
  EXPECT_EQ(m.iss(), 0x1e00000u);
  write_sys_reg(m.state, CPACR_EL1, 1u << 20);  // EL1 only
  EXPECT_FALSE(m.state.header.mode & kModeFpTrap);
  m.go(0);
  EXPECT_TRUE(m.state.header.mode & kModeFpTrap);
  m.go(1);
  write_sys_reg(m.state, CPACR_EL1, 3u << 20);
  m.go(0);
  EXPECT_FALSE(m.state.header.mode & kModeFpTrap);
}

TEST(Exceptions, TrappedSystemRegisters) {
  Cpu m;
  m.go(0);
  constexpr uint32_t kMrsCntvct = 0xd53be045;  // x5
  m.raise(ExitKind::Undefined, kMrsCntvct);
  EXPECT_EQ(m.ec(), 0x18u);
  // op0 3, op2 2, op1 3, CRn 14, Rt 5, CRm 0, read
  EXPECT_EQ(m.iss(), 3u << 20 | 2u << 17 | 3u << 14 | 14u << 10 | 5u << 5 | 0u << 1 | 1u);
  m.go(0);
  m.reg(CNTKCTL_EL1) = 2;
  m.raise(ExitKind::Undefined, 0xd5384100);  // sp_el0: not at EL0
  EXPECT_EQ(m.reg(ESR_EL1), 1u << 25);
  m.go(0);
  m.raise(ExitKind::Undefined, 0xd50342df);  // msr daifset: UMA
  EXPECT_EQ(m.ec(), 0x18u);
  m.go(0);
  m.raise(ExitKind::Undefined, 0xd50b7a20);  // dc cvac: UCI
  EXPECT_EQ(m.ec(), 0x18u);
  m.reg(SCTLR_EL1) &= ~sctlr::kNtwi;
  m.go(0);
  m.raise(ExitKind::Undefined, kWfiWord);
  EXPECT_EQ(m.ec(), 0x01u);
  EXPECT_EQ(m.iss(), 0x1e00000u);
}

TEST(Exceptions, IllegalReturns) {
  struct Case {
    uint64_t spsr;
    bool illegal;
  };
  constexpr Case kCases[] = {
      {0x5, false}, {0x4, false}, {0x0, false}, {0x1, true},  // EL0 with its own SP
      {0x9, true},  {0xd, true},                              // higher
      {0x10, true}, {0x6, true},                              // AArch32, M[1]
  };
  for (const Case& c : kCases) {
    Cpu m;
    m.reg(SPSR_EL1) = c.spsr | 0x80000000;
    exception_return(m.state, 0x9000);
    EXPECT_EQ(m.state.illegal, c.illegal) << std::hex << c.spsr;
    EXPECT_EQ(m.pc(), 0x9000u);
    EXPECT_EQ(nzcv(m.state), 0x80000000u);
    if (c.illegal) {
      EXPECT_EQ(m.state.el, 1);
      EXPECT_TRUE(m.state.header.mode & kModeIllegal);
      m.raise(ExitKind::Undefined, kIllegalDetail);
      EXPECT_EQ(m.ec(), 0x0eu);
      EXPECT_TRUE(m.reg(SPSR_EL1) & spsr::kIl);
      EXPECT_FALSE(m.state.illegal);
    }
  }
}

TEST(Exceptions, InterruptsByMask) {
  Cpu m;
  m.go(1, 1, kDaifI);
  EXPECT_FALSE(m.front->take_interrupt(m.state.header, kLineIrq));
  EXPECT_TRUE(m.front->wakes(m.state.header, kLineIrq));
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, kLineIrq | kLineFiq));
  EXPECT_EQ(m.pc(), kVbar + 0x300);  // FIQ, same level
  EXPECT_EQ(m.reg(ELR_EL1), kPc);
  m.state.header.pc = kPc;
  m.go(0);
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, kLineIrq));
  EXPECT_EQ(m.pc(), kVbar + 0x480);
  m.go(0);
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, kLineSError));
  EXPECT_EQ(m.pc(), kVbar + 0x580);
  EXPECT_EQ(m.ec(), 0x2fu);
}

TEST(Exceptions, InterruptsOfEl2AndEl3) {
  Cpu m({.el2 = true, .el3 = true});
  m.reg(HCR_EL2) |= hcr::kImo;
  m.go(1, 1, 0xf);  // masks do not count for a higher level
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, kLineIrq));
  EXPECT_EQ(m.pc(), kVbar2 + 0x480);
  EXPECT_EQ(m.state.el, 2);
  m.reg(SCR_EL3) |= scr::kFiq;
  m.go(2, 1, 0xf);
  EXPECT_FALSE(m.front->take_interrupt(m.state.header, kLineIrq));
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, kLineFiq));
  EXPECT_EQ(m.pc(), kVbar3 + 0x500);
  m.go(3);
  EXPECT_FALSE(m.front->take_interrupt(m.state.header, kLineIrq)) << "goes to a lower level";
}

TEST(Exceptions, VirtualInterrupts) {
  Cpu m({.el2 = true});
  m.reg(HCR_EL2) |= hcr::kImo | hcr::kVi;
  m.go(2);
  EXPECT_FALSE(m.front->take_interrupt(m.state.header, 0));
  m.go(1, 1, kDaifI);
  EXPECT_FALSE(m.front->take_interrupt(m.state.header, 0));
  m.go(1);
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, 0));
  EXPECT_EQ(m.pc(), kVbar + 0x280);
  m.go(0);
  m.reg(HCR_EL2) &= ~hcr::kVi;
  EXPECT_TRUE(m.front->take_interrupt(m.state.header, kLineVirtualIrq));
  EXPECT_EQ(m.pc(), kVbar + 0x480);
}

TEST(Exceptions, HvcAndSmc) {
  Cpu m({.el2 = true, .el3 = true, .psci = PsciConduit::None});
  take_hvc(m.state, 7, kPc + 4);
  EXPECT_EQ(m.pc(), kVbar2 + 0x400);
  EXPECT_EQ(m.reg(ESR_EL2), 0x16u << 26 | 1u << 25 | 7);
  EXPECT_EQ(m.reg(ELR_EL2), kPc + 4);
  m.go(1);
  take_smc(m.state, 9, kPc + 4);
  EXPECT_EQ(m.pc(), kVbar3 + 0x400);
  EXPECT_EQ(m.reg(ESR_EL3), 0x17u << 26 | 1u << 25 | 9);
  m.go(1);
  m.reg(HCR_EL2) |= hcr::kTsc;
  take_smc(m.state, 9, kPc + 4);
  EXPECT_EQ(m.pc(), kVbar2 + 0x400);
  EXPECT_EQ(m.reg(ELR_EL2), kPc) << "a trap names the instruction itself";
  Cpu none({.psci = PsciConduit::None});
  take_hvc(none.state, 0, kPc + 4);
  EXPECT_EQ(none.ec(), 0u);
  EXPECT_EQ(none.reg(ELR_EL1), kPc);
}

TEST(Exceptions, TgeTakesEl0ToEl2) {
  Cpu m({.el2 = true});
  m.reg(HCR_EL2) |= hcr::kTge | hcr::kE2h;
  m.go(0);
  EXPECT_EQ(mmu_index_of_mode(m.state.header.mode), unsigned{kMmuEl20});
  take_svc(m.state, 1, kPc + 4);
  EXPECT_EQ(m.pc(), kVbar2 + 0x400);
  EXPECT_EQ(mmu_index_of_mode(m.state.header.mode), unsigned{kMmuEl2Host});
}

TEST(Exceptions, StageTwoAborts) {
  Cpu m({.el2 = true});
  m.state.fault = {.status = 0x07, .stage2 = true, .address = 0x8000123, .ipa = 0x9000123};
  m.state.header.fault_access = static_cast<uint32_t>(Access::Write);
  m.state.header.pc = 0x3000;
  m.space->write(0x3000, 4, 0xb9000441);  // str w1, [x2, #4]
  m.raise(ExitKind::MemoryFault);
  EXPECT_EQ(m.pc(), kVbar2 + 0x400);
  EXPECT_EQ(m.ec(ESR_EL2), 0x24u);
  EXPECT_EQ(m.iss(ESR_EL2), 1u << 24 | 2u << 22 | 1u << 16 | 1u << 6 | 7u);
  EXPECT_EQ(m.reg(FAR_EL2), 0x8000123u);
  EXPECT_EQ(m.reg(HPFAR_EL2), 0x90000u);
}

TEST(Exceptions, SoftwareStep) {
  Cpu m;
  m.reg(OSLSR_EL1) &= ~kOsLocked;
  m.reg(MDSCR_EL1) = mdscr::kSs;
  m.go(1, 1, 0xf);
  EXPECT_FALSE(m.state.header.mode & kModeStep) << "not at EL1 without KDE";
  m.reg(SPSR_EL1) = spsr::kSs;
  exception_return(m.state, kPc);
  EXPECT_EQ(m.state.single_step, 1);
  EXPECT_EQ(m.state.header.mode & (kModeStep | kModeStepDone), kModeStep);
  // The instruction faults: it is still to be done.
  m.state.header.mode |= kModeStepDone;
  m.state.single_step = 0;
  m.raise(ExitKind::Undefined, 0);
  EXPECT_TRUE(m.reg(SPSR_EL1) & spsr::kSs);
  EXPECT_FALSE(m.state.header.mode & kModeStep);
  // It is done.
  exception_return(m.state, kPc);
  m.state.single_step = 0;
  update_mode(m.state);
  EXPECT_TRUE(m.state.header.mode & kModeStepDone);
  m.raise(ExitKind::Undefined, kStepDetail);
  EXPECT_EQ(m.reg(ESR_EL1), 0x32u << 26 | 1u << 25 | 0x22);
  EXPECT_FALSE(m.reg(SPSR_EL1) & spsr::kSs);
}

// --- PSCI

TEST(Psci, CallsReachTheBoard) {
  Cpu m;
  const auto call = [&](uint32_t function, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0) {
    m.state.x[0] = function;
    m.state.x[1] = a;
    m.state.x[2] = b;
    m.state.x[3] = c;
    take_hvc(m.state, 0, kPc + 4);
    EXPECT_EQ(m.pc(), kPc + 4);
    return static_cast<int64_t>(m.state.x[0]);
  };
  EXPECT_EQ(call(0x84000000), 0x10001);
  EXPECT_EQ(call(0xc4000003, 1, 0x40080000, 5), 0);
  EXPECT_EQ(m.started.affinity, 1u);
  EXPECT_EQ(m.started.entry, 0x40080000u);
  EXPECT_EQ(m.started.context, 5u);
  EXPECT_EQ(call(0xc4000003, 7, 0, 0), kPsciInvalidParameters);
  EXPECT_EQ(call(0xc4000004, 1, 0), 1);
  EXPECT_EQ(call(0x84000006), 2);
  EXPECT_EQ(call(0x8400000a, 0xc4000003), 0);
  EXPECT_EQ(call(0x8400000a, 0x80000000), kPsciNotSupported);
  EXPECT_EQ(call(0x80000000), kPsciNotSupported);
  EXPECT_EQ(call(0xc4000001, 0), 0);
  EXPECT_EQ(m.state.wait_for_interrupt, 1);
  call(0x84000008);
  call(0x84000009);
  call(0x84000002);
  EXPECT_TRUE(m.is_shut_down && m.is_reset && m.is_off);
}

}  // namespace
}  // namespace lyrebird::arm::test
