// SPDX-License-Identifier: Apache-2.0
#include "base/bits.h"

#include <gtest/gtest.h>

namespace lyrebird {
namespace {

TEST(Bits, FieldOfTheWholeWordIsTheWord) {
  EXPECT_EQ(bits(0xfedcba9876543210, 0, 64), 0xfedcba9876543210u);
  EXPECT_EQ(bits(0xfedcba9876543210, 60, 4), 0xfu);
  EXPECT_EQ(bits(0xfedcba9876543210, 4, 8), 0x21u);
}

TEST(Bits, MaskOfNoneAndOfAll) {
  EXPECT_EQ(low_mask(0), 0u);
  EXPECT_EQ(low_mask(1), 1u);
  EXPECT_EQ(low_mask(64), ~uint64_t{0});
}

TEST(Bits, SignExtensionLooksOnlyAtTheWidth) {
  EXPECT_EQ(sign_extend(0x80, 8), -128);
  EXPECT_EQ(sign_extend(0xff7f, 8), 127);
  EXPECT_EQ(sign_extend(1, 1), -1);
  EXPECT_EQ(sign_extend(~uint64_t{0}, 64), -1);
}

TEST(Bits, AlignmentOfWhatIsAlignedChangesNothing) {
  EXPECT_EQ(align_up(0x1000, 0x1000), 0x1000u);
  EXPECT_EQ(align_up(0x1001, 0x1000), 0x2000u);
  EXPECT_EQ(align_down(0x1fff, 0x1000), 0x1000u);
  EXPECT_FALSE(is_aligned(0x1001, 2));
}

TEST(Bits, UnalignedAccessKeepsTheBytes) {
  unsigned char memory[9] = {};
  store_unaligned<uint64_t>(memory + 1, 0x0102030405060708);
  EXPECT_EQ(memory[1], 8);
  EXPECT_EQ(load_unaligned<uint32_t>(memory + 5), 0x01020304u);
}

}  // namespace
}  // namespace lyrebird
