// SPDX-License-Identifier: Apache-2.0
// The table of system registers, what accesses do, and privileged rows as lifted.
#include <gtest/gtest.h>

#include <set>

#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/helpers.h"
#include "frontend/arm/system/maintenance.h"
#include "frontend/arm/system/timers.h"
#include "ir/print.h"
#include "ir/verify.h"
#include "tests/unit/frontend_arm/lift.h"
#include "tests/unit/frontend_arm/system_machine.h"

namespace lyrebird::arm::test {
namespace {

using enum SysReg;

SysReg named(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
  const auto r = find_sys_reg(sys_reg_key(op0, op1, crn, crm, op2));
  return r ? *r : SysReg::Count;
}

TEST(SystemRegisters, EveryRowIsFoundByItsEncoding) {
  std::set<unsigned> keys;
  for (unsigned i = 0; i < kSysRegCount; ++i) {
    const SysRegInfo& row = kSysRegs[i];
    if (row.read_el == 4 && row.write_el == 4) continue;  // storage only
    EXPECT_TRUE(keys.insert(row.key).second) << row.name;
    EXPECT_EQ(find_sys_reg(row.key), static_cast<SysReg>(i)) << row.name;
    EXPECT_FALSE(is_gic_register(row.key)) << row.name;
    EXPECT_EQ(row.trap == Trap::None || row.trap < Trap::ImpDef || row.trap == Trap::ImpDef, true);
  }
  EXPECT_EQ(named(3, 0, 1, 0, 0), SCTLR_EL1);
  EXPECT_EQ(named(3, 3, 14, 3, 1), CNTV_CTL_EL0);
  EXPECT_EQ(named(3, 4, 1, 1, 0), HCR_EL2);
  EXPECT_EQ(named(2, 0, 1, 0, 4), OSLAR_EL1);
  EXPECT_EQ(named(3, 7, 15, 15, 7), SysReg::Count);
  EXPECT_TRUE(is_gic_register(sys_reg_key(3, 0, 12, 12, 0)));  // ICC_IAR1_EL1
  EXPECT_TRUE(is_gic_register(sys_reg_key(3, 0, 4, 6, 0)));    // ICC_PMR_EL1
  EXPECT_FALSE(is_gic_register(sys_reg_key(3, 0, 12, 0, 0)));  // VBAR_EL1
}

TEST(SystemRegisters, ReservedIdentificationIsZero) {
  Machine m;
  const auto r = find_sys_reg(sys_reg_key(3, 0, 0, 7, 5));
  ASSERT_TRUE(r);
  EXPECT_EQ(id_value(m.config, sys_reg_key(3, 0, 0, 7, 5)), 0u);
  EXPECT_FALSE(find_sys_reg(sys_reg_key(3, 0, 0, 8, 0)));
}

TEST(SystemRegisters, IdentificationFollowsTheOptions) {
  const auto pfr0 = [](SystemConfig config, const char* cpu) {
    Machine m(config, cpu);
    return read_sys_reg(m.state, ID_AA64PFR0_EL1);
  };
  EXPECT_EQ(pfr0({}, "cortex-a57"), 0x11u);
  EXPECT_EQ(pfr0({.el2 = true, .el3 = true, .gicv3 = true}, "cortex-a57"), 0x01001111u);
  Machine m({}, "cortex-a57");
  EXPECT_EQ(read_sys_reg(m.state, MIDR_EL1), 0x411fd070u);
  EXPECT_EQ(read_sys_reg(m.state, MPIDR_EL1), 0x80000000u);
  EXPECT_EQ(read_sys_reg(m.state, ID_AA64MMFR0_EL1) & 0xff, 0x25u);
  EXPECT_EQ(read_sys_reg(m.state, ID_AA64MMFR1_EL1), 0u);
  Machine newest;
  EXPECT_EQ(read_sys_reg(newest.state, ID_AA64MMFR1_EL1), 0x00211122u);
}

TEST(SystemRegisters, AccessByLevel) {
  Machine m({.el2 = true});
  m.go(1);
  EXPECT_EQ(check_access(m.state, HCR_EL2, false), AccessResult::Undefined);
  EXPECT_EQ(check_access(m.state, SCTLR_EL1, true), AccessResult::Allowed);
  EXPECT_EQ(check_access(m.state, MIDR_EL1, true), AccessResult::Undefined);
  EXPECT_EQ(check_access(m.state, OSLAR_EL1, false), AccessResult::Undefined);
  m.go(2);
  EXPECT_EQ(check_access(m.state, HCR_EL2, false), AccessResult::Allowed);
  EXPECT_EQ(check_access(m.state, SCR_EL3, false), AccessResult::Undefined);
  m.go(0);
  EXPECT_EQ(check_access(m.state, TPIDRRO_EL0, false), AccessResult::Allowed);
  EXPECT_EQ(check_access(m.state, TPIDRRO_EL0, true), AccessResult::Undefined);
}

struct TrapCase {
  SysReg r;
  bool write;
  unsigned el;
  SysReg control;
  uint64_t value;
  AccessResult without, with;
};

TEST(SystemRegisters, Traps) {
  constexpr auto kYes = AccessResult::Allowed, kEl1 = AccessResult::TrapEl1, kEl2 = AccessResult::TrapEl2,
                 kEl3 = AccessResult::TrapEl3;
  constexpr TrapCase kCases[] = {
      {CTR_EL0, false, 0, SCTLR_EL1, sctlr::kUct, kEl1, kYes},
      {DAIF, true, 0, SCTLR_EL1, sctlr::kUma, kEl1, kYes},
      {CNTVCT_EL0, false, 0, CNTKCTL_EL1, 2, kEl1, kYes},
      {CNTPCT_EL0, false, 0, CNTKCTL_EL1, 1, kEl1, kYes},
      {CNTV_CTL_EL0, true, 0, CNTKCTL_EL1, 1 << 8, kEl1, kYes},
      {CNTP_CTL_EL0, true, 0, CNTKCTL_EL1, 1 << 9, kEl1, kYes},
      {PMCCNTR_EL0, false, 0, PMUSERENR_EL0, 4, kEl1, kYes},
      {PMCCNTR_EL0, true, 0, PMUSERENR_EL0, 4, kEl1, kEl1},
      {TTBR0_EL1, true, 1, HCR_EL2, hcr::kTvm, kYes, kEl2},
      {TTBR0_EL1, false, 1, HCR_EL2, hcr::kTvm, kYes, kYes},
      {TTBR0_EL1, false, 1, HCR_EL2, hcr::kTrvm, kYes, kEl2},
      {ID_AA64PFR0_EL1, false, 1, HCR_EL2, hcr::kTid3, kYes, kEl2},
      {CTR_EL0, false, 1, HCR_EL2, hcr::kTid2, kYes, kEl2},
      {MDSCR_EL1, true, 1, MDCR_EL2, mdcr::kTda, kYes, kEl2},
      {PMCR_EL0, true, 1, MDCR_EL2, mdcr::kTpm, kYes, kEl2},
      {PMCR_EL0, true, 2, MDCR_EL3, mdcr::kTpm, kYes, kEl3},
      {CPACR_EL1, true, 1, CPTR_EL2, uint64_t{1} << 31, kYes, kEl2},
      {CPACR_EL1, true, 2, CPTR_EL3, uint64_t{1} << 31, kYes, kEl3},
      {APIAKEYLO_EL1, true, 1, HCR_EL2, hcr::kApk, kEl2, kYes},
      {APIAKEYLO_EL1, true, 2, SCR_EL3, scr::kApk | scr::kNs, kEl3, kYes},
  };
  for (const TrapCase& c : kCases) {
    Machine m({.el2 = true, .el3 = true});
    m.reg(SCR_EL3) = scr::kNs | (c.r == APIAKEYLO_EL1 && c.control == HCR_EL2 ? scr::kApk : 0);
    m.reg(CNTHCTL_EL2) = 3;
    m.reg(SCTLR_EL1) = 0;
    m.reg(HCR_EL2) = 0;
    m.go(c.el);
    EXPECT_EQ(check_access(m.state, c.r, c.write), c.without) << info(c.r).name << c.write << c.el;
    EXPECT_TRUE(may_trap(m.config, c.r, c.el, c.write)) << info(c.r).name;
    m.reg(c.control) = c.value;
    EXPECT_EQ(check_access(m.state, c.r, c.write), c.with) << info(c.r).name << c.write << c.el;
  }
}

TEST(SystemRegisters, HostsSeeTheirOwn) {
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 0, 1, 0, 0))), SCTLR_EL2);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 5, 1, 0, 0))), SCTLR_EL1);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 0, 1, 0, 2))), CPTR_EL2);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 5, 1, 0, 2))), CPACR_EL1);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 3, 14, 3, 1))), CNTHV_CTL_EL2);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 5, 14, 3, 1))), CNTV_CTL_EL0);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 5, 14, 1, 0))), CNTKCTL_EL1);
  EXPECT_EQ(*find_sys_reg(redirect_e2h(sys_reg_key(3, 0, 13, 0, 4))), TPIDR_EL1);
}

