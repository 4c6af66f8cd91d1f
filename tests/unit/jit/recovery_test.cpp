// SPDX-License-Identifier: Apache-2.0
#include "jit/recovery.h"

#include <gtest/gtest.h>

#include <cstring>

namespace lyrebird::jit {
namespace {

using ir::Op;
using ir::Type;

/// Byte 40: whether leaf 0 - 7 is less than leaf 1.
FlagRecipe less_recipe() {
  FlagRecipe recipe;
  recipe.nodes.push_back({.op = Op::GetState, .type = Type::I32, .imm = 0});
  recipe.nodes.push_back({.op = Op::Const, .type = Type::I32, .elem = Type::I32, .imm = 7});
  ir::Inst sub{.op = Op::Sub, .type = Type::I32, .elem = Type::I32};
  sub.args[0] = 0;
  sub.args[1] = 1;
  recipe.nodes.push_back(sub);
  recipe.nodes.push_back({.op = Op::GetState, .type = Type::I32, .imm = 1});
  ir::Inst less{.op = Op::CmpLtS, .type = Type::I1, .elem = Type::I32};
  less.args[0] = 2;
  less.args[1] = 3;
  recipe.nodes.push_back(less);
  recipe.fields.push_back({.offset = 40, .size = 1, .node = 4});
  return recipe;
}

struct RecoveryTest : ::testing::Test {
  RecoveryTest() {
    host.valid = true;
    for (unsigned i = 0; i < 16; ++i) host.general[i] = 0x1111111111111111u * i;
    for (unsigned i = 0; i < 32; ++i) std::memset(host.xmm[i], static_cast<int>(i), 16);
    host.general[4] = reinterpret_cast<uint64_t>(stack);
    std::memset(state, 0xee, sizeof state);
  }
  uint64_t word(unsigned offset) const {
    uint64_t v;
    std::memcpy(&v, state + offset, sizeof v);
    return v;
  }

  FaultGuard::Registers host;
  uint64_t stack[4] = {1, 2, 3, 4};
  uint8_t state[64];
};

TEST_F(RecoveryTest, EveryKindOfPlace) {
  using Kind = HostPlace::Kind;
  const RecoveryPoint points[] = {
      {.code = 5, .fields = {{0, 8, {.kind = Kind::General, .reg = 1}}}, .recipe = {}, .leaves = {}},
      {.code = 70,
       .fields = {{0, 8, {.kind = Kind::General, .reg = 9}},
                  {8, 1, {.kind = Kind::HighByte, .reg = 3}},
                  {16, 16, {.kind = Kind::Vector, .reg = 31}},
                  {32, 4, {.kind = Kind::Stack, .value = 8}},
                  {48, 8, {.kind = Kind::Constant, .value = -2}}},
       .recipe = {},
       .leaves = {}}};
  const auto packed = pack_recovery({}, points);
  EXPECT_FALSE(recover(packed, 6, host, state));
  ASSERT_TRUE(recover(packed, 70, host, state));
  EXPECT_EQ(word(0), 0x9999999999999999);
  EXPECT_EQ(word(8), 0xeeeeeeeeeeeeee33);
  EXPECT_EQ(word(16), 0x1f1f1f1f1f1f1f1f);
  EXPECT_EQ(word(24), 0x1f1f1f1f1f1f1f1f);
  EXPECT_EQ(word(32), 0xeeeeeeee00000002);
  EXPECT_EQ(word(48), ~uint64_t{1});
}

TEST_F(RecoveryTest, FlagsAreComputedFromLeaves) {
  const FlagRecipe recipes[] = {{}, less_recipe()};
  for (const uint64_t right : {2, 3}) {
    // The recipe's number and the leaf come with rubbish above them.
    host.general[6] = 0xffffffff00000000 | 10;
    host.general[7] = right << 32 | right;
    const RecoveryPoint point{.code = 1,
                              .fields = {},
                              .recipe = {.kind = HostPlace::Kind::Constant, .value = 1},
                              .leaves = {{.kind = HostPlace::Kind::General, .reg = 6},
                                         {.kind = HostPlace::Kind::General, .reg = 7}}};
    std::memset(state, 0xee, sizeof state);
    ASSERT_TRUE(recover(pack_recovery(recipes, {&point, 1}), 1, host, state));
    EXPECT_EQ(state[40], 0);
    EXPECT_EQ(state[41], 0xee);
  }
  host.general[6] = 9;
  host.general[7] = 3;
  const RecoveryPoint point{
      .code = 1,
      .fields = {},
      .recipe = {.kind = HostPlace::Kind::Constant, .value = 1},
      .leaves = {{.kind = HostPlace::Kind::General, .reg = 6}, {.kind = HostPlace::Kind::General, .reg = 7}}};
  ASSERT_TRUE(recover(pack_recovery(recipes, {&point, 1}), 1, host, state));
  EXPECT_EQ(state[40], 1);
}

TEST_F(RecoveryTest, FlagsInMemoryStayThere) {
  const FlagRecipe recipes[] = {{}, less_recipe()};
  const RecoveryPoint point{.code = 1, .fields = {}, .recipe = {}, .leaves = {}};
  ASSERT_TRUE(recover(pack_recovery(recipes, {&point, 1}), 1, host, state));
  EXPECT_EQ(state[40], 0xee);
}

TEST_F(RecoveryTest, ShortBytesAreNoAnswer) {
  const FlagRecipe recipes[] = {{}, less_recipe()};
  const RecoveryPoint point{.code = 1,
                            .fields = {{0, 8, {.kind = HostPlace::Kind::General, .reg = 1}}},
                            .recipe = {.kind = HostPlace::Kind::Constant, .value = 1},
                            .leaves = {{}, {}}};
  const auto packed = pack_recovery(recipes, {&point, 1});
  for (size_t size = 0; size < packed.size(); ++size)
    EXPECT_FALSE(recover({packed.data(), size}, 1, host, state)) << size;
  EXPECT_TRUE(recover(packed, 1, host, state));
}

}  // namespace
}  // namespace lyrebird::jit
