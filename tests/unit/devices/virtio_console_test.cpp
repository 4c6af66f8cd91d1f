// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "devices/virtio/console.h"
#include "devices/virtio/rng.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

class Line final : public system::CharBackend {
 public:
  void write(std::span<const uint8_t> bytes) override { written.append(bytes.begin(), bytes.end()); }
  void set_receiver(system::CharReceiver* r) override { receiver = r; }
  void accept_input() override { ++accepts; }
  size_t type(std::string_view text) {
    const size_t n = std::min(text.size(), receiver->room());
    if (n) receiver->receive({reinterpret_cast<const uint8_t*>(text.data()), n});
    return n;
  }

  std::string written;
  system::CharReceiver* receiver = nullptr;
  unsigned accepts = 0;
};

class Console : public testing::Test {
 protected:
  std::string text(uint64_t at, size_t size) { return {reinterpret_cast<const char*>(board.host(at)), size}; }
  uint64_t give(unsigned queue, uint32_t size) {
    const uint64_t at = board.allocate(size);
    driver.rings[queue]->add({{at, size, true}});
    driver.kick(queue);
    board.settle();
    return at;
  }
  void send_control(uint32_t port, uint16_t event, uint16_t value) {
    const uint64_t at = board.allocate(8);
    board.put<uint32_t>(at, port);
    board.put<uint16_t>(at + 4, event);
    board.put<uint16_t>(at + 6, value);
    ASSERT_TRUE(driver.request(3, {{at, 8, false}}));
  }
  /// Port, event, value of the next control message.
  std::array<unsigned, 3> next_control(std::string* rest = nullptr) {
    const uint64_t at = controls.at(next++);
    const auto used = driver.rings[2]->get();
    if (!used) return {~0u, ~0u, ~0u};
    if (rest) *rest = text(at + 8, used->written - 8);
    return {board.get<uint32_t>(at), board.get<uint16_t>(at + 4), board.get<uint16_t>(at + 6)};
  }

  Board board;
  Line line, plain;
  VirtioConsole console{
      {.id = "console"}, {{&line, ""}, {&plain, "org.example.port", false}}, *board.memory, board.loop};
  MmioTransport transport{board, console};
  Driver driver{board, transport, {.event_index = true}};
  std::vector<uint64_t> controls;
  size_t next = 0;
};

TEST_F(Console, WithoutMultiportItIsOneLine) {
  ASSERT_TRUE(driver.start(0));
  const uint64_t out = board.allocate(5);
  std::memcpy(board.host(out), "hello", 5);
  ASSERT_TRUE(driver.request(1, {{out, 2, false}, {out + 2, 3, false}}));
  EXPECT_EQ(line.written, "hello");
  EXPECT_EQ(line.type("x"), 0u) << "no buffer";
  const uint64_t first = give(0, 4), second = give(0, 4);
  EXPECT_GT(line.accepts, 0u);
  EXPECT_EQ(line.type("typed text"), 10u);
  EXPECT_EQ(line.type("more"), 0u) << "the guest has no buffers left";
  EXPECT_EQ(text(first, 4), "type");
  EXPECT_EQ(text(second, 4), "d te");
  ASSERT_TRUE(driver.rings[0]->get());
  ASSERT_TRUE(driver.rings[0]->get());
  const uint64_t third = give(0, 4);
  const auto used = driver.rings[0]->get();
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 2u);
  EXPECT_EQ(text(third, 2), "xt");
}

TEST_F(Console, PortsAreAnnouncedAndOpened) {
  ASSERT_TRUE(driver.start(2));
  EXPECT_EQ(transport.config(4, 4), 2u);
  for (int i = 0; i < 12; ++i) controls.push_back(give(2, 64));
  send_control(~0u, 0, 1);
  using M = std::array<unsigned, 3>;
  EXPECT_EQ(next_control(), (M{0, 1, 1}));
  EXPECT_EQ(next_control(), (M{1, 1, 1}));
  send_control(0, 3, 1);
  EXPECT_EQ(next_control(), (M{0, 4, 1}));
  EXPECT_EQ(next_control(), (M{0, 6, 1}));
  send_control(1, 3, 1);
  std::string name;
  EXPECT_EQ(next_control(&name), (M{1, 7, 1}));
  EXPECT_EQ(name, "org.example.port");
  EXPECT_EQ(next_control(), (M{1, 6, 1}));

  give(4, 16);
  EXPECT_EQ(plain.type("a"), 0u) << "not open";
  send_control(1, 6, 1);
  EXPECT_EQ(plain.type("a"), 1u);
  EXPECT_TRUE(driver.rings[4]->get());
  plain.receiver->connected(false);
  EXPECT_EQ(next_control(), (M{1, 6, 0}));
}

TEST_F(Console, ControlMessagesThatMakeNoSenseAreIgnored) {
  ASSERT_TRUE(driver.start(2));
  controls.push_back(give(2, 64));
  send_control(77, 6, 1);
  send_control(77, 3, 1);
  send_control(0, 99, 1);
  const uint64_t at = board.allocate(8);
  ASSERT_TRUE(driver.request(3, {{at, 3, false}}));
  EXPECT_FALSE(driver.rings[2]->get());
  EXPECT_FALSE(transport.status() & kStatusNeedsReset);
}

TEST_F(Console, EmergencyWriteNeedsNoDriver) {
  transport.set_config(8, 4, '!');
  EXPECT_EQ(line.written, "!");
}

TEST(Rng, FillsBuffers) {
  Board board;
  VirtioRng rng({}, *board.memory, board.loop);
  MmioTransport transport(board, rng);
  Driver driver(board, transport, {});
  ASSERT_TRUE(driver.start(0));
  const uint64_t at = board.allocate(64);
  std::memset(board.host(at), 0, 64);
  const auto used = driver.request(0, {{at, 32, true}, {at + 32, 32, true}});
  ASSERT_TRUE(used);
  EXPECT_EQ(used->written, 64u);
  EXPECT_NE(std::count(board.host(at), board.host(at) + 64, 0), 64);
  EXPECT_FALSE(driver.request(0, {{at, 32, false}}));
  EXPECT_TRUE(transport.status() & kStatusNeedsReset);
}

}  // namespace
}  // namespace lyrebird::devices::test