TEST(SystemRegisters, StackPointersAreBanked) {
  Machine m;
  m.go(1);
  m.state.sp = 0x100;
  write_sys_reg(m.state, SP_EL0, 0x200);
  write_sys_reg(m.state, SPSel, 0);
  EXPECT_EQ(m.state.sp, 0x200u);
  EXPECT_TRUE(m.state.header.mode & kModeSpEl0);
  EXPECT_EQ(check_access(m.state, SP_EL0, false), AccessResult::Undefined);
  m.state.sp = 0x300;
  write_sys_reg(m.state, SPSel, 1);
  EXPECT_EQ(m.state.sp, 0x100u);
  EXPECT_EQ(read_sys_reg(m.state, SP_EL0), 0x300u);
}

TEST(SystemRegisters, ContextsAndFlushes) {
  Machine m;
  m.go(1);
  m.flushes.clear();
  write_sys_reg(m.state, TCR_EL1, uint64_t{1} << 36);
  EXPECT_EQ(m.flushes.size(), 1u);
  m.contexts.clear();
  write_sys_reg(m.state, TTBR0_EL1, uint64_t{5} << 48 | 0x1000);
  ASSERT_EQ(m.contexts.size(), 1u);
  EXPECT_EQ(m.contexts[0], 5u);
  write_sys_reg(m.state, TTBR0_EL1, uint64_t{5} << 48 | 0x2000);
  EXPECT_EQ(m.contexts.size(), 1u);
  m.flushes.clear();
  write_sys_reg(m.state, SCTLR_EL1, sctlr::kM);
  EXPECT_EQ(m.flushes.size(), 1u);
  EXPECT_EQ(m.flushes[0].spaces, kMmuSpacesEl1);
  EXPECT_FALSE(m.state.header.mode & kModeAlign);
}

