// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <csignal>

#include "monitor/gdb/packet.h"

namespace lyrebird::gdb {
namespace {

using Event = PacketReader::Event;

TEST(GdbPacket, IsFramedWithItsChecksum) {
  EXPECT_EQ(frame("OK"), "$OK#9a");
  EXPECT_EQ(frame(""), "$#00");
}

TEST(GdbPacket, IsReadInAnyPieces) {
  std::string packet;
  PacketReader again;
  again.feed("+$m0,");
  EXPECT_EQ(again.next(packet), Event::Ack);
  EXPECT_EQ(again.next(packet), Event::None);
  again.feed("4#fd\x03");
  EXPECT_EQ(again.next(packet), Event::Packet);
  EXPECT_EQ(packet, "m0,4");
  EXPECT_EQ(again.next(packet), Event::Interrupt);
  EXPECT_EQ(again.next(packet), Event::None);
}

TEST(GdbPacket, WithABadChecksumIsRefused) {
  PacketReader reader;
  std::string packet;
  reader.feed("$g#00");
  EXPECT_EQ(reader.next(packet), Event::BadChecksum);
}

TEST(GdbPacket, EscapesComeBack) {
  const std::string data = "a}b$c#d*e";
  PacketReader reader;
  std::string packet;
  reader.feed(frame(escape(data)));
  EXPECT_EQ(reader.next(packet), Event::Packet);
  EXPECT_EQ(packet, data);
}

TEST(GdbPacket, HexGoesBothWays) {
  EXPECT_EQ(to_hex(std::string("\x00\xff\x10", 3)), "00ff10");
  EXPECT_EQ(from_hex("00ff10"), std::string("\x00\xff\x10", 3));
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0g"));
}

TEST(GdbFields, AreEatenFromTheLeft) {
  Fields f("vCont;s:1a;c");
  EXPECT_TRUE(f.eat("vCont"));
  EXPECT_TRUE(f.eat(";"));
  EXPECT_EQ(f.until(":;"), "s");
  EXPECT_TRUE(f.eat(":"));
  EXPECT_EQ(f.thread(), 0x1a);
  EXPECT_TRUE(f.eat(";"));
  EXPECT_EQ(f.rest(), "c");
  EXPECT_FALSE(Fields("zz").number());
  EXPECT_EQ(Fields("-1").thread(), -1);
}

TEST(GdbSignals, EveryLinuxSignalHasANumberOfItsOwn) {
  for (int signal = 1; signal <= 64; signal++) {
    if (signal == SIGSTKFLT) continue;  // gdb has none for it
    EXPECT_EQ(signal_from_gdb(signal_to_gdb(signal)), signal);
  }
  EXPECT_EQ(signal_to_gdb(SIGUSR1), 30);
  EXPECT_EQ(signal_to_gdb(SIGCHLD), 20);
}

}  // namespace
}  // namespace lyrebird::gdb
