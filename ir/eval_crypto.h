// SPDX-License-Identifier: Apache-2.0
/// The meaning of the cryptography ops. Included through ir/eval.h.
///
/// AES: FIPS 197, the state column by column in byte order. SHA: FIPS 180-4, in
/// the operand order of ops.inc. Wider vectors are treated 16 bytes at a time.
#pragma once

#include <bit>
#include <span>

#include "ir/eval_vector.h"

namespace lyrebird::ir::eval {

namespace detail {

/// Applies f to each 16-byte part.
template <unsigned N, typename F, typename... V>
[[gnu::always_inline]] inline Vec<N> by_16(F f, const V&... operands) {
  if constexpr (N == 16) {
    return f(operands...);
  } else {
    Vec<N> r{};
    for (unsigned at = 0; at < N; at += 16) {
      const auto part = [at](const Vec<N>& v) {
        Vec<16> p{};
        for (unsigned i = 0; i < 16; ++i) p.b[i] = v.b[at + i];
        return p;
      };
      const Vec<16> one = f(part(operands)...);
      for (unsigned i = 0; i < 16; ++i) r.b[at + i] = one.b[i];
    }
    return r;
  }
}

/// Multiplication by x in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, four bytes at once.
constexpr uint32_t times_x(uint32_t a) { return (a & 0x7f7f7f7f) << 1 ^ (a >> 7 & 0x01010101) * 0x1b; }

constexpr std::array<uint8_t, 256> aes_sbox() {
  std::array<uint8_t, 256> box{};
  // p runs through all non-zero elements (3 is a generator), q through their inverses.
  uint8_t p = 1, q = 1;
  do {
    p = static_cast<uint8_t>(p ^ times_x(p));
    q = static_cast<uint8_t>(q ^ q << 1);
    q = static_cast<uint8_t>(q ^ q << 2);
    q = static_cast<uint8_t>(q ^ q << 4);
    if (q & 0x80) q ^= 0x09;
    box[p] = static_cast<uint8_t>(q ^ std::rotl(q, 1) ^ std::rotl(q, 2) ^ std::rotl(q, 3) ^ std::rotl(q, 4) ^
                                  0x63);
  } while (p != 1);
  box[0] = 0x63;
  return box;
}
constexpr std::array<uint8_t, 256> inverse(const std::array<uint8_t, 256>& box) {
  std::array<uint8_t, 256> r{};
  for (unsigned i = 0; i < 256; ++i) r[box[i]] = static_cast<uint8_t>(i);
  return r;
}
inline constexpr std::array<uint8_t, 256> kAesSbox = aes_sbox();
inline constexpr std::array<uint8_t, 256> kAesInvSbox = inverse(kAesSbox);

inline Vec<16> aes_sub_shift(const Vec<16>& a) {
  Vec<16> r{};
  for (unsigned i = 0; i < 16; ++i) r.b[i] = kAesSbox[a.b[(i + 4 * (i % 4)) % 16]];
  return r;
}
inline Vec<16> aes_inv_sub_shift(const Vec<16>& a) {
  Vec<16> r{};
  for (unsigned i = 0; i < 16; ++i) r.b[i] = kAesInvSbox[a.b[(i + 12 * (i % 4)) % 16]];
  return r;
}
/// Byte i: 2 a[i] ^ 3 a[i+1] ^ a[i+2] ^ a[i+3], indexes modulo 4.
constexpr uint32_t mix_column(uint32_t a) {
  const uint32_t next = std::rotr(a, 8);
  return times_x(a ^ next) ^ next ^ std::rotr(a, 16) ^ std::rotr(a, 24);
}
/// InvMixColumns is MixColumns after multiplying by {4}x^2 + {5}.
constexpr uint32_t inv_mix_column(uint32_t a) {
  const uint32_t four = times_x(times_x(a));
  return mix_column(a ^ four ^ std::rotr(four, 16));
}

inline Vec<16> xor_of(const Vec<16>& a, const Vec<16>& b) {
  Vec<16> r;
  for (unsigned i = 0; i < 16; ++i) r.b[i] = a.b[i] ^ b.b[i];
  return r;
}

constexpr uint8_t gf_product(uint8_t a, uint8_t b) {
  uint32_t sum = 0, power = a;
  for (unsigned i = 0; i < 8; ++i) {
    if (b >> i & 1) sum ^= power;
    power = times_x(power) & 0xff;
  }
  return static_cast<uint8_t>(sum);
}
/// a^254
constexpr uint8_t gf_inverse(uint8_t a) {
  uint8_t r = 1, power = a;
  for (unsigned i = 1; i < 8; ++i) {
    power = gf_product(power, power);
    r = gf_product(r, power);
  }
  return r;
}
inline Vec<16> gf_mul(const Vec<16>& a, const Vec<16>& b) {
  Vec<16> r;
  for (unsigned i = 0; i < 16; ++i) r.b[i] = gf_product(a.b[i], b.b[i]);
  return r;
}
inline Vec<16> gf_affine(const Vec<16>& a, const Vec<16>& matrix, uint64_t imm, bool inverse) {
  Vec<16> r;
  for (unsigned i = 0; i < 16; ++i) {
    const uint8_t x = inverse ? gf_inverse(a.b[i]) : a.b[i];
    unsigned sum = static_cast<unsigned>(imm) & 0xff;
    for (unsigned k = 0; k < 8; ++k)
      sum ^= static_cast<unsigned>(std::popcount(static_cast<uint8_t>(matrix.b[i / 8 * 8 + 7 - k] & x)) & 1)
             << k;
    r.b[i] = static_cast<uint8_t>(sum);
  }
  return r;
}

using Words = std::array<uint32_t, 4>;
using Pair = std::array<uint64_t, 2>;

constexpr uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return (x & y) ^ (~x & z); }
constexpr uint32_t parity(uint32_t x, uint32_t y, uint32_t z) { return x ^ y ^ z; }
constexpr uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) ^ (x & z) ^ (y & z); }