TEST(SystemRegisters, WhatFollowsFromFieldsIsMadeAnew) {
  Machine m({.el2 = true});
  m.go(1);
  m.flushes.clear();
  m.contexts.clear();
  m.reg(TTBR0_EL1) = uint64_t{9} << 48;
  m.reg(CNTV_CTL_EL0) = 1;
  m.reg(CNTV_CVAL_EL0) = 4242;
  m.reg(CPACR_EL1) = 3 << 20;
  m.reg(HCR_EL2) = hcr::kVi | hcr::kImo;
  m.state.fpcr = kFpcrDn;
  m.state.header.mode = ~0u;
  state_changed(m.state);
  EXPECT_EQ(m.state.header.mode & kModeFpcrMask, mode_of_fpcr(kFpcrDn));
  EXPECT_FALSE(m.state.header.mode & (kModeFpTrap | kModeStep | kModeIllegal));
  EXPECT_EQ(m.contexts.at(0), 9u);
  EXPECT_EQ(m.flushes.size(), 1u);
  EXPECT_EQ(m.timers[static_cast<unsigned>(GenericTimer::Virtual)].deadline, 4242u);
  EXPECT_TRUE(m.state.header.interrupt_lines & kLineHypervisor);
}

TEST(SystemRegisters, LayoutIsSortedAndComplete) {
  const ir::StateLayout& layout = a64_system_layout();
  uint32_t end = 0;
  std::set<std::string_view> names;
  for (const ir::StateField& field : layout.fields) {
    EXPECT_GE(field.offset, end) << field.name;
    end = field.offset + ir::byte_size(field.type);
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
  }
  EXPECT_LE(end, layout.size);
  EXPECT_EQ(layout.size, sizeof(A64SystemState));
  EXPECT_TRUE(names.contains("SCTLR_EL1") && names.contains("x0") && names.contains("daif"));
}

