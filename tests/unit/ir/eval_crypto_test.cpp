// SPDX-License-Identifier: Apache-2.0
/// The cryptography ops put together to whole ciphers and hashes, against the
/// examples of FIPS 197 and FIPS 180-4.
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>

#include "ir/eval.h"

namespace lyrebird::ir::eval {
namespace {

using V = Vec<16>;

V xor_of(const V& a, const V& b) { return map_lanes<uint64_t, 16>(Xor<uint64_t>, a, b); }
V add32(const V& a, const V& b) { return map_lanes<uint32_t, 16>(Add<uint32_t>, a, b); }
V from_hex(const char* hex) {
  V v{};
  for (unsigned i = 0; i < 16; ++i)
    v.b[i] = static_cast<uint8_t>(std::stoul(std::string(hex + 2 * i, 2), nullptr, 16));
  return v;
}
template <typename B>
std::string to_hex(const B* bytes, size_t count) {
  std::string text;
  char two[3];
  for (size_t i = 0; i < count; ++i) {
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned>(bytes[i]));
    text += two;
  }
  return text;
}

/// FIPS 197 section 5.2 for a 128-bit key.
std::array<V, 11> expand_key(const V& key) {
  std::array<V, 11> keys{key};
  uint8_t constant = 1;
  for (unsigned r = 1; r <= 10; ++r) {
    V next = keys[r - 1];
    for (unsigned i = 0; i < 4; ++i) next.b[i] ^= detail::kAesSbox[keys[r - 1].b[12 + (i + 1) % 4]];
    next.b[0] ^= constant;
    constant = static_cast<uint8_t>(detail::times_x(constant));
    for (unsigned i = 4; i < 16; ++i) next.b[i] ^= next.b[i - 4];
    keys[r] = next;
  }
  return keys;
}

// FIPS 197, appendix C.1.
const char* const kKey = "000102030405060708090a0b0c0d0e0f";
const char* const kPlain = "00112233445566778899aabbccddeeff";
const char* const kCipher = "69c4e0d86a7b0430d8cdb78070b4c55a";

TEST(EvalCrypto, AesEncrypts) {
  const auto keys = expand_key(from_hex(kKey));
  V state = xor_of(from_hex(kPlain), keys[0]);
  for (unsigned r = 1; r <= 10; ++r) {
    state = AesSubShift<uint8_t, 16>(state);
    if (r != 10) state = AesMixColumns<uint8_t, 16>(state);
    state = xor_of(state, keys[r]);
  }
  EXPECT_EQ(to_hex(state.b, 16), kCipher);
}

TEST(EvalCrypto, AesDecrypts) {
  const auto keys = expand_key(from_hex(kKey));
  V state = xor_of(from_hex(kCipher), keys[10]);
  for (unsigned r = 9; r < 10; --r) {
    state = xor_of(AesInvSubShift<uint8_t, 16>(state), keys[r]);
    if (r != 0) state = AesInvMixColumns<uint8_t, 16>(state);
  }
  EXPECT_EQ(to_hex(state.b, 16), kPlain);
}

TEST(EvalCrypto, WiderVectorsAreTwoBlocks) {
  const V a = from_hex(kKey), b = from_hex(kPlain);
  const Vec<32> both = Concat(a, b);
  EXPECT_EQ((AesSubShift<uint8_t, 32>(both)),
            Concat(AesSubShift<uint8_t, 16>(a), AesSubShift<uint8_t, 16>(b)));
}

/// "abc" as one padded block, in 32-bit words.
std::array<V, 4> abc_block32() {
  std::array<V, 4> w{};
  w[0] = from_lanes<16, uint32_t>({0x61626380, 0, 0, 0});
  w[3] = from_lanes<16, uint32_t>({0, 0, 0, 24});
  return w;
}
V words(uint32_t a, uint32_t b, uint32_t c, uint32_t d) { return from_lanes<16, uint32_t>({a, b, c, d}); }

TEST(EvalCrypto, Sha1OfAbc) {
  auto w = abc_block32();
  const V abcd0 = words(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  V abcd = abcd0;
  uint32_t e = 0xc3d2e1f0;
  constexpr uint32_t kConstants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
  for (unsigned i = 0; i < 20; ++i) {
    const V wk = add32(w[i % 4], Splat<uint32_t, 16>(kConstants[i / 5]));
    const V ev = VecFromScalar<uint32_t, 16>(e);
    e = std::rotl(lane<uint32_t>(abcd, 0), 30);
    abcd = i < 5               ? Sha1Choose<uint32_t, 16>(abcd, ev, wk)
           : i >= 10 && i < 15 ? Sha1Majority<uint32_t, 16>(abcd, ev, wk)
                               : Sha1Parity<uint32_t, 16>(abcd, ev, wk);
    const V partial = Sha1Schedule0<uint32_t, 16>(w[i % 4], w[(i + 1) % 4], w[(i + 2) % 4]);
    w[i % 4] = Sha1Schedule1<uint32_t, 16>(partial, w[(i + 3) % 4]);
  }
  abcd = add32(abcd, abcd0);
  const auto h = lanes<uint32_t, 16>(abcd);
  EXPECT_EQ(h[0], 0xa9993e36u);
  EXPECT_EQ(h[1], 0x4706816au);
  EXPECT_EQ(h[2], 0xba3e2571u);
  EXPECT_EQ(h[3], 0x7850c26cu);
  EXPECT_EQ(e + 0xc3d2e1f0, 0x9cd0d89du);
}

bool is_prime(uint32_t n) {
  for (uint32_t d = 2; d * d <= n; ++d)
    if (n % d == 0) return false;
  return true;
}
/// The first 64 fraction bits of the cube root of the i-th prime (FIPS 180-4, 4.2.2 and 4.2.3).
uint64_t round_constant(unsigned index) {
  uint32_t prime = 2;
  for (unsigned i = 0; i < index; ++prime)
    if (is_prime(prime + 1)) ++i;
  // Largest r with r^3 <= prime * 2^192, bit by bit; r < 2^67.
  u128 r = 0;
  for (int k = 66; k >= 0; --k) {
    const u128 t = r | u128{1} << k;
    // t^3 in 64-bit limbs.
    uint64_t square[4] = {}, cube[6] = {};
    const uint64_t limb[2] = {static_cast<uint64_t>(t), static_cast<uint64_t>(t >> 64)};
    const auto multiply = [](const uint64_t* a, unsigned n, const uint64_t* b, unsigned m, uint64_t* to) {
      for (unsigned i = 0; i < n; ++i) {
        u128 carry = 0;
        for (unsigned j = 0; j < m; ++j) {
          carry += u128{a[i]} * b[j] + to[i + j];
          to[i + j] = static_cast<uint64_t>(carry);
          carry >>= 64;
        }
        to[i + m] = static_cast<uint64_t>(carry);
      }
    };
    multiply(limb, 2, limb, 2, square);
    multiply(square, 4, limb, 2, cube);
    const bool fits = cube[4] == 0 && cube[5] == 0 &&
                      (cube[3] < prime || (cube[3] == prime && (cube[0] | cube[1] | cube[2]) == 0));
    if (fits) r = t;
  }
  return static_cast<uint64_t>(r);
}

TEST(EvalCrypto, Sha256OfAbc) {
  auto w = abc_block32();
  const V abcd0 = words(0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a);
  const V efgh0 = words(0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19);
  V abcd = abcd0, efgh = efgh0;
  for (unsigned i = 0; i < 16; ++i) {
    V k;
    for (unsigned j = 0; j < 4; ++j)
      set_lane<uint32_t>(k, j, static_cast<uint32_t>(round_constant(4 * i + j) >> 32));
    const V wk = add32(w[i % 4], k), before = abcd;
    abcd = Sha256Hash<uint32_t, 16>(abcd, efgh, wk);
    efgh = Sha256Hash2<uint32_t, 16>(efgh, before, wk);
    const V partial = Sha256Schedule0<uint32_t, 16>(w[i % 4], w[(i + 1) % 4]);
    w[i % 4] = Sha256Schedule1<uint32_t, 16>(partial, w[(i + 2) % 4], w[(i + 3) % 4]);
  }
  EXPECT_EQ(add32(abcd, abcd0), words(0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223));
  EXPECT_EQ(add32(efgh, efgh0), words(0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad));
}

/// As Arm code does it: state in four registers of two words, two rounds a step.
TEST(EvalCrypto, Sha512OfAbc) {
  const auto pair = [](uint64_t low, uint64_t high) { return from_lanes<16, uint64_t>({low, high}); };
  const auto add64 = [](const V& a, const V& b) { return map_lanes<uint64_t, 16>(Add<uint64_t>, a, b); };
  const auto middle = [](const V& a, const V& b) { return ByteExtract<uint8_t, 16>(a, b, 8); };
  std::array<V, 8> w{};
  w[0] = pair(0x6162638000000000, 0);
  w[7] = pair(0, 24);
  const std::array<V, 4> start = {
      pair(0x6a09e667f3bcc908, 0xbb67ae8584caa73b), pair(0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1),
      pair(0x510e527fade682d1, 0x9b05688c2b3e6c1f), pair(0x1f83d9abfb41bd6b, 0x5be0cd19137e2179)};
  V ab = start[0], cd = start[1], ef = start[2], gh = start[3];
  for (unsigned i = 0; i < 40; ++i) {
    const V wk = add64(w[i % 8], pair(round_constant(2 * i), round_constant(2 * i + 1)));
    // The words of wk change places, then h and g are added: SHA512H wants them so.
    const V sum = add64(ByteExtract<uint8_t, 16>(wk, wk, 8), gh);
    const V part = Sha512Hash<uint64_t, 16>(sum, middle(ef, gh), middle(cd, ef));
    const V next_ef = add64(cd, part);
    const V next_ab = Sha512Hash2<uint64_t, 16>(part, cd, ab);
    gh = ef;
    ef = next_ef;
    cd = ab;
    ab = next_ab;
    const V partial = Sha512Schedule0<uint64_t, 16>(w[i % 8], w[(i + 1) % 8]);
    w[i % 8] = Sha512Schedule1<uint64_t, 16>(partial, w[(i + 7) % 8], middle(w[(i + 4) % 8], w[(i + 5) % 8]));
  }
  EXPECT_EQ(add64(ab, start[0]), pair(0xddaf35a193617aba, 0xcc417349ae204131));
  EXPECT_EQ(add64(cd, start[1]), pair(0x12e6fa4e89a97ea2, 0x0a9eeee64b55d39a));
  EXPECT_EQ(add64(ef, start[2]), pair(0x2192992a274fc1a8, 0x36ba3c23a3feebbd));
  EXPECT_EQ(add64(gh, start[3]), pair(0x454d4423643ce80e, 0x2a9ac94fa54ca49f));
}

}  // namespace
}  // namespace lyrebird::ir::eval
