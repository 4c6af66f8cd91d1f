// SPDX-License-Identifier: Apache-2.0
// Directed cases of the floating-point ops: the corners that rules of their own decide.
#include "ir/fp_eval.h"

#include <gtest/gtest.h>

namespace lyrebird::ir::eval {
namespace {

constexpr uint32_t kOne32 = 0x3f800000;
constexpr uint32_t kInf32 = 0x7f800000;
constexpr uint32_t kDefaultNan32 = 0x7fc00000;

TEST(FpEval, InexactSumRaisesInexactOnce) {
  FpEnv env;
  EXPECT_EQ(FAdd<uint32_t>(kOne32, 0x33000000, env), kOne32);
  EXPECT_EQ(env.flags, kFpInexact);
}

TEST(FpEval, InfinityTimesZeroPlusQuietNanIsInvalidOnArmOnly) {
  FpEnv arm;
  EXPECT_EQ(FMulAdd<uint32_t>(kInf32, 0, 0x7fc01234, arm), kDefaultNan32);
  EXPECT_EQ(arm.flags, kFpInvalid);
  FpEnv sse{{.nan_rule = NanRule::FirstOperand, .default_nan_negative = true}};
  EXPECT_EQ(FMulAdd<uint32_t>(kInf32, 0, 0x7fc01234, sse), 0x7fc01234u);
  EXPECT_EQ(sse.flags, 0u);
}

}  // namespace
}  // namespace lyrebird::ir::eval
