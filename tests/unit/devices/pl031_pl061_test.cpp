// SPDX-License-Identifier: Apache-2.0
#include "devices/gpio/pl061.h"
#include "devices/timer/pl031.h"
#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

constexpr int64_t kSecond = system::kNanosecondsPerSecond;

TEST(Pl031, CountsSecondsFromTheEpoch) {
  system::ManualClock clock;
  Pl031 rtc(clock, 1'700'000'000, {});
  EXPECT_EQ(read32(rtc, 0), 1'700'000'000u);
  clock.advance(5 * kSecond + 1);
  EXPECT_EQ(read32(rtc, 0), 1'700'000'005u);
  write32(rtc, 8, 100);
  clock.advance(kSecond);
  EXPECT_EQ(read32(rtc, 0), 101u);
  EXPECT_EQ(read32(rtc, 8), 100u);
}

TEST(Pl031, InterruptsAtTheMatch) {
  system::ManualClock clock;
  Lines lines;
  Pl031 rtc(clock, 1000, lines.line(0));
  write32(rtc, 4, 1003);
  write32(rtc, 0x10, 1);
  clock.advance(2 * kSecond);
  EXPECT_FALSE(lines[0]);
  clock.advance(kSecond);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read32(rtc, 0x14), 1u);
  write32(rtc, 0x1c, 1);
  EXPECT_FALSE(lines[0]);
}

TEST(Pl031, AnAlarmSurvivesSaving) {
  system::ManualClock clock, other_clock;
  Lines lines;
  Pl031 rtc(clock, 1000, {}), other(other_clock, 5, lines.line(0));
  write32(rtc, 4, 1002);
  write32(rtc, 0x10, 1);
  transfer(rtc, other);
  EXPECT_EQ(read32(other, 0), 1000u);
  other_clock.advance(2 * kSecond);
  EXPECT_TRUE(lines[0]);
}

TEST(Pl061, DataIsMaskedByTheAddress) {
  Lines lines, outputs;
  Pl061 gpio(lines.line(0), {outputs.line(0), outputs.line(1)});
  write32(gpio, 0x400, 0x03);
  write32(gpio, 0x3fc, 0xff);
  EXPECT_EQ(read32(gpio, 0x3fc), 0x03u);
  EXPECT_TRUE(outputs[0]);
  EXPECT_TRUE(outputs[1]);
  write32(gpio, 0x008, 0x00);
  EXPECT_FALSE(outputs[1]);
  EXPECT_EQ(read32(gpio, 0x004), 0x01u);
}

TEST(Pl061, LatchesTheEdgeAskedFor) {
  Lines lines;
  Pl061 gpio(lines.line(0));
  write32(gpio, 0x40c, 0x08);
  write32(gpio, 0x410, 0x08);
  gpio.set_irq(3, true);
  EXPECT_TRUE(lines[0]);
  gpio.set_irq(3, false);
  EXPECT_TRUE(lines[0]);
  write32(gpio, 0x41c, 0x08);
  EXPECT_FALSE(lines[0]);
  write32(gpio, 0x408, 0x08);
  gpio.set_irq(3, true);
  write32(gpio, 0x41c, 0x08);
  gpio.set_irq(3, false);
  EXPECT_TRUE(lines[0]);
}

TEST(Pl061, FollowsALevel) {
  Lines lines;
  Pl061 gpio(lines.line(0));
  write32(gpio, 0x404, 0x01);
  write32(gpio, 0x40c, 0x01);
  write32(gpio, 0x410, 0x01);
  EXPECT_FALSE(lines[0]);
  gpio.set_irq(0, true);
  EXPECT_TRUE(lines[0]);
  gpio.set_irq(0, false);
  EXPECT_FALSE(lines[0]);
}

}  // namespace
}  // namespace lyrebird::devices