TEST(SystemRegisters, TlbMaintenance) {
  Machine m({.el2 = true});
  m.reg(TCR_EL1) = uint64_t{1} << 36;
  m.go(1);
  const auto tlbi = [&](unsigned op1, unsigned crm, unsigned op2, uint64_t value) {
    m.flushes.clear();
    system_operation(m.state, sys_reg_key(1, op1, 8, crm, op2), value);
    EXPECT_EQ(m.flushes.size(), 1u);
    return m.flushes.at(0);
  };
  const uint64_t operand = uint64_t{0x77} << 48 | 0x00000fffffff1234;  // VA[55] is set
  auto flush = tlbi(0, 3, 1, operand);                                 // VAE1IS
  EXPECT_TRUE(flush.broadcast && flush.by_address && flush.by_context);
  EXPECT_EQ(flush.context, 0x77u);
  EXPECT_EQ(flush.address, 0xfffffffff1234000u);
  EXPECT_EQ(flush.spaces, kMmuSpacesEl1);
  flush = tlbi(0, 7, 0, 0);  // VMALLE1
  EXPECT_FALSE(flush.broadcast || flush.by_address || flush.by_context);
  flush = tlbi(0, 3, 2, operand);  // ASIDE1IS
  EXPECT_TRUE(flush.by_context && !flush.by_address);
  flush = tlbi(0, 3, 7, operand);  // VAALE1IS
  EXPECT_TRUE(!flush.by_context && flush.by_address);
  m.go(2);
  EXPECT_EQ(tlbi(4, 3, 0, 0).spaces, 1u << kMmuEl2);  // ALLE2IS
  EXPECT_EQ(tlbi(4, 3, 6, 0).spaces, kMmuSpacesEl1);  // VMALLS12E1IS
  EXPECT_FALSE(tlbi(4, 0, 1, 0x1234).by_address);     // IPAS2E1IS
  m.reg(HCR_EL2) = hcr::kE2h | hcr::kTge;
  EXPECT_EQ(tlbi(0, 3, 0, 0).spaces, kMmuSpacesEl2Host);
}