template <typename F>
inline Vec<16> sha1_rounds(const Vec<16>& abcd, const Vec<16>& e_in, const Vec<16>& words, F f) {
  auto [a, b, c, d] = lanes<uint32_t, 16>(abcd);
  uint32_t e = lanes<uint32_t, 16>(e_in)[0];
  for (const uint32_t w : lanes<uint32_t, 16>(words)) {
    const uint32_t t = std::rotl(a, 5) + f(b, c, d) + e + w;
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = t;
  }
  return from_lanes<16, uint32_t>({a, b, c, d});
}
inline Vec<16> sha1_schedule0(const Vec<16>& va, const Vec<16>& vb, const Vec<16>& vc) {
  const Words a = lanes<uint32_t, 16>(va), b = lanes<uint32_t, 16>(vb), c = lanes<uint32_t, 16>(vc);
  return from_lanes<16, uint32_t>(
      {a[2] ^ a[0] ^ c[0], a[3] ^ a[1] ^ c[1], b[0] ^ a[2] ^ c[2], b[1] ^ a[3] ^ c[3]});
}
inline Vec<16> sha1_schedule1(const Vec<16>& va, const Vec<16>& vb) {
  const Words a = lanes<uint32_t, 16>(va), b = lanes<uint32_t, 16>(vb);
  const Words t = {a[0] ^ b[1], a[1] ^ b[2], a[2] ^ b[3], a[3]};
  return from_lanes<16, uint32_t>(
      {std::rotl(t[0], 1), std::rotl(t[1], 1), std::rotl(t[2], 1), std::rotl(t[3], 1) ^ std::rotl(t[0], 2)});
}

