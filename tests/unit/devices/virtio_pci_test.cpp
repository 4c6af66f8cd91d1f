// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "devices/pci/pci_host.h"
#include "devices/virtio/pci.h"
#include "devices/virtio/rng.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {
namespace {

constexpr uint64_t kEcam = 0x40'1000'0000, kWindow = 0x1000'0000;
constexpr uint32_t kDevfn = 1 << 3;

class Messages final : public system::MsiSink {
 public:
  void send(uint64_t address, uint32_t data, uint32_t) override { sent.emplace_back(address, data); }
  std::vector<std::pair<uint64_t, uint32_t>> sent;
};

/// A driver's view: finds the structures by their capabilities, as a real one does.
class PciTransport final : public Transport {
 public:
  PciTransport(Board& board, VirtioDevice& device)
      : pci(device),
        host({system::IrqLine(), system::IrqLine(board.irq, 0), {}, {}}, &messages),
        board_(board) {
    ecam_ = system::MemoryRegion::io("ecam", PciHost::kEcamSize, host, {1, 4});
    window_ = system::MemoryRegion::alias("window", host.memory_space(), kWindow, 0x100'0000);
    board.root().add(*ecam_, kEcam);
    board.root().add(*window_, kWindow);
    EXPECT_TRUE(host.plug(pci, 1));
    write_config(0x14, kWindow, 4);              // BAR 1
    write_config(0x20, kWindow + 0x10'0000, 4);  // BAR 4
    write_config(0x24, 0, 4);
    write_config(4, 2 | 4, 2);
    for (unsigned at = read_config(0x34, 1); at; at = read_config(at + 1, 1)) {
      if (read_config(at, 1) == 0x11) msix = at;
      if (read_config(at, 1) != 9) continue;
      const unsigned type = read_config(at + 3, 1);
      capability[type] = at;
      where[type] = kWindow + 0x10'0000 + read_config(at + 8, 4);
      if (type == 2) multiplier_ = read_config(at + 16, 4);
    }
  }
  ~PciTransport() override {
    host.unplug(pci);
    board_.root().remove(*window_);
    board_.root().remove(*ecam_);
  }

  uint32_t read_config(unsigned offset, unsigned size) {
    return static_cast<uint32_t>(board_.memory->read(kEcam + (kDevfn << 12) + offset, size).value);
  }
  void write_config(unsigned offset, uint32_t value, unsigned size) {
    board_.memory->write(kEcam + (kDevfn << 12) + offset, size, value);
  }
  uint32_t read(unsigned offset, unsigned size) {
    return static_cast<uint32_t>(board_.memory->read(where[1] + offset, size).value);
  }
  void write(unsigned offset, uint64_t value, unsigned size) {
    board_.memory->write(where[1] + offset, size, value);
  }

  uint64_t features() override {
    write(0, 1, 4);
    const uint64_t high = read(4, 4);
    write(0, 0, 4);
    return high << 32 | read(4, 4);
  }
  void set_features(uint64_t features) override {
    for (unsigned half = 0; half < 2; ++half) {
      write(8, half, 4);
      write(12, static_cast<uint32_t>(features >> 32 * half), 4);
    }
  }
  uint8_t status() override { return static_cast<uint8_t>(read(20, 1)); }
  void set_status(uint8_t status) override { write(20, status, 1); }
  uint16_t queue_max(unsigned queue) override {
    if (queue >= read(18, 2)) return 0;
    write(22, queue, 2);
    return static_cast<uint16_t>(read(24, 2));
  }
  void set_queue(unsigned queue, const DriverRing& ring) override {
    write(22, queue, 2);
    write(24, ring.size(), 2);
    if (vectors) write(26, queue + 1, 2);
    write(32, ring.descriptors, 8);
    write(40, ring.driver_area, 8);
    write(48, ring.device_area, 8);
    write(28, 1, 2);
  }
  void notify(unsigned queue) override {
    write(22, queue, 2);
    board_.memory->write(where[2] + read(30, 2) * multiplier_, 2, queue);
  }
  uint32_t config(uint64_t offset, unsigned size) override {
    return static_cast<uint32_t>(board_.memory->read(where[4] + offset, size).value);
  }
  void set_config(uint64_t offset, unsigned size, uint32_t value) override {
    board_.memory->write(where[4] + offset, size, value);
  }
  uint32_t interrupts() override { return static_cast<uint32_t>(board_.memory->read(where[3], 1).value); }

  void enable_msix() {
    for (unsigned vector = 0; vector < 2; ++vector) {
      board_.memory->write(kWindow + 16 * vector, 8, 0xfee0'0000 + 4 * vector);
      board_.memory->write(kWindow + 16 * vector + 8, 4, 100 + vector);
      board_.memory->write(kWindow + 16 * vector + 12, 4, 0);
    }
    write_config(msix + 2, 0x8000, 2);
    vectors = true;
  }

  Messages messages;
  VirtioPci pci;
  PciHost host;
  std::array<uint64_t, 16> where{};
  std::array<unsigned, 16> capability{};
  unsigned msix = 0;
  bool vectors = false;

 private:
  Board& board_;
  system::MemoryRegionPtr ecam_, window_;
  uint32_t multiplier_ = 0;
};

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
