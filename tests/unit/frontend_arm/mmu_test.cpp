// SPDX-License-Identifier: Apache-2.0
// Walks over synthetic tables (DDI 0487, D8).
#include <gtest/gtest.h>

#include "frontend/arm/system/decode_traps.h"
#include "tests/unit/frontend_arm/system_machine.h"

namespace lyrebird::arm::test {
namespace {

using enum SysReg;
using ir::Access;

// Descriptors.
constexpr uint64_t kTable = 3, kPage = 3, kBlock = 1, kAf = 1u << 10, kNg = 1u << 11, kUser = 1u << 6,
                   kReadOnly = 1u << 7, kPxn = uint64_t{1} << 53, kUxn = uint64_t{1} << 54,
                   kDbm = uint64_t{1} << 51, kGuarded = uint64_t{1} << 50, kContiguous = uint64_t{1} << 52;
constexpr uint64_t kL0 = 0x10000, kL1 = 0x20000, kL2 = 0x30000, kL3 = 0x40000, kUpper = 0x50000;
constexpr uint64_t kTarget = 0x123000;

constexpr uint64_t tcr(unsigned t0sz, unsigned tg0 = 0) {
  return t0sz | tg0 << 14 | uint64_t{t0sz} << 16 | uint64_t{2} << 30 | uint64_t{5} << 32 | uint64_t{1} << 36;
}

/// 4 KiB pages, 48 bits, one page at va 0x40201000 (indexes 0, 1, 1, 1), MMU on.
struct Walk : Machine {
  explicit Walk(SystemConfig wanted = {}, const char* cpu = "max") : Machine(wanted, cpu) {
    put(kL0, kL1 | kTable);
    put(kL1 + 8, kL2 | kTable);
    put(kL2 + 8, kL3 | kTable);
    leaf(kTarget | kAf | kPage);
    reg(TTBR0_EL1) = kL0 | uint64_t{0x1234} << 48;
    reg(TTBR1_EL1) = kUpper;
    reg(TCR_EL1) = tcr(16);
    reg(MAIR_EL1) = 0x44ff04;  // 0 device-nGnRE, 1 write-back, 2 non-cacheable
    reg(SCTLR_EL1) |= sctlr::kM | sctlr::kSpan;
    go(1);
  }
  void leaf(uint64_t descriptor) { put(kL3 + 8, descriptor); }