TEST(Timers, DeadlinesAndStatus) {
  Machine m({.el2 = true});
  m.go(1);
  m.now = 5000;
  auto& timer = m.timers[static_cast<unsigned>(GenericTimer::Virtual)];
  write_sys_reg(m.state, CNTVOFF_EL2, 1000);
  EXPECT_EQ(read_sys_reg(m.state, CNTVCT_EL0), 4000u);
  EXPECT_EQ(read_sys_reg(m.state, CNTPCT_EL0), 5000u);
  write_sys_reg(m.state, CNTV_CTL_EL0, 1);
  write_sys_reg(m.state, CNTV_CVAL_EL0, 4500);
  EXPECT_TRUE(timer.active);
  EXPECT_EQ(timer.deadline, 5500u);
  EXPECT_EQ(read_sys_reg(m.state, CNTV_CTL_EL0), 1u);
  EXPECT_EQ(read_sys_reg(m.state, CNTV_TVAL_EL0), 500u);
  m.now = 5600;
  EXPECT_EQ(read_sys_reg(m.state, CNTV_CTL_EL0), 5u);
  EXPECT_EQ(read_sys_reg(m.state, CNTV_TVAL_EL0), low_mask(32) - 99);
  write_sys_reg(m.state, CNTV_CTL_EL0, 3);
  EXPECT_FALSE(timer.active);
  write_sys_reg(m.state, CNTV_TVAL_EL0, 0xffffffff);  // -1
  EXPECT_EQ(m.reg(CNTV_CVAL_EL0), 4599u);
  write_sys_reg(m.state, CNTV_CVAL_EL0, ~uint64_t{0});
  EXPECT_EQ(timer.deadline, ~uint64_t{0});
  write_sys_reg(m.state, CNTVOFF_EL2, static_cast<uint64_t>(-2000));
  write_sys_reg(m.state, CNTV_CVAL_EL0, 1500);
  EXPECT_EQ(timer.deadline, 0u) << "the count was there before the system counter began";
  write_sys_reg(m.state, CNTP_CVAL_EL0, 7777);
  EXPECT_EQ(m.timers[0].deadline, 7777u);
}

TEST(Pmu, CyclesCountWhileEnabled) {
  Machine m;
  m.go(1);
  m.now = 100;
  EXPECT_EQ(read_sys_reg(m.state, PMCCNTR_EL0), 0u);
  write_sys_reg(m.state, PMCNTENSET_EL0, uint64_t{1} << 31);
  write_sys_reg(m.state, PMCR_EL0, 1);
  m.now = 150;
  EXPECT_EQ(read_sys_reg(m.state, PMCCNTR_EL0), 50u);
  write_sys_reg(m.state, PMCNTENCLR_EL0, uint64_t{1} << 31);
  m.now = 1000;
  EXPECT_EQ(read_sys_reg(m.state, PMCCNTR_EL0), 50u);
  write_sys_reg(m.state, PMCR_EL0, 1 | 4);
  EXPECT_EQ(read_sys_reg(m.state, PMCCNTR_EL0), 0u);
}

// --- lifted rows

struct SystemLift : Machine {
  using Machine::Machine;
  ir::Block operator()(std::vector<uint32_t> words) {
    Code code;
    code.words = std::move(words);
    ir::Block block;
    front->translate({.key = {.pc = kStart, .mode = state.header.mode},
                      .code = &code,
                      .max_instructions = static_cast<unsigned>(code.words.size())},
                     block);
    const auto good = ir::verify(block, {.layout = &front->layout(), .helpers = front->helpers()});
    EXPECT_TRUE(good.ok()) << (good.ok() ? "" : good.error().message);
    return block;
  }
};

const ir::Inst* find(const ir::Block& block, ir::Op op) {
  for (const ir::Inst& inst : block.insts)
    if (inst.op == op) return &inst;
  return nullptr;
}
bool calls(const ir::Block& block, unsigned helper) {
  for (const ir::Inst& inst : block.insts)
    if (inst.op == ir::Op::CallHelper && inst.aux == helper) return true;
  return false;
}

TEST(LiftSystem, PlainRegistersAreFields) {
  SystemLift lift;
  lift.go(1);
  const ir::Block read = lift({0xd5384100});  // mrs x0, sp_el0
  ASSERT_TRUE(find(read, ir::Op::GetState));
  EXPECT_EQ(find(read, ir::Op::GetState)->imm, sys_reg_offset(SP_EL0));
  EXPECT_FALSE(find(read, ir::Op::CallHelper));
  EXPECT_FALSE(find(read, ir::Op::RaiseIf));
  const ir::Block write = lift({0xd518d080});  // msr tpidr_el1, x0
  EXPECT_EQ(find(write, ir::Op::SetState)->imm, sys_reg_offset(TPIDR_EL1));
}