/// Highest lane first, as Intel's manual has it.
inline Vec<16> sha1_four_rounds(const Vec<16>& dcba, const Vec<16>& words, uint64_t kind) {
  constexpr uint32_t kConstants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
  const auto reversed = [](const Words& w) { return Words{w[3], w[2], w[1], w[0]}; };
  Words w = reversed(lanes<uint32_t, 16>(words));
  for (uint32_t& word : w) word += kConstants[kind & 3];
  const auto abcd = from_lanes<16, uint32_t>(reversed(lanes<uint32_t, 16>(dcba)));
  const Vec<16> r = sha1_rounds(abcd, Vec<16>{}, from_lanes<16, uint32_t>(w),
                                (kind & 3) == 0   ? choose
                                : (kind & 3) == 2 ? majority
                                                  : parity);
  return from_lanes<16, uint32_t>(reversed(lanes<uint32_t, 16>(r)));
}

/// Four rounds on abcd, efgh in place.
constexpr void sha256_rounds(Words& x, Words& y, std::span<const uint32_t> words) {
  for (const uint32_t w : words) {
    const uint32_t e = y[0], a = x[0];
    const uint32_t t =
        y[3] + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + choose(e, y[1], y[2]) + w;
    const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + majority(a, x[1], x[2]);
    y = {x[3] + t, y[0], y[1], y[2]};
    x = {t + t2, x[0], x[1], x[2]};
  }
}
inline Vec<16> sha256_hash(const Vec<16>& abcd, const Vec<16>& efgh, const Vec<16>& words, bool second) {
  Words x = lanes<uint32_t, 16>(abcd), y = lanes<uint32_t, 16>(efgh);
  sha256_rounds(x, y, lanes<uint32_t, 16>(words));
  return from_lanes<16, uint32_t>(second ? y : x);
}
inline Vec<16> sha256_two_rounds(const Vec<16>& hgdc, const Vec<16>& feba, const Vec<16>& words) {
  const Words p = lanes<uint32_t, 16>(hgdc), q = lanes<uint32_t, 16>(feba);
  Words x = {q[3], q[2], p[3], p[2]}, y = {q[1], q[0], p[1], p[0]};
  const Words w = lanes<uint32_t, 16>(words);
  sha256_rounds(x, y, std::span(w).first(2));
  return from_lanes<16, uint32_t>({y[1], y[0], x[1], x[0]});
}
inline Vec<16> sha256_schedule2(const Vec<16>& va, const Vec<16>& vb) {
  const Words a = lanes<uint32_t, 16>(va), b = lanes<uint32_t, 16>(vb);
  Words r{};
  for (unsigned i = 0; i < 4; ++i) {
    const uint32_t w = i < 2 ? b[i + 2] : r[i - 2];
    r[i] = a[i] + (std::rotr(w, 17) ^ std::rotr(w, 19) ^ w >> 10);
  }
  return from_lanes<16, uint32_t>(r);
}
inline Vec<16> sha256_schedule0(const Vec<16>& va, const Vec<16>& vb) {
  const Words a = lanes<uint32_t, 16>(va);
  const Words next = {a[1], a[2], a[3], lanes<uint32_t, 16>(vb)[0]};
  Words r{};
  for (unsigned i = 0; i < 4; ++i)
    r[i] = a[i] + (std::rotr(next[i], 7) ^ std::rotr(next[i], 18) ^ next[i] >> 3);
  return from_lanes<16, uint32_t>(r);
}
inline Vec<16> sha256_schedule1(const Vec<16>& va, const Vec<16>& vb, const Vec<16>& vc) {
  const Words a = lanes<uint32_t, 16>(va), b = lanes<uint32_t, 16>(vb), c = lanes<uint32_t, 16>(vc);
  const Words next = {b[1], b[2], b[3], c[0]};
  Words r{};
  for (unsigned i = 0; i < 4; ++i) {
    const uint32_t w = i < 2 ? c[i + 2] : r[i - 2];
    r[i] = a[i] + next[i] + (std::rotr(w, 17) ^ std::rotr(w, 19) ^ w >> 10);
  }
  return from_lanes<16, uint32_t>(r);
}

