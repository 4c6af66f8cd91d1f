// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "devices/virtio/net.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

constexpr uint64_t kChecksum = 1 << 0, kGuestChecksum = 1 << 1, kHostTso4 = 1 << 11, kMergeable = 1 << 15,
                   kControl = 1 << 17, kControlRx = 1 << 18, kControlVlan = 1 << 19, kMultiQueue = 1 << 22,
                   kControlMac = 1 << 23;
constexpr uint32_t kHeader = 12;

class Cable final : public net::Backend {
 public:
  void set_receiver(net::Receiver* r) override { receiver = r; }
  bool send(const net::FrameHeader& header, std::span<const iovec> frame) override {
    if (full) return false;
    headers.push_back(header);
    sent.emplace_back();
    for (const iovec& piece : frame) {
      const auto* bytes = static_cast<const uint8_t*>(piece.iov_base);
      sent.back().insert(sent.back().end(), bytes, bytes + piece.iov_len);
    }
    return true;
  }
  void ready() override { ++readies; }
  net::Offloads can_offload() const override { return {.checksum = true, .tcp4 = true}; }
  bool trusted() const override { return true; }
  std::string describe() const override { return "cable"; }

  net::Receiver* receiver = nullptr;
  bool full = false;
  unsigned readies = 0;
  std::vector<std::vector<uint8_t>> sent;
  std::vector<net::FrameHeader> headers;
};

class Net : public testing::TestWithParam<bool> {
 protected:
  static std::vector<uint8_t> frame(size_t size,
                                    std::array<uint8_t, 6> to = {0x52, 0x54, 0, 0x12, 0x34, 0x56}) {
    std::vector<uint8_t> bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i);
    std::copy(to.begin(), to.end(), bytes.begin());
    bytes[12] = 8;
    bytes[13] = 6;  // ARP: nothing to look into
    return bytes;
  }
  uint64_t give_buffer(uint32_t size, unsigned queue = 0) {
    const uint64_t at = board.allocate(size);
    driver.rings[queue]->add({{at, size, true}});
    driver.kick(queue);
    board.settle();
    return at;
  }
  bool receive(const std::vector<uint8_t>& bytes) { return cable.receiver->receive({}, bytes); }
  /// Whether the guest gets a frame to that address.
  bool arrives(std::array<uint8_t, 6> to) {
    if (driver.rings[0]->free_slots() == driver.rings[0]->size) give_buffer(2000);
    EXPECT_TRUE(receive(frame(60, to)));
    return driver.rings[0]->get().has_value();
  }
  int command(uint8_t what, uint8_t which, std::vector<uint8_t> data) {
    const uint64_t at = board.allocate(2 + data.size()), answer = board.allocate(1);
    board.put<uint8_t>(at, what);
    board.put<uint8_t>(at + 1, which);
    std::copy(data.begin(), data.end(), board.host(at + 2));
    board.put<uint8_t>(answer, 0xff);
    const unsigned queue = multi_queue ? 4 : 2;
    if (!driver.request(queue, {{at, static_cast<uint32_t>(2 + data.size()), false}, {answer, 1, true}}))
      return -1;
    return board.get<uint8_t>(answer);
  }

  const bool packed = GetParam();
  Board board;
  Cable cable;
  VirtioNet card{
      {.virtio = {.id = "net", .packed = true}, .queue_pairs = 2}, cable, *board.memory, board.loop};
  MmioTransport transport{board, card};
  Driver driver{board, transport, {.packed = packed, .event_index = true}};
  bool multi_queue = false;
};

TEST_P(Net, SendsFramesOfManyPieces) {
  ASSERT_TRUE(driver.start(kChecksum | kHostTso4));
  const auto bytes = frame(3000);
  const uint64_t at = board.allocate(kHeader + bytes.size());
  std::memset(board.host(at), 0, kHeader);
  std::copy(bytes.begin(), bytes.end(), board.host(at + kHeader));
  board.put<uint8_t>(at, 1);      // needs a checksum
  board.put<uint8_t>(at + 1, 1);  // TCP over IPv4
  board.put<uint16_t>(at + 4, 1460);
  ASSERT_TRUE(driver.request(1, {{at, kHeader + 100, false}, {at + kHeader + 100, 2900, false}}));
  ASSERT_EQ(cable.sent.size(), 1u);
  EXPECT_EQ(cable.sent[0], bytes);
  EXPECT_EQ(cable.headers[0].gso_size, 1460);
}

