// SPDX-License-Identifier: Apache-2.0
// Where a loop of one block to itself is put.
#if defined(LYREBIRD_TEST_BASELINE) && !defined(LYREBIRD_TEST_LLVM)
#include <gtest/gtest.h>

#include "jit/baseline/block.h"

namespace lyrebird::jit::baseline {
namespace {

constexpr ir::BlockKey kKey{0x1000, 0};

/// A block whose body is [after_check, end), entered without flags at `kCodeHeader`.
std::optional<uint32_t> room(uint32_t after_check, uint32_t end, uint64_t target, uint32_t at,
                             uint32_t step) {
  const std::vector<ExitPlan> exits{{.pc = target, .patch = end - 4, .stub = end}};
  const std::vector<FaultPlan> faults;
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(BlockInfo::pack(
      {.key = kKey, .code_size = 160, .after_check = after_check, .exits = &exits, .faults = &faults},
      bytes));
  return BlockInfo(bytes.data()).room_for_loop(at, step, kKey);
}

TEST(BlockInfo, ALoopThatCrossesALineIsMoved) {
  // Entry in bytes 16 to 32; body in 68 to 100: its own line at 0, two at 32.
  EXPECT_EQ(room(68, 100, kKey.pc, 0, 32), 0u);
  EXPECT_EQ(room(68, 100, kKey.pc, 32, 32), 32u);
  // In 40 to 72: all of it in one line from 48 on.
  EXPECT_EQ(room(40, 72, kKey.pc, 0, 8), 48u);
  // In 50 to 112, behind the entry in its line: alone it crosses none.
  EXPECT_EQ(room(50, 112, kKey.pc, 0, 8), 16u);
}

TEST(BlockInfo, WhatIsNoSmallLoopLiesWhereItDoes) {
  EXPECT_EQ(room(68, 100, kKey.pc + 4, 32, 32), std::nullopt);
  EXPECT_EQ(room(68, 140, kKey.pc, 32, 32), std::nullopt);
}

}  // namespace
}  // namespace lyrebird::jit::baseline
#endif
