// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "devices/virtio/blk.h"
#include "tests/unit/devices/memory_node.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

constexpr uint32_t kIn = 0, kOut = 1, kFlush = 4, kGetId = 8, kDiscard = 11, kWriteZeroes = 13;
constexpr uint64_t kFlushFeature = 1 << 9, kWceFeature = 1 << 11, kDiscardFeature = 1 << 13,
                   kZeroesFeature = 1 << 14;
constexpr uint64_t kAll = ~0ull >> 40;

class Blk : public testing::TestWithParam<bool> {
 protected:
  static constexpr uint64_t kSectors = 2048;

  int request(uint32_t type, uint64_t sector, uint64_t data, uint32_t size, unsigned queue = 0) {
    const uint64_t header = board.allocate(16), status = board.allocate(1);
    board.put<uint32_t>(header, type);
    board.put<uint32_t>(header + 4, 0);
    board.put<uint64_t>(header + 8, sector);
    board.put<uint8_t>(status, 0xff);
    std::vector<Buffer> pieces = {{header, 16, false}};
    const bool reads = type == kIn || type == kGetId;
    if (size > 512) {
      pieces.push_back({data, 512, reads});
      pieces.push_back({data + 512, size - 512, reads});
    } else if (size) {
      pieces.push_back({data, size, reads});
    }
    pieces.push_back({status, 1, true});
    const auto used = driver.request(queue, pieces);
    if (!used) return -1;
    written = used->written;
    return board.get<uint8_t>(status);
  }
  int range(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags) {
    const uint64_t at = board.allocate(16);
    board.put<uint64_t>(at, sector);
    board.put<uint32_t>(at + 8, count);
    board.put<uint32_t>(at + 12, flags);
    return request(type, 0, at, 16);
  }

  const bool packed = GetParam();
  Board board;
  MemoryNode node{board.loop, kSectors * 512};
  VirtioBlk blk{
      {.virtio = {.id = "disk", .packed = true}, .serial = "serial-0123456789-too-long", .queues = 4},
      node,
      *board.memory,
      board.loop};
  MmioTransport transport{board, blk};
  Driver driver{board, transport, {.packed = packed, .event_index = true, .indirect = true}};
  uint32_t written = 0;
};

TEST_P(Blk, SaysWhatTheDiskIs) {
  ASSERT_TRUE(driver.start(kAll));
  EXPECT_EQ(transport.config(0, 4), kSectors);
  EXPECT_EQ(transport.config(4, 4), 0u);
  EXPECT_EQ(transport.config(12, 4), 254u);
  EXPECT_EQ(transport.config(20, 4), 512u);
  EXPECT_EQ(transport.config(34, 2), 4u);
  EXPECT_EQ(transport.config(1000, 4), 0u);
}

TEST_P(Blk, WritesAndReadsOnEveryQueue) {
  ASSERT_TRUE(driver.start(kAll));
  for (unsigned queue = 0; queue < 4; ++queue) {
    const uint64_t out = board.allocate(2048), in = board.allocate(2048);
    std::memset(board.host(out), static_cast<int>(0x10 + queue), 2048);
    ASSERT_EQ(request(kOut, 8 * queue, out, 2048, queue), 0);
    ASSERT_EQ(request(kIn, 8 * queue, in, 2048, queue), 0);
    EXPECT_EQ(written, 2049u);
    EXPECT_EQ(std::memcmp(board.host(out), board.host(in), 2048), 0);
  }
  EXPECT_EQ(node.bytes[8 * 512], 0x11);
}

TEST_P(Blk, RequestsOutsideOfTheDiskFail) {
  ASSERT_TRUE(driver.start(kAll));
  const uint64_t data = board.allocate(1024);
  EXPECT_EQ(request(kIn, kSectors - 1, data, 1024), 1);
  EXPECT_EQ(request(kOut, kSectors, data, 512), 1);
  EXPECT_EQ(request(kOut, ~0ull, data, 512), 1);
  EXPECT_EQ(request(kIn, ~0ull >> 9, data, 512), 1);
  EXPECT_EQ(request(kIn, 0, data, 100), 1);
  EXPECT_EQ(request(kIn, 0, data, 512), 0);
}

TEST_P(Blk, AnErrorOfTheHostIsAnErrorOfTheDisk) {
  ASSERT_TRUE(driver.start(kAll));
  node.error = EIO;
  EXPECT_EQ(request(kIn, 0, board.allocate(512), 512), 1);
  EXPECT_EQ(request(kFlush, 0, 0, 0), 1);
}

TEST_P(Blk, FlushReachesTheNode) {
  ASSERT_TRUE(driver.start(kAll));
  EXPECT_EQ(request(kFlush, 0, 0, 0), 0);
  EXPECT_EQ(written, 1u);
  EXPECT_EQ(node.flushes, 1u);
}

