// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/pauth.h"

#include <gtest/gtest.h>

#include <bit>
#include <random>

namespace lyrebird::arm {
namespace {

constexpr PacKey kKey = {0x0123456789abcdef, 0xfedcba9876543210};
constexpr uint64_t kPointer = 0x0000aabbccddeef0, kTagged = 0x5a00aabbccddeef0;

TEST(PointerAuthentication, SignedPointerAuthenticates) {
  for (const uint64_t pointer :
       {uint64_t{0}, kPointer, kTagged, ~uint64_t{0}, uint64_t{0xffff800000001000}}) {
    const uint64_t made = add_pac(pointer, 42, kKey);
    const uint64_t mask = pointer >> 55 & 1 ? kUpperPacMask : kPacMask;
    EXPECT_EQ((made ^ pointer) & ~mask, 0u) << "only the code's bits change";
    EXPECT_EQ(authenticate(made, 42, kKey, false), pointer);
    EXPECT_EQ(strip_pac(made), pointer);
  }
}

TEST(PointerAuthentication, FailureLeavesAnErrorCodeThatFaults) {
  const uint64_t wrong = add_pac(kPointer, 42, kKey) ^ uint64_t { 1 } << 50;
  EXPECT_EQ(authenticate(wrong, 42, kKey, false), kPointer | uint64_t{1} << 53);
  EXPECT_EQ(authenticate(wrong, 42, kKey, true), kPointer | uint64_t{2} << 53);
}

TEST(PointerAuthentication, PointerThatWasNotCanonicalNeverAuthenticates) {
  const uint64_t made = add_pac(kPointer | uint64_t{1} << 50, 42, kKey);
  EXPECT_NE(authenticate(made, 42, kKey, false), kPointer);
}

/// Flipping any input bit flips about half of the code's bits: the mean over all is near 32.
TEST(PointerAuthentication, EveryInputBitMatters) {
  std::mt19937_64 random(7);
  unsigned flipped[4][64] = {};
  constexpr unsigned kRounds = 200;
  for (unsigned round = 0; round < kRounds; ++round) {
    const uint64_t in[4] = {random(), random(), random(), random()};
    const uint64_t before = compute_pac(in[0], in[1], {in[2], in[3]});
    for (unsigned which = 0; which < 4; ++which)
      for (unsigned bit = 0; bit < 64; ++bit) {
        uint64_t changed[4] = {in[0], in[1], in[2], in[3]};
        changed[which] ^= uint64_t{1} << bit;
        flipped[which][bit] += static_cast<unsigned>(
            std::popcount(before ^ compute_pac(changed[0], changed[1], {changed[2], changed[3]})));
      }
  }
  for (const auto& input : flipped)
    for (const unsigned count : input) EXPECT_NEAR(count / double{kRounds}, 32, 3);
}

}  // namespace
}  // namespace lyrebird::arm
