// SPDX-License-Identifier: Apache-2.0
/// Sections are those of IHI 0069.
#include "devices/intc/gicv3.h"

#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

constexpr uint16_t key(unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
  return static_cast<uint16_t>(3u << 14 | op1 << 11 | crn << 7 | crm << 3 | op2);
}
constexpr uint16_t kPmr = key(0, 4, 6, 0), kIar1 = key(0, 12, 12, 0), kEoir1 = key(0, 12, 12, 1),
                   kIar0 = key(0, 12, 8, 0), kBpr1 = key(0, 12, 12, 3), kCtlr = key(0, 12, 12, 4),
                   kIgrpen0 = key(0, 12, 12, 6), kIgrpen1 = key(0, 12, 12, 7), kRpr = key(0, 12, 11, 3),
                   kDir = key(0, 12, 11, 1), kSgi1r = key(0, 12, 11, 5);

struct GicV3Test : testing::Test {
  GicV3Test() {
    root->add(*region, 0x40000000);
    write32(gic.distributor(), 0, 3);
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      gic.write_register(cpu, kPmr, 0xf8);
      gic.write_register(cpu, kIgrpen1, 1);
      write32(gic.redistributor(cpu), 0x10080, ~0u);
    }
    for (unsigned word = 1; word < 9; ++word) write32(gic.distributor(), 0x80 + 4 * word, ~0u);
  }
  uint64_t get(unsigned cpu, uint16_t k) {
    uint64_t value = 0;
    EXPECT_TRUE(gic.read_register(cpu, k, value));
    return value;
  }
  void set(unsigned cpu, uint16_t k, uint64_t value) { EXPECT_TRUE(gic.write_register(cpu, k, value)); }
  void enable(unsigned id, uint8_t priority, uint64_t affinity) {
    gic.distributor().write(0x400 + id, 1, priority);
    gic.distributor().write(0x6000 + 8 * id, 8, affinity);
    write32(gic.distributor(), 0x100 + id / 32 * 4, 1u << (id % 32));
  }
  /// Tables for LPIs: every one enabled with priority 0xa0.
  void enable_lpis(unsigned cpu) {
    std::vector<uint8_t> config(65536, 0xa1);
    space.write_bytes(0x40000000, config.data(), config.size());
    gic.redistributor(cpu).write(0x70, 8, 0x40000000 | 15);
    gic.redistributor(cpu).write(0x78, 8, 0x40010000 | uint64_t{1} << 62);
    write32(gic.redistributor(cpu), 0, 1);
  }
  std::unique_ptr<system::RamBlock> ram = std::move(system::RamBlock::create("ram", 0x40000).value());
  system::MemoryRegionPtr root = system::MemoryRegion::container("root", uint64_t{1} << 40);
  system::MemoryRegionPtr region = system::MemoryRegion::ram("ram", *ram);
  system::AddressSpace space{"test", *root};
  Lines lines;
  GicV3 gic{288, {{0, lines.line(0), lines.line(10)}, {0x100, lines.line(1), lines.line(11)}}, space};
};

TEST_F(GicV3Test, SaysWhatItIs) {
  EXPECT_EQ(read32(gic.distributor(), 0xffe8) >> 4, 3u);
  EXPECT_EQ(read32(gic.distributor(), 4) & 0x1f, 8u);
  EXPECT_EQ(gic.redistributor(0).read(8, 8), 1u);
  EXPECT_EQ(gic.redistributor(1).read(8, 8), uint64_t{0x100} << 32 | 1u << 8 | 1u << 4 | 1u);
}

TEST_F(GicV3Test, RoutesAnSpiByAffinity) {
  enable(33, 0xa0, 0x100);
  gic.set_irq(1, true);
  EXPECT_FALSE(lines[0]);
  EXPECT_TRUE(lines[1]);
  EXPECT_EQ(get(0, kIar1), 1023u);
  EXPECT_EQ(get(1, kIar1), 33u);
  EXPECT_FALSE(lines[1]);
  EXPECT_EQ(get(1, kRpr), 0xa0u);
  gic.set_irq(1, false);
  set(1, kEoir1, 33);
  EXPECT_EQ(get(1, kRpr), 0xffu);
  EXPECT_FALSE(lines[1]);
}

TEST_F(GicV3Test, NothingIsSignalledForAnAffinityThatIsNotThere) {
  enable(33, 0xa0, 0x5);
  gic.set_irq(1, true);
  EXPECT_FALSE(lines[0] || lines[1]);
  gic.distributor().write(0x6000 + 8 * 33, 8, 0);
  EXPECT_TRUE(lines[0]);
}

TEST_F(GicV3Test, AHigherPriorityPreempts) {
  enable(33, 0xa0, 0);
  enable(34, 0x90, 0);
  gic.set_irq(1, true);
  EXPECT_EQ(get(0, kIar1), 33u);
  gic.set_irq(2, true);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(get(0, kIar1), 34u);
  EXPECT_EQ(get(0, kRpr), 0x90u);
}

