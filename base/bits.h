// SPDX-License-Identifier: Apache-2.0
/// Bit fields, sign extension and alignment on unsigned integers.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace lyrebird {

using u128 = unsigned __int128;
using s128 = __int128;

/// `count` bits of `value` starting at bit `low`. count is 1..64.
constexpr uint64_t bits(uint64_t value, unsigned low, unsigned count) {
  return (value >> low) & (count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1);
}

constexpr bool bit(uint64_t value, unsigned index) { return (value >> index) & 1; }

/// A mask of the `count` lowest bits, count 0..64.
constexpr uint64_t low_mask(unsigned count) {
  return count >= 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
}

/// The low `width` bits of `value` as a signed number, width 1..64.
constexpr int64_t sign_extend(uint64_t value, unsigned width) {
  return static_cast<int64_t>(value << (64 - width)) >> (64 - width);
}

constexpr uint64_t align_down(uint64_t value, uint64_t alignment) { return value & ~(alignment - 1); }
constexpr uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}
constexpr bool is_aligned(uint64_t value, uint64_t alignment) { return (value & (alignment - 1)) == 0; }

template <typename T>
T load_unaligned(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void store_unaligned(void* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

}  // namespace lyrebird
