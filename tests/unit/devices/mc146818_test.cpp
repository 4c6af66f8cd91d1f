// SPDX-License-Identifier: Apache-2.0
#include "devices/timer/mc146818.h"

#include <gtest/gtest.h>

#include "system/state_stream.h"

namespace lyrebird::devices {
namespace {

struct Line final : system::IrqSink {
  void set_irq(unsigned, bool level) override { up = level; }
  bool up = false;
};

/// 2024-02-28T23:59:58
constexpr int64_t kEpoch = 1709164798;
constexpr int64_t kSecond = system::kNanosecondsPerSecond;

class Mc146818Test : public testing::Test {
 protected:
  uint8_t get(unsigned index) {
    rtc.write(0, 1, index);
    return static_cast<uint8_t>(rtc.read(1, 1));
  }
  void set(unsigned index, uint8_t value) {
    rtc.write(0, 1, index);
    rtc.write(1, 1, value);
  }
  system::ManualClock clock;
  Line line;
  Mc146818 rtc{clock, kEpoch, system::IrqLine(line, 8)};
};

TEST_F(Mc146818Test, TimeInBothCodesAndOverALeapDay) {
  EXPECT_EQ(get(0), 0x58);
  EXPECT_EQ(get(4), 0x23);
  EXPECT_EQ(get(7), 0x28);
  EXPECT_EQ(get(0x32), 0x20);
  clock.advance(3 * kSecond);
  EXPECT_EQ(get(0), 0x01);
  EXPECT_EQ(get(7), 0x29);
  EXPECT_EQ(get(8), 0x02);
  EXPECT_EQ(get(9), 0x24);
  EXPECT_EQ(get(6), 5);  // a Thursday
  set(0x0b, 0x06);
  EXPECT_EQ(get(7), 29);
  set(0x0b, 0x04);
  EXPECT_EQ(get(4), 12);  // midnight is 12 am
  clock.advance(13 * 3600 * kSecond);
  EXPECT_EQ(get(4), 0x81);
}

TEST_F(Mc146818Test, TimeIsSetAtOnceAtTheEndOfSet) {
  set(0x0b, 0x86);
  for (const auto& [index, value] : {std::pair{0, 5}, {2, 6}, {4, 7}, {7, 31}, {8, 1}, {9, 99}, {0x32, 19}})
    set(static_cast<unsigned>(index), static_cast<uint8_t>(value));
  clock.advance(10 * kSecond);
  EXPECT_EQ(get(0), 5) << "it stands while SET is on";
  set(0x0b, 0x06);
  clock.advance(kSecond);
  EXPECT_EQ(get(0), 6);
  EXPECT_EQ(get(7), 31);
  EXPECT_EQ(get(9), 99);
  EXPECT_EQ(get(0x32), 19);
}

TEST_F(Mc146818Test, AlarmUpdateAndPeriodicInterrupts) {
  set(1, 0x02);
  set(3, 0xff);
  set(5, 0xff);
  set(0x0b, 0x22);
  clock.advance(3 * kSecond);
  EXPECT_FALSE(line.up);
  clock.advance(kSecond);
  EXPECT_TRUE(line.up);
  EXPECT_EQ(get(0x0c) & ~0x40, 0xb0);  // the periodic flag comes and goes beside it
  EXPECT_FALSE(line.up);
  EXPECT_EQ(get(0x0c), 0);
  set(0x0b, 0x12);
  clock.advance(kSecond);
  EXPECT_TRUE(line.up);
  EXPECT_EQ(get(0x0c) & 0x90, 0x90);
  set(0x0b, 0x42);
  set(0x0a, 0x26);  // 1,024 Hz
  unsigned count = 0;
  for (unsigned i = 0; i < 4096; ++i) {
    clock.advance(kSecond / 4096);
    if (line.up) ++count, (void)get(0x0c);
  }
  EXPECT_GE(count, 1020u);
  EXPECT_LE(count, 1025u);
}

TEST_F(Mc146818Test, StateGoesOnElsewhere) {
  set(0x40, 77);
  set(0x0b, 0x12);
  clock.advance(5 * kSecond);
  system::StateWriter writer;
  rtc.save(writer);
  system::ManualClock other_clock;
  other_clock.advance(1234 * kSecond);
  Line other_line;
  Mc146818 other(other_clock, 0, system::IrqLine(other_line, 8));
  system::StateReader reader(writer.data());
  ASSERT_TRUE(other.load(reader).ok());
  EXPECT_TRUE(other_line.up);
  other.write(0, 1, 0x40);
  EXPECT_EQ(other.read(1, 1), 77u);
  other.write(0, 1, 0);
  EXPECT_EQ(other.read(1, 1), 0x03u);
}

}  // namespace
}  // namespace lyrebird::devices
