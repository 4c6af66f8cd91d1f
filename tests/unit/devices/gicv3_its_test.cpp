// SPDX-License-Identifier: Apache-2.0
#include "devices/intc/gicv3_its.h"

#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

constexpr uint64_t kRam = 0x40000000, kQueue = kRam + 0x30000, kBase = 0x8080000;

struct ItsTest : testing::Test {
  ItsTest() {
    root->add(*region, kRam);
    write32(gic.distributor(), 0, 3);
    const std::vector<uint8_t> config(65536, 0xa1);
    space.write_bytes(kRam, config.data(), config.size());
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      gic.write_register(cpu, 0xc000 | 4 << 7 | 6 << 3, 0xf8);     // ICC_PMR_EL1
      gic.write_register(cpu, 0xc000 | 12 << 7 | 12 << 3 | 7, 1);  // ICC_IGRPEN1_EL1
      gic.redistributor(cpu).write(0x70, 8, kRam | 15);
      gic.redistributor(cpu).write(0x78, 8, (kRam + 0x10000) | uint64_t{1} << 62);
      write32(gic.redistributor(cpu), 0, 1);
    }
    its.write(0x80, 8, uint64_t{1} << 63 | kQueue);
    write32(its, 0, 1);
  }
  void command(uint64_t a, uint64_t b = 0, uint64_t c = 0, uint64_t d = 0) {
    const uint64_t words[] = {a, b, c, d};
    ASSERT_TRUE(space.write_bytes(kQueue + next, words, sizeof words));
    next = (next + 32) % 4096;
    its.write(0x88, 8, next);
    EXPECT_EQ(its.read(0x90, 8), next);
  }
  void map(uint64_t device, uint64_t event, uint64_t lpi, uint64_t collection) {
    command(uint64_t{device} << 32 | 8, 4, uint64_t{1} << 63 | kRam);
    command(uint64_t{device} << 32 | 0x0a, lpi << 32 | event, collection);
  }
  void collection(uint64_t id, uint64_t cpu) { command(9, 0, uint64_t{1} << 63 | cpu << 16 | id); }

  std::unique_ptr<system::RamBlock> ram = std::move(system::RamBlock::create("ram", 0x40000).value());
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", uint64_t{1} << 40);
  system::MemoryRegionPtr region = system::MemoryRegion::ram("ram", *ram);
  system::AddressSpace space{"test", *root};
  Lines lines;
  GicV3 gic{64, {{0, lines.line(0), {}}, {1, lines.line(1), {}}}, space};
  GicV3Its its{kBase, gic, space};
  uint64_t next = 0;
};

TEST_F(ItsTest, AMessageBecomesItsLpiAtTheCollectionsCpu) {
  collection(3, 1);
  map(8, 2, 8200, 3);
  its.send(kBase + GicV3Its::kTranslater, 2, 8);
  EXPECT_FALSE(lines[0]);
  EXPECT_TRUE(lines[1]);
  uint64_t id;
  EXPECT_TRUE(gic.read_register(1, 0xc000 | 12 << 7 | 12 << 3, id));
  EXPECT_EQ(id, 8200u);
}

TEST_F(ItsTest, OtherDevicesEventsAndAddressesDoNothing) {
  collection(0, 0);
  map(8, 2, 8200, 0);
  its.send(kBase + GicV3Its::kTranslater, 2, 9);
  its.send(kBase + GicV3Its::kTranslater, 3, 8);
  its.send(kBase, 2, 8);
  EXPECT_FALSE(lines[0]);
}

TEST_F(ItsTest, MoviTakesWhatIsPendingAlong) {
  collection(0, 0);
  collection(1, 1);
  map(8, 2, 8200, 0);
  command(uint64_t{8} << 32 | 3, 2);  // INT
  EXPECT_TRUE(lines[0]);
  command(uint64_t{8} << 32 | 1, 2, 1);  // MOVI
  EXPECT_FALSE(lines[0]);
  EXPECT_TRUE(lines[1]);
  command(uint64_t{8} << 32 | 0x0f, 2);  // DISCARD
  EXPECT_FALSE(lines[1]);
}

TEST_F(ItsTest, InvReadsTheConfigurationAgain) {
  collection(0, 0);
  map(8, 2, 8200, 0);
  command(uint64_t{8} << 32 | 3, 2);
  const uint8_t disabled = 0xa0;
  space.write_bytes(kRam + 8, &disabled, 1);
  EXPECT_TRUE(lines[0]);
  command(uint64_t{8} << 32 | 0x0c, 2);
  EXPECT_FALSE(lines[0]);
}

TEST_F(ItsTest, KeepsItsMappingsAcrossSaving) {
  collection(3, 1);
  map(8, 2, 8200, 3);
  GicV3Its other(kBase, gic, space);
  transfer(its, other);
  other.send(kBase + GicV3Its::kTranslater, 2, 8);
  EXPECT_TRUE(lines[1]);
}

TEST_F(ItsTest, RandomCommandsAreHarmless) {
  uint32_t random = 1;
  const auto word = [&random] { return random = random * 1664525 + 1013904223; };
  for (int i = 0; i < 20000; ++i)
    command(uint64_t{word() >> 16} << 32 | (word() >> 28), uint64_t{word() >> 16} << 32 | word() >> 20,
            uint64_t{word()} << 32 | word(), word());
  for (int i = 0; i < 20000; ++i)
    its.write((word() >> 4) % 0x20000 & ~7u, 8, uint64_t{word()} << 32 | word());
}

}  // namespace
}  // namespace lyrebird::devices