TEST_P(Blk, WithoutAWriteCacheEveryWriteIsThrough) {
  const uint64_t data = board.allocate(512);
  ASSERT_TRUE(driver.start(0));  // knows nothing of flushing
  EXPECT_EQ(request(kOut, 0, data, 512), 0);
  EXPECT_EQ(node.through, 1u);
  ASSERT_TRUE(driver.start(kFlushFeature));
  EXPECT_EQ(request(kOut, 0, data, 512), 0);
  EXPECT_EQ(node.through, 1u);
  ASSERT_TRUE(driver.start(kFlushFeature | kWceFeature));
  EXPECT_EQ(transport.config(32, 1), 1u);
  transport.set_config(32, 1, 0);
  transport.set_config(0, 4, 12345);
  EXPECT_EQ(transport.config(32, 1), 0u);
  EXPECT_EQ(transport.config(0, 4), kSectors) << "may not be written";
  EXPECT_EQ(request(kOut, 0, data, 512), 0);
  EXPECT_EQ(node.through, 2u);
}

TEST_P(Blk, TheIdIsTheSerial) {
  ASSERT_TRUE(driver.start(kAll));
  const uint64_t data = board.allocate(20);
  EXPECT_EQ(request(kGetId, 0, data, 20), 0);
  EXPECT_EQ(std::memcmp(board.host(data), "serial-0123456789-too-long", 20), 0);
}

TEST_P(Blk, DiscardsAndZeroes) {
  ASSERT_TRUE(driver.start(kAll));
  std::fill(node.bytes.begin(), node.bytes.end(), 0xaa);
  EXPECT_EQ(range(kWriteZeroes, 2, 3, 0), 0);
  EXPECT_EQ(node.bytes[2 * 512 - 1], 0xaa);
  EXPECT_EQ(node.bytes[2 * 512], 0);
  EXPECT_EQ(node.bytes[5 * 512 - 1], 0);
  EXPECT_EQ(node.bytes[5 * 512], 0xaa);
  EXPECT_EQ(node.unmapped, 0u);
  EXPECT_EQ(range(kWriteZeroes, 2, 3, 1), 0);
  EXPECT_EQ(node.unmapped, 1u);
  EXPECT_EQ(range(kDiscard, 0, 8, 0), 0);
  EXPECT_EQ(node.discarded, 8 * 512u);
  EXPECT_EQ(range(kDiscard, 0, 8, 1), 2) << "a flag that is not there";
  EXPECT_EQ(range(kWriteZeroes, kSectors, 1, 0), 1);
  EXPECT_EQ(range(kWriteZeroes, ~0ull, 1, 0), 1);
  EXPECT_EQ(request(kDiscard, 0, 0, 0), 1) << "without ranges";
  EXPECT_EQ(request(99, 0, 0, 0), 2);
}

TEST_P(Blk, DiscardThatWasNotNegotiatedIsUnsupported) {
  ASSERT_TRUE(driver.start(kZeroesFeature));
  EXPECT_EQ(range(kDiscard, 0, 8, 0), 2);
  EXPECT_EQ(range(kWriteZeroes, 0, 8, 0), 0);
  ASSERT_TRUE(driver.start(kDiscardFeature));
  EXPECT_EQ(range(kWriteZeroes, 0, 8, 0), 2);
}

TEST_P(Blk, ARequestWithoutStatusNeedsAReset) {
  ASSERT_TRUE(driver.start(kAll));
  const uint64_t header = board.allocate(16);
  EXPECT_FALSE(driver.request(0, {{header, 16, false}}));
  EXPECT_TRUE(transport.status() & kStatusNeedsReset);
  ASSERT_TRUE(driver.start(kAll));
  EXPECT_FALSE(driver.request(0, {{header, 8, false}, {header + 8, 8, true}}));
  EXPECT_TRUE(transport.status() & kStatusNeedsReset);
}

TEST_P(Blk, AResetWaitsForTheDisk) {
  ASSERT_TRUE(driver.start(kAll));
  node.hold = true;
  const uint64_t header = board.allocate(16), data = board.allocate(512), status = board.allocate(1);
  std::memset(board.host(header), 0, 16);
  driver.rings[0]->add({{header, 16, false}, {data, 512, true}, {status, 1, true}});
  transport.notify(0);
  ASSERT_TRUE(board.run_until([&] { return node.held() == 1; }));
  transport.set_status(0);
  EXPECT_EQ(node.held(), 0u) << "nothing may write to the guest's memory after that";
  EXPECT_EQ(transport.status(), 0u);
  node.hold = false;
  ASSERT_TRUE(driver.start(kAll));
  EXPECT_EQ(request(kIn, 0, data, 512), 0);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Blk, testing::Bool(),
                         [](const auto& info) { return info.param ? "Packed" : "Split"; });

}  // namespace
}  // namespace lyrebird::devices::test
