// SPDX-License-Identifier: Apache-2.0
#include "jit/jump_cache.h"

#include <gtest/gtest.h>

#include <set>

namespace lyrebird::jit {
namespace {

class JumpCacheTest : public testing::Test {
 protected:
  const void* find(uint64_t pc, uint32_t mode, uint64_t tag = 0) {
    cpu_.mode = mode;
    cpu_.jump_tag = tag;
    return cache_->find(cpu_, pc, jump_cache_index(pc));
  }
  void put(uint64_t pc, uint32_t mode, const void* entry, uint64_t tag = 0) {
    CompiledBlock block;
    block.key = {pc, mode};
    block.entry = entry;
    cpu_.jump_tag = tag;
    cache_->put(cpu_, block);
  }
  /// What generated code looks at.
  const JumpCacheEntry& entry_of(uint64_t pc) {
    return reinterpret_cast<const JumpCacheEntry*>(cache_.get())[jump_cache_index(pc)];
  }

  JumpCache::Ptr cache_ = JumpCache::make();
  ir::CpuHeader cpu_;
  int there_ = 0;
};

TEST_F(JumpCacheTest, TellsPcModeAndTagApart) {
  put(0x4321c, 3, &there_);
  EXPECT_EQ(find(0x4321c, 3), &there_);
  EXPECT_EQ(find(0x4321c, 2), nullptr);
  EXPECT_EQ(find(0x4321c + (4 << kJumpCacheBits), 3), nullptr);
  EXPECT_EQ(find(0x4321c, 3, uint64_t{1} << 52), nullptr);
  put(0x4321c, 3, &there_, uint64_t{5} << 52);
  EXPECT_EQ(find(0x4321c, 3), nullptr);
  EXPECT_EQ(find(0x4321c, 3, uint64_t{5} << 52), &there_);
  cache_->clear();
  EXPECT_EQ(find(0x4321c, 3, uint64_t{5} << 52), nullptr);
}

TEST_F(JumpCacheTest, NoKeyIsThatOfAnEmptyEntry) {
  for (const bool cleared : {false, true}) {
    if (cleared) cache_->clear();
    for (uint64_t low = 0; low < 4 * JumpCache::kCount; low += 4)
      for (const uint64_t high : {uint64_t{0}, ~uint64_t{0} << (kJumpCacheBits + 2) | 3}) {
        const uint64_t pc = low | high, key = entry_of(pc).key;
        unsigned matches = 0;
        for (uint32_t tag = 0; tag <= ir::kOtherMode; ++tag) matches += key == jump_key(pc, 0, tag);
        ASSERT_EQ(matches, 0u) << std::hex << pc;
      }
  }
}

TEST_F(JumpCacheTest, KeysOfOneIndexAreTheSameForTheSamePcAndModeTagOnly) {
  constexpr uint64_t kPcs[] = {0x1003, 0x1001, 0x1000, 0x1003 + (4 << kJumpCacheBits),
                               0x1000 + (4 << kJumpCacheBits)};
  std::set<uint64_t> keys;
  for (const uint64_t pc : kPcs)
    for (uint32_t tag = 0; tag <= ir::kOtherMode; ++tag) {
      ASSERT_EQ(jump_cache_index(pc), jump_cache_index(kPcs[0]));
      EXPECT_TRUE(keys.insert(jump_key(pc, 0, tag)).second) << std::hex << pc << " " << tag;
    }
}

}  // namespace
}  // namespace lyrebird::jit
