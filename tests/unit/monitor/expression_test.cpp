// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/expression.h"

#include <gtest/gtest.h>

#include <string>

namespace lyrebird::monitor {
namespace {

std::optional<uint64_t> registers(std::string_view name) {
  if (name == "pc") return 0x40200000;
  if (name == "SP_EL1") return 0x1007;
  return std::nullopt;
}

uint64_t value(std::string_view text) {
  const auto result = evaluate(text, registers);
  EXPECT_TRUE(result.ok()) << text << ": " << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : 0xdead;
}
std::string error(std::string_view text) {
  const auto result = evaluate(text, registers);
  EXPECT_FALSE(result.ok()) << text;
  return result.ok() ? "" : result.error().message;
}

TEST(Expression, NumbersAndRegisters) {
  EXPECT_EQ(value("12"), 12u);
  EXPECT_EQ(value(" 0x40000000 "), 0x40000000u);
  EXPECT_EQ(value("0xffffffffffffffff"), ~uint64_t{0});
  EXPECT_EQ(value("$pc"), 0x40200000u);
  EXPECT_EQ(value("$SP_EL1"), 0x1007u);
}

TEST(Expression, OperatorsBindAsInC) {
  EXPECT_EQ(value("1+2*3"), 7u);
  EXPECT_EQ(value("(1 + 2) * 3"), 9u);
  EXPECT_EQ(value("10 - 3 - 2"), 5u);
  EXPECT_EQ(value("7 / 2 + 7 % 4"), 6u);
  EXPECT_EQ(value("1 | 6 ^ 3 & 2"), 5u);
  EXPECT_EQ(value("$SP_EL1 & ~0xf"), 0x1000u);
  EXPECT_EQ(value("-1"), ~uint64_t{0});
  EXPECT_EQ(value("2 - -3"), 5u);
  EXPECT_EQ(value("0xffffffffffffffff + 2"), 1u);
}

TEST(Expression, ErrorsNameWhatIsWrong) {
  EXPECT_NE(error("").find("missing"), std::string::npos);
  EXPECT_NE(error("1 +").find("missing"), std::string::npos);
  EXPECT_NE(error("(1").find(")"), std::string::npos);
  EXPECT_NE(error("1 2").find("2:"), std::string::npos);
  EXPECT_NE(error("0xzz").find("0xzz"), std::string::npos);
  EXPECT_NE(error("12345678901234567890123").find("1234567890"), std::string::npos);
  EXPECT_NE(error("$nix").find("$nix"), std::string::npos);
  EXPECT_EQ(error("1 / 0"), "division by zero");
  EXPECT_EQ(error("1 % ($pc - $pc)"), "division by zero");
  EXPECT_EQ(error(std::string(100, '(') + "1" + std::string(100, ')')), "too many parentheses");
  EXPECT_EQ(error(std::string(100, '~') + "1"), "too many parentheses");
}

}  // namespace
}  // namespace lyrebird::monitor
