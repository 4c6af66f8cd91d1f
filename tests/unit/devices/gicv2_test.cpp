// SPDX-License-Identifier: Apache-2.0
/// Sections are those of IHI 0048B.b.
#include "devices/intc/gicv2.h"

#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

struct GicV2Test : testing::Test {
  GicV2Test() {
    write32(dist(0), 0x000, 1);
    for (unsigned cpu = 0; cpu < 2; ++cpu) {
      write32(gic.cpu_interface(cpu), 0x00, 1);
      write32(gic.cpu_interface(cpu), 0x04, 0xf0);
    }
  }
  system::Device& dist(unsigned cpu) { return gic.distributor(cpu); }
  system::Device& cpu(unsigned cpu) { return gic.cpu_interface(cpu); }
  void enable(unsigned id, uint8_t priority, uint8_t targets, bool edge = false) {
    dist(0).write(0x400 + id, 1, priority);
    dist(0).write(0x800 + id, 1, targets);
    write32(dist(0), 0xc00 + id / 16 * 4, edge ? 2u << (2 * (id % 16)) : 0);
    write32(dist(0), 0x100 + id / 32 * 4, 1u << (id % 32));
  }
  Lines lines;
  GicV2 gic{288, {{lines.line(0), lines.line(10)}, {lines.line(1), lines.line(11)}}};
};

TEST_F(GicV2Test, TypeRegisterSaysHowManyOfWhat) {
  EXPECT_EQ(read32(dist(0), 0x004), 8u | 1u << 5);
  EXPECT_EQ(read32(dist(0), 0xfe8) >> 4, 2u);
}

TEST_F(GicV2Test, ALevelInterruptGoesToItsTargetUntilTheLineFalls) {
  enable(33, 0xa0, 2);
  gic.set_irq(1, true);
  EXPECT_FALSE(lines[0]);
  EXPECT_TRUE(lines[1]);
  EXPECT_EQ(read32(cpu(0), 0x0c), 1023u);
  EXPECT_EQ(read32(cpu(1), 0x0c), 33u);
  EXPECT_FALSE(lines[1]);
  EXPECT_EQ(read32(cpu(1), 0x14), 0xa0u);
  write32(cpu(1), 0x10, 33);
  EXPECT_TRUE(lines[1]) << "the line is still up";
  EXPECT_EQ(read32(cpu(1), 0x0c), 33u);
  gic.set_irq(1, false);
  write32(cpu(1), 0x10, 33);
  EXPECT_FALSE(lines[1]);
  EXPECT_EQ(read32(cpu(1), 0x14), 0xffu);
}

TEST_F(GicV2Test, AnEdgeIsKeptAndMayComeAgainWhileActive) {
  enable(40, 0xa0, 1, true);
  gic.set_irq(8, true);
  gic.set_irq(8, false);
  EXPECT_EQ(read32(cpu(0), 0x0c), 40u);
  EXPECT_EQ(read32(dist(0), 0x304), 1u << 8);
  gic.set_irq(8, true);
  EXPECT_FALSE(lines[0]);
  write32(cpu(0), 0x10, 40);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read32(cpu(0), 0x0c), 40u);
  write32(cpu(0), 0x10, 40);
  EXPECT_FALSE(lines[0]);
}

TEST_F(GicV2Test, AHigherPriorityPreempts) {
  enable(33, 0xa0, 1);
  enable(34, 0x80, 1);
  gic.set_irq(1, true);
  EXPECT_EQ(read32(cpu(0), 0x0c), 33u);
  gic.set_irq(2, true);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read32(cpu(0), 0x0c), 34u);
  EXPECT_EQ(read32(cpu(0), 0x14), 0x80u);
  gic.set_irq(2, false);
  write32(cpu(0), 0x10, 34);
  EXPECT_EQ(read32(cpu(0), 0x14), 0xa0u);
}

TEST_F(GicV2Test, TheBinaryPointForbidsPreemptionInsideAGroup) {
  write32(cpu(0), 0x08, 7);
  enable(33, 0xa0, 1);
  enable(34, 0x80, 1);
  gic.set_irq(1, true);
  EXPECT_EQ(read32(cpu(0), 0x0c), 33u);
  gic.set_irq(2, true);
  EXPECT_FALSE(lines[0]);
  EXPECT_EQ(read32(cpu(0), 0x0c), 1023u);
}

