// SPDX-License-Identifier: Apache-2.0
#include "system/state_stream.h"

#include <gtest/gtest.h>

namespace lyrebird::system {
namespace {

std::vector<uint8_t> example() {
  StateWriter writer;
  writer.begin("machine", 2);
  writer.field("small", uint8_t{200});
  writer.field("negative", int32_t{-5});
  writer.begin("uart", 1);
  writer.text("name", "pl011");
  writer.end();
  const uint16_t words[] = {1, 2, 3};
  writer.array("words", std::span<const uint16_t>(words));
  writer.end();
  return writer.data();
}

TEST(StateStream, ReadsWhatWasWritten) {
  const auto data = example();
  StateReader reader(data);
  EXPECT_EQ(reader.next_section(), "machine");
  EXPECT_EQ(reader.begin("machine", 3), 2u);
  uint32_t small;
  int64_t negative;
  reader.field("small", small);
  reader.field("negative", negative);
  EXPECT_EQ(reader.begin("uart", 1), 1u);
  EXPECT_EQ(reader.text("name", 10), "pl011");
  reader.end();
  uint16_t words[3];
  reader.array("words", std::span<uint16_t>(words));
  reader.end();
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(small, 200u);
  EXPECT_EQ(negative, -5);
  EXPECT_EQ(words[2], 3);
}

TEST(StateStream, ANewerVersionIsRefusedWithItsName) {
  const auto data = example();
  StateReader reader(data);
  EXPECT_EQ(reader.begin("machine", 1), 0u);
  EXPECT_EQ(reader.status().error().message,
            "saved state of machine: has version 2, this program knows up to 1");
}

TEST(StateStream, AFieldThatIsTooLargeOrAnotherOneIsAnError) {
  StateWriter writer;
  writer.begin("a", 1);
  writer.field("x", uint32_t{300});
  writer.end();
  StateReader reader(writer.data());
  reader.begin("a", 1);
  uint8_t x = 1;
  reader.field("x", x);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(x, 0);
  StateReader again(writer.data());
  again.begin("a", 1);
  again.field("y", x);
  EXPECT_NE(again.status().error().message.find("field y expected, but here is x"), std::string::npos);
}

TEST(StateStream, WhatNobodyReadsIsAnErrorUnlessSkipped) {
  const auto data = example();
  StateReader reader(data);
  reader.begin("machine", 2);
  reader.skip();
  reader.skip();
  reader.skip();
  reader.end();
  EXPECT_FALSE(reader.ok());
  StateReader again(data);
  again.skip();
  EXPECT_TRUE(again.ok());
  EXPECT_EQ(again.next_section(), "");
}

TEST(StateStream, EveryTruncationIsAnErrorAndNoCrash) {
  const auto data = example();
  for (size_t length = 0; length < data.size(); ++length) {
    const std::vector<uint8_t> cut(data.begin(), data.begin() + static_cast<long>(length));
    StateReader reader(cut);
    reader.begin("machine", 2);
    uint32_t value;
    reader.field("small", value);
    reader.field("negative", value);
    reader.begin("uart", 1);
    reader.text("name", 10);
    reader.end();
    EXPECT_FALSE(reader.ok()) << length;
  }
}

}  // namespace
}  // namespace lyrebird::system