TEST(LiftSystem, LevelsAreKnownWhenItIsLifted) {
  SystemLift lift;
  lift.go(0);
  EXPECT_TRUE(raises(lift({0xd5384100}), ir::ExitKind::Undefined));
  EXPECT_TRUE(calls(lift({0xd4000001}), kHelperSvc));
  EXPECT_TRUE(raises(lift({0xd69f03e0}), ir::ExitKind::Undefined));
  EXPECT_TRUE(raises(lift({0xd508871f}), ir::ExitKind::Undefined));  // tlbi vmalle1
  lift.go(1);
  EXPECT_TRUE(calls(lift({0xd69f03e0}), kHelperEret));
  EXPECT_TRUE(calls(lift({0xd508871f}), kHelperOperation));
  EXPECT_TRUE(raises(lift({0xd53c1100}), ir::ExitKind::Undefined));  // mrs x0, hcr_el2
  EXPECT_TRUE(raises(lift({0xd53cd052}), ir::ExitKind::Undefined));
}

TEST(LiftSystem, OnlyACompleteDsbOfTheKernelWaitsForTlbi) {
  SystemLift lift;
  lift.go(1);
  EXPECT_TRUE(calls(lift({0xd5033f9f}), kHelperFlushesDone));   // dsb sy
  EXPECT_TRUE(calls(lift({0xd5033b9f}), kHelperFlushesDone));   // dsb ish
  EXPECT_FALSE(calls(lift({0xd5033a9f}), kHelperFlushesDone));  // dsb ishst
  EXPECT_FALSE(calls(lift({0xd503399f}), kHelperFlushesDone));  // dsb ishld
  EXPECT_FALSE(calls(lift({0xd5033bbf}), kHelperFlushesDone));  // dmb ish
  lift.go(0);
  EXPECT_FALSE(calls(lift({0xd5033b9f}), kHelperFlushesDone));
}

TEST(LiftSystem, UnprivilegedAccessesNameEl0) {
  SystemLift lift;
  lift.reg(SCTLR_EL1) |= sctlr::kM;
  lift.go(1);
  const auto space = [](const ir::Block& block) {
    return ir::MemInfo::unpack(find(block, ir::Op::Load)->aux).space;
  };
  EXPECT_EQ(space(lift({0xf9400020})), kMmuEl1);  // ldr x0, [x1]
  EXPECT_EQ(space(lift({0xf8400820})), kMmuEl0);  // ldtr x0, [x1]
  lift.state.uao = 1;
  lift.go(1);
  EXPECT_EQ(space(lift({0xf8400820})), kMmuEl1);
  lift.state.uao = 0;
  lift.state.pan = 1;
  lift.go(1);
  EXPECT_EQ(space(lift({0xf9400020})), kMmuEl1Pan);
  lift.go(0);
  EXPECT_EQ(space(lift({0xf9400020})), kMmuEl0);
}

TEST(LiftSystem, AlignmentAndByteOrder) {
  SystemLift lift;
  lift.reg(SCTLR_EL1) |= sctlr::kM;
  lift.go(1);
  const auto info_of = [](const ir::Block& block) {
    return ir::MemInfo::unpack(find(block, ir::Op::Load)->aux);
  };
  EXPECT_EQ(info_of(lift({0xf9400020})).align, ir::Align::None);
  lift.reg(SCTLR_EL1) |= sctlr::kA | sctlr::kEe;
  lift.go(1);
  EXPECT_EQ(info_of(lift({0xf9400020})).align, ir::Align::Natural);
  EXPECT_TRUE(info_of(lift({0xf9400020})).big_endian);
}

TEST(LiftSystem, FpTrapsAreStatic) {
  SystemLift lift;
  lift.go(1);
  EXPECT_TRUE(raises(lift({0x1e602800}), ir::ExitKind::Undefined));
  write_sys_reg(lift.state, CPACR_EL1, 3u << 20);
  EXPECT_FALSE(raises(lift({0x1e602800}), ir::ExitKind::Undefined));
}

