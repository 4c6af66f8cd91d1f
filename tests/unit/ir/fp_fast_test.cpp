// SPDX-License-Identifier: Apache-2.0
// The ops that use the host's unit agree with the complete meaning in eval::soft, in
// result and flags, in every mode and with every state of the collected flags.
#include <gtest/gtest.h>

#include <vector>

#include "ir/fp_eval.h"
#include "tests/unit/ir/fp_cases.h"

namespace lyrebird::ir::eval {
namespace {

using test::Random;

/// Both guests' modes in all six roundings, with and without flushing, and with no_flags.
std::vector<FpMode> modes() {
  std::vector<FpMode> all;
  for (Round round : {Round::NearestEven, Round::TowardPositive, Round::TowardNegative, Round::TowardZero,
                      Round::NearestAway, Round::ToOdd}) {
    for (int i = 0; i < 4; ++i) {
      const bool flush = i & 1, plain = i & 2;
      all.push_back({.round = round,
                     .flush_inputs = flush,
                     .flush_outputs = flush,
                     .no_flags = plain,
                     .denormal_report = DenormalReport::WhenFlushed});
      all.push_back({.round = round,
                     .nan_rule = NanRule::FirstOperand,
                     .default_nan_negative = true,
                     .flush_inputs = flush,
                     .flush_outputs = flush,
                     .tiny_before_rounding = false,
                     .flush_is_inexact = true,
                     .no_inexact = plain,
                     .denormal_report = DenormalReport::WhenUsed});
    }
  }
  return all;
}

template <class B>
class FpFast : public testing::Test {};
using Lanes = testing::Types<uint32_t, uint64_t>;
TYPED_TEST_SUITE(FpFast, Lanes);

/// Runs fast(a, b, c, env) and slow(a, b, c, env) on corners and random operands.
template <class B, class Fast, class Slow>
void compare(const char* name, Fast fast, Slow slow) {
  constexpr unsigned kWidth = 8 * sizeof(B);
  unsigned wrong = 0;
  const auto check = [&](const FpMode& mode, B a, B b, B c) {
    for (uint32_t collected : {uint32_t{0}, uint32_t{kFpInexact}, uint32_t{kFpInvalid}}) {
      FpEnv fast_env{mode, collected}, slow_env{mode, collected};
      const uint64_t fast_result = fast(a, b, c, fast_env), slow_result = slow(a, b, c, slow_env);
      if (fast_result == slow_result && fast_env.flags == slow_env.flags) continue;
      if (++wrong > 5) continue;
      ADD_FAILURE() << std::hex << name << " mode " << mode.pack() << " a " << a << " b " << b << " c " << c
                    << ": " << fast_result << " flags " << fast_env.flags << ", soft " << slow_result
                    << " flags " << slow_env.flags;
    }
  };
  const std::vector<uint64_t> corners = test::fp_corners(kWidth);
  Random random(kWidth + name[1] + name[2]);
  const auto pick = [&] { return static_cast<B>(test::fp_random(random, kWidth)); };
  for (const FpMode& mode : modes()) {
    for (size_t i = 0; i < corners.size(); ++i) {
      for (size_t j = random.below(3); j < corners.size(); j += 3) {
        const B c = static_cast<B>(corners[random.below(corners.size())]);
        check(mode, static_cast<B>(corners[i]), static_cast<B>(corners[j]), c);
      }
    }
    for (int i = 0; i < 2000; ++i) check(mode, pick(), pick(), pick());
  }
  EXPECT_EQ(wrong, 0u) << name;
}

TYPED_TEST(FpFast, EqualsSoft) {
  using B = TypeParam;
#define CASE(name, op, ...)                                                                          \
  compare<B>(                                                                                        \
      name,                                                                                          \
      []([[maybe_unused]] B a, [[maybe_unused]] B b, [[maybe_unused]] B c, FpEnv& env) -> uint64_t { \
        return eval::op(__VA_ARGS__);                                                                \
      },                                                                                             \
      []([[maybe_unused]] B a, [[maybe_unused]] B b, [[maybe_unused]] B c, FpEnv& env) -> uint64_t { \
        return soft::op(__VA_ARGS__);                                                                \
      })
  CASE("add", FAdd<B>, a, b, env);
  CASE("sub", FSub<B>, a, b, env);
  CASE("mul", FMul<B>, a, b, env);
  CASE("mulx", FMulX<B>, a, b, env);
  CASE("div", FDiv<B>, a, b, env);
  CASE("fma", FMulAdd<B>, a, b, c, env);
  CASE("sqrt", FSqrt<B>, a, env);
  CASE("min", FMin<B>, a, b, env);
  CASE("max", FMax<B>, a, b, env);
  CASE("minnum", FMinNum<B>, a, b, env);
  CASE("maxnum", FMaxNum<B>, a, b, env);
  CASE("compare", FCompare<B>, a, b, env, false);
  CASE("to s64", FToIntS<B>, a, 64, 0, env);
  CASE("to u64", FToIntU<B>, a, 64, 0, env);
  CASE("to s32", FToIntS<B>, a, 32, 0, env);
  CASE("to u32", FToIntU<B>, a, 32, 0, env);
  CASE("to s16", FToIntS<B>, a, 16, 0, env);
  CASE("to u64 fixed", FToIntU<B>, a, 64, 9, env);
  CASE("from s64", FFromIntS<B>, static_cast<int64_t>(uint64_t{a} << (b & 31)), 0, env);
  CASE("from u64", FFromIntU<B>, uint64_t{a} << (b & 31), 0, env);
  CASE("from s32", FFromIntS<B>, static_cast<int32_t>(a), 0, env);
  CASE("from u64 fixed", FFromIntU<B>, a, 11, env);
#undef CASE
  using Other = std::conditional_t<sizeof(B) == 4, uint64_t, uint32_t>;
  compare<B>(
      "convert", [](B a, B, B, FpEnv& env) -> uint64_t { return eval::FConvert<Other, B>(a, env); },
      [](B a, B, B, FpEnv& env) -> uint64_t { return soft::FConvert<Other, B>(a, env); });
}

TYPED_TEST(FpFast, ComparesEqualTheSoftOrder) {
  using B = TypeParam;
  const auto soft_test = [](bool signal_quiet, auto predicate) {
    return [=](B a, B b, B, FpEnv& env) -> uint64_t {
      return predicate(soft::FCompare(a, b, env, signal_quiet));
    };
  };
  compare<B>(
      "eq", [](B a, B b, B, FpEnv& env) -> uint64_t { return FCmpEq(a, b, env); },
      soft_test(false, [](uint8_t o) { return o == kFpEqual; }));
  compare<B>(
      "lt", [](B a, B b, B, FpEnv& env) -> uint64_t { return FCmpLt(a, b, env); },
      soft_test(true, [](uint8_t o) { return o == kFpLess; }));
  compare<B>(
      "le", [](B a, B b, B, FpEnv& env) -> uint64_t { return FCmpLe(a, b, env); },
      soft_test(true, [](uint8_t o) { return o == kFpLess || o == kFpEqual; }));
  compare<B>(
      "unordered", [](B a, B b, B, FpEnv& env) -> uint64_t { return FCmpUnord(a, b, env); },
      soft_test(false, [](uint8_t o) { return o == kFpUnordered; }));
}

}  // namespace
}  // namespace lyrebird::ir::eval
