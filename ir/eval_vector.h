// SPDX-License-Identifier: Apache-2.0
/// The meaning of the vector ops. Included through ir/eval.h.
///
/// A vector is a bag of N bytes (8, 16 or 32); lane 0 is at the lowest address,
/// lanes are little endian. Vec1..3 ops all have the form
/// `Name<U, N>(a[, b[, c]], imm)`, U being the lane's bits, so that tables of
/// handlers can be made from ops.inc; a form that does not exist fails its
/// requires clause.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "ir/eval_scalar.h"

namespace lyrebird::ir::eval {

static_assert(std::endian::native == std::endian::little, "lanes are read as host ints");

template <unsigned N>
struct alignas(N) Vec {
  uint8_t b[N];
  bool operator==(const Vec&) const = default;
};

/// All lanes at once, for code that works on a few words.
template <typename U, unsigned N>
using Lanes = std::array<U, N / sizeof(U)>;

template <typename U, unsigned N>
inline Lanes<U, N> lanes(const Vec<N>& v) {
  return std::bit_cast<Lanes<U, N>>(v);
}
template <unsigned N, typename U>
inline Vec<N> from_lanes(const std::array<U, N / sizeof(U)>& v) {
  return std::bit_cast<Vec<N>>(v);
}

template <typename U, unsigned N>
inline U lane(const Vec<N>& v, unsigned i) {
  return load_unaligned<U>(v.b + i * sizeof(U));
}
template <typename U, unsigned N>
inline void set_lane(Vec<N>& v, unsigned i, U to) {
  store_unaligned<U>(v.b + i * sizeof(U), to);
}

// Loops over lanes stay loops until the vectoriser has seen them: unrolled first,
// they become chains of shifts on 64-bit registers.
#define LYREBIRD_LANE_LOOP _Pragma("clang loop unroll(disable)")

/// What a lane becomes: compares give bool, which is all ones or zeros in a lane.
template <typename U, typename R>
constexpr U lane_result(R r) {
  if constexpr (std::is_same_v<R, bool>)
    return static_cast<U>(0 - static_cast<WideU<U>>(r));
  else
    return r;
}

/// f(lane of a[, lane of b[, lane of c]]) for every U lane of N bytes.
template <typename U, unsigned N, typename F, typename... V>
[[gnu::always_inline]] inline Vec<N> map_lanes(F f, const V&... operands) {
  Vec<N> result;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / sizeof(U); ++i)
    set_lane<U>(result, i, lane_result<U>(f(lane<U>(operands, i)...)));
  return result;
}

// --- in and out: lane numbers must exist

template <typename U, unsigned N>
inline Vec<N> Splat(U a) {
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / sizeof(U); ++i) set_lane(r, i, a);
  return r;
}
template <typename U, unsigned N>
inline Vec<N> VecFromScalar(U a) {
  Vec<N> r{};
  set_lane(r, 0, a);
  return r;
}
template <typename U, unsigned N>
inline U ExtractLane(const Vec<N>& a, uint64_t index) {
  return lane<U>(a, static_cast<unsigned>(index));
}
template <typename U, unsigned N>
inline Vec<N> InsertLane(const Vec<N>& a, U value, uint64_t index) {
  Vec<N> r = a;
  set_lane(r, static_cast<unsigned>(index), value);
  return r;
}
template <unsigned To, unsigned From>
inline Vec<To> Resize(const Vec<From>& a) {
  Vec<To> r{};
  std::memcpy(r.b, a.b, To < From ? To : From);
  return r;
}
template <unsigned N>
inline Vec<2 * N> Concat(const Vec<N>& low, const Vec<N>& high) {
  Vec<2 * N> r;
  std::memcpy(r.b, low.b, N);
  std::memcpy(r.b + N, high.b, N);
  return r;
}
template <unsigned N>
inline Vec<N / 2> HalfHi(const Vec<N>& a) {
  Vec<N / 2> r;
  std::memcpy(r.b, a.b + N / 2, N / 2);
  return r;
}
template <unsigned N>
inline bool AnyBit(const Vec<N>& a) {
  uint64_t all = 0;
  for (unsigned i = 0; i < N / 8; ++i) all |= lane<uint64_t>(a, i);
  return all != 0;
}

