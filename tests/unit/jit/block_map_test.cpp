// SPDX-License-Identifier: Apache-2.0
#include "jit/block_map.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace lyrebird::jit {
namespace {

std::atomic<int> alive{0};

struct CountedBlock final : CompiledBlock {
  CountedBlock(uint64_t pc, uint32_t size, uint32_t mode = 0) {
    key = {pc, mode};
    guest_size = size;
    guest_count = size / 4;
    host_size = 1000;
    entry = this;
    ++alive;
  }
  ~CountedBlock() override { --alive; }
};

const CompiledBlock* publish(BlockMap& map, uint64_t pc, uint32_t size = 16, uint32_t mode = 0) {
  return map.publish(std::make_unique<CountedBlock>(pc, size, mode), map.stamps(pc));
}

TEST(BlockMap, FindsByPcAndMode) {
  BlockMap map;
  const CompiledBlock* const block = publish(map, 0x1000);
  EXPECT_EQ(map.find({0x1000, 0}), block);
  EXPECT_EQ(map.find({0x1000, 1}), nullptr);
  EXPECT_EQ(map.find({0x1004, 0}), nullptr);
  EXPECT_NE(publish(map, 0x1000, 16, 1), block);
  EXPECT_EQ(map.find({0x1000, 0}), block);
}

TEST(BlockMap, TheFirstPublisherWins) {
  BlockMap map;
  const CompiledBlock* const first = publish(map, 0x1000);
  EXPECT_EQ(publish(map, 0x1000), first);
  EXPECT_EQ(map.stats().blocks, 1u);
}

TEST(BlockMap, InvalidateTakesOutWhatOverlaps) {
  BlockMap map;
  publish(map, 0x1000, 16);
  publish(map, 0x1010, 16);
  publish(map, 0x1ff8, 16);  // into the next page
  map.invalidate(0x100f, 1);
  EXPECT_EQ(map.find({0x1000, 0}), nullptr);
  EXPECT_NE(map.find({0x1010, 0}), nullptr);
  map.invalidate(0x2000, 0x1000);
  EXPECT_EQ(map.find({0x1ff8, 0}), nullptr);
  EXPECT_NE(map.find({0x1010, 0}), nullptr);
  map.invalidate(0, ~uint64_t{0});
  EXPECT_EQ(map.stats().blocks, 0u);
  EXPECT_EQ(map.stats().invalidated, 3u);
}

TEST(BlockMap, RefusesABlockWhoseCodeChangedMeanwhile) {
  BlockMap map;
  const BlockMap::Stamps stamps = map.stamps(0x1000);
  map.invalidate(0x1800, 4);
  EXPECT_EQ(map.publish(std::make_unique<CountedBlock>(0x1000, 16), stamps), nullptr);
  EXPECT_EQ(map.stats().refused, 1u);
  const BlockMap::Stamps fresh = map.stamps(0x1000);
  map.invalidate(0x5000, 4);
  EXPECT_NE(map.publish(std::make_unique<CountedBlock>(0x1000, 16), fresh), nullptr);
}

std::unique_ptr<CountedBlock> region_at(uint64_t pc, std::vector<GuestRange> more) {
  auto region = std::make_unique<CountedBlock>(pc, 16);
  region->more = std::make_unique<const std::vector<GuestRange>>(std::move(more));
  return region;
}

TEST(BlockMap, ARegionTakesTheBlocksPlaceAndGoesWithAnyOfItsBytes) {
  BlockMap map;
  const CompiledBlock* const block = publish(map, 0x1000);
  publish(map, 0x5000);
  const BlockMap::Seen seen[] = {{0x1000, map.stamps(0x1000)}, {0x5000, map.stamps(0x5000)}};
  auto region = region_at(0x1000, {{0x5000, 16}, {0x1010, 16}});
  const CompiledBlock* const raw = region.get();
  ASSERT_TRUE(map.publish_region(std::move(region), seen));
  EXPECT_NE(raw, block);
  EXPECT_EQ(map.find({0x1000, 0}), raw);
  EXPECT_EQ(map.stats().blocks, 2u);
  map.invalidate(0x500f, 1);
  EXPECT_EQ(map.find({0x1000, 0}), nullptr);
  EXPECT_EQ(map.find({0x5000, 0}), nullptr);
  EXPECT_EQ(map.stats().blocks, 0u);
  EXPECT_EQ(map.stats().bytes, 0u);
}

TEST(BlockMap, RefusesARegionOfWhichAPartChanged) {
  BlockMap map;
  const CompiledBlock* const block = publish(map, 0x1000);
  const BlockMap::Seen seen[] = {{0x1000, map.stamps(0x1000)}, {0x5000, map.stamps(0x5000)}};
  map.invalidate(0x5000, 4);
  EXPECT_FALSE(map.publish_region(region_at(0x1000, {{0x5000, 16}}), seen));
  EXPECT_EQ(map.find({0x1000, 0}), block);
}

TEST(BlockMap, EvictsTheOldestAndStaysBelowTheLimit) {
  BlockMap map(100'000);
  for (uint64_t i = 0; i < 1000; ++i) publish(map, 0x1000 + 16 * i);
  EXPECT_LE(map.stats().bytes, 100'000u);
  EXPECT_GT(map.stats().evicted, 0u);
  EXPECT_EQ(map.find({0x1000, 0}), nullptr);
  EXPECT_NE(map.find({0x1000 + 16 * 999, 0}), nullptr);
}

TEST(BlockMap, FindsAllBlocksWhileItsTableGrows) {
  BlockMap map;
  constexpr uint64_t kCount = 20'000;
  for (uint64_t i = 0; i < kCount; ++i) {
    publish(map, 0x400000 + 20 * i);
    if (i % 3 == 0) map.invalidate(0x400000 + 20 * i, 1);
  }
  for (uint64_t i = 0; i < kCount; ++i) {
    const CompiledBlock* const block = map.find({0x400000 + 20 * i, 0});
    if (i % 3 == 0)
      EXPECT_EQ(block, nullptr);
    else
      EXPECT_EQ(block->key.pc, 0x400000 + 20 * i);
  }
}

/// One page of a library in many processes, at another address in each.
TEST(BlockTable, ManyAddressesOfOnePlaceAreFarApart) {
  constexpr uint64_t kPlace = 0x7f00'1234'5000, kProcesses = 4096;
  BlockTable table(4 * kProcesses);
  std::vector<std::unique_ptr<CountedBlock>> blocks;
  for (uint64_t i = 0; i < kProcesses; ++i) {
    blocks.push_back(std::make_unique<CountedBlock>(0xffff'8000'0000 + 0x1000 * 37 * i, 16));
    blocks.back()->place = kPlace;
    ASSERT_TRUE(table.insert(*blocks.back()));
  }
  unsigned longest = 0, run = 0;
  for (size_t i = 0; i < 4 * kProcesses; ++i) {
    run = table.slots()[i].block.load() ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  EXPECT_LT(longest, 64u) << "slots that a look-up may have to go through";
  for (const auto& block : blocks) EXPECT_EQ(table.find(kPlace, block->key), block.get());
}

TEST(BlockMap, AThreadFindsTheTableThatCppSees) {
  BlockMap map;
  ThreadContext thread(map);
  const ThreadContext::Running running(thread);
  for (uint64_t i = 0; i < 5000; ++i) publish(map, 0x400000 + 20 * i);
  thread.refresh();
  const auto* const last = map.find({0x400000 + 20 * 4999, 0});
  const auto has = [&](const BlockTable::Slot* slots, uint64_t mask) {
    for (uint64_t i = 0; i <= mask / sizeof(BlockTable::Slot); ++i)
      if (slots[i].block.load() == last) return true;
    return false;
  };
  EXPECT_TRUE(has(thread.table_slots, thread.table_mask));
  thread.set_chaining(false);
  EXPECT_FALSE(has(thread.table_slots, thread.table_mask));
}

TEST(BlockMap, FreesABlockOnlyWhenNoRunningThreadCanHoldIt) {
  alive = 0;
  BlockMap map;
  ThreadContext thread(map);
  {
    const ThreadContext::Running running(thread);
    publish(map, 0x1000);
    map.invalidate(0x1000, 4);
    EXPECT_EQ(alive.load(), 1) << "the thread may still be in it";
    thread.refresh();
    map.invalidate(0x9000, 4);
    publish(map, 0x2000);
    map.invalidate(0x2000, 4);
    EXPECT_EQ(alive.load(), 1) << "the first is gone, the second is not";
  }
  publish(map, 0x3000);
  map.invalidate(0x3000, 4);
  EXPECT_EQ(alive.load(), 0);
}

TEST(BlockMap, AThreadDropsItsJumpCacheWhenBlocksGo) {
  BlockMap map;
  ThreadContext thread(map);
  const ThreadContext::Running running(thread);
  const CompiledBlock* const block = publish(map, 0x1000);
  ir::CpuHeader cpu;
  cpu.pc = 0x1000;
  const auto cached = [&](uint64_t pc) { return thread.jump_cache->find(cpu, pc, jump_cache_index(pc)); };
  thread.note_jump(cpu, *block);
  EXPECT_EQ(cached(0x1000), block->entry);
  map.invalidate(0x1000, 4);
  EXPECT_NE(thread.generation, thread.map_generation->load());
  thread.refresh();
  EXPECT_EQ(cached(0x1000), nullptr);
  EXPECT_EQ(thread.generation, thread.map_generation->load());
}

TEST(BlockMap, ReadersWritersAndInvalidationAtOnce) {
  alive = 0;
  {
    BlockMap map(3'000'000);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> found{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t)
      threads.emplace_back([&, t] {
        ThreadContext thread(map);
        uint64_t n = t;
        while (!stop) {
          const ThreadContext::Running running(thread);
          for (unsigned i = 0; i < 50; ++i) {
            n = n * 6364136223846793005 + 1442695040888963407;
            const uint64_t pc = 0x10000 + (n >> 40) % 4096 * 8;
            const CompiledBlock* block = map.find({pc, 0});
            if (!block) block = map.publish(std::make_unique<CountedBlock>(pc, 16), map.stamps(pc));
            if (block) found += block->key.pc == pc;
          }
        }
      });
    for (unsigned i = 0; i < 40 || found < 1000; ++i) {
      map.invalidate(0x10000 + i % 8 * 4096, 4096);
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(found.load(), 0u);
    map.invalidate(0, ~uint64_t{0});
    EXPECT_EQ(map.stats().blocks, 0u);
    EXPECT_EQ(map.stats().waiting, 0u);
  }
  EXPECT_EQ(alive.load(), 0);
}

}  // namespace
}  // namespace lyrebird::jit
