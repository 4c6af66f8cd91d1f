// SPDX-License-Identifier: Apache-2.0
#include "devices/intc/ioapic.h"

#include <gtest/gtest.h>

#include <vector>

#include "system/state_stream.h"

namespace lyrebird::devices {
namespace {

struct Bus final : system::MsiSink {
  void send(uint64_t address, uint32_t data, uint32_t) override {
    sent.push_back(data);
    last_address = address;
  }
  std::vector<uint32_t> sent;
  uint64_t last_address = 0;
};

class IoApicTest : public testing::Test {
 protected:
  /// As the bus does it.
  void write(uint64_t offset, uint32_t value) {
    const std::lock_guard lock(apic.mutex());
    apic.write(offset, 4, value);
  }
  void set(unsigned index, uint32_t value) {
    write(0, index);
    write(0x10, value);
  }
  uint32_t get(unsigned index) {
    write(0, index);
    return static_cast<uint32_t>(apic.read(0x10, 4));
  }
  Bus bus;
  unsigned told = 0, told_masked = 0;
  IoApic apic{bus,
              [this](unsigned, bool masked, const IoApic::Message&) { ++(masked ? told_masked : told); }};
};

constexpr uint32_t kLevel = 1 << 15, kMasked = 1 << 16, kRemoteIrr = 1 << 14;

TEST_F(IoApicTest, RegistersAfterPowerOn) {
  EXPECT_EQ(get(1), 0x170020u);
  EXPECT_EQ(get(0x10), kMasked);
  EXPECT_EQ(get(0x3f), 0u);
  set(0, 0x05000000);
  EXPECT_EQ(get(0), 0x05000000u);
  EXPECT_EQ(get(0x40), 0u) << "there is no pin 24";
}

TEST_F(IoApicTest, AnEdgeIsSentOnceAndAMaskedOneIsLost) {
  apic.set_irq(4, true);
  apic.set_irq(4, false);
  set(0x10 + 9, 0x03000000);
  set(0x10 + 8, 0x0831);  // logical
  EXPECT_TRUE(bus.sent.empty());
  EXPECT_EQ(told, 1u);
  apic.set_irq(4, true);
  apic.set_irq(4, true);
  EXPECT_EQ(bus.sent, std::vector<uint32_t>{0x31});
  EXPECT_EQ(bus.last_address, 0xfee03004u);
}

TEST_F(IoApicTest, ALevelIsSentAgainAtItsEndWhileTheLineIsUp) {
  set(0x10 + 32, 0x41 | kLevel);
  apic.set_irq(16, true);
  EXPECT_EQ(bus.sent, (std::vector<uint32_t>{0xc041}));
  EXPECT_TRUE(get(0x10 + 32) & kRemoteIrr);
  apic.set_irq(16, true);
  EXPECT_EQ(bus.sent.size(), 1u);
  apic.end_of_interrupt(0x40);
  EXPECT_EQ(bus.sent.size(), 1u) << "of another vector";
  apic.end_of_interrupt(0x41);
  EXPECT_EQ(bus.sent.size(), 2u);
  apic.set_irq(16, false);
  write(0x40, 0x41);
  EXPECT_EQ(bus.sent.size(), 2u);
  EXPECT_FALSE(get(0x10 + 32) & kRemoteIrr);
  set(0x10 + 32, 0x41 | kLevel | kMasked);
  apic.set_irq(16, true);
  EXPECT_EQ(bus.sent.size(), 2u);
  set(0x10 + 32, 0x41 | kLevel);
  EXPECT_EQ(bus.sent.size(), 3u) << "a level waits for the mask";
}

TEST_F(IoApicTest, StateGoesOnElsewhere) {
  set(0x10 + 32, 0x41 | kLevel);
  apic.set_irq(16, true);
  system::StateWriter writer;
  apic.save(writer);
  Bus other_bus;
  IoApic other(other_bus);
  system::StateReader reader(writer.data());
  ASSERT_TRUE(other.load(reader).ok());
  other.end_of_interrupt(0x41);
  EXPECT_EQ(other_bus.sent, (std::vector<uint32_t>{0xc041}));
}

}  // namespace
}  // namespace lyrebird::devices