TEST_F(GicV2Test, ThePriorityMaskHoldsBack) {
  enable(33, 0xf0, 1);
  gic.set_irq(1, true);
  EXPECT_FALSE(lines[0]);
  write32(cpu(0), 0x04, 0xf8);
  EXPECT_TRUE(lines[0]);
}

TEST_F(GicV2Test, SoftwareInterruptsCarryTheirSource) {
  write32(dist(1), 0xf00, 1u << 16 | 5);
  EXPECT_TRUE(lines[0]);
  EXPECT_FALSE(lines[1]);
  EXPECT_EQ(read32(cpu(0), 0x0c), 5u | 1u << 10);
  write32(dist(0), 0xf00, 1u << 24 | 3);
  EXPECT_TRUE(lines[1]);
  EXPECT_EQ(read32(cpu(1), 0x0c), 3u);
  write32(dist(0), 0xf00, 2u << 24 | 4);
  write32(cpu(0), 0x10, 5u | 1u << 10);
  EXPECT_EQ(read32(cpu(0), 0x0c), 4u);
}

TEST_F(GicV2Test, PrivateInterruptsAreBanked) {
  write32(dist(0), 0x100, 1u << 27);
  gic.ppi(0, 27).set(true);
  gic.ppi(1, 27).set(true);
  EXPECT_TRUE(lines[0]);
  EXPECT_FALSE(lines[1]);
  EXPECT_EQ(read32(dist(1), 0x200), 1u << 27);
  EXPECT_EQ(read32(dist(1), 0x100) & ~0xffffu, 0u);
}

TEST_F(GicV2Test, WithSplitEndTheInterruptStaysActiveUntilDeactivated) {
  write32(cpu(0), 0x00, 1 | 1 << 9);
  enable(33, 0xa0, 1);
  gic.set_irq(1, true);
  EXPECT_EQ(read32(cpu(0), 0x0c), 33u);
  write32(cpu(0), 0x10, 33);
  EXPECT_EQ(read32(cpu(0), 0x14), 0xffu);
  EXPECT_FALSE(lines[0]);
  write32(cpu(0), 0x1000, 33);
  EXPECT_TRUE(lines[0]);
}

TEST_F(GicV2Test, Group0MayBeSignalledAsFiq) {
  write32(dist(0), 0x000, 3);
  write32(cpu(0), 0x00, 3 | 1 << 3);
  enable(33, 0xa0, 1);
  enable(34, 0x80, 1);
  write32(dist(0), 0x084, 1u << 1);
  gic.set_irq(1, true);
  EXPECT_TRUE(lines[0]);
  EXPECT_FALSE(lines[10]);
  EXPECT_EQ(read32(cpu(0), 0x0c), 1022u);
  EXPECT_EQ(read32(cpu(0), 0x20), 33u);
  gic.set_irq(2, true);
  EXPECT_TRUE(lines[10]);
}

TEST_F(GicV2Test, KeepsItsStateAcrossSaving) {
  enable(33, 0xa0, 1);
  gic.set_irq(1, true);
  EXPECT_EQ(read32(cpu(0), 0x0c), 33u);
  enable(34, 0x80, 2);
  gic.set_irq(2, true);
  Lines other_lines;
  GicV2 other(288, {{other_lines.line(0), {}}, {other_lines.line(1), {}}});
  transfer(gic, other);
  EXPECT_FALSE(other_lines[0]);
  EXPECT_TRUE(other_lines[1]);
  EXPECT_EQ(read32(other.cpu_interface(0), 0x14), 0xa0u);
}

TEST(GicV2, AnyAccessToAnyRegisterIsHarmless) {
  GicV2 gic(96, {{}, {}, {}});
  uint32_t random = 1;
  const auto next = [&random] { return random = random * 1664525 + 1013904223; };
  for (int i = 0; i < 200000; ++i) {
    system::Device& device = i & 1 ? gic.distributor(next() % 3) : gic.cpu_interface(next() % 3);
    const unsigned size = 1u << (next() >> 8) % 3;
    const uint64_t offset = (next() >> 4) % 0x1000 / size * size;
    if (next() >> 30)
      device.write(offset, size, next());
    else
      device.read(offset, size);
  }
}

}  // namespace
}  // namespace lyrebird::devices
