// SPDX-License-Identifier: Apache-2.0
// Balloon and input devices.
#include <gtest/gtest.h>
#include <linux/input-event-codes.h>

#include "devices/virtio/balloon.h"
#include "devices/virtio/input.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

class Balloon : public testing::Test {
 protected:
  Board board;
  VirtioBalloon balloon{{}, *board.memory, board.loop};
  MmioTransport transport{board, balloon};
  Driver driver{board, transport, {.event_index = true}};
};

TEST_F(Balloon, PagesGivenAwayReadAsZeros) {
  ASSERT_TRUE(driver.start(0));
  const uint64_t page = board.allocate(2 * 4096, 4096), list = board.allocate(8);
  std::memset(board.host(page), 0xaa, 2 * 4096);
  board.put<uint32_t>(list, static_cast<uint32_t>(page / 4096));
  board.put<uint32_t>(list + 4, 0);  // no RAM
  ASSERT_TRUE(driver.request(0, {{list, 8, false}}));
  EXPECT_EQ(board.get<uint8_t>(page), 0);
  EXPECT_EQ(board.get<uint8_t>(page + 4096), 0xaa);
  EXPECT_FALSE(transport.status() & kStatusNeedsReset);
  EXPECT_TRUE(driver.request(1, {{list, 8, false}}));
}

TEST_F(Balloon, TheTargetIsTold) {
  ASSERT_TRUE(driver.start(0));
  balloon.set_target(77);
  EXPECT_EQ(transport.interrupts(), 2u);
  EXPECT_EQ(transport.config(0, 4), 77u);
  transport.set_config(4, 4, 33);
  transport.set_config(0, 4, 1);
  EXPECT_EQ(balloon.actual(), 33u);
  EXPECT_EQ(transport.config(0, 4), 77u) << "only the host changes it";
}

TEST_F(Balloon, StatisticsComeWhenAskedFor) {
  ASSERT_TRUE(driver.start(1 << 1));
  const uint64_t at = board.allocate(20);
  board.put<uint16_t>(at, 4);
  board.put<uint64_t>(at + 2, 123456);
  board.put<uint16_t>(at + 10, 99);
  driver.rings[2]->add({{at, 20, false}});
  driver.kick(2);
  board.settle();
  EXPECT_FALSE(driver.rings[2]->get()) << "held until new ones are wanted";
  const auto statistics = balloon.statistics();
  EXPECT_EQ(statistics[4], 123456u);
  EXPECT_FALSE(statistics[0]);
  EXPECT_TRUE(driver.rings[2]->get());
}

TEST_F(Balloon, FreePagesAreReported) {
  ASSERT_TRUE(driver.start(1 << 5));
  const uint64_t pages = board.allocate(64 * 4096, 4096);
  std::memset(board.host(pages), 0xaa, 64 * 4096);
  ASSERT_TRUE(driver.request(2, {{pages, 64 * 4096, true}}));
  EXPECT_EQ(balloon.reported_bytes(), 64 * 4096u);
  EXPECT_EQ(board.get<uint8_t>(pages + 4096 * 63), 0);
}

class Input : public testing::Test {
 protected:
  std::vector<uint8_t> ask(uint8_t select, uint8_t subselect) {
    transport.set_config(0, 1, select);
    transport.set_config(1, 1, subselect);
    std::vector<uint8_t> data(transport.config(2, 1));
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(transport.config(8 + i, 1));
    return data;
  }
  Board board;
  VirtioInput input{{}, VirtioInputModel::tablet(), *board.memory, board.loop};
  MmioTransport transport{board, input};
  Driver driver{board, transport, {}};
};

TEST_F(Input, SaysWhatItIs) {
  const auto name = ask(1, 0);
  EXPECT_EQ(std::string(name.begin(), name.end()), "Lyrebird virtio tablet");
  EXPECT_EQ(ask(0x11, EV_ABS), (std::vector<uint8_t>{3}));
  EXPECT_EQ(ask(0x12, ABS_X).size(), 20u);
  EXPECT_EQ(ask(0x12, ABS_X)[4], 0xff);
  EXPECT_TRUE(ask(0x12, ABS_Z).empty());
  EXPECT_TRUE(ask(99, 99).empty());
  EXPECT_EQ(ask(3, 0).size(), 8u);
}

TEST_F(Input, EventsArriveInOrderAndWait) {
  ASSERT_TRUE(driver.start(0));
  input.send({{EV_ABS, ABS_X, 100}, {EV_ABS, ABS_Y, 200}});
  std::vector<uint64_t> buffers;
  for (int i = 0; i < 3; ++i) {
    buffers.push_back(board.allocate(8));
    driver.rings[0]->add({{buffers.back(), 8, true}});
  }
  driver.kick(0);
  board.settle();
  EXPECT_EQ(board.get<uint32_t>(buffers[0] + 4), 100u);
  EXPECT_EQ(board.get<uint32_t>(buffers[1] + 4), 200u);
  EXPECT_EQ(board.get<uint16_t>(buffers[2]), EV_SYN);
}

TEST_F(Input, LedsAreKept) {
  ASSERT_TRUE(driver.start(0));
  const uint64_t at = board.allocate(8);
  board.put<uint16_t>(at, EV_LED);
  board.put<uint16_t>(at + 2, LED_CAPSL);
  for (const uint32_t value : {1u, 0u}) {
    board.put<uint32_t>(at + 4, value);
    ASSERT_TRUE(driver.request(1, {{at, 8, false}}));
    ASSERT_EQ(input.status().size(), 1u);
    EXPECT_EQ(input.status()[0].value, value);
  }
}

}  // namespace
}  // namespace lyrebird::devices::test