TEST_F(GicV3Test, TheBinaryPointForbidsPreemptionInsideAGroup) {
  set(0, kBpr1, 0);
  EXPECT_EQ(get(0, kBpr1), 3u);
  set(0, kBpr1, 7);
  enable(33, 0xa0, 0);
  enable(34, 0x90, 0);
  gic.set_irq(1, true);
  EXPECT_EQ(get(0, kIar1), 33u);
  gic.set_irq(2, true);
  EXPECT_FALSE(lines[0]);
  EXPECT_EQ(get(0, kIar1), 1023u);
}

TEST_F(GicV3Test, Group0IsFiq) {
  set(0, kIgrpen0, 1);
  enable(33, 0xa0, 0);
  write32(gic.distributor(), 0x84, 0);
  gic.set_irq(1, true);
  EXPECT_TRUE(lines[10]);
  EXPECT_FALSE(lines[0]);
  EXPECT_EQ(get(0, kIar1), 1023u);
  EXPECT_EQ(get(0, kIar0), 33u);
}

TEST_F(GicV3Test, SoftwareInterruptsReachTheListOrAllOthers) {
  for (unsigned cpu = 0; cpu < 2; ++cpu) write32(gic.redistributor(cpu), 0x10100, 0xffff);
  set(0, kSgi1r, uint64_t{3} << 24 | uint64_t{1} << 16 | 1);
  EXPECT_TRUE(lines[1]);
  EXPECT_EQ(get(1, kIar1), 3u);
  set(1, kEoir1, 3);
  set(1, kSgi1r, uint64_t{1} << 40 | uint64_t{7} << 24);
  EXPECT_TRUE(lines[0]);
  EXPECT_FALSE(lines[1]);
  EXPECT_EQ(get(0, kIar1), 7u);
}

TEST_F(GicV3Test, WithSplitEndDirDeactivates) {
  set(0, kCtlr, 2);
  enable(33, 0xa0, 0);
  gic.set_irq(1, true);
  EXPECT_EQ(get(0, kIar1), 33u);
  set(0, kEoir1, 33);
  EXPECT_FALSE(lines[0]);
  set(0, kDir, 33);
  EXPECT_TRUE(lines[0]);
}

TEST_F(GicV3Test, AnLpiIsTakenOnceAndNeverActive) {
  enable_lpis(0);
  gic.set_lpi(0, 8200, true);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(get(0, kIar1), 8200u);
  EXPECT_FALSE(lines[0]);
  gic.set_lpi(0, 8200, true);
  EXPECT_FALSE(lines[0]) << "its priority is the running one";
  set(0, kEoir1, 8200);
  EXPECT_TRUE(lines[0]);
}

TEST_F(GicV3Test, AnLpisConfigurationIsReadAgainWhenTold) {
  enable_lpis(0);
  const uint8_t disabled = 0xa0;
  space.write_bytes(0x40000000 + 8, &disabled, 1);
  gic.set_lpi(0, 8200, true);
  EXPECT_TRUE(lines[0]);
  gic.reload_lpi(0, 8200);
  EXPECT_FALSE(lines[0]);
  enable_lpis(1);
  gic.move_lpi(0, 1, 8200);
  EXPECT_TRUE(lines[1]);
}

TEST_F(GicV3Test, KeepsItsStateAcrossSaving) {
  enable_lpis(0);
  enable(33, 0xa0, 0x100);
  gic.set_irq(1, true);
  gic.set_lpi(0, 8200, true);
  Lines other_lines;
  GicV3 other(288, {{0, other_lines.line(0), {}}, {0x100, other_lines.line(1), {}}}, space);
  transfer(gic, other);
  EXPECT_TRUE(other_lines[0]);
  EXPECT_TRUE(other_lines[1]);
  uint64_t id;
  EXPECT_TRUE(other.read_register(0, kIar1, id));
  EXPECT_EQ(id, 8200u);
}

TEST_F(GicV3Test, AnyAccessToAnyRegisterIsHarmless) {
  uint32_t random = 1;
  const auto next = [&random] { return random = random * 1664525 + 1013904223; };
  for (int i = 0; i < 100000; ++i) {
    system::Device& device = i & 1 ? gic.distributor() : gic.redistributor(next() >> 31);
    const unsigned size = 1u << (next() >> 8) % 4;
    const uint64_t offset = (next() >> 4) % 0x20000 / size * size % (i & 1 ? 0x10000 : 0x20000);
    // EnableLPIs reads whole tables: often enough here, too slow always.
    if (next() >> 30 && !(offset == 0 && next() >> 24))
      device.write(offset, size, uint64_t{next()} << 32 | next());
    else
      device.read(offset, size);
    uint64_t value;
    gic.read_register(next() >> 31, static_cast<uint16_t>(0xc000 | next() >> 18), value);
    gic.write_register(next() >> 31, static_cast<uint16_t>(0xc000 | next() >> 18), next());
  }
}

}  // namespace
}  // namespace lyrebird::devices
