// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "devices/virtio/rng.h"
#include "tests/unit/devices/virtio_pci_driver.h"

namespace lyrebird::devices::test {
namespace {

class Pci : public testing::TestWithParam<int> {
 protected:
  std::optional<Used> ask() {
    const uint64_t at = board.allocate(32);
    return driver.request(0, {{at, 32, true}});
  }
  Board board;
  VirtioRng rng{{.id = "rng", .packed = true}, *board.memory, board.loop};
  PciTransport transport{board, rng};
  Driver driver{board, transport, {(GetParam() & 1) != 0, (GetParam() & 2) != 0, (GetParam() & 4) != 0}};
};

TEST_P(Pci, IsFoundAndWorks) {
  EXPECT_EQ(transport.read_config(0, 4), 0x1044'1af4u);
  EXPECT_EQ(transport.read_config(8, 1), 1u);
  for (const unsigned type : {1, 2, 3, 4, 5}) EXPECT_NE(transport.capability[type], 0u) << type;
  ASSERT_TRUE(driver.start(0));
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(ask());
    EXPECT_TRUE(board.irq.level());
    EXPECT_EQ(transport.interrupts(), 1u);
    EXPECT_FALSE(board.irq.level()) << "reading it acknowledges";
    EXPECT_EQ(transport.interrupts(), 0u);
  }
}

TEST_P(Pci, EachQueueHasItsMessage) {
  transport.enable_msix();
  transport.set_status(0);
  transport.write(16, 0, 2);
  EXPECT_EQ(transport.read(16, 2), 0u);
  ASSERT_TRUE(driver.start(0));
  transport.write(16, 0, 2);
  transport.write(16, 9, 2);
  EXPECT_EQ(transport.read(16, 2), 0xffffu) << "no such vector";
  transport.write(16, 0, 2);
  ASSERT_TRUE(ask());
  ASSERT_EQ(transport.messages.sent.size(), 1u);
  EXPECT_EQ(transport.messages.sent[0], (std::pair<uint64_t, uint32_t>{0xfee0'0004, 101}));
  EXPECT_FALSE(board.irq.level());
  const uint64_t at = board.allocate(32);
  EXPECT_FALSE(driver.request(0, {{at, 32, false}}));  // a mistake
  ASSERT_EQ(transport.messages.sent.size(), 2u);
  EXPECT_EQ(transport.messages.sent[1].second, 100u) << "the configuration's";
}

TEST_P(Pci, TheWindowInConfigurationSpaceReachesTheRegisters) {
  const unsigned cap = transport.capability[5];
  transport.write_config(cap + 4, 4, 1);
  transport.write_config(cap + 8, 20, 4);
  transport.write_config(cap + 12, 1, 4);
  transport.write_config(cap + 16, 1, 1);
  EXPECT_EQ(transport.status(), 1u);
  EXPECT_EQ(transport.read_config(cap + 16, 1), 1u);
  transport.write_config(cap + 8, 0xffff'fff0, 4);  // outside
  transport.write_config(cap + 16, 0, 1);
  transport.read_config(cap + 16, 1);
  EXPECT_EQ(transport.status(), 1u);
}

TEST_P(Pci, AQueueCanBeResetAlone) {
  ASSERT_TRUE(driver.start(1ull << 40));
  ASSERT_TRUE(ask());
  transport.write(22, 0, 2);
  transport.write(58, 1, 2);
  EXPECT_EQ(transport.read(28, 2), 0u);
  EXPECT_EQ(transport.read(58, 2), 0u);
  driver.rings[0] = std::make_unique<DriverRing>(
      board, RingKind{(GetParam() & 1) != 0, (GetParam() & 2) != 0, (GetParam() & 4) != 0}, 8);
  transport.set_queue(0, *driver.rings[0]);
  EXPECT_TRUE(ask());
}

TEST_P(Pci, StateGoesOn) {
  transport.enable_msix();
  ASSERT_TRUE(driver.start(0));
  ASSERT_TRUE(ask());
  system::StateWriter writer;
  transport.pci.registers().save(writer);
  board.settle();
  transport.pci.reset();
  EXPECT_EQ(transport.read_config(4, 2) & 7, 0u);
  system::StateReader reader(writer.data());
  const auto loaded = transport.pci.registers().load(reader);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(transport.status(), 15u);
  const size_t before = transport.messages.sent.size();
  EXPECT_TRUE(ask());
  EXPECT_EQ(transport.messages.sent.size(), before + 1);
}

std::string ring_name(const testing::TestParamInfo<int>& info) {
  const int n = info.param;
  return std::string(n & 1 ? "Packed" : "Split") + (n & 2 ? "EventIndex" : "") + (n & 4 ? "Indirect" : "");
}
INSTANTIATE_TEST_SUITE_P(All, Pci, testing::Range(0, 8), ring_name);

}  // namespace
}  // namespace lyrebird::devices::test