  bool ask(uint64_t va, Access access = Access::Read, unsigned index = kMmuEl1,
           WalkPurpose purpose = WalkPurpose::Access) {
    page = {};
    return translate(state, *space, va, access, index, purpose, page, fault);
  }
  /// Fault status, or -1.
  int status(uint64_t va, Access access = Access::Read, unsigned index = kMmuEl1) {
    return ask(va, access, index) ? -1 : fault.status;
  }
  Translation page;
  TranslationFault fault;
};
constexpr uint64_t kVa = 0x40201000;

TEST(Mmu, IsFlatWhileItIsOff) {
  Walk m;
  m.reg(SCTLR_EL1) &= ~sctlr::kM;
  ASSERT_TRUE(m.ask(0x12345678));
  EXPECT_EQ(m.page.physical | (0x12345678 & low_mask(m.page.bits)), 0x12345678u);
  EXPECT_TRUE(m.page.read && m.page.write && m.page.execute && m.page.device());
  EXPECT_EQ(m.status(uint64_t{1} << 48), kStatusAddressSize);
}

TEST(Mmu, WalksFourLevels) {
  Walk m;
  ASSERT_TRUE(m.ask(kVa + 0x456));
  EXPECT_EQ(m.page.physical, kTarget);
  EXPECT_EQ(m.page.bits, 12);
  EXPECT_TRUE(m.page.global);
  EXPECT_TRUE(m.page.device());
  m.leaf(kTarget | kAf | kPage | kNg | 1 << 2 | 3 << 8);
  ASSERT_TRUE(m.ask(kVa));
  EXPECT_FALSE(m.page.global);
  EXPECT_EQ(m.page.attributes, 0xff);
  EXPECT_EQ(m.page.shareability, 3);
  EXPECT_EQ(current_context(m.state, false), 0x1234u);
}

TEST(Mmu, TranslationFaultsNameTheLevel) {
  Walk m;
  EXPECT_EQ(m.status(kVa + 0x1000), kStatusTranslation + 3);
  EXPECT_EQ(m.status(kVa + 0x200000), kStatusTranslation + 2);
  EXPECT_EQ(m.status(kVa + 0x40000000), kStatusTranslation + 1);
  EXPECT_EQ(m.status(kVa + (uint64_t{1} << 39)), kStatusTranslation + 0);
  EXPECT_EQ(m.fault.address, kVa + (uint64_t{1} << 39));
  m.leaf(kTarget | kAf | kBlock);  // reserved at level 3
  EXPECT_EQ(m.status(kVa), kStatusTranslation + 3);
  m.put(kL0, kL1 | kBlock);  // no blocks at level 0
  EXPECT_EQ(m.status(kVa), kStatusTranslation + 0);
}

TEST(Mmu, BlocksOfOneGigAndTwoMegs) {
  Walk m;
  m.put(kL2 + 8, 0x200000 | kAf | kBlock);
  ASSERT_TRUE(m.ask(kVa + 0x1234));
  EXPECT_EQ(m.page.physical, 0x200000u);
  EXPECT_EQ(m.page.bits, 21);
  m.put(kL1 + 8, 0x80000000 | kAf | kBlock);
  ASSERT_TRUE(m.ask(kVa));
  EXPECT_EQ(m.page.physical, 0x80000000u);
  EXPECT_EQ(m.page.bits, 30);
}

TEST(Mmu, AddressesMustBeCopiesOfBit55) {
  Walk m;
  EXPECT_EQ(m.status(uint64_t{1} << 48), kStatusTranslation);
  EXPECT_EQ(m.status(0x0100000000000000 | kVa), kStatusTranslation);  // a tag without TBI
  m.reg(TCR_EL1) |= uint64_t{1} << 37;
  EXPECT_EQ(m.status(0xab00000000000000 | kVa), -1);
  EXPECT_EQ(m.status(0xff7f000000000000 | kVa),
            kStatusTranslation);                                // bit 55 clear: bits 54:48 are not a tag
  EXPECT_EQ(m.status(0xfeff000000000000), kStatusTranslation);  // TBI1 is off
}

TEST(Mmu, TheUpperHalfHasItsOwnTable) {
  Walk m;
  m.put(kUpper, kL1 | kTable);
  ASSERT_TRUE(m.ask(0xffff000040201000));
  EXPECT_EQ(m.page.physical, kTarget);
  m.reg(TCR_EL1) |= 1u << 23;  // EPD1
  EXPECT_EQ(m.status(0xffff000040201000), kStatusTranslation);
  EXPECT_EQ(m.status(kVa), -1);
  m.reg(TCR_EL1) |= 1u << 7;  // EPD0
  EXPECT_EQ(m.status(kVa), kStatusTranslation);
}

TEST(Mmu, SmallerSpacesStartLower) {
  Walk m;
  m.reg(TCR_EL1) = tcr(25);  // 39 bits: level 1
  m.reg(TTBR0_EL1) = kL1;
  EXPECT_EQ(m.status(kVa), -1);
  EXPECT_EQ(m.page.physical, kTarget);
  EXPECT_EQ(m.status(uint64_t{1} << 39), kStatusTranslation);
  m.reg(TCR_EL1) = tcr(34);  // 30 bits: level 2
  m.reg(TTBR0_EL1) = kL2;
  EXPECT_EQ(m.status(0x201000), -1);
}

TEST(Mmu, AccessFlagFaultsOrIsSet) {
  Walk m;
  m.leaf(kTarget | kPage);
  EXPECT_EQ(m.status(kVa), kStatusAccessFlag + 3);
  m.reg(TCR_EL1) |= uint64_t{1} << 39;  // HA
  EXPECT_EQ(m.ask(kVa, Access::Read, kMmuEl1, WalkPurpose::Probe), true);
  EXPECT_EQ(m.get(kL3 + 8), kTarget | kPage);
  EXPECT_EQ(m.status(kVa), -1);
  EXPECT_EQ(m.get(kL3 + 8), kTarget | kAf | kPage);
  Walk old({}, "cortex-a57");  // without FEAT_HAFDBS
  old.leaf(kTarget | kPage);
  old.reg(TCR_EL1) |= uint64_t{1} << 39;
  EXPECT_EQ(old.status(kVa), kStatusAccessFlag + 3);
}

TEST(Mmu, DirtyStateIsKeptByTheFirstWrite) {
  Walk m;
  m.leaf(kTarget | kAf | kPage | kReadOnly | kDbm);
  EXPECT_EQ(m.status(kVa, Access::Write), kStatusPermission + 3);
  m.reg(TCR_EL1) |= uint64_t{3} << 39;  // HA, HD
  ASSERT_TRUE(m.ask(kVa));
  EXPECT_FALSE(m.page.write) << "the first write must walk again";
  EXPECT_EQ(m.get(kL3 + 8), kTarget | kAf | kPage | kReadOnly | kDbm);
  ASSERT_TRUE(m.ask(kVa, Access::Write));
  EXPECT_TRUE(m.page.write);
  EXPECT_EQ(m.get(kL3 + 8), kTarget | kAf | kPage | kDbm);
}

struct Rights {
  uint64_t bits;
  const char *el1, *el0, *pan;
};
std::string rights_of(Walk& m, unsigned index) {
  std::string all;
  if (m.ask(kVa, Access::Read, index)) all += 'r';
  if (m.ask(kVa, Access::Write, index)) all += 'w';
  if (m.ask(kVa, Access::Fetch, index)) all += 'x';
  return all;
}

TEST(Mmu, PermissionsOfTheTwoLevels) {
  constexpr Rights kRights[] = {
      {0, "rwx", "x", "rwx"},        {kUser, "rw", "rwx", ""},  // what EL0 may write EL1 does not execute
      {kReadOnly, "rx", "x", "rx"},  {kUser | kReadOnly, "rx", "rx", "x"},
      {kUxn, "rwx", "", "rwx"},      {kPxn | kUser | kReadOnly, "r", "rx", ""},
      {kPxn | kUxn, "rw", "", "rw"},
  };
  for (const Rights& want : kRights) {
    Walk m;
    m.leaf(kTarget | kAf | kPage | want.bits);
    EXPECT_EQ(rights_of(m, kMmuEl1), want.el1) << want.bits;
    EXPECT_EQ(rights_of(m, kMmuEl0), want.el0) << want.bits;
    EXPECT_EQ(rights_of(m, kMmuEl1Pan), want.pan) << want.bits;
  }
}

TEST(Mmu, WxnTakesExecutionFromWhatIsWritable) {
  Walk m;
  m.reg(SCTLR_EL1) |= sctlr::kWxn;
  EXPECT_EQ(rights_of(m, kMmuEl1), "rw");
  m.leaf(kTarget | kAf | kPage | kReadOnly);
  EXPECT_EQ(rights_of(m, kMmuEl1), "rx");
  m.leaf(kTarget | kAf | kPage | kUser);
  EXPECT_EQ(rights_of(m, kMmuEl0), "rw");
}

TEST(Mmu, TablesRestrictWhatFollows) {
  Walk m;
  m.leaf(kTarget | kAf | kPage | kUser);
  m.put(kL1 + 8, kL2 | kTable | uint64_t{1} << 62);  // APTable: read only
  EXPECT_EQ(rights_of(m, kMmuEl0), "rx");
  m.put(kL1 + 8, kL2 | kTable | uint64_t{1} << 61);  // not EL0
  EXPECT_EQ(rights_of(m, kMmuEl0), "x");
  m.put(kL1 + 8, kL2 | kTable | uint64_t{1} << 60);  // UXNTable
  EXPECT_EQ(rights_of(m, kMmuEl0), "rw");
  m.leaf(kTarget | kAf | kPage);
  m.put(kL1 + 8, kL2 | kTable | uint64_t{1} << 59);  // PXNTable
  EXPECT_EQ(rights_of(m, kMmuEl1), "rw");
  m.reg(TCR_EL1) |= uint64_t{1} << 41;  // HPD0
  EXPECT_EQ(rights_of(m, kMmuEl1), "rwx");
}

TEST(Mmu, OutputAddressesHaveASize) {
  Walk m;
  m.leaf((uint64_t{1} << 40) | kAf | kPage);
  EXPECT_EQ(m.status(kVa), -1);
  m.reg(TCR_EL1) &= ~(uint64_t{7} << 32);
  m.reg(TCR_EL1) |= uint64_t{2} << 32;  // IPS: 40 bits
  EXPECT_EQ(m.status(kVa), kStatusAddressSize + 3);
  m.put(kL1 + 8, (uint64_t{1} << 40) | kTable);
  EXPECT_EQ(m.status(kVa), kStatusAddressSize + 1);
  m.reg(TTBR0_EL1) = uint64_t{1} << 41;
  EXPECT_EQ(m.status(kVa), kStatusAddressSize + 0);
}

TEST(Mmu, TablesThatAreNowhereAreExternalAborts) {
  Walk m;
  m.put(kL2 + 8, 0x40000000 | kTable);
  EXPECT_EQ(m.status(kVa), kStatusExternalWalk + 3);
  m.reg(TTBR0_EL1) = 0x40000000;
  EXPECT_EQ(m.status(kVa), kStatusExternalWalk + 0);
}

TEST(Mmu, SixteenKibGranule) {
  Walk m;
  m.reg(TCR_EL1) = tcr(17, 2);  // 47 bits: level 1, 2, 3
  m.reg(TTBR0_EL1) = kL0;
  m.put(kL0 + 8, kL1 | kTable);                // index 1: 2^36
  m.put(kL1 + 8 * 2, kL2 | kTable);            // index 2: 2^25
  m.put(kL2 + 8 * 3, 0x304000 | kAf | kPage);  // index 3: 2^14
  const uint64_t va = uint64_t{1} << 36 | 2u << 25 | 3u << 14 | 0x123;
  ASSERT_TRUE(m.ask(va));
  EXPECT_EQ(m.page.physical, 0x304000u);
  EXPECT_EQ(m.page.bits, 14);
  m.put(kL1 + 8 * 2, 0x2000000 | kAf | kBlock);
  ASSERT_TRUE(m.ask(va));
  EXPECT_EQ(m.page.bits, 25);
  m.put(kL0 + 8, 0 | kAf | kBlock);
  EXPECT_EQ(m.status(va), kStatusTranslation + 1);
}

TEST(Mmu, SixtyFourKibGranule) {
  Walk m;
  m.reg(TCR_EL1) = tcr(16, 1);                 // level 1, 2, 3
  m.put(kL0 + 8, kL1 | kTable);                // 2^42
  m.put(kL1 + 8 * 2, kL2 | kTable);            // 2^29
  m.put(kL2 + 8 * 3, 0x310000 | kAf | kPage);  // 2^16
  const uint64_t va = uint64_t{1} << 42 | uint64_t{2} << 29 | 3u << 16 | 0x4567;
  ASSERT_TRUE(m.ask(va));
  EXPECT_EQ(m.page.physical, 0x310000u);
  EXPECT_EQ(m.page.bits, 16);
  m.put(kL1 + 8 * 2, 0x20000000 | kAf | kBlock);
  ASSERT_TRUE(m.ask(va));
  EXPECT_EQ(m.page.bits, 29);
}

TEST(Mmu, GuardedAndContiguousPages) {
  Walk m;
  m.leaf(kTarget | kAf | kPage | kGuarded | kContiguous);
  ASSERT_TRUE(m.ask(kVa, Access::Fetch));
  EXPECT_TRUE(m.page.guarded);
  EXPECT_EQ(m.page.bits, 12);
  frontend::Page page;
  ASSERT_TRUE(
      m.front->translate_address(m.state.header, *m.space, kVa, Access::Fetch, kMmuEl1, false, page));
  EXPECT_TRUE(m.state.uses_bti);
}

// --- stage 2

constexpr uint64_t kS2L1 = 0x60000, kS2L2 = 0x70000, kS2L3 = 0x80000;

/// Stage 2 of 40 bits from level 1, that maps the first 2 MiB onto themselves, by pages.
struct TwoStages : Walk {
  TwoStages() : Walk({.el2 = true}) {
    reg(VTCR_EL2) = 24 | 1 << 6 | 5 << 16;  // 40 bits, level 1, 4 KiB, PS 48
    reg(VTTBR_EL2) = kS2L1;
    reg(HCR_EL2) = hcr::kVm | uint64_t{1} << 31;
    put(kS2L1, kS2L2 | kTable);
    put(kS2L2, kS2L3 | kTable);
    for (unsigned i = 0; i < 512; ++i) stage2(i, 3u << 6);
    go(1);
  }
  void stage2(unsigned page_number, uint64_t rights) {
    put(kS2L3 + 8 * page_number, uint64_t{page_number} << 12 | rights | kAf | 0xf << 2 | kPage);
  }
};

TEST(MmuStage2, BothStagesAreApplied) {
  TwoStages m;
  ASSERT_TRUE(m.ask(kVa + 8));
  EXPECT_EQ(m.page.physical, kTarget);
  m.put(kS2L3 + 8 * (kTarget >> 12), 0x200000 | 3u << 6 | kAf | 0xf << 2 | kPage);
  ASSERT_TRUE(m.ask(kVa + 8));
  EXPECT_EQ(m.page.physical, 0x200000u);
}

TEST(MmuStage2, FaultsNameTheIntermediateAddress) {
  TwoStages m;
  m.stage2(kTarget >> 12, 1u << 6);  // read only
  EXPECT_EQ(m.status(kVa), -1);
  EXPECT_FALSE(m.page.write);
  EXPECT_EQ(m.status(kVa + 0x10, Access::Write), kStatusPermission + 3);
  EXPECT_TRUE(m.fault.stage2);
  EXPECT_FALSE(m.fault.stage1_walk);
  EXPECT_EQ(m.fault.ipa, kTarget + 0x10);
  m.put(kS2L3 + 8 * (kTarget >> 12), 0);
  EXPECT_EQ(m.status(kVa), kStatusTranslation + 3);
  EXPECT_TRUE(m.fault.stage2);
}

TEST(MmuStage2, TablesGoThroughItToo) {
  TwoStages m;
  m.put(kS2L3 + 8 * (kL2 >> 12), 0);
  EXPECT_EQ(m.status(kVa), kStatusTranslation + 3);
  EXPECT_TRUE(m.fault.stage2);
  EXPECT_TRUE(m.fault.stage1_walk);
  EXPECT_EQ(m.fault.ipa, kL2 + 8);
}

TEST(MmuStage2, WhatEl2DoesIsNotSubjectToIt) {
  TwoStages m;
  m.go(2);
  ASSERT_TRUE(m.ask(kTarget, Access::Read, kMmuEl2));
  EXPECT_TRUE(m.page.device());
}

TEST(MmuStage2, AddressesBeyondItsSizeFault) {
  TwoStages m;
  m.leaf((uint64_t{1} << 41) | kAf | kPage);
  EXPECT_EQ(m.status(kVa), kStatusTranslation);
  EXPECT_TRUE(m.fault.stage2);
}

// --- AT

TEST(AddressOperation, SaysWhereOrWhyNot) {
  Walk m;
  m.leaf(kTarget | kAf | kPage | 1 << 2 | 3 << 8);
  address_operation(m.state, kVa + 0x123, Access::Read, kMmuEl1, false);
  EXPECT_EQ(m.reg(PAR_EL1), uint64_t{0xff} << 56 | kTarget | 1u << 11 | 1u << 9 | 3u << 7);
  address_operation(m.state, kVa, Access::Write, kMmuEl0, false);
  EXPECT_EQ(m.reg(PAR_EL1), 1u << 11 | (kStatusPermission + 3) << 1 | 1u);
}

}  // namespace
}  // namespace lyrebird::arm::test
