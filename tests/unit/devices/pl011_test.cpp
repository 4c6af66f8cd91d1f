// SPDX-License-Identifier: Apache-2.0
#include "devices/serial/pl011.h"

#include "tests/unit/devices/fixture.h"

namespace lyrebird::devices {
namespace {

struct Pl011Test : testing::Test {
  TextBackend backend;
  Lines lines;
  Pl011 uart{backend, lines.line(0)};
};

TEST_F(Pl011Test, SendsAndInterruptsWhenThereIsRoomAgain) {
  write32(uart, 0x00, 'h');
  write32(uart, 0x00, 'i');
  EXPECT_EQ(backend.sent, "hi");
  EXPECT_EQ(read32(uart, 0x18) & 0x80, 0x80u);
  EXPECT_FALSE(lines[0]);
  write32(uart, 0x38, 0x20);
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read32(uart, 0x40), 0x20u);
  write32(uart, 0x44, 0x20);
  EXPECT_FALSE(lines[0]);
}

TEST_F(Pl011Test, TheFifoInterruptsAtItsLevelAndTheTimeoutBelow) {
  write32(uart, 0x2c, 0x10);
  write32(uart, 0x38, 0x10);
  backend.type("1234567");
  EXPECT_FALSE(lines[0]);
  EXPECT_EQ(read32(uart, 0x3c), 0x40u);
  backend.type("8");
  EXPECT_TRUE(lines[0]);
  EXPECT_EQ(read32(uart, 0x00), uint32_t{'1'});
  EXPECT_FALSE(lines[0]);
}

TEST_F(Pl011Test, AFullFifoOverrunsAndRoomIsTold) {
  write32(uart, 0x2c, 0x10);
  backend.type("0123456789abcdef");
  EXPECT_EQ(uart.room(), 0u);
  EXPECT_EQ(read32(uart, 0x18) & 0x50, 0x40u);
  backend.type("x");
  EXPECT_EQ(read32(uart, 0x3c) & 0x400, 0x400u);
  EXPECT_EQ(backend.accepts, 0u);
  EXPECT_EQ(read32(uart, 0x00), uint32_t{'0'});
  EXPECT_EQ(backend.accepts, 1u);
  EXPECT_EQ(uart.room(), 1u);
}

TEST_F(Pl011Test, WithoutFifoOneByteIsHeld) {
  backend.type("a");
  EXPECT_EQ(uart.room(), 0u);
  EXPECT_EQ(read32(uart, 0x3c) & 0x10, 0x10u);
  EXPECT_EQ(read32(uart, 0x00), uint32_t{'a'});
  EXPECT_EQ(read32(uart, 0x18) & 0x10, 0x10u);
}

TEST_F(Pl011Test, LoopbackComesBack) {
  write32(uart, 0x30, 0x380);
  write32(uart, 0x00, 'x');
  EXPECT_EQ(backend.sent, "");
  EXPECT_EQ(read32(uart, 0x00), uint32_t{'x'});
}

TEST_F(Pl011Test, IsIdentified) {
  EXPECT_EQ(read32(uart, 0xfe0), 0x11u);
  EXPECT_EQ(read32(uart, 0xfe4), 0x10u);
  EXPECT_EQ(read32(uart, 0xffc), 0xb1u);
}

TEST_F(Pl011Test, KeepsItsStateAcrossSaving) {
  write32(uart, 0x2c, 0x70);
  write32(uart, 0x38, 0x50);
  backend.type("ab");
  TextBackend other_backend;
  Lines other_lines;
  Pl011 other(other_backend, other_lines.line(0));
  transfer(uart, other);
  EXPECT_TRUE(other_lines[0]);
  EXPECT_EQ(read32(other, 0x00), uint32_t{'a'});
  EXPECT_EQ(read32(other, 0x2c), 0x70u);
}

}  // namespace
}  // namespace lyrebird::devices
