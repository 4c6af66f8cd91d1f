// SPDX-License-Identifier: Apache-2.0
#include "base/guest_bytes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

namespace lyrebird {
namespace {

TEST(GuestBytes, CopiesEverySizeAtEveryAlignmentAndNothingBeside) {
  std::vector<uint8_t> from(80);
  std::iota(from.begin(), from.end(), uint8_t{1});
  for (size_t size = 0; size <= 40; ++size)
    for (size_t in = 0; in < 9; ++in)
      for (size_t out = 0; out < 9; ++out) {
        std::vector<uint8_t> to(60, 0xee), expected = to;
        copy_guest_bytes(to.data() + 1 + out, from.data() + in, size);
        for (size_t i = 0; i < size; ++i) expected[1 + out + i] = from[in + i];
        ASSERT_EQ(to, expected) << size << " bytes from " << in << " to " << out;
      }
}

TEST(GuestBytes, AlignedWordsAreNeverSeenInParts) {
  alignas(8) uint64_t guest = 0;
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (uint64_t value = 0; !stop.load(std::memory_order_relaxed); value = ~value)
      copy_guest_bytes(&guest, &value, sizeof value);
  });
  for (int i = 0; i < 200'000; ++i) {
    uint64_t seen;
    copy_guest_bytes(&seen, &guest, sizeof seen);
    EXPECT_TRUE(seen == 0 || seen == ~uint64_t{0}) << std::hex << seen;
  }
  stop = true;
  writer.join();
}

}  // namespace
}  // namespace lyrebird
