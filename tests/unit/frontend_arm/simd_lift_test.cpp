// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "frontend/arm/a64/decode.h"
#include "frontend/arm/a64_mode.h"
#include "tests/unit/frontend_arm/lift.h"

namespace lyrebird::arm::test {
namespace {

using ir::ExitKind;
using ir::FpMode;
using ir::Op;
using ir::Round;

/// The FP rules of the block's only op of that kind.
FpMode mode_of(const ir::Block& block, Op op) {
  for (const ir::Inst& inst : block.insts)
    if (inst.op == op) return inst.fp_mode();
  ADD_FAILURE() << "no such op";
  return {};
}

FpMode mode_of(uint32_t word, uint32_t fpcr, Op op) {
  return mode_of(Lift{.mode = mode_of_fpcr(fpcr)}({word}), op);
}

constexpr uint32_t kFaddS = 0x1e222820, kFaddH = 0x1ee22820, kFcvtzsW = 0x1e380020, kFrintxS = 0x1e274020,
                   kFrintiS = 0x1e27c020, kFcvtSH = 0x1ee24020, kFcvtHS = 0x1e23c020, kFcvtDS = 0x1e22c020,
                   kFcvtxn = 0x7e616820, kFmovH = 0x1ee04020;

TEST(A64Simd, ConditionAfterFcmpIsOneCompare) {
  const ir::Block block = Lift{}({0x1e622020, 0x5400004c});  // fcmp d1, d2; b.gt
  const ir::Inst& branch = last(block);
  ASSERT_EQ(branch.op, Op::Branch);
  EXPECT_EQ(block.insts[branch.args[0]].op, Op::CmpEq);
}

TEST(A64Simd, StructuresAreLoadedBeforeAnyRegisterIsWritten) {
  for (const uint32_t word : {0x4cdf2020u /* ld1 x4 */, 0x4cdf0020u /* ld4 */, 0x4dff0020u /* ld2.b */}) {
    const std::string text = body(Lift{}({word}));
    EXPECT_LT(text.rfind("load"), text.find("set_state")) << std::hex << word;
  }
}

TEST(A64Simd, ImmhOfZeroIsTheModifiedImmediate) {
  EXPECT_EQ(a64::find_row(0x0f000400)->handler, "MOVI_32");
  EXPECT_EQ(a64::find_row(0x0f080400)->handler, "SSHR_vec");
}

TEST(A64Simd, HalfPrecisionArithmeticNeedsFp16) {
  for (const uint32_t word : {kFaddH, kFmovH, 0x0ec21420u /* fadd.4h */, 0x0f03fc00u /* fmov.4h imm */})
    EXPECT_TRUE(raises(Lift{.cpu = "cortex-a72"}({word}), ExitKind::Undefined)) << std::hex << word;
  EXPECT_FALSE(raises(Lift{.cpu = "cortex-a72"}({kFcvtSH}), ExitKind::Undefined)) << "a storage format";
}

TEST(A64Simd, RoundingIsThatOfFpcrUnlessTheInstructionHasItsOwn) {
  constexpr uint32_t kUp = 1u << 22;
  EXPECT_EQ(mode_of(kFaddS, kUp, Op::FAdd).round, Round::TowardPositive);
  EXPECT_EQ(mode_of(kFrintiS, kUp, Op::FRoundInt).round, Round::TowardPositive);
  EXPECT_EQ(mode_of(kFcvtzsW, kUp, Op::FToIntS).round, Round::TowardZero);
  EXPECT_EQ(mode_of(kFcvtxn, kUp, Op::FConvert).round, Round::ToOdd);
}

TEST(A64Simd, OnlyFrintxRaisesInexact) {
  EXPECT_FALSE(mode_of(kFrintxS, 0, Op::FRoundInt).no_inexact);
  EXPECT_TRUE(mode_of(kFrintiS, 0, Op::FRoundInt).no_inexact);
}

TEST(A64Simd, EachWidthHasItsFlush) {
  EXPECT_TRUE(mode_of(kFaddS, kFpcrFz, Op::FAdd).flush_inputs);
  EXPECT_FALSE(mode_of(kFaddS, kFpcrFz16, Op::FAdd).flush_inputs);
  EXPECT_TRUE(mode_of(kFaddH, kFpcrFz16, Op::FAdd).flush_inputs);
  EXPECT_FALSE(mode_of(kFaddH, kFpcrFz, Op::FAdd).flush_inputs);
}

TEST(A64Simd, ConversionsFlushSingleAndDoubleButNeverHalf) {
  constexpr uint32_t kBoth = kFpcrFz | kFpcrFz16;
  EXPECT_FALSE(mode_of(kFcvtSH, kBoth, Op::FConvert).flush_inputs);
  EXPECT_TRUE(mode_of(kFcvtHS, kBoth, Op::FConvert).flush_inputs);
  EXPECT_FALSE(mode_of(kFcvtHS, kBoth, Op::FConvert).flush_outputs);
  EXPECT_TRUE(mode_of(kFcvtDS, kBoth, Op::FConvert).flush_outputs);
}

TEST(A64Simd, TheAlternativeHalfPrecisionIsForConversionsAlone) {
  EXPECT_TRUE(mode_of(kFcvtHS, kFpcrAhp, Op::FConvert).alternative_half);
  EXPECT_FALSE(mode_of(kFaddH, kFpcrAhp, Op::FAdd).alternative_half);
}

}  // namespace
}  // namespace lyrebird::arm::test