// Names as in the Arm pseudocode: X = Vn, Y = Vm, W = Vd; [1] is bits 127:64.
constexpr uint64_t big_sigma1(uint64_t v) { return std::rotr(v, 14) ^ std::rotr(v, 18) ^ std::rotr(v, 41); }
constexpr uint64_t big_sigma0(uint64_t v) { return std::rotr(v, 28) ^ std::rotr(v, 34) ^ std::rotr(v, 39); }
constexpr uint64_t choose64(uint64_t x, uint64_t y, uint64_t z) { return (x & y) ^ (~x & z); }
constexpr uint64_t majority64(uint64_t x, uint64_t y, uint64_t z) { return (x & y) ^ (x & z) ^ (y & z); }

inline Vec<16> sha512_hash(const Vec<16>& d, const Vec<16>& n, const Vec<16>& m) {
  const Pair w = lanes<uint64_t, 16>(d), x = lanes<uint64_t, 16>(n), y = lanes<uint64_t, 16>(m);
  const uint64_t high = choose64(y[1], x[0], x[1]) + big_sigma1(y[1]) + w[1];
  const uint64_t t = high + y[0];
  const uint64_t low = choose64(t, y[1], x[0]) + big_sigma1(t) + w[0];
  return from_lanes<16, uint64_t>({low, high});
}
inline Vec<16> sha512_hash2(const Vec<16>& d, const Vec<16>& n, const Vec<16>& m) {
  const Pair w = lanes<uint64_t, 16>(d), x = lanes<uint64_t, 16>(n), y = lanes<uint64_t, 16>(m);
  const uint64_t high = majority64(x[0], y[1], y[0]) + big_sigma0(y[0]) + w[1];
  const uint64_t low = majority64(high, y[0], y[1]) + big_sigma0(high) + w[0];
  return from_lanes<16, uint64_t>({low, high});
}
inline Vec<16> sha512_schedule0(const Vec<16>& d, const Vec<16>& n) {
  constexpr auto sigma0 = [](uint64_t v) { return std::rotr(v, 1) ^ std::rotr(v, 8) ^ v >> 7; };
  const Pair w = lanes<uint64_t, 16>(d), x = lanes<uint64_t, 16>(n);
  return from_lanes<16, uint64_t>({w[0] + sigma0(w[1]), w[1] + sigma0(x[0])});
}
inline Vec<16> sha512_schedule1(const Vec<16>& d, const Vec<16>& n, const Vec<16>& m) {
  constexpr auto sigma1 = [](uint64_t v) { return std::rotr(v, 19) ^ std::rotr(v, 61) ^ v >> 6; };
  const Pair w = lanes<uint64_t, 16>(d), x = lanes<uint64_t, 16>(n), y = lanes<uint64_t, 16>(m);
  return from_lanes<16, uint64_t>({w[0] + sigma1(x[0]) + y[0], w[1] + sigma1(x[1]) + y[1]});
}

}  // namespace detail

#define LYREBIRD_CRYPTO1(name, expression)                                    \
  template <typename U, unsigned N>                                           \
    requires Blocks16<N>                                                      \
  inline Vec<N> name(const Vec<N>& va, uint64_t = 0) {                        \
    return detail::by_16<N>([](const Vec<16>& a) { return expression; }, va); \
  }
#define LYREBIRD_CRYPTO2(name, expression)                                                          \
  template <typename U, unsigned N>                                                                 \
    requires Blocks16<N>                                                                            \
  inline Vec<N> name(const Vec<N>& va, const Vec<N>& vb, uint64_t = 0) {                            \
    return detail::by_16<N>([](const Vec<16>& a, const Vec<16>& b) { return expression; }, va, vb); \
  }
#define LYREBIRD_CRYPTO3(name, expression)                                                                   \
  template <typename U, unsigned N>                                                                          \
    requires Blocks16<N>                                                                                     \
  inline Vec<N> name(const Vec<N>& va, const Vec<N>& vb, const Vec<N>& vc, uint64_t = 0) {                   \
    return detail::by_16<N>([](const Vec<16>& a, const Vec<16>& b, const Vec<16>& c) { return expression; }, \
                            va, vb, vc);                                                                     \
  }

