// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/pauth.h"

#include "base/bits.h"

namespace lyrebird::arm {
namespace {

/// Both halves of the product, so that every bit of `a` reaches every bit of the result.
uint64_t fold(uint64_t a, uint64_t odd) {
  const u128 product = static_cast<u128>(a) * odd;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t pac_mask(uint64_t pointer) { return bit(pointer, 55) ? kUpperPacMask : kPacMask; }

}  // namespace

uint64_t compute_pac(uint64_t data, uint64_t modifier, const PacKey& key) {
  // Odd constants from the digits of pi; additions and xors alternate so that no step is linear
  // in the one before.
  constexpr uint64_t kA = 0x243f6a8885a308d3, kB = 0x13198a2e03707345, kC = 0xa4093822299f31d1;
  uint64_t hash = fold(data + key[0], kA);
  hash = fold((hash ^ modifier) + key[1], kB);
  hash = fold((hash ^ key[0]) + data, kC);
  return hash ^ hash >> 29;
}

uint64_t strip_pac(uint64_t pointer) {
  return bit(pointer, 55) ? pointer | kUpperPacMask : pointer & ~kPacMask;
}

uint64_t add_pac(uint64_t pointer, uint64_t modifier, const PacKey& key) {
  const uint64_t plain = strip_pac(pointer), mask = pac_mask(pointer);
  uint64_t code = compute_pac(plain, modifier, key);
  if (plain != pointer) code ^= uint64_t{1} << 54;
  return (plain & ~mask) | (code & mask);
}

uint64_t authenticate(uint64_t pointer, uint64_t modifier, const PacKey& key, bool b_key) {
  const uint64_t plain = strip_pac(pointer);
  if (((compute_pac(plain, modifier, key) ^ pointer) & pac_mask(pointer)) == 0) return plain;
  const unsigned error_at = bit(pointer, 55) ? 61 : 53;
  return (plain & ~(uint64_t{3} << error_at)) | uint64_t{b_key ? 2u : 1u} << error_at;
}

}  // namespace lyrebird::arm
