// SPDX-License-Identifier: Apache-2.0
// Directed cases of the floating-point ops: the corners that rules of their own decide.
#include "ir/fp_eval.h"

#include <gtest/gtest.h>

namespace lyrebird::ir::eval {
namespace {

constexpr uint32_t kOne32 = 0x3f800000, kMinusOne32 = 0xbf800000, kTwo32 = 0x40000000;
constexpr uint32_t kInf32 = 0x7f800000, kMax32 = 0x7f7fffff, kMinNormal32 = 0x00800000;
constexpr uint32_t kDefaultNan32 = 0x7fc00000, kSignaling32 = 0x7f800001, kQuiet32 = 0x7fc01234;

constexpr FpMode kSse{.nan_rule = NanRule::FirstOperand,
                      .default_nan_negative = true,
                      .tiny_before_rounding = false,
                      .denormal_report = DenormalReport::WhenUsed};
constexpr FpMode kArmFlushing{
    .flush_inputs = true, .flush_outputs = true, .denormal_report = DenormalReport::WhenFlushed};
constexpr FpMode kPower{.nan_rule = NanRule::AddendSecond};

/// A 32-bit operation: mode, result, flags.
#define EXPECT_FP(env_mode, call, result, raised) \
  {                                               \
    FpEnv env{env_mode};                          \
    EXPECT_EQ(call, result);                      \
    EXPECT_EQ(env.flags, uint32_t{raised});       \
  }

TEST(FpMode, PackIsTheLayoutAndRoundTrips) {
  for (uint32_t v = 0; v < 1u << kFpModeBits; ++v) ASSERT_EQ(FpMode::unpack(v).pack(), v);
  EXPECT_EQ(FpMode::unpack(kSse.pack()), kSse);
}

TEST(FpEval, FlagsAreCollected) {
  FpEnv env{{}, kFpInvalid};
  EXPECT_EQ(FAdd<uint32_t>(kOne32, 0x33000000, env), kOne32);
  EXPECT_EQ(env.flags, uint32_t{kFpInvalid | kFpInexact});
}

TEST(FpEval, ModeSilencesFlags) {
  EXPECT_FP((FpMode{.no_flags = true}), FDiv<uint32_t>(kOne32, 0, env), kInf32, 0);
  EXPECT_FP((FpMode{.no_inexact = true}), FRoundInt<uint32_t>(0x3fc00000, env, 0), kTwo32, 0);
}

TEST(FpEval, NanChoiceFollowsTheRule) {
  constexpr uint32_t kQuieted = kSignaling32 | 0x400000;
  EXPECT_FP(FpMode{}, FAdd<uint32_t>(kQuiet32, kSignaling32, env), kQuieted, kFpInvalid);
  EXPECT_FP(kSse, FAdd<uint32_t>(kQuiet32, kSignaling32, env), kQuiet32, kFpInvalid);
  EXPECT_FP(FpMode{.default_nan = true}, FAdd<uint32_t>(kQuiet32, kOne32, env), kDefaultNan32, 0);
  EXPECT_FP(kSse, FSub<uint32_t>(kInf32, kInf32, env), 0xffc00000u, kFpInvalid);
}

TEST(FpEval, MulAddNanOrder) {
  constexpr uint32_t kA = 0x7fc0000a, kB = 0x7fc0000b, kC = 0x7fc0000c;
  EXPECT_FP(FpMode{}, FMulAdd(kA, kB, kC, env), kC, 0);
  EXPECT_FP(kSse, FMulAdd(kA, kB, kC, env), kA, 0);
  EXPECT_FP(kSse, FMulAdd(kOne32, kB, kC, env), kB, 0);
  EXPECT_FP(kPower, FMulAdd(kOne32, kB, kC, env), kC, 0);
}

TEST(FpEval, InfinityTimesZeroPlusQuietNan) {
  EXPECT_FP(FpMode{}, FMulAdd<uint32_t>(kInf32, 0, kQuiet32, env), kDefaultNan32, kFpInvalid);
  EXPECT_FP(kSse, FMulAdd<uint32_t>(kInf32, 0, kQuiet32, env), kQuiet32, 0);
  EXPECT_FP(kPower, FMulAdd<uint32_t>(kInf32, 0, kQuiet32, env), kQuiet32, kFpInvalid);
}

TEST(FpEval, ExactZeroSumIsNegativeOnlyWhenRoundingDown) {
  EXPECT_FP(FpMode{}, FAdd<uint32_t>(kOne32, kMinusOne32, env), 0u, 0);
  EXPECT_FP(FpMode{.round = Round::TowardNegative}, FAdd<uint32_t>(kOne32, kMinusOne32, env), 0x80000000u, 0);
}

TEST(FpEval, FlushingOperandsAndResults) {
  EXPECT_FP(kArmFlushing, FAdd<uint32_t>(1, 0x80000001, env), 0u, kFpDenormal);
  EXPECT_FP(kArmFlushing, FMul<uint32_t>(kMinNormal32 | 1, 0x3f000000, env), 0u, kFpUnderflow);
}

TEST(FpEval, TininessBeforeAndAfterRounding) {
  // (1 + 2^-23) * (2^-126 - 2^-149): just below the smallest normal number, rounds up to it.
  constexpr uint32_t kJustAboveOne = 0x3f800001, kLargestSubnormal = 0x007fffff;
  EXPECT_FP(FpMode{}, FMul(kJustAboveOne, kLargestSubnormal, env), kMinNormal32, kFpUnderflow | kFpInexact);
  EXPECT_FP(kSse, FMul(kJustAboveOne, kLargestSubnormal, env), kMinNormal32, kFpInexact | kFpDenormal);
}

TEST(FpEval, OverflowFollowsTheDirection) {
  constexpr uint32_t kFlags = kFpOverflow | kFpInexact;
  EXPECT_FP(FpMode{}, FAdd(kMax32, kMax32, env), kInf32, kFlags);
  EXPECT_FP(FpMode{.round = Round::TowardNegative}, FAdd(kMax32, kMax32, env), kMax32, kFlags);
  EXPECT_FP(FpMode{.round = Round::ToOdd}, FAdd(kMax32, kMax32, env), kMax32, kFlags);
}

TEST(FpEval, MinimumAndMaximum) {
  EXPECT_FP(FpMode{}, FMin<uint32_t>(0, 0x80000000, env), 0x80000000u, 0);
  EXPECT_FP(FpMode{}, FMax<uint32_t>(0x80000000, 0, env), 0u, 0);
  EXPECT_FP(FpMode{}, FMin(kOne32, kQuiet32, env), kQuiet32, 0);
  EXPECT_FP(FpMode{}, FMinNum(kOne32, kQuiet32, env), kOne32, 0);
  EXPECT_FP(FpMode{}, FMaxNum(kSignaling32, kOne32, env), kSignaling32 | 0x400000, kFpInvalid);
  EXPECT_FP(kSse, FMinSecond<uint32_t>(0, 0x80000000, env), 0x80000000u, 0);
  EXPECT_FP(kSse, FMaxSecond(kOne32, kSignaling32, env), kSignaling32, kFpInvalid);
}

TEST(FpEval, CompareGivesTheOrder) {
  EXPECT_FP(FpMode{}, FCompare<uint32_t>(0, 0x80000000, env, true), kFpEqual, 0);
  EXPECT_FP(FpMode{}, FCompare(kMinusOne32, kOne32, env, true), kFpLess, 0);
  EXPECT_FP(FpMode{}, FCompare(kInf32, kMax32, env, true), kFpGreater, 0);
  EXPECT_FP(FpMode{}, FCompare(kQuiet32, kOne32, env, false), kFpUnordered, 0);
  EXPECT_FP(FpMode{}, FCompare(kQuiet32, kOne32, env, true), kFpUnordered, kFpInvalid);
}

TEST(FpEval, IntegersClamp) {
  constexpr FpMode kTruncate{.round = Round::TowardZero};
  EXPECT_FP(kTruncate, FToIntS<uint32_t>(0xcf000000, 32, 0, env), 0x80000000u, 0);
  EXPECT_FP(kTruncate, FToIntS<uint32_t>(0x4f000000, 32, 0, env), 0x7fffffffu, kFpInvalid);
  EXPECT_FP(kTruncate, FToIntS<uint32_t>(kMinusOne32, 8, 0, env), 0xffu, 0);
  EXPECT_FP(kTruncate, FToIntU<uint32_t>(kMinusOne32, 32, 0, env), 0u, kFpInvalid);
  EXPECT_FP(kTruncate, FToIntU<uint32_t>(0xbf000000, 32, 0, env), 0u, kFpInexact);
  EXPECT_FP(kTruncate, FToIntU<uint32_t>(kInf32, 64, 0, env), ~uint64_t{0}, kFpInvalid);
  EXPECT_FP(kTruncate, FToIntU<uint32_t>(kQuiet32, 64, 0, env), 0u, kFpInvalid);
  EXPECT_FP(kTruncate, FToIntU<uint32_t>(kOne32, 64, 63, env), uint64_t{1} << 63, 0);
  EXPECT_FP(FpMode{}, FFromIntU<uint32_t>(1, 64, env), 0x1f800000u, 0);
}

TEST(FpEval, ModularConversionWrapsAndIsInvalid) {
  EXPECT_FP(FpMode{}, FToIntModular(0x41f0000000100000, env), 1u, kFpInvalid);  // 2^32 + 1
  EXPECT_FP(FpMode{}, FToIntModular(0xc1f0000000100000, env), ~0u, kFpInvalid);
  EXPECT_FP(FpMode{}, FToIntModular(0xbfe0000000000000, env), 0u, kFpInexact);
  EXPECT_FP(FpMode{}, FToIntModular(0x7ff0000000000000, env), 0u, kFpInvalid);
}

TEST(FpEval, RangedRoundingGivesTheMostNegative) {
  EXPECT_FP(FpMode{}, FRoundInt<uint32_t>(0x4f000000, env, 32), 0xcf000000u, kFpInvalid);
  EXPECT_FP(FpMode{}, FRoundInt<uint32_t>(0xcf000000, env, 32), 0xcf000000u, 0);
  EXPECT_FP(FpMode{}, FRoundInt<uint32_t>(kQuiet32, env, 64), 0xdf000000u, kFpInvalid);
}

TEST(FpEval, AlternativeHalfHasNoInfinities) {
  constexpr FpMode kAlternative{.alternative_half = true};
  EXPECT_FP(kAlternative, (FConvert<uint16_t, uint32_t>(kInf32, env)), 0x7fff, kFpInvalid);
  EXPECT_FP(kAlternative, (FConvert<uint16_t, uint32_t>(0xffc00000, env)), 0x8000, kFpInvalid);
  EXPECT_FP(kAlternative, (FConvert<uint16_t, uint32_t>(0x47800000, env)), 0x7c00, 0);
  EXPECT_FP(kAlternative, (FConvert<uint32_t, uint16_t>(0x7c00, env)), 0x47800000u, 0);
}

TEST(FpEval, Bfloat16RoundsAndKeepsNans) {
  EXPECT_FP(FpMode{}, FToBf16(0x3f808000, env), 0x3f80, kFpInexact);
  EXPECT_FP(FpMode{}, FToBf16(0x3f818000, env), 0x3f82, kFpInexact);
  EXPECT_FP(FpMode{}, FToBf16(kSignaling32, env), 0x7fc0, kFpInvalid);
}

TEST(FpEval, Bfloat16DotRoundsToOddAndOverflowsToInfinity) {
  EXPECT_EQ(BfDotAdd(kOne32, 0x3f80, 0x3f80, 0x3f80, 0x3f80), 0x40400000u);
  EXPECT_EQ(BfDotAdd(kOne32, 0x2000, 0x3f80, 0, 0), kOne32 | 1);
  EXPECT_EQ(BfDotAdd(kMax32, 0x7f7f, 0x3f80, 0, 0), kInf32);
  EXPECT_EQ(BfDotAdd(0xff812345, 0, 0, 0, 0), kDefaultNan32);
}

TEST(FpEval, EstimatesAndSteps) {
  EXPECT_FP(FpMode{}, FRecipEstimate(kOne32, env), 0x3f7f8000u, 0);
  EXPECT_FP(FpMode{}, FRecipEstimate<uint32_t>(0x80000000, env), 0xff800000u, kFpDivideByZero);
  EXPECT_FP(FpMode{}, FRecipEstimate<uint32_t>(1, env), kInf32, kFpOverflow | kFpInexact);
  EXPECT_FP(kArmFlushing, FRecipEstimate(kMax32, env), 0u, kFpUnderflow);
  EXPECT_FP(FpMode{}, FRsqrtEstimate(kOne32, env), 0x3f7f8000u, 0);
  EXPECT_FP(FpMode{}, FRsqrtEstimate(kMinusOne32, env), kDefaultNan32, kFpInvalid);
  EXPECT_FP(FpMode{}, FRecipExponent<uint32_t>(0x80000001, env), 0xff000000u, 0);
  EXPECT_FP(FpMode{}, FRecipStep<uint32_t>(kInf32, 0, env), kTwo32, 0);
  EXPECT_FP(FpMode{}, FRsqrtStep<uint32_t>(kInf32, 0, env), 0x3fc00000u, 0);
  EXPECT_FP(FpMode{}, FMulX<uint32_t>(0xff800000, 0, env), 0xc0000000u, 0);
}

TEST(FpEval, EncodingsThatX87NoLongerKnowsAreInvalid) {
  constexpr Float80 kUnnormal{1, 0x4000}, kOne{uint64_t{1} << 63, 0x3fff},
      kIndefinite{uint64_t{3} << 62, 0xffff};
  EXPECT_FP(kSse, FAdd(kUnnormal, kOne, env), kIndefinite, kFpInvalid);
  EXPECT_FP(kSse, (FConvert<uint64_t, Float80>(kUnnormal, env)), 0xfff8000000000000u, kFpInvalid);
}

}  // namespace
}  // namespace lyrebird::ir::eval