TEST(LiftSystem, PanIsAConstantOfTheMode) {
  SystemLift lift;
  lift.go(1);
  const ir::Block block = lift({0xd500419f});  // msr pan, #1
  EXPECT_FALSE(find(block, ir::Op::CallHelper));
  EXPECT_TRUE(raises(SystemLift({}, "cortex-a57")({0xd500419f}), ir::ExitKind::Undefined));
}

TEST(LiftSystem, EveryPrivilegedInstructionGivesGoodIr) {
  constexpr uint32_t kWords[] = {0xd5384240, 0xd53b4220, 0xd51b4220, 0xd50342df, 0xd50342ff, 0xd50341ff,
                                 0xd50041bf, 0xd518c000, 0xd5182000, 0xd53be045, 0xd51be320, 0xd50b7421,
                                 0xd50b7a20, 0xd50b7520, 0xd508751f, 0xd5087621, 0xd5087800, 0xd5038000,
                                 0xd503207f, 0xd503205f, 0xd503209f, 0xd50320bf, 0xd4000002, 0xd4000003,
                                 0xd69f0bff, 0xd5380600, 0xd5380000, 0xd53b0020, 0xd538cc00, 0xd518cc20};
  for (unsigned el = 0; el < 4; ++el) {
    for (const bool gicv3 : {false, true}) {
      SystemLift lift({.el2 = true, .el3 = true, .gicv3 = gicv3});
      lift.go(el);
      for (const uint32_t word : kWords) lift({word});
    }
  }
}

TEST(LiftSystem, TagsOfInstructionAddresses) {
  SystemLift lift({.el2 = true});
  const auto leads_to = [&](uint64_t pc) {
    Code code;
    ir::Block block;
    lift.front->translate(
        {.key = {.pc = pc, .mode = lift.state.header.mode}, .code = &code, .max_instructions = 1}, block);
    return last(block).op == ir::Op::Jump ? last(block).imm : pc;
  };
  constexpr uint64_t kLow = 0xab00000000001000, kHigh = 0xab80000000001000;
  lift.go(1);
  EXPECT_EQ(leads_to(kLow), kLow);
  lift.reg(TCR_EL1) = uint64_t{3} << 37;
  lift.go(1);
  EXPECT_EQ(leads_to(kLow), 0x1000u);
  EXPECT_EQ(leads_to(kHigh), 0xff80000000001000u);
  lift.reg(TCR_EL1) = uint64_t{1} << 37;
  lift.go(1);
  EXPECT_EQ(leads_to(kHigh), kHigh);
  lift.reg(TCR_EL2) = uint64_t{1} << 20;  // one half: zeros, whatever bit 55 is
  lift.go(2);
  EXPECT_EQ(leads_to(kHigh), 0x80000000001000u);
  lift.reg(HCR_EL2) |= hcr::kE2h;
  lift.reg(TCR_EL2) = uint64_t{1} << 37;
  lift.go(2);
  EXPECT_EQ(leads_to(kHigh), kHigh);
  EXPECT_EQ(leads_to(kLow), 0x1000u);
}

TEST(LiftSystem, StepsOneInstruction) {
  SystemLift lift;
  lift.reg(OSLSR_EL1) = 0;
  lift.reg(MDSCR_EL1) = mdscr::kSs;
  lift.state.single_step = 1;
  lift.go(0);
  EXPECT_EQ(lift({0xd503201f, 0xd503201f}).guest_count, 1u);
  lift.state.single_step = 0;
  lift.go(0);
  const ir::Block done = lift({0xd503201f});
  EXPECT_TRUE(raises(done, ir::ExitKind::Undefined));
  EXPECT_EQ(last(done).imm, kStepDetail);
}

}  // namespace
}  // namespace lyrebird::arm::test
