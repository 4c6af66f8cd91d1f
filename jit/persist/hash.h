// SPDX-License-Identifier: Apache-2.0
/// A fast 64-bit hash that tells changed bytes from unchanged ones. No protection against
/// someone who looks for collisions; the host's byte order is part of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lyrebird::jit::persist {

constexpr uint64_t mix(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_bytes(const void* data, size_t size, uint64_t seed) {
  constexpr uint64_t k0 = 0x9e3779b97f4a7c15, k1 = 0xc2b2ae3d27d4eb4f, k2 = 0xd6e8feb86659fd93;
  const auto* at = static_cast<const uint8_t*>(data);
  const auto load = [](const uint8_t* from) {
    uint64_t value;
    std::memcpy(&value, from, 8);
    return value;
  };
  uint64_t a = seed ^ k0, b = mix(size ^ k1, k2);
  size_t left = size;
  for (; left >= 32; left -= 32, at += 32) {
    a = mix(load(at) ^ k1 ^ a, load(at + 8) ^ k0);
    b = mix(load(at + 16) ^ k2 ^ b, load(at + 24) ^ k1);
  }
  for (; left >= 8; left -= 8, at += 8) a = mix(load(at) ^ a ^ k2, k1);
  uint64_t last = 0;
  if (left) std::memcpy(&last, at, left);
  b ^= last;
  return mix(a ^ k1, b ^ k0) ^ mix(b ^ k2, a ^ size);
}

}  // namespace lyrebird::jit::persist