/// Lanes of U.
template <typename U, unsigned N>
inline uint32_t SignBits(const Vec<N>& a) {
  uint32_t r = 0;
  for (unsigned i = 0; i < N / sizeof(U); ++i) r |= uint32_t{lane<U>(a, i) >> (kBits<U> - 1) != 0} << i;
  return r;
}

// --- moving lanes

template <typename U, unsigned N>
concept Laned = sizeof(U) * 2 <= N;

namespace detail {
template <typename U, unsigned N>
using HostVector __attribute__((vector_size(N))) = U;

/// r[i] = (b:a)[from(i)], a being the low half.
template <typename U, unsigned N, typename From>
[[gnu::always_inline]] inline Vec<N> pick(const Vec<N>& a, const Vec<N>& b, From from) {
  using H = HostVector<U, N>;
  H x, y;
  std::memcpy(&x, &a, N);
  std::memcpy(&y, &b, N);
  return [&]<unsigned... i>(std::integer_sequence<unsigned, i...>) __attribute__((always_inline)) {
    Vec<N> r;
    const H v = __builtin_shufflevector(x, y, from(i)...);
    std::memcpy(&r, &v, N);
    return r;
  }(std::make_integer_sequence<unsigned, N / sizeof(U)>{});
}
}  // namespace detail