TEST_P(Net, OffloadsThatWereNotNegotiatedAreNotDone) {
  ASSERT_TRUE(driver.start(0));
  const uint64_t at = board.allocate(kHeader + 60);
  std::memset(board.host(at), 0, kHeader);
  board.put<uint8_t>(at + 1, 1);
  ASSERT_TRUE(driver.request(1, {{at, kHeader + 60, false}}));
  EXPECT_TRUE(cable.sent.empty());
}

TEST_P(Net, AFullCableHoldsFramesBack) {
  ASSERT_TRUE(driver.start(0));
  const uint64_t at = board.allocate(kHeader + 60);
  std::memset(board.host(at), 0, kHeader + 60);
  cable.full = true;
  driver.rings[1]->add({{at, kHeader + 60, false}});
  driver.kick(1);
  board.settle();
  EXPECT_FALSE(driver.rings[1]->get());
  cable.full = false;
  cable.receiver->can_send();
  board.settle();
  EXPECT_TRUE(driver.rings[1]->get());
  EXPECT_EQ(cable.sent.size(), 1u);
}

TEST_P(Net, ReceivesIntoOneBuffer) {
  ASSERT_TRUE(driver.start(kGuestChecksum));
  const auto bytes = frame(1000);
  EXPECT_FALSE(receive(bytes)) << "no buffer yet";
  const unsigned readies = cable.readies;
  const uint64_t at = give_buffer(2000);
  EXPECT_GT(cable.readies, readies);
  EXPECT_TRUE(receive(bytes));
  const auto used = driver.rings[0]->get();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, kHeader + 1000);
  EXPECT_EQ(board.get<uint8_t>(at), 2) << "the checksum is known to be right";
  EXPECT_EQ(board.get<uint16_t>(at + 10), 1);
  EXPECT_EQ(std::memcmp(board.host(at + kHeader), bytes.data(), bytes.size()), 0);
}

TEST_P(Net, MergesBuffers) {
  ASSERT_TRUE(driver.start(kMergeable));
  const auto bytes = frame(1000);
  const uint64_t first = give_buffer(500);
  EXPECT_FALSE(receive(bytes)) << "not enough room";
  const uint64_t second = give_buffer(400), third = give_buffer(400);
  EXPECT_TRUE(receive(bytes));
  EXPECT_EQ(board.get<uint16_t>(first + 10), 3);
  for (const uint32_t written : {500u, 400u, 112u}) {
    const auto used = driver.rings[0]->get();
    ASSERT_TRUE(used);
    EXPECT_EQ(used->written, written);
  }
  EXPECT_EQ(std::memcmp(board.host(first + kHeader), bytes.data(), 488), 0);
  EXPECT_EQ(std::memcmp(board.host(second), bytes.data() + 488, 400), 0);
  EXPECT_EQ(std::memcmp(board.host(third), bytes.data() + 888, 112), 0);
}

TEST_P(Net, AFrameThatFitsNoBufferIsDropped) {
  ASSERT_TRUE(driver.start(0));
  give_buffer(100);
  EXPECT_TRUE(receive(frame(1000)));
  EXPECT_FALSE(driver.rings[0]->get());
  EXPECT_TRUE(receive(frame(60)));
  EXPECT_TRUE(driver.rings[0]->get()) << "the buffer is still there";
}

TEST_P(Net, FiltersByAddress) {
  const std::array<uint8_t, 6> own = {0x52, 0x54, 0, 0x12, 0x34, 0x56}, other = {2, 0, 0, 0, 0, 9},
                               group = {1, 0, 0x5e, 0, 0, 1}, all = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  ASSERT_TRUE(driver.start(kControl | kControlRx | kControlMac | (1 << 20)));
  EXPECT_TRUE(arrives(own));
  EXPECT_TRUE(arrives(all));
  EXPECT_FALSE(arrives(other));
  EXPECT_FALSE(arrives(group));
  EXPECT_EQ(command(0, 1, {1}), 0);
  EXPECT_TRUE(arrives(group));
  EXPECT_EQ(command(0, 5, {1}), 0);
  EXPECT_FALSE(arrives(all));
  EXPECT_EQ(command(0, 0, {1}), 0);
  EXPECT_TRUE(arrives(other));
  EXPECT_EQ(command(0, 0, {0}), 0);
  EXPECT_EQ(command(1, 0, {1, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0, 0, 0, 0}), 0);
  EXPECT_TRUE(arrives(other));
  EXPECT_EQ(command(1, 1, {2, 0, 0, 0, 0, 7}), 0);
  EXPECT_FALSE(arrives(own));
  EXPECT_TRUE(arrives({2, 0, 0, 0, 0, 7}));
  EXPECT_EQ(transport.config(4, 2), 0x0700u);
}

