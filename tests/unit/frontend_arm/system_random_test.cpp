// SPDX-License-Identifier: Apache-2.0
// Whatever a guest puts into its registers and tables: nothing breaks, and what follows from them stays
// consistent.
#include <gtest/gtest.h>

#include <random>

#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/maintenance.h"
#include "ir/verify.h"
#include "tests/unit/frontend_arm/lift.h"
#include "tests/unit/frontend_arm/system_machine.h"

namespace lyrebird::arm::test {
namespace {

using Random = std::mt19937_64;

/// Numbers as guests have them: few bits, runs of bits, anything.
uint64_t number(Random& random) {
  const uint64_t a = random();
  switch (random() % 5) {
    case 0:
      return 0;
    case 1:
      return uint64_t{1} << (a & 63);
    case 2:
      return a & random() & random();
    case 3:
      return ~uint64_t{0} << (a & 63);
    default:
      return a;
  }
}

SystemConfig random_config(Random& random) {
  constexpr unsigned kPaBits[] = {32, 36, 40, 42, 44, 48, 52};
  return {.el2 = (random() & 1) != 0,
          .el3 = (random() & 1) != 0,
          .gicv3 = (random() & 1) != 0,
          .psci = random() & 1 ? PsciConduit::None : PsciConduit::Smc,
          .pa_bits = kPaBits[random() % std::size(kPaBits)]};
}

void expect_consistent(const A64SystemState& state) {
  ASSERT_LE(state.el, 3);
  ASSERT_EQ(el_of_mode(state.header.mode), state.el);
  ASSERT_EQ((state.header.mode & kModeSpEl0) != 0, state.sp_sel == 0);
  ASSERT_FALSE(state.el == 0 && state.sp_sel);
  ASSERT_FALSE(state.el == 2 && !state.config->el2);
  ASSERT_FALSE(state.el == 3 && !state.config->el3);
}

TEST(SystemRandom, AnyAccessesAndExceptions) {
  Random random(1);
  for (unsigned round = 0; round < 200; ++round) {
    Machine m(random_config(random), random() & 1 ? "max" : "cortex-a72");
    A64SystemState& state = m.state;
    for (unsigned step = 0; step < 200; ++step) {
      const auto r = static_cast<SysReg>(random() % kSysRegCount);
      const auto word = static_cast<uint32_t>(0xd5000000 | (random() & 0x3fffff));
      state.fault = {.status = static_cast<uint8_t>(random() & 0x3f),
                     .stage2 = state.el < 2 && el2_enabled(state) && (random() & 1),
                     .address = number(random)};
      state.header.fault_access = random() % 2;
      switch (random() % 9) {
        case 0:
          if (check_access(state, r, true) == AccessResult::Allowed) write_sys_reg(state, r, number(random));
          break;
        case 1:
          if (check_access(state, r, false) == AccessResult::Allowed) read_sys_reg(state, r);
          break;
        case 2:
          m.front->raise(state.header, ir::ExitKind::Undefined, random() & 1 ? word : random() & 0xffffffff);
          break;
        case 3:
          m.front->raise(state.header, random() & 1 ? ir::ExitKind::MemoryFault : ir::ExitKind::FetchFault,
                         0);
          break;
        case 4:
          take_svc(state, 0, 8);
          break;
        case 5:
          random() & 1 ? take_hvc(state, 0, 8) : take_smc(state, 0, 8);
          break;
        case 6:
          m.front->take_interrupt(state.header, static_cast<uint32_t>(random() & 31));
          break;
        case 7:
          if (state.el > 0) {
            state.reg(by_el(state.el, SysReg::SPSR_EL1, SysReg::SPSR_EL2, SysReg::SPSR_EL3)) =
                random() & 1 ? random() & 0xf : random();
            exception_return(state, number(random));
          }
          break;
        default:
          if (const auto key = static_cast<SysRegKey>(0x4000 | (random() & 0x3fff));
              check_system_op(state, key) == AccessResult::Allowed)
            system_operation(state, key, number(random));
      }
      ASSERT_NO_FATAL_FAILURE(expect_consistent(state)) << "round " << round << " step " << step;
    }
  }
}

TEST(SystemRandom, AnyTables) {
  using enum SysReg;
  constexpr SysReg kControl[] = {SCTLR_EL1, SCTLR_EL2, SCTLR_EL3, TCR_EL1,   TCR_EL2,   TCR_EL3,
                                 TTBR0_EL1, TTBR1_EL1, TTBR0_EL2, TTBR1_EL2, TTBR0_EL3, VTCR_EL2,
                                 VTTBR_EL2, HCR_EL2,   SCR_EL3,   MAIR_EL1};
  Random random(2);
  unsigned found = 0;
  for (unsigned round = 0; round < 300; ++round) {
    Machine m(random_config(random));
    // Tables that point at each other, so that walks go on.
    for (unsigned i = 0; i < 0x4000; i += 8)
      m.put(i, (random() % 0x4000 & ~0xfffu) | (random() & 0xfff) | (random() % 3 ? 3 : 1) |
                   (random() % 4 == 0 ? number(random) & 0xfff0000000000000 : 0));
    for (const SysReg r : kControl) m.reg(r) = number(random);
    for (const SysReg r : {TTBR0_EL1, TTBR1_EL1, TTBR0_EL2, TTBR1_EL2, TTBR0_EL3, VTTBR_EL2})
      if (random() % 4) m.reg(r) = random() & 0x3000;
    for (const SysReg r : {SCTLR_EL1, SCTLR_EL2, SCTLR_EL3})
      if (random() % 4) m.reg(r) |= sctlr::kM;
    m.go(1);
    for (unsigned i = 0; i < 100; ++i) {
      const uint64_t va = random() % 3 ? number(random) >> (random() % 40) : number(random);
      const auto access = static_cast<ir::Access>(random() % 3);
      const auto purpose = static_cast<WalkPurpose>(random() % 3);
      const auto index = static_cast<unsigned>(random() % kMmuIndexCount);
      Translation page;
      TranslationFault fault;
      if (translate(m.state, *m.space, va, access, index, purpose, page, fault)) {
        ++found;
        ASSERT_GE(page.bits, 12);
        ASSERT_LE(page.bits, 47);
        ASSERT_EQ(page.physical & low_mask(page.bits), 0u);
        ASSERT_TRUE(access == ir::Access::Read    ? page.read
                    : access == ir::Access::Fetch ? page.execute
                                                  : true);
      } else {
        ASSERT_LE(fault.status, 0x17);
        ASSERT_EQ(fault.address, va);
      }
    }
  }
  EXPECT_GT(found, 1000u);
}

TEST(SystemRandom, EverySystemInstructionLifts) {
  Random random(3);
  for (unsigned round = 0; round < 8; ++round) {
    Machine m(random_config(random));
    const unsigned highest = m.state.el;
    for (unsigned el = 0; el <= highest; ++el) {
      if (el == 2 && !m.config.el2) continue;
      m.go(el);
      for (unsigned i = 0; i < 4000; ++i) {
        Code code;
        code.words = {static_cast<uint32_t>(0xd5000000 | (random() & 0x3fffff)), 0xd503201f};
        ir::Block block;
        m.front->translate(
            {.key = {.pc = kStart, .mode = m.state.header.mode}, .code = &code, .max_instructions = 2},
            block);
        const auto good = ir::verify(block, {.layout = &m.front->layout(), .helpers = m.front->helpers()});
        ASSERT_TRUE(good.ok()) << std::hex << code.words[0] << " " << (good.ok() ? "" : good.error().message);
      }
    }
  }
}

}  // namespace
}  // namespace lyrebird::arm::test
