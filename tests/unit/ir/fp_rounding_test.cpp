// SPDX-License-Identifier: Apache-2.0
// Rounding without an oracle: an F16 or F32 operation must equal the same operation in
// F64 rounded to odd and then converted, which is exact rounding in two steps (Boldo,
// Melquiond). This covers the rounding modes that no host unit has.
#include <gtest/gtest.h>

#include <vector>

#include "ir/fp_eval.h"
#include "tests/unit/ir/fp_cases.h"

namespace lyrebird::ir::eval {
namespace {

using test::Random;

constexpr Round kRounds[] = {Round::NearestEven, Round::TowardPositive, Round::TowardNegative,
                             Round::TowardZero,  Round::NearestAway,    Round::ToOdd};

std::vector<FpMode> modes() {
  std::vector<FpMode> all;
  for (Round round : kRounds) {
    for (int i = 0; i < 8; ++i) {
      all.push_back({.round = round,
                     .nan_rule = i & 1 ? NanRule::FirstOperand : NanRule::SignalingFirst,
                     .default_nan = (i & 4) != 0,
                     .flush_outputs = (i & 2) != 0,
                     .tiny_before_rounding = (i & 1) == 0,
                     .flush_is_inexact = (i & 1) != 0});
    }
  }
  return all;
}

FpMode wide_mode(FpMode mode) {
  mode.flush_outputs = false;
  // The sign of an exact zero sum depends on the direction, so that one is kept.
  if (mode.round != Round::TowardNegative) mode.round = Round::ToOdd;
  return mode;
}

template <class B>
class FpRounding : public testing::Test {};
using Lanes = testing::Types<uint16_t, uint32_t>;
TYPED_TEST_SUITE(FpRounding, Lanes);

/// op<lane>(a, b, c, env) in B, and in F64 then rounded to B.
template <class B, class Op>
void compare(const char* name, Op op) {
  constexpr unsigned kWidth = 8 * sizeof(B);
  Random random(kWidth);
  unsigned wrong = 0;
  const auto widened = [](B v) {
    FpEnv env;
    return FConvert<uint64_t, B>(v, env);
  };
  const auto check = [&](const FpMode& mode, B a, B b, B c) {
    FpEnv direct{mode}, wide{wide_mode(mode)};
    const B result = op(a, b, c, direct);
    uint64_t exact = op(widened(a), widened(b), widened(c), wide);
    if (mode.round == Round::TowardNegative && (wide.flags & kFpInexact) != 0) {
      FpEnv odd{mode};
      odd.mode.flush_outputs = false;
      odd.mode.round = Round::ToOdd;
      exact = op(widened(a), widened(b), widened(c), odd);
    }
    FpEnv narrow{mode};
    const B expected = FConvert<B, uint64_t>(exact, narrow);
    const uint32_t flags = narrow.flags | (wide.flags & ~uint32_t{kFpInexact});
    if (result == expected && direct.flags == flags) return;
    if (++wrong > 5) return;
    ADD_FAILURE() << std::hex << name << " mode " << mode.pack() << " a " << a << " b " << b << " c " << c
                  << ": " << result << " flags " << direct.flags << ", in two steps " << expected << " flags "
                  << flags;
  };
  const auto is_signaling = [](B v) {
    const test::FpShape f = test::fp_shape(kWidth);
    const uint64_t frac = v & f.frac_mask();
    return (v >> f.frac_bits & static_cast<uint64_t>(f.max_biased())) ==
               static_cast<uint64_t>(f.max_biased()) &&
           frac != 0 && !(frac >> (f.frac_bits - 1));
  };
  const auto pick = [&](const std::vector<uint64_t>& corners) {
    for (;;) {  // widening quiets signalling NaNs, so they are left to the other tests
      const uint64_t v =
          random.below(3) ? test::fp_random(random, kWidth) : corners[random.below(corners.size())];
      if (!is_signaling(static_cast<B>(v))) return static_cast<B>(v);
    }
  };
  const std::vector<uint64_t> corners = test::fp_corners(kWidth);
  for (const FpMode& mode : modes()) {
    for (int i = 0; i < 10000; ++i) check(mode, pick(corners), pick(corners), pick(corners));
  }
  EXPECT_EQ(wrong, 0u) << name;
}

TYPED_TEST(FpRounding, OneStepEqualsTwo) {
  using B = TypeParam;
  compare<B>("add", [](auto a, auto b, auto, FpEnv& env) { return FAdd(a, b, env); });
  compare<B>("sub", [](auto a, auto b, auto, FpEnv& env) { return FSub(a, b, env); });
  compare<B>("mul", [](auto a, auto b, auto, FpEnv& env) { return FMul(a, b, env); });
  compare<B>("div", [](auto a, auto b, auto, FpEnv& env) { return FDiv(a, b, env); });
  compare<B>("sqrt", [](auto a, auto, auto, FpEnv& env) { return FSqrt(a, env); });
  compare<B>("mul add", [](auto a, auto b, auto c, FpEnv& env) { return FMulAdd(a, b, c, env); });
  compare<B>("recip step", [](auto a, auto b, auto, FpEnv& env) { return FRecipStep(a, b, env); });
  compare<B>("rsqrt step", [](auto a, auto b, auto, FpEnv& env) { return FRsqrtStep(a, b, env); });
}

/// To-odd is truncation with the last bit set if anything was lost.
TEST(FpRounding, ToOddIsStickyTruncation) {
  Random random(9);
  for (int i = 0; i < 200000; ++i) {
    const uint64_t a = test::fp_random(random, 64), b = test::fp_random(random, 64);
    FpEnv odd{{.round = Round::ToOdd}}, zero{{.round = Round::TowardZero}};
    const uint64_t got = FMul(a, b, odd);
    uint64_t expected = FMul(a, b, zero);
    if (zero.flags & kFpInexact) expected |= 1;
    ASSERT_EQ(got, expected) << std::hex << a << " * " << b;
    ASSERT_EQ(odd.flags, zero.flags) << std::hex << a << " * " << b;
  }
}

/// An integral rounding equals the conversion to an integer and back, where that fits.
TEST(FpRounding, RoundIntEqualsIntegerAndBack) {
  Random random(10);
  for (Round round : kRounds) {
    for (int i = 0; i < 100000; ++i) {
      const uint64_t a = test::fp_random(random, 64);
      FpEnv direct{{.round = round}}, to{{.round = round}}, from;
      const uint64_t integer = FToIntS(a, 64, 0, to);
      if (to.flags & kFpInvalid) continue;
      const uint64_t back = FFromIntS<uint64_t>(static_cast<int64_t>(integer), 0, from);
      ASSERT_EQ(FRoundInt(a, direct, 0), back | (a & uint64_t{1} << 63)) << std::hex << a;
      ASSERT_EQ(direct.flags, to.flags) << std::hex << a;
    }
  }
}

}  // namespace
}  // namespace lyrebird::ir::eval
