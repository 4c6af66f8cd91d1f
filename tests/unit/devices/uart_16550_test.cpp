// SPDX-License-Identifier: Apache-2.0
#include "devices/serial/uart_16550.h"

#include "devices/misc/acpi_events.h"
#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

struct Uart16550Test : testing::Test {
  TextBackend backend;
  Lines lines;
  Uart16550 uart{backend, lines.line(0)};
  void write(uint64_t offset, uint8_t value) { uart.write(offset, 1, value); }
  uint8_t read(uint64_t offset) { return static_cast<uint8_t>(uart.read(offset, 1)); }
};

TEST_F(Uart16550Test, SendsAndTheEmptyTransmitterInterruptsUntilItIsSeen) {
  write(0, 'h');
  EXPECT_EQ(backend.sent, "h");
  EXPECT_EQ(read(5), 0x60);
  EXPECT_FALSE(lines[0]);
  write(1, 2);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read(2), 0x02);
  EXPECT_FALSE(lines[0]);
  EXPECT_EQ(read(2), 0x01);
  write(0, 'i');
  EXPECT_TRUE(lines[0]);
}

TEST_F(Uart16550Test, ReceivedBytesInterruptAtTheLevelAndTimeOutBelowIt) {
  write(2, 0x81);  // FIFOs on, level 8
  write(1, 1);
  backend.type("1234567");
  EXPECT_EQ(read(2), 0xcc);
  backend.type("8");
  EXPECT_EQ(read(2), 0xc4);
  EXPECT_EQ(read(5) & 1, 1);
  for (const char c : std::string("12345678")) EXPECT_EQ(read(0), c);
  EXPECT_FALSE(lines[0]);
  EXPECT_EQ(read(5) & 1, 0);
}

TEST_F(Uart16550Test, WithoutFifosThereIsRoomForOneByte) {
  EXPECT_EQ(uart.room(), 1u);
  backend.type("a");
  EXPECT_EQ(uart.room(), 0u);
  backend.type("b");
  EXPECT_EQ(read(5) & 2, 2);
  EXPECT_EQ(read(5) & 2, 0);
  EXPECT_EQ(read(0), 'a');
  EXPECT_EQ(backend.accepts, 1u);
}

TEST_F(Uart16550Test, TheDivisorHidesDataAndInterruptEnable) {
  write(3, 0x83);
  write(0, 0x34);
  write(1, 0x12);
  EXPECT_EQ(read(0), 0x34);
  EXPECT_EQ(read(1), 0x12);
  write(3, 0x03);
  EXPECT_EQ(read(1), 0);
  EXPECT_EQ(backend.sent, "");
}

TEST_F(Uart16550Test, LoopbackConnectsOutputsToInputs) {
  write(4, 0x1a);  // loop, OUT2, RTS: how Linux finds the chip
  EXPECT_EQ(read(6) & 0xf0, 0x90);
  write(0, 'x');
  EXPECT_EQ(backend.sent, "");
  EXPECT_EQ(read(0), 'x');
}

TEST_F(Uart16550Test, ABreakIsALineErrorWithItsByte) {
  write(1, 4);
  uart.receive_break();
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read(2), 0x06);
  EXPECT_EQ(read(5) & 0x11, 0x11);
  EXPECT_FALSE(lines[0]);
}

TEST_F(Uart16550Test, SavesWhatWaits) {
  write(2, 1);
  write(1, 1);
  write(7, 0x5a);
  backend.type("wait");
  TextBackend other_backend;
  Lines other_lines;
  Uart16550 other(other_backend, other_lines.line(0));
  transfer(uart, other);
  EXPECT_TRUE(other_lines[0]);
  EXPECT_EQ(other.read(7, 1), 0x5au);
  EXPECT_EQ(other.read(0, 1), uint64_t{'w'});
  EXPECT_EQ(other.read(0, 1), uint64_t{'a'});
}

TEST(AcpiEvents, ThePowerButtonInterruptsAndIsReadOnce) {
  Lines lines;
  AcpiEvents events(lines.line(9));
  events.raise(kAcpiPowerButton);
  EXPECT_EQ(lines.rises(9), 1u);
  EXPECT_EQ(events.read(0, 4), kAcpiPowerButton);
  EXPECT_EQ(events.read(0, 4), 0u);
}

TEST(AcpiPower, OnlySoftOffWithItsEnableBitSwitchesOff) {
  unsigned offs = 0, resets = 0;
  AcpiPower power([&] { ++offs; }, [&] { ++resets; });
  power.write(AcpiPower::kSleepControl, 1, 5 << 2);
  power.write(AcpiPower::kSleepControl, 1, 3 << 2 | 0x20);
  power.write(AcpiPower::kReset, 1, 1);
  EXPECT_EQ(offs + resets, 0u);
  power.write(AcpiPower::kSleepControl, 1, 5 << 2 | 0x20);
  power.write(AcpiPower::kReset, 1, AcpiPower::kResetValue);
  EXPECT_EQ(offs, 1u);
  EXPECT_EQ(resets, 1u);
}

}  // namespace
}  // namespace lyrebird::devices