TEST_P(Net, FiltersByVlan) {
  ASSERT_TRUE(driver.start(kControl | kControlVlan));
  auto tagged = frame(64);
  tagged[12] = 0x81;
  tagged[13] = 0;
  tagged[14] = 0;
  tagged[15] = 42;
  give_buffer(2000);
  EXPECT_TRUE(receive(tagged));
  EXPECT_FALSE(driver.rings[0]->get());
  EXPECT_EQ(command(2, 0, {42, 0}), 0);
  EXPECT_TRUE(receive(tagged));
  EXPECT_TRUE(driver.rings[0]->get());
}

TEST_P(Net, CommandsThatMakeNoSenseFail) {
  ASSERT_TRUE(driver.start(kControl | kControlRx | kControlVlan | kControlMac));
  EXPECT_EQ(command(0, 9, {1}), 1);
  EXPECT_EQ(command(0, 0, {}), 1);
  EXPECT_EQ(command(1, 0, {255, 255, 255, 255}), 1);
  EXPECT_EQ(command(1, 1, {1, 2}), 1);
  EXPECT_EQ(command(2, 0, {0, 0x10}), 1);
  EXPECT_EQ(command(4, 0, {2, 0}), 1) << "was not negotiated";
  EXPECT_EQ(command(99, 0, {}), 1);
}

TEST_P(Net, SpreadsFlowsOverItsQueues) {
  multi_queue = true;
  ASSERT_TRUE(driver.start(kControl | kMultiQueue));
  EXPECT_EQ(transport.config(8, 2), 2u);
  EXPECT_EQ(command(4, 0, {0, 0}), 1);
  EXPECT_EQ(command(4, 0, {3, 0}), 1);
  EXPECT_EQ(command(4, 0, {2, 0}), 0);
  for (int i = 0; i < 16; ++i) {
    give_buffer(100, 0);
    give_buffer(100, 2);
  }
  for (uint8_t port = 0; port < 16; ++port) {
    auto bytes = frame(60);
    bytes[13] = 0;
    bytes[14] = 0x45;
    bytes[20] = bytes[21] = 0;
    bytes[23] = 6;
    bytes[35] = port;
    EXPECT_TRUE(receive(bytes));
  }
  unsigned counts[2] = {};
  while (driver.rings[0]->get()) ++counts[0];
  while (driver.rings[2]->get()) ++counts[1];
  EXPECT_EQ(counts[0] + counts[1], 16u);
  EXPECT_GT(counts[0], 2u);
  EXPECT_GT(counts[1], 2u);
}

TEST_P(Net, AFrameWithoutHeaderNeedsAReset) {
  ASSERT_TRUE(driver.start(0));
  const uint64_t at = board.allocate(8);
  EXPECT_FALSE(driver.request(1, {{at, 8, false}}));
  EXPECT_TRUE(transport.status() & kStatusNeedsReset);
  EXPECT_TRUE(receive(frame(60))) << "nobody listens";
}

TEST_P(Net, StateGoesOnInAnotherCard) {
  ASSERT_TRUE(driver.start(kControl | kControlRx | kControlVlan | kControlMac));
  EXPECT_EQ(command(2, 0, {42, 0}), 0);
  EXPECT_EQ(command(1, 1, {2, 0, 0, 0, 0, 7}), 0);
  system::StateWriter writer;
  transport.mmio.save(writer);
  Cable other_cable;
  VirtioNet other({.virtio = {.id = "net", .packed = true}, .queue_pairs = 2}, other_cable, *board.memory,
                  board.loop);
  VirtioMmio mmio{system::IrqLine()};
  mmio.plug(other);
  system::StateReader reader(writer.data());
  const auto loaded = mmio.load(reader);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(other.read_config(4, 2), 0x0700u);
  system::StateWriter again;
  mmio.save(again);
  EXPECT_EQ(writer.data(), again.data());
}

INSTANTIATE_TEST_SUITE_P(Layouts, Net, testing::Bool(),
                         [](const auto& info) { return info.param ? "Packed" : "Split"; });

}  // namespace
}  // namespace lyrebird::devices::test
