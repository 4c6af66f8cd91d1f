// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/frontend_arm/lift.h"

#include <gtest/gtest.h>

#include <random>

#include "frontend/arm/a64/decode.h"
#include "frontend/arm/a64_mode.h"

namespace lyrebird::arm::test {
namespace {

using ir::ExitKind;
using ir::Op;

/// The row's bits with its fields at random.
uint32_t filled(const a64::Row& row, std::mt19937& random) {
  return row.value | (static_cast<uint32_t>(random()) & ~row.mask);
}

TEST(A64Lift, EveryRowKeepsTheRulesOfTheIr) {
  std::mt19937 random(1);
  for (const a64::Row* row : a64::all_rows())
    for (unsigned i = 0; i < 200; ++i) {
      const uint32_t word = filled(*row, random);
      const uint32_t fpcr = static_cast<uint32_t>(random()) & kModeFpcrMask;
      const ir::Block block = Lift{.mode = kModeBti | 2u << kModeBtypeShift | fpcr}({word});
      const auto good = ir::verify(block, text_context());
      ASSERT_TRUE(good.ok()) << row->handler << " " << std::hex << word << ": " << good.error().message
                             << "\n"
                             << ir::print(block, text_context());
    }
}

TEST(A64Lift, AliasesCostWhatTheyDo) {
  // mov x0, x1
  EXPECT_EQ(body(Lift{}({0xaa0103e0})), "get_state.i64 x1\nset_state.i64 x0, %1\n");
  // mov x0, sp
  EXPECT_EQ(body(Lift{}({0x910003e0})), "get_state.i64 sp\nset_state.i64 x0, %1\n");
  // mov x0, #0x100
  EXPECT_EQ(body(Lift{}({0xd2802000})), "const.i64 0x100\nset_state.i64 x0, %1\n");
  // lsl x0, x1, #4
  EXPECT_EQ(body(Lift{}({0xd37cec20})),
            "get_state.i64 x1\nconst.i64 0x4\nshl.i64 %1, %2\nset_state.i64 x0, %3\n");
  // sxtw x0, w1
  EXPECT_EQ(body(Lift{}({0x93407c20})), "get_state.i32 x1\nsext.i64.i32 %1\nset_state.i64 x0, %2\n");
  // add x0, x1, x2
  EXPECT_EQ(body(Lift{}({0x8b020020})),
            "get_state.i64 x1\nget_state.i64 x2\nadd.i64 %1, %2\nset_state.i64 x0, %3\n");
  // ldr w0, [x1]
  EXPECT_EQ(body(Lift{}({0xb9400020})),
            "get_state.i64 x1\nload.i64 %1 {4 ignore_top}\nset_state.i64 x0, %2\n");
}

TEST(A64Lift, ConditionAfterACompareIsOneCompare) {
  const ir::Block block = Lift{}({0xeb01001f, 0x5400004b});  // cmp x0, x1; b.lt +8
  const ir::Inst& branch = last(block);
  ASSERT_EQ(branch.op, Op::Branch);
  EXPECT_EQ(block.insts[branch.args[0]].op, Op::CmpLtS);
  EXPECT_EQ(branch.imm, kStart + 12);
}

// --- blocks that go on behind a branch

constexpr uint32_t kCmp = 0xeb01001f, kBltAhead = 0x540000cb, kBgtAhead = 0x540000ac, kBltBack = 0x54ffffeb,
                   kRet = 0xd65f03c0, kAdd = 0x8b020020;

std::vector<Op> jumps(const ir::Block& block) {
  std::vector<Op> ops;
  for (const ir::Inst& inst : block.insts)
    if (inst.op == Op::ExitIf || inst.op == Op::Branch || inst.op == Op::Jump || inst.op == Op::JumpIndirect)
      ops.push_back(inst.op);
  return ops;
}

TEST(A64Lift, ABlockGoesOnBehindBranchesAhead) {
  const ir::Block block = Lift{}({kCmp, kBltAhead, kBgtAhead, kAdd, kRet});
  EXPECT_EQ(jumps(block), (std::vector{Op::ExitIf, Op::ExitIf, Op::JumpIndirect}));
  EXPECT_EQ(block.guest_count, 5u);
  EXPECT_EQ(block.guest_size, 20u);
}

TEST(A64Lift, BranchesByComparisonAndBitLeaveAsTheyDo) {
  // cbz x0, .+16; cbnz x1, .+16; tbz x2, #3, .+16; tbnz x3, #40, .+16; ret
  const ir::Block block = Lift{}({0xb4000080, 0xb5000081, 0x36180082, 0xb7400083, kRet});
  EXPECT_EQ(jumps(block), (std::vector{Op::ExitIf, Op::ExitIf, Op::ExitIf, Op::ExitIf, Op::JumpIndirect}));
  std::vector<uint64_t> targets;
  for (const ir::Inst& inst : block.insts)
    if (inst.op == Op::ExitIf) targets.push_back(inst.imm);
  EXPECT_EQ(targets, (std::vector<uint64_t>{kStart + 16, kStart + 20, kStart + 24, kStart + 28}));
}

TEST(A64Lift, ABlockEndsWithABranchBackALongWayToTheNextOrTooMany) {
  EXPECT_EQ(jumps(Lift{}({kCmp, kBltBack, kRet})), std::vector{Op::Branch});
  std::vector<uint32_t> far{kCmp, kBltAhead};
  far.insert(far.end(), 10, kAdd);
  far.push_back(kRet);
  EXPECT_EQ(jumps(Lift{}(far)), std::vector{Op::Branch});
  far.erase(far.begin() + 2);
  EXPECT_EQ(jumps(Lift{}(far)), (std::vector{Op::ExitIf, Op::JumpIndirect}));
  std::vector<uint32_t> many(20, kBltAhead);
  const auto ops = jumps(Lift{}(many));
  EXPECT_EQ(ops.size(), 7u);
  EXPECT_EQ(ops.back(), Op::Branch);
}

TEST(A64Lift, CsetOfAlwaysIsNotTheAlias) {
  const ir::Block block = Lift{}({0x9a9fe7e0});  // csinc x0, xzr, xzr, al: 0, not "cset nv"
  EXPECT_NE(body(block).find("select"), std::string::npos);
}

TEST(A64Lift, LoadedPairIsWrittenAfterBothLoads) {
  const ir::Block block = Lift{}({0xa8c10400});  // ldp x0, x1, [x0], #16
  const std::string text = body(block);
  EXPECT_LT(text.rfind("load"), text.find("set_state"));
}

TEST(A64Lift, TaggedPcLosesItsTag) {
  const ir::Block block = Lift{.pc = 0xab00000000010000}({0xd503201f});
  EXPECT_EQ(last(block).op, Op::Jump);
  EXPECT_EQ(last(block).imm, 0x10000u);
}

TEST(A64Lift, MisalignedPcIsAnAlignmentFault) {
  EXPECT_TRUE(raises(Lift{.pc = kStart + 2}({0xd503201f, 0xd503201f}), ExitKind::Unaligned));
}

TEST(A64Lift, NoCodeIsAFetchFault) {
  EXPECT_TRUE(raises(Lift{.pc = 0x400}({0xd503201f}), ExitKind::FetchFault));
}

TEST(A64Lift, UnallocatedWordIsUndefined) {
  for (const uint32_t word : {0x00000000u, 0x00001234u, 0xd4000002u /* hvc */, 0xd69f03e0u /* eret */,
                              0xd51b4280u /* msr unknown */, 0xd53be020u /* mrs cntpct_el0 */})
    EXPECT_TRUE(raises(Lift{}({word}), ExitKind::Undefined)) << std::hex << word;
}

TEST(A64Lift, InstructionOfAnAbsentFeatureIsUndefined) {
  constexpr uint32_t kLdadd = 0xb8210002;
  EXPECT_FALSE(raises(Lift{}({kLdadd}), ExitKind::Undefined));
  EXPECT_TRUE(raises(Lift{.cpu = "cortex-a72"}({kLdadd}), ExitKind::Undefined));
}

TEST(A64Lift, PaciaspIsANopWithoutPointerAuthentication) {
  EXPECT_NE(body(Lift{}({0xd503233f})), "");
  EXPECT_EQ(body(Lift{.cpu = "cortex-a53"}({0xd503233f})), "");
}

TEST(A64Lift, WritingFpcrEndsTheBlock) {
  const ir::Block block = Lift{}({0xd51b4400, 0xd503201f});  // msr fpcr, x0; nop
  EXPECT_EQ(block.guest_count, 1u);
  EXPECT_EQ(last(block).op, Op::Jump);
}

// --- branch target identification

constexpr uint32_t kBtiC = 0xd503245f, kBtiJ = 0xd503249f, kBtiJc = 0xd50324df, kBti = 0xd503241f,
                   kPaciasp = 0xd503233f, kNop = 0xd503201f, kBrk = 0xd4200000;

struct LandingPad {
  uint32_t word;
  bool ok[4];  ///< by PSTATE.BTYPE
};

TEST(A64Bti, LandingPadsByBtype) {
  constexpr LandingPad kCases[] = {
      {kBtiC, {true, true, true, false}},    {kBtiJ, {true, true, false, true}},
      {kBtiJc, {true, true, true, true}},    {kBti, {true, false, false, false}},
      {kPaciasp, {true, true, true, false}}, {kNop, {true, false, false, false}},
  };
  for (const LandingPad& c : kCases)
    for (uint32_t btype = 0; btype < 4; ++btype) {
      const uint32_t mode = kModeBti | btype << kModeBtypeShift;
      EXPECT_EQ(!raises(Lift{.mode = mode, .guarded = true}({c.word}), ExitKind::BranchTarget), c.ok[btype])
          << std::hex << c.word << " BTYPE " << btype;
      EXPECT_FALSE(raises(Lift{.mode = mode}({c.word}), ExitKind::BranchTarget)) << "page not guarded";
    }
  EXPECT_TRUE(
      raises(Lift{.mode = kModeBti | 3u << kModeBtypeShift, .guarded = true}({kBrk}), ExitKind::Breakpoint));
}

/// The mode that the block's last write to it leaves, or none.
std::optional<uint64_t> mode_written(const ir::Block& block) {
  std::optional<uint64_t> mode;
  for (const ir::Inst& inst : block.insts)
    if (inst.op == Op::SetState && inst.imm == offsetof(ir::CpuHeader, mode))
      mode = block.insts[inst.args[0]].imm;
  return mode;
}

TEST(A64Bti, IndirectBranchesSetBtype) {
  constexpr uint32_t kBrX0 = 0xd61f0000, kBrX16 = 0xd61f0200, kBlrX0 = 0xd63f0000, kRet = 0xd65f03c0;
  const auto mode = [](uint32_t btype) { return uint64_t{kModeBti | btype << kModeBtypeShift}; };
  const Lift guarded{.mode = kModeBti, .guarded = true}, plain{.mode = kModeBti};
  EXPECT_EQ(mode_written(guarded({kBrX0})), mode(3));
  EXPECT_EQ(mode_written(guarded({kBrX16})), mode(1));
  EXPECT_EQ(mode_written(guarded({kBlrX0})), mode(2));
  EXPECT_EQ(mode_written(guarded({kRet})), std::nullopt);
  EXPECT_EQ(mode_written(plain({kBrX0})), mode(1));
  EXPECT_EQ(mode_written(plain({kBlrX0})), mode(2));
  EXPECT_EQ(mode_written(Lift{}({kBrX0})), std::nullopt) << "no guarded pages: no cost";
}

TEST(A64Bti, BtypeIsClearAfterTheLandingPad) {
  const Lift lift{.mode = kModeBti | 2u << kModeBtypeShift, .guarded = true};
  EXPECT_EQ(mode_written(lift({kBtiC, kNop})), uint64_t{kModeBti});
}

}  // namespace
}  // namespace lyrebird::arm::test
