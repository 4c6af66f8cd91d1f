// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/block_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace lyrebird::jit::baseline {
namespace {

struct Taken {
  void* at;
  size_t size;
  uint8_t fill;
};

/// Takes and gives back, until more than a huge page was used; what is held keeps its bytes.
void use(BlockPool& pool, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Taken> held;
  for (unsigned i = 0; i < 30000; ++i) {
    const size_t size = 1 + random() % (random() % 64 == 0 ? 2 * BlockPool::kLargest : 400);
    const Taken taken{pool.take(size), size, static_cast<uint8_t>(random())};
    ASSERT_EQ(reinterpret_cast<uintptr_t>(taken.at) % BlockPool::kUnit, 0u);
    std::memset(taken.at, taken.fill, taken.size);
    held.push_back(taken);
    if (held.size() < 10000) continue;
    std::swap(held[random() % held.size()], held.back());
    const auto* const bytes = static_cast<const uint8_t*>(held.back().at);
    for (size_t at = 0; at < held.back().size; ++at) ASSERT_EQ(bytes[at], held.back().fill);
    pool.give(held.back().at, held.back().size);
    held.pop_back();
  }
  for (const Taken& taken : held) pool.give(taken.at, taken.size);
}

TEST(BlockPool, NothingOverlaps) {
  BlockPool pool;
  use(pool, 1);
}

TEST(BlockPool, ThreadsShareIt) {
  BlockPool pool;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i) threads.emplace_back([&pool, i] { use(pool, i); });
  for (std::thread& thread : threads) thread.join();
}

TEST(BlockPool, WhatWasGivenBackIsUsedAgain) {
  BlockPool pool;
  void* const first = pool.take(200);
  pool.give(first, 200);
  void* const second = pool.take(193);
#if !(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))  // those have the heap's
  EXPECT_EQ(second, first) << "of the same size, in units";
#endif
  pool.give(second, 193);
}

}  // namespace
}  // namespace lyrebird::jit::baseline