template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> ZipLo(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  return detail::pick<U>(a, b, [](unsigned i) { return i / 2 + (i & 1) * (N / sizeof(U)); });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> ZipHi(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  constexpr unsigned kCount = N / sizeof(U);
  return detail::pick<U>(a, b, [](unsigned i) { return kCount / 2 + i / 2 + (i & 1) * kCount; });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> UnzipEven(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  return detail::pick<U>(a, b, [](unsigned i) { return 2 * i; });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> UnzipOdd(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  return detail::pick<U>(a, b, [](unsigned i) { return 2 * i + 1; });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> TransposeEven(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  return detail::pick<U>(a, b, [](unsigned i) { return (i & ~1u) + (i & 1) * (N / sizeof(U)); });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> TransposeOdd(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  return detail::pick<U>(a, b, [](unsigned i) { return (i | 1u) + (i & 1) * (N / sizeof(U)); });
}
/// imm 0..N: bytes, whatever U is.
template <typename U, unsigned N>
inline Vec<N> ByteExtract(const Vec<N>& a, const Vec<N>& b, uint64_t imm) {
  uint8_t both[2 * N];
  std::memcpy(both, a.b, N);
  std::memcpy(both + N, b.b, N);
  Vec<N> r;
  std::memcpy(r.b, both + (imm < N ? imm : N), N);
  return r;
}
/// imm: bits of a container, a power of two of at least two lanes.
template <typename U, unsigned N>
inline Vec<N> ReverseIn(const Vec<N>& a, uint64_t imm) {
  const unsigned mask = static_cast<unsigned>(imm / kBits<U>) - 1;
  Vec<N> r;
  for (unsigned i = 0; i < N / sizeof(U); ++i)
    set_lane(r, i, lane<U>(a, (i ^ mask) % static_cast<unsigned>(N / sizeof(U))));
  return r;
}
template <typename U, unsigned N>
inline Vec<N> TableLookup(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  Vec<N> r;
  for (unsigned i = 0; i < N; ++i) r.b[i] = b.b[i] < N ? a.b[b.b[i] % N] : c.b[i];
  return r;
}

/// The unsigned int of twice / half the width.
template <typename U>
using Doubled = std::conditional_t<
    sizeof(U) == 1, uint16_t,
    std::conditional_t<sizeof(U) == 2, uint32_t, std::conditional_t<sizeof(U) == 4, uint64_t, u128>>>;
template <typename U>
using Halved =
    std::conditional_t<sizeof(U) == 2, uint8_t, std::conditional_t<sizeof(U) == 4, uint16_t, uint32_t>>;

namespace detail {
template <typename U, unsigned N, typename F>
[[gnu::always_inline]] inline Vec<N> widen(const Vec<N>& a, bool high, F f) {
  constexpr unsigned kCount = N / sizeof(U) / 2;
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < kCount; ++i) set_lane<Doubled<U>>(r, i, f(lane<U>(a, i + (high ? kCount : 0))));
  return r;
}
template <typename U, unsigned N, typename F>
[[gnu::always_inline]] inline Vec<N / 2> narrow(const Vec<N>& a, F f) {
  Vec<N / 2> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / sizeof(U); ++i) set_lane<Halved<U>>(r, i, f(lane<U>(a, i)));
  return r;
}
template <typename U, unsigned N, typename F>
[[gnu::always_inline]] inline U reduce(const Vec<N>& a, F f) {
  U r = lane<U>(a, 0);
  for (unsigned i = 1; i < N / sizeof(U); ++i) r = f(r, lane<U>(a, i));
  return r;
}
}  // namespace detail

template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> WidenLoS(const Vec<N>& a, uint64_t = 0) {
  return detail::widen<U>(a, false, [](U x) { return SExt<Doubled<U>>(x); });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> WidenLoU(const Vec<N>& a, uint64_t = 0) {
  return detail::widen<U>(a, false, [](U x) { return ZExt<Doubled<U>>(x); });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> WidenHiS(const Vec<N>& a, uint64_t = 0) {
  return detail::widen<U>(a, true, [](U x) { return SExt<Doubled<U>>(x); });
}
template <typename U, unsigned N>
  requires Laned<U, N>
inline Vec<N> WidenHiU(const Vec<N>& a, uint64_t = 0) {
  return detail::widen<U>(a, true, [](U x) { return ZExt<Doubled<U>>(x); });
}

/// Narrow..: U is the wide lane (16, 32, 64 bits), N the bytes of the wide operand.
template <typename U, unsigned N>
  requires(sizeof(U) >= 2)
inline Vec<N / 2> Narrow(const Vec<N>& a) {
  return detail::narrow<U>(a, [](U x) { return static_cast<Halved<U>>(x); });
}
template <typename U, unsigned N>
  requires(sizeof(U) >= 2)
inline Vec<N / 2> NarrowSatS(const Vec<N>& a) {
  using H = Halved<U>;
  return detail::narrow<U>(
      a, [](U x) { return static_cast<H>(MaxS(MinS(x, SExt<U>(kMaxS<H>)), SExt<U>(kSignBit<H>))); });
}
template <typename U, unsigned N>
  requires(sizeof(U) >= 2)
inline Vec<N / 2> NarrowSatU(const Vec<N>& a) {
  using H = Halved<U>;
  return detail::narrow<U>(a, [](U x) { return static_cast<H>(MinU(x, ZExt<U>(kMaxU<H>))); });
}
template <typename U, unsigned N>
  requires(sizeof(U) >= 2)
inline Vec<N / 2> NarrowSatSU(const Vec<N>& a) {
  using H = Halved<U>;
  return detail::narrow<U>(a, [](U x) { return static_cast<H>(MaxS(MinS(x, ZExt<U>(kMaxU<H>)), U{0})); });
}

template <typename U, unsigned N>
  requires(Laned<U, N> && sizeof(U) <= 4)
inline Vec<N> MulEvenS(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  using D = Doubled<U>;
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / sizeof(D); ++i)
    set_lane<D>(r, i, Mul<D>(SExt<D>(lane<U>(a, 2 * i)), SExt<D>(lane<U>(b, 2 * i))));
  return r;
}
template <typename U, unsigned N>
  requires(Laned<U, N> && sizeof(U) <= 4)
inline Vec<N> MulEvenU(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  using D = Doubled<U>;
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / sizeof(D); ++i)
    set_lane<D>(r, i, Mul<D>(ZExt<D>(lane<U>(a, 2 * i)), ZExt<D>(lane<U>(b, 2 * i))));
  return r;
}
/// U is the wide lane.
template <typename U, unsigned N>
  requires(Laned<U, N> && sizeof(U) >= 2)
inline Vec<N> NarrowPairSatS(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  Vec<N> r;
  const Vec<N / 2> low = NarrowSatS<U>(a), high = NarrowSatS<U>(b);
  std::memcpy(r.b, low.b, N / 2);
  std::memcpy(r.b + N / 2, high.b, N / 2);
  return r;
}
template <typename U, unsigned N>
  requires(Laned<U, N> && sizeof(U) >= 2)
inline Vec<N> NarrowPairSatSU(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  Vec<N> r;
  const Vec<N / 2> low = NarrowSatSU<U>(a), high = NarrowSatSU<U>(b);
  std::memcpy(r.b, low.b, N / 2);
  std::memcpy(r.b + N / 2, high.b, N / 2);
  return r;
}

template <typename U, unsigned N>
inline U ReduceAdd(const Vec<N>& a) {
  return detail::reduce<U>(a, Add<U>);
}
template <typename U, unsigned N>
inline U ReduceMinS(const Vec<N>& a) {
  return detail::reduce<U>(a, MinS<U>);
}
template <typename U, unsigned N>
inline U ReduceMaxS(const Vec<N>& a) {
  return detail::reduce<U>(a, MaxS<U>);
}
template <typename U, unsigned N>
inline U ReduceMinU(const Vec<N>& a) {
  return detail::reduce<U>(a, MinU<U>);
}
template <typename U, unsigned N>
inline U ReduceMaxU(const Vec<N>& a) {
  return detail::reduce<U>(a, MaxU<U>);
}

// --- products (any U: the lanes are fixed)

template <unsigned N>
concept Blocks16 = N % 16 == 0;

/// V256: each 128-bit half by itself.
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> ClMul(const Vec<N>& a, const Vec<N>& b, uint64_t imm) {
  const auto x = lanes<uint64_t, N>(a), y = lanes<uint64_t, N>(b);
  Lanes<uint64_t, N> r{};
  for (unsigned i = 0; i < N / 8; i += 2) {
    const u128 product = carry_less_product(x[i + (imm & 1)], y[i + (imm >> 1 & 1)]);
    r[i] = Lo64(product);
    r[i + 1] = Hi64(product);
  }
  return from_lanes<N, uint64_t>(r);
}

template <typename U, unsigned N>
inline Vec<N> PermuteBytes(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  constexpr unsigned kBlock = N < 16 ? N : 16;
  Vec<N> r;
  for (unsigned i = 0; i < N; ++i)
    r.b[i] = b.b[i] & 0x80 ? uint8_t{0} : a.b[i / kBlock * kBlock + b.b[i] % kBlock];
  return r;
}
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> Shuffle32(const Vec<N>& a, const Vec<N>& b, uint64_t imm) {
  Vec<N> r;
  for (unsigned i = 0; i < N / 4; ++i) {
    const unsigned from = i / 4 * 4 + static_cast<unsigned>(imm >> i % 4 * 2 & 3);
    set_lane(r, i, lane<uint32_t>(i % 4 < 2 ? a : b, from));
  }
  return r;
}

namespace detail {
constexpr unsigned distance(uint8_t a, uint8_t b) { return static_cast<unsigned>(a > b ? a - b : b - a); }
}  // namespace detail
template <typename U, unsigned N>
inline Vec<N> SumAbsDiff(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  Vec<N> r;
  for (unsigned i = 0; i < N / 8; ++i) {
    uint64_t sum = 0;
    for (unsigned k = 8 * i; k < 8 * i + 8; ++k) sum += detail::distance(a.b[k], b.b[k]);
    set_lane(r, i, sum);
  }
  return r;
}
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> SlidingAbsDiff(const Vec<N>& a, const Vec<N>& b, uint64_t imm) {
  Vec<N> r;
  for (unsigned i = 0; i < N / 2; ++i) {
    const unsigned block = i / 8 * 16;
    const unsigned from = block + static_cast<unsigned>(imm >> 2 & 1) * 4 + i % 8;
    const unsigned with = block + static_cast<unsigned>(imm & 3) * 4;
    unsigned sum = 0;
    for (unsigned k = 0; k < 4; ++k) sum += detail::distance(a.b[from + k], b.b[with + k]);
    set_lane(r, i, static_cast<uint16_t>(sum));
  }
  return r;
}
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> LeastLane(const Vec<N>& a, uint64_t = 0) {
  Vec<N> r{};
  for (unsigned block = 0; block < N / 2; block += 8) {
    unsigned least = 0;
    for (unsigned i = 1; i < 8; ++i)
      if (lane<uint16_t>(a, block + i) < lane<uint16_t>(a, block + least)) least = i;
    set_lane(r, block, lane<uint16_t>(a, block + least));
    set_lane(r, block + 1, static_cast<uint16_t>(least));
  }
  return r;
}
template <typename U, unsigned N>
inline Vec<N> MulAddPairs(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / 4; ++i) {
    uint32_t sum = 0;
    for (unsigned k = 2 * i; k < 2 * i + 2; ++k)
      sum += static_cast<uint32_t>(int32_t{static_cast<int16_t>(lane<uint16_t>(a, k))} *
                                   static_cast<int16_t>(lane<uint16_t>(b, k)));
    set_lane(r, i, sum);
  }
  return r;
}
template <typename U, unsigned N>
inline Vec<N> MulAddPairsSat(const Vec<N>& a, const Vec<N>& b, uint64_t = 0) {
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / 2; ++i) {
    const int sum =
        a.b[2 * i] * static_cast<int8_t>(b.b[2 * i]) + a.b[2 * i + 1] * static_cast<int8_t>(b.b[2 * i + 1]);
    set_lane(r, i, static_cast<uint16_t>(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum));
  }
  return r;
}

namespace detail {
/// B, C: int8_t or uint8_t.
template <typename B, typename C, unsigned N>
[[gnu::always_inline]] inline Vec<N> dot(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c) {
  Vec<N> r;
  LYREBIRD_LANE_LOOP
  for (unsigned i = 0; i < N / 4; ++i) {
    uint32_t sum = lane<uint32_t>(a, i);
    for (unsigned k = 4 * i; k < 4 * i + 4; ++k)
      sum += static_cast<uint32_t>(static_cast<B>(b.b[k]) * static_cast<C>(c.b[k]));
    set_lane(r, i, sum);
  }
  return r;
}
template <typename B, typename C, unsigned N>
inline Vec<N> mat_mul(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c) {
  auto r = lanes<uint32_t, N>(a);
  for (unsigned i = 0; i < N / 4; ++i) {
    const unsigned base = i / 4 * 16, row = base + (i & 2) * 4, column = base + (i & 1) * 8;
    for (unsigned k = 0; k < 8; ++k)
      r[i] += static_cast<uint32_t>(static_cast<B>(b.b[row + k]) * static_cast<C>(c.b[column + k]));
  }
  return from_lanes<N, uint32_t>(r);
}
}  // namespace detail

template <typename U, unsigned N>
inline Vec<N> DotS(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  return detail::dot<int8_t, int8_t>(a, b, c);
}
template <typename U, unsigned N>
inline Vec<N> DotU(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  return detail::dot<uint8_t, uint8_t>(a, b, c);
}
template <typename U, unsigned N>
inline Vec<N> DotUS(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  return detail::dot<uint8_t, int8_t>(a, b, c);
}
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> MatMulS(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  return detail::mat_mul<int8_t, int8_t>(a, b, c);
}
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> MatMulU(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  return detail::mat_mul<uint8_t, uint8_t>(a, b, c);
}
template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> MatMulUS(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  return detail::mat_mul<uint8_t, int8_t>(a, b, c);
}

}  // namespace lyrebird::ir::eval
