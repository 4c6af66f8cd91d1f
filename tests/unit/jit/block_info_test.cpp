// SPDX-License-Identifier: Apache-2.0
// Where a loop of one block to itself is put, and where traps go.
#if defined(LYREBIRD_TEST_BASELINE) && !defined(LYREBIRD_TEST_LLVM)
#include <gtest/gtest.h>

#include "jit/baseline/block.h"

namespace lyrebird::jit::baseline {
namespace {

constexpr ir::BlockKey kKey{0x1000, 0};

enum class Entry { FallsThrough, Jumps, JumpsOverNote };

/// A block whose body is [after_check, end), entered without flags at `kCodeHeader`.
std::optional<uint32_t> room(uint32_t after_check, uint32_t end, uint64_t target, uint32_t at, uint32_t step,
                             Entry entry = Entry::FallsThrough) {
  const std::vector<ExitPlan> exits{{.pc = target, .patch = end - 4, .stub = end}};
  const std::vector<FaultPlan> faults;
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(BlockInfo::pack({.key = kKey,
                               .code_size = 160,
                               .after_check = after_check,
                               .drops_flags = entry == Entry::Jumps,
                               .notes_flags = entry == Entry::JumpsOverNote,
                               .exits = &exits,
                               .faults = &faults},
                              bytes));
  return BlockInfo(bytes.data()).room_for_loop(at, step, kKey);
}

TEST(BlockInfo, ALoopThatCrossesALineIsMoved) {
  // From 16 to 100: two lines at 0, three at 32.
  EXPECT_EQ(room(68, 100, kKey.pc, 0, 32), 0u);
  EXPECT_EQ(room(68, 100, kKey.pc, 32, 32), 32u);
  // To 72: all of it in one line from 48 on.
  EXPECT_EQ(room(40, 72, kKey.pc, 0, 8), 48u);
}

TEST(BlockInfo, ABodyThatIsJumpedToLiesInAnotherLine) {
  // Entry in 16 to 22, body in 45 to 72, which crosses a line at 0 and at 16 and is in the entry's at 48.
  EXPECT_EQ(room(45, 72, kKey.pc, 0, 16, Entry::Jumps), 32u);
  EXPECT_EQ(room(40, 72, kKey.pc, 0, 16, Entry::JumpsOverNote), 32u);
  // Body in 30 to 60: the line ends between the two.
  EXPECT_EQ(room(30, 60, kKey.pc, 0, 8, Entry::Jumps), 40u);
}

TEST(BlockInfo, WhatIsNoSmallLoopLiesWhereItDoes) {
  EXPECT_EQ(room(68, 100, kKey.pc + 4, 32, 32), std::nullopt);
  EXPECT_EQ(room(68, 140, kKey.pc, 32, 32), std::nullopt);
}

TEST(BlockInfo, TrapsAndFaultsAreFound) {
  const std::vector<ExitPlan> exits;
  const std::vector<FaultPlan> faults{{.offset = 24, .guest = 4}, {.offset = 60, .guest = 8}};
  const std::vector<TrapPlan> traps{{20, 4, 100}, {40, 13, 90}, {70, 1, 159}, {80, 2, 160}};
  std::vector<uint8_t> bytes;
  ASSERT_TRUE(BlockInfo::pack(
      {.key = kKey, .code_size = 160, .exits = &exits, .faults = &faults, .traps = &traps}, bytes));
  const auto info = BlockInfo::check(bytes);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size(), bytes.size());
  EXPECT_EQ(info->trap(19), std::nullopt);
  EXPECT_EQ(info->trap(20), 100u);
  EXPECT_EQ(info->trap(24), std::nullopt);
  EXPECT_EQ(info->trap(52), 90u);
  EXPECT_EQ(info->trap(53), std::nullopt);
  EXPECT_EQ(info->trap(70), 159u);
  EXPECT_EQ(info->trap(80), std::nullopt);  // not in the code
  ASSERT_TRUE(info->fault(60));
  EXPECT_EQ(info->fault(60)->guest, 8u);
  EXPECT_FALSE(info->fault(20));
}

}  // namespace
}  // namespace lyrebird::jit::baseline
#endif
