// SPDX-License-Identifier: Apache-2.0
#include "devices/intc/gicv2m.h"
#include "devices/pci/pci_host.h"
#include "system/address_space.h"
#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

struct Messages final : system::MsiSink {
  void send(uint64_t address, uint32_t data, uint32_t requester) override {
    text += std::to_string(address) + ":" + std::to_string(data) + "@" + std::to_string(requester) + " ";
  }
  std::string text;
};

class TestFunction final : public PciFunction {
 public:
  TestFunction() : PciFunction("test", {0x1af4, 0x1042, 1, 0x018000, 0x1af4, 0x40}, 1) {
    set_bar(0, PciBar::Memory32, *ram);
    set_bar(4, PciBar::Memory64, *bar);
    add_msix(4, 4, *bar, 0);
  }
  std::unique_ptr<system::RamBlock> block = std::move(system::RamBlock::create("bar", 0x1000).value());
  system::MemoryRegionPtr ram = system::MemoryRegion::ram("bar0", *block);
  system::MemoryRegionPtr bar = system::MemoryRegion::container("bar4", 0x1000);
};

struct PciTest : testing::Test {
  PciTest() {
    EXPECT_EQ(host.plug(function).value(), 1u);
    root->add(*ecam, 0x1000'0000);
    root->add(*window, 0x4000'0000);
  }
  uint32_t config(unsigned offset, unsigned size = 4, unsigned devfn = 8) {
    return static_cast<uint32_t>(space.read(0x1000'0000 + devfn * 4096 + offset, size).value);
  }
  void set(unsigned offset, unsigned size, uint32_t value) {
    EXPECT_TRUE(space.write(0x1000'0000 + 8 * 4096 + offset, size, value));
  }
  Lines lines;
  Messages messages;
  TestFunction function;
  PciHost host{{lines.line(0), lines.line(1), lines.line(2), lines.line(3)}, &messages};
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", uint64_t{1} << 40);
  system::MemoryRegionPtr ecam = system::MemoryRegion::io("ecam", PciHost::kEcamSize, host);
  system::MemoryRegionPtr window =
      system::MemoryRegion::alias("window", host.memory_space(), 0x4000'0000, 0x1000'0000);
  system::AddressSpace space{"test", *root};
};

TEST_F(PciTest, WhatIsNotThereReadsAsOnes) {
  EXPECT_EQ(config(0, 4, 0), 0x00081b36u);
  EXPECT_EQ(config(0), 0x10421af4u);
  EXPECT_EQ(config(2, 2), 0x1042u);
  EXPECT_EQ(config(0x0b, 1), 0x01u);
  EXPECT_EQ(config(0, 4, 16), ~0u);
  EXPECT_EQ(space.read(0x1010'0000, 4).value, ~0u);
}

TEST_F(PciTest, ABarTellsItsSizeAndIsShownWhereItIsPut) {
  set(0x10, 4, ~0u);
  EXPECT_EQ(config(0x10), 0xfffff000u);
  set(0x20, 4, ~0u);
  set(0x24, 4, ~0u);
  EXPECT_EQ(config(0x20), 0xfffff004u);
  EXPECT_EQ(config(0x24), ~0u);
  set(0x10, 4, 0x4000'2000);
  EXPECT_FALSE(space.read(0x4000'2000, 4).ok);
  set(0x04, 2, 2);
  EXPECT_TRUE(space.write(0x4000'2000, 4, 77));
  EXPECT_EQ(function.block->host()[0], 77);
  set(0x10, 4, 0x4000'4000);
  EXPECT_FALSE(space.read(0x4000'2000, 4).ok);
  EXPECT_EQ(space.read(0x4000'4000, 4).value, 77u);
  set(0x04, 2, 0);
  EXPECT_FALSE(space.read(0x4000'4000, 4).ok);
}

TEST_F(PciTest, CapabilitiesAreAList) {
  EXPECT_TRUE(config(0x06, 2) & 0x10);
  const unsigned at = config(0x34, 1);
  EXPECT_EQ(config(at, 1), 0x11u);
  EXPECT_EQ(config(at + 1, 1), 0u);
  EXPECT_EQ(config(at + 2, 2), 3u);
  EXPECT_EQ(config(at + 4) & 7, 4u);
}

struct MsixTest : PciTest {
  MsixTest() {
    set(0x20, 4, 0x4000'8000);
    set(0x04, 2, 6);
    for (unsigned v = 0; v < 4; ++v) {
      space.write(0x4000'8000 + 16 * v, 8, 0x1000 + v);
      space.write(0x4000'8008 + 16 * v, 8, 100 + v);  // and not masked
    }
  }
  void enable(uint32_t control) { set(config(0x34, 1) + 2, 2, control); }
};

TEST_F(MsixTest, AVectorSendsItsMessage) {
  function.send_msix(2);
  EXPECT_EQ(messages.text, "");
  enable(0x8000);
  EXPECT_EQ(messages.text, "4096:102@8 ") << "address bits 1:0 are no part of it; it was pending";
  function.send_msix(0);
  EXPECT_EQ(messages.text, "4096:102@8 4096:100@8 ");
}

TEST_F(MsixTest, AMaskedVectorIsPendingUntilItIsNot) {
  enable(0x8000);
  space.write(0x4000'8000 + 12, 4, 1);
  function.send_msix(0);
  EXPECT_EQ(messages.text, "");
  EXPECT_EQ(space.read(0x4000'8000 + 64, 4).value, 1u);
  space.write(0x4000'8000 + 12, 4, 0);
  EXPECT_EQ(messages.text, "4096:100@8 ");
  enable(0xc000);
  function.send_msix(1);
  enable(0x8000);
  EXPECT_EQ(messages.text, "4096:100@8 4096:101@8 ");
}

TEST_F(PciTest, IntxIsSwizzledAndSharedAndOffWithMsix) {
  TestFunction second;
  ASSERT_EQ(host.plug(second, 5).value(), 5u);
  function.set_intx(true);
  second.set_intx(true);
  EXPECT_TRUE(lines[1]);
  function.set_intx(false);
  EXPECT_TRUE(lines[1]);
  second.set_intx(false);
  EXPECT_FALSE(lines[1]);
  function.set_intx(true);
  EXPECT_EQ(config(0x06, 2) & 8, 8u);
  set(0x04, 2, 1 << 10);
  EXPECT_FALSE(lines[1]);
  set(0x04, 2, 0);
  EXPECT_TRUE(lines[1]);
  set(config(0x34, 1) + 2, 2, 0x8000);
  EXPECT_FALSE(lines[1]);
  host.unplug(second);
}

TEST_F(PciTest, ATakenSlotIsAnError) {
  TestFunction second;
  const auto slot = host.plug(second, 1);
  ASSERT_FALSE(slot.ok());
  EXPECT_NE(slot.error().message.find("slot 1"), std::string::npos);
}

TEST_F(MsixTest, SavingKeepsBarsAndVectors) {
  enable(0x8000);
  system::StateWriter writer;
  function.save_function(writer);
  function.reset();
  EXPECT_FALSE(space.read(0x4000'8000, 4).ok);
  system::StateReader reader(writer.data());
  function.load_function(reader);
  ASSERT_TRUE(reader.ok()) << reader.status().error().message;
  function.send_msix(3);
  EXPECT_EQ(messages.text, "4096:103@8 ");
}

TEST(GicV2m, AMessagePulsesItsSpi) {
  Lines lines;
  GicV2m frame(0x8020000, 48, {lines.line(0), lines.line(1)});
  EXPECT_EQ(read32(frame, 8), 80u << 16 | 2);
  frame.send(0x8020040, 81, 0);
  EXPECT_EQ(lines.rises(1), 1u);
  EXPECT_FALSE(lines[1]);
  frame.send(0x9020040, 80, 0);
  write32(frame, 0x40, 82);
  EXPECT_EQ(lines.rises(0), 0u);
}

}  // namespace
}  // namespace lyrebird::devices
