// SPDX-License-Identifier: Apache-2.0
// What the optimising tier is given to do: hot blocks, found by samples of running guests.
#include "accel/soft/tier.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "jit/thread_context.h"

namespace lyrebird::accel {
namespace {

using namespace std::chrono_literals;
using Keys = std::vector<ir::BlockKey>;

const TierOptions kFast{
    .first = 1ms, .tick = 1ms, .rest = 4ms, .gather = 2, .worth = 0ms, .share = 0, .thread_made = {}};

TEST(HotSet, ABlockIsHotAfterEnoughSamplesAndOnlyOnce) {
  jit::HotSet hot;
  for (unsigned i = 1; i < jit::HotSet::kHot; ++i) EXPECT_TRUE(hot.add({0x10, 0}));
  EXPECT_FALSE(hot.any_hot());
  hot.add({0x10, 0});
  EXPECT_TRUE(hot.any_hot());
  EXPECT_EQ(hot.take_hot(), (Keys{{0x10, 0}}));
  EXPECT_FALSE(hot.any_hot());
  EXPECT_FALSE(hot.add({0x10, 0}));
  EXPECT_TRUE(hot.take_hot().empty());
}

TEST(HotSet, WhatWasNoUseNeedsMoreSamplesTheNextTime) {
  jit::HotSet hot;
  for (unsigned i = 0; i < jit::HotSet::kHot; ++i) hot.add({0x10, 0});
  hot.take_hot();
  hot.unsettle({0x10, 0});
  for (unsigned i = 0; i < 2 * jit::HotSet::kHot; ++i) hot.add({0x10, 0});
  EXPECT_FALSE(hot.any_hot());
  for (unsigned i = 0; i < 2 * jit::HotSet::kHot; ++i) hot.add({0x10, 0});
  EXPECT_TRUE(hot.any_hot());
}

TEST(HotSet, OldSamplesFade) {
  jit::HotSet hot;
  for (uint64_t i = 0; i < 100; ++i) {
    hot.add({0x10, 0});
    for (uint64_t k = 0; k < jit::HotSet::kHalfLife; ++k) hot.add({0x1000 + k * 16 + i * 0x10000, 0});
  }
  EXPECT_FALSE(hot.any_hot());
}

/// A guest thread that does nothing but answer requests, always at the same block.
struct FakeGuest {
  explicit FakeGuest(jit::BlockMap& map, Tier& tier) : thread_([&map, &tier, this] { run(map, tier); }) {}
  ~FakeGuest() {
    stop_ = true;
    thread_.join();
  }
  void run(jit::BlockMap& map, Tier& tier) {
    jit::ThreadContext context(map);
    ir::CpuHeader cpu;
    const jit::ThreadContext::Running running(context);
    context.cpu = &cpu;
    while (!stop_) {
      if (cpu.refresh_request.exchange(0) & jit::kSampleRequest) tier.sampler().note({0x4000, 7});
      std::this_thread::sleep_for(100us);
    }
    context.cpu = nullptr;
  }
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

TEST(Tier, HandsHotBlocksToItsWork) {
  jit::BlockMap map;
  std::promise<Keys> got;
  std::atomic<int> calls{0};
  Tier tier(
      map,
      [&](const Keys& hot) {
        if (calls++ == 0) got.set_value(hot);
        return Keys{};
      },
      kFast);
  const FakeGuest guest(map, tier);
  tier.start();
  auto future = got.get_future();
  ASSERT_EQ(future.wait_for(20s), std::future_status::ready);
  EXPECT_EQ(future.get(), (Keys{{0x4000, 7}}));
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(calls, 1);
}

TEST(Tier, StopsAndStartsAgain) {
  jit::BlockMap map;
  std::atomic<int> calls{0};
  Tier tier(
      map,
      [&](const Keys& hot) {
        ++calls;
        return hot;
      },
      kFast);
  const FakeGuest guest(map, tier);
  for (int round = 1; round <= 2; ++round) {
    tier.start();
    for (int i = 0; i < 20000 && calls < round; ++i) std::this_thread::sleep_for(1ms);
    EXPECT_GE(calls, round);
    tier.stop(true);
    const int before = calls;
    std::this_thread::sleep_for(20ms);
    EXPECT_EQ(calls, before);
  }
  tier.start();
  tier.stop(false);
  tier.stop(false);
  tier.start();
}

}  // namespace
}  // namespace lyrebird::accel