LYREBIRD_CRYPTO1(AesSubShift, detail::aes_sub_shift(a))
LYREBIRD_CRYPTO1(AesInvSubShift, detail::aes_inv_sub_shift(a))
LYREBIRD_CRYPTO1(AesMixColumns, (map_lanes<uint32_t, 16>(detail::mix_column, a)))
LYREBIRD_CRYPTO1(AesInvMixColumns, (map_lanes<uint32_t, 16>(detail::inv_mix_column, a)))
LYREBIRD_CRYPTO2(AesRound, detail::xor_of(AesMixColumns<uint8_t, 16>(detail::aes_sub_shift(a)), b))
LYREBIRD_CRYPTO2(AesLastRound, detail::xor_of(detail::aes_sub_shift(a), b))
LYREBIRD_CRYPTO2(AesInvRound, detail::xor_of(AesInvMixColumns<uint8_t, 16>(detail::aes_inv_sub_shift(a)), b))
LYREBIRD_CRYPTO2(AesInvLastRound, detail::xor_of(detail::aes_inv_sub_shift(a), b))
LYREBIRD_CRYPTO2(GfMul, detail::gf_mul(a, b))
LYREBIRD_CRYPTO3(Sha1Choose, detail::sha1_rounds(a, b, c, detail::choose))
LYREBIRD_CRYPTO3(Sha1Parity, detail::sha1_rounds(a, b, c, detail::parity))
LYREBIRD_CRYPTO3(Sha1Majority, detail::sha1_rounds(a, b, c, detail::majority))
LYREBIRD_CRYPTO3(Sha1Schedule0, detail::sha1_schedule0(a, b, c))
LYREBIRD_CRYPTO2(Sha1Schedule1, detail::sha1_schedule1(a, b))
LYREBIRD_CRYPTO3(Sha256TwoRounds, detail::sha256_two_rounds(a, b, c))
LYREBIRD_CRYPTO2(Sha256Schedule2, detail::sha256_schedule2(a, b))
LYREBIRD_CRYPTO3(Sha256Hash, detail::sha256_hash(a, b, c, false))
LYREBIRD_CRYPTO3(Sha256Hash2, detail::sha256_hash(b, a, c, true))
LYREBIRD_CRYPTO2(Sha256Schedule0, detail::sha256_schedule0(a, b))
LYREBIRD_CRYPTO3(Sha256Schedule1, detail::sha256_schedule1(a, b, c))
LYREBIRD_CRYPTO3(Sha512Hash, detail::sha512_hash(a, b, c))
LYREBIRD_CRYPTO3(Sha512Hash2, detail::sha512_hash2(a, b, c))
LYREBIRD_CRYPTO2(Sha512Schedule0, detail::sha512_schedule0(a, b))
LYREBIRD_CRYPTO3(Sha512Schedule1, detail::sha512_schedule1(a, b, c))

#define LYREBIRD_CRYPTO_IMM(name, expression)                                                          \
  template <typename U, unsigned N>                                                                    \
    requires Blocks16<N>                                                                               \
  inline Vec<N> name(const Vec<N>& va, const Vec<N>& vb, uint64_t imm) {                               \
    return detail::by_16<N>([imm](const Vec<16>& a, const Vec<16>& b) { return expression; }, va, vb); \
  }
LYREBIRD_CRYPTO_IMM(GfAffine, detail::gf_affine(a, b, imm, false))
LYREBIRD_CRYPTO_IMM(GfAffineInv, detail::gf_affine(a, b, imm, true))
LYREBIRD_CRYPTO_IMM(Sha1FourRounds, detail::sha1_four_rounds(a, b, imm))
#undef LYREBIRD_CRYPTO_IMM

#undef LYREBIRD_CRYPTO1
#undef LYREBIRD_CRYPTO2
#undef LYREBIRD_CRYPTO3

}  // namespace lyrebird::ir::eval
