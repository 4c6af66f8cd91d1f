// SPDX-License-Identifier: Apache-2.0
#include "jit/jump_cache.h"

#include <gtest/gtest.h>

namespace lyrebird::jit {
namespace {

class JumpCacheOf : public testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override { cache_->set_key_modes(GetParam()); }
  const void* find(uint64_t pc, uint32_t mode, uint64_t tag = 0) {
    cpu_.mode = mode;
    cpu_.jump_tag = tag;
    return cache_->find(cpu_, pc, jump_cache_index(pc));
  }
  void put(uint64_t pc, uint32_t mode, const void* entry, uint64_t tag = 0) {
    cpu_.jump_tag = tag;
    cache_->put(cpu_, pc, mode, entry);
  }
  /// What generated code looks at when keys have the mode.
  const JumpCacheEntry& entry_of(uint64_t pc) {
    return reinterpret_cast<const JumpCacheEntry*>(cache_.get())[jump_cache_index(pc)];
  }

  JumpCache::Ptr cache_ = JumpCache::make();
  ir::CpuHeader cpu_;
  int there_ = 0;
};

TEST_P(JumpCacheOf, TellsPcModeAndTagApart) {
  put(0x4321c, 3, &there_);
  EXPECT_EQ(find(0x4321c, 3), &there_);
  EXPECT_EQ(find(0x4321c, 2), nullptr);
  EXPECT_EQ(find(0x4321c ^ 1 << 2, 2), nullptr) << "the key is the same, the index is not";
  EXPECT_EQ(find(0x4321c + (4 << kJumpCacheBits), 3), nullptr);
  EXPECT_EQ(find(0x4321c, 3, uint64_t{1} << 52), nullptr);
  put(0x4321c, 3, &there_, uint64_t{5} << 52);
  EXPECT_EQ(find(0x4321c, 3), nullptr);
  EXPECT_EQ(find(0x4321c, 3, uint64_t{5} << 52), &there_);
  cache_->clear();
  EXPECT_EQ(find(0x4321c, 3, uint64_t{5} << 52), nullptr);
}

TEST_P(JumpCacheOf, NoKeyIsThatOfAnEmptyEntry) {
  const uint32_t key_modes = GetParam();
  for (const bool cleared : {false, true}) {
    if (cleared) cache_->clear();
    for (uint64_t low = 0; low < 4 * JumpCache::kCount; low += 4)
      for (const uint64_t high : {uint64_t{0}, ~uint64_t{0} << (kJumpCacheBits + 2) | 3}) {
        const uint64_t pc = low | high, key = entry_of(pc).key;
        unsigned matches = 0;
        for (uint32_t mode = 0; mode <= key_modes; ++mode) matches += key == jump_key(pc, 0, mode, key_modes);
        ASSERT_EQ(matches, 0u) << std::hex << pc;
      }
  }
}

TEST_P(JumpCacheOf, IsEmptyForOtherKeys) {
  put(0x1000, 0, &there_);
  cache_->set_key_modes(GetParam());
  EXPECT_EQ(find(0x1000, 0), &there_);
  cache_->set_key_modes(GetParam() ? 0 : ir::kShortModes);
  EXPECT_EQ(find(0x1000, 0), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Modes, JumpCacheOf, testing::Values(0u, ir::kShortModes));

}  // namespace
}  // namespace lyrebird::jit
