// SPDX-License-Identifier: Apache-2.0
/// The meaning of the integer ops, one lane at a time. Included through ir/eval.h.
///
/// Lanes are raw unsigned bits: U is uint8_t..uint64_t, u128 where that makes
/// sense, or bool for I1. Every function is total: what ops.inc leaves open is
/// fixed here (shift amounts beyond the lane, division by zero).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "base/bits.h"

namespace lyrebird::ir::eval {

namespace detail {

template <typename U>
struct Ints {
  using Signed = std::make_signed_t<U>;
  using WideU = std::conditional_t<sizeof(U) == 8, u128, uint64_t>;
  using WideS = std::conditional_t<sizeof(U) == 8, s128, int64_t>;
};
template <>
struct Ints<bool> {
  using Signed = int8_t;
  using WideU = uint64_t;
  using WideS = int64_t;
};
template <>
struct Ints<u128> {
  using Signed = s128;
  using WideU = u128;
  using WideS = s128;
};

}  // namespace detail

template <typename U>
using SignedOf = typename detail::Ints<U>::Signed;
/// An unsigned / signed int with room for a product of two U (only U for u128).
template <typename U>
using WideU = typename detail::Ints<U>::WideU;
template <typename U>
using WideS = typename detail::Ints<U>::WideS;

template <typename U>
inline constexpr unsigned kBits = std::is_same_v<U, bool> ? 1 : 8 * sizeof(U);
template <typename U>
inline constexpr U kSignBit = static_cast<U>(static_cast<U>(1) << (kBits<U> - 1));
template <typename U>
inline constexpr U kMaxU = static_cast<U>(~static_cast<WideU<U>>(0));
template <typename U>
inline constexpr U kMaxS = static_cast<U>(kMaxU<U> ^ kSignBit<U>);

template <typename U>
constexpr SignedOf<U> as_signed(U a) {
  return static_cast<SignedOf<U>>(a);
}
/// The lane as a wide number, by value.
template <typename U>
constexpr WideU<U> wide_u(U a) {
  return a;
}
template <typename U>
constexpr WideS<U> wide_s(U a) {
  return as_signed(a);
}
template <typename U>
constexpr U clamp_u(WideS<U> a) {
  return a < 0 ? U{0} : a > static_cast<WideS<U>>(kMaxU<U>) ? kMaxU<U> : static_cast<U>(a);
}
template <typename U>
constexpr U clamp_s(WideS<U> a) {
  if (a > wide_s<U>(kMaxS<U>)) return kMaxS<U>;
  if (a < wide_s<U>(kSignBit<U>)) return kSignBit<U>;
  return static_cast<U>(a);
}

// --- arithmetic and logic

template <typename U>
constexpr U Add(U a, U b) {
  return static_cast<U>(wide_u(a) + b);
}
template <typename U>
constexpr U Sub(U a, U b) {
  return static_cast<U>(wide_u(a) - b);
}
template <typename U>
constexpr U Mul(U a, U b) {
  return static_cast<U>(wide_u(a) * b);
}
template <typename U>
constexpr U MulHiS(U a, U b)
  requires(sizeof(U) <= 8)
{
  return static_cast<U>((wide_s(a) * wide_s(b)) >> kBits<U>);
}
template <typename U>
constexpr U MulHiU(U a, U b)
  requires(sizeof(U) <= 8)
{
  return static_cast<U>((wide_u(a) * wide_u(b)) >> kBits<U>);
}
template <typename U>
constexpr U DivU(U a, U b) {
  return b == 0 ? U{0} : static_cast<U>(a / b);
}
template <typename U>
constexpr U DivS(U a, U b) {
  if (b == 0) return 0;
  if (b == kMaxU<U>) return static_cast<U>(0 - wide_u(a));
  return static_cast<U>(as_signed(a) / as_signed(b));
}
template <typename U>
constexpr U RemU(U a, U b) {
  return Sub<U>(a, Mul<U>(DivU(a, b), b));
}
template <typename U>
constexpr U RemS(U a, U b) {
  return Sub<U>(a, Mul<U>(DivS(a, b), b));
}
template <typename U>
constexpr U Neg(U a) {
  return static_cast<U>(0 - wide_u(a));
}
template <typename U>
constexpr U Not(U a) {
  if constexpr (std::is_same_v<U, bool>)
    return !a;
  else
    return static_cast<U>(~wide_u(a));
}
template <typename U>
constexpr U And(U a, U b) {
  return static_cast<U>(a & b);
}
template <typename U>
constexpr U Or(U a, U b) {
  return static_cast<U>(a | b);
}
template <typename U>
constexpr U Xor(U a, U b) {
  return static_cast<U>(a ^ b);
}
template <typename U>
constexpr U AndNot(U a, U b) {
  return static_cast<U>(a & ~wide_u(b));
}
template <typename U>
constexpr U SignSelect(U a, U b, U c) {
  return a >> (kBits<U> - 1) != 0 ? b : c;
}
template <typename U>
constexpr U BitSelect(U a, U b, U c) {
  return static_cast<U>((a & b) | (~wide_u(a) & c));
}
template <typename U>
constexpr U Abs(U a) {
  return as_signed(a) < 0 ? Neg(a) : a;
}
template <typename U>
constexpr U MinS(U a, U b) {
  return as_signed(a) < as_signed(b) ? a : b;
}
template <typename U>
constexpr U MaxS(U a, U b) {
  return as_signed(a) > as_signed(b) ? a : b;
}
template <typename U>
constexpr U MinU(U a, U b) {
  return a < b ? a : b;
}
template <typename U>
constexpr U MaxU(U a, U b) {
  return a > b ? a : b;
}
template <typename U>
constexpr U AbsDiffS(U a, U b) {
  return as_signed(a) > as_signed(b) ? Sub(a, b) : Sub(b, a);
}
template <typename U>
constexpr U AbsDiffU(U a, U b) {
  return a > b ? Sub(a, b) : Sub(b, a);
}

// --- shifts: n or more shifts everything out

template <typename U>
constexpr U Shl(U a, U b) {
  return b < kBits<U> ? static_cast<U>(wide_u(a) << static_cast<unsigned>(b)) : U{0};
}
template <typename U>
constexpr U ShrU(U a, U b) {
  return b < kBits<U> ? static_cast<U>(a >> static_cast<unsigned>(b)) : U{0};
}
template <typename U>
constexpr U ShrS(U a, U b) {
  return static_cast<U>(as_signed(a) >> (b < kBits<U> ? static_cast<unsigned>(b) : kBits<U> - 1));
}
template <typename U>
constexpr U RotR(U a, U b) {
  const unsigned s = static_cast<unsigned>(b % kBits<U>);
  return s == 0 ? a : static_cast<U>(a >> s | wide_u(a) << (kBits<U> - s));
}
template <typename U>
constexpr U FunnelShr(U a, U b, U c) {
  const unsigned s = static_cast<unsigned>(c % kBits<U>);
  return s == 0 ? b : static_cast<U>(b >> s | wide_u(a) << (kBits<U> - s));
}

/// (a + 2^(s-1)) >> s with unbounded numbers; s = 0 gives a.
template <typename U>
constexpr U round_shift_right_u(U a, unsigned s) {
  if (s == 0) return a;
  if (s > kBits<U>) return 0;
  // The bit below the result is the rounding; no wider number is needed.
  const U kept = s == kBits<U> ? U{0} : static_cast<U>(a >> s);
  return static_cast<U>(kept + (a >> (s - 1) & 1));
}
template <typename U>
constexpr U round_shift_right_s(U a, unsigned s) {
  if (s == 0) return a;
  if (s > kBits<U>) return 0;
  const U kept = ShrS<U>(a, static_cast<U>(s));
  return static_cast<U>(kept + (a >> (s - 1) & 1));
}
template <typename U>
constexpr U RoundShrU(U a, U b) {
  return round_shift_right_u(a, b > kBits<U> ? kBits<U> + 1 : static_cast<unsigned>(b));
}
template <typename U>
constexpr U RoundShrS(U a, U b) {
  return round_shift_right_s(a, b > kBits<U> ? kBits<U> + 1 : static_cast<unsigned>(b));
}
template <typename U>
constexpr U ShlSatU(U a, U b) {
  const U shifted = Shl(a, b);
  return ShrU(shifted, b) == a ? shifted : kMaxU<U>;
}
template <typename U>
constexpr U ShlSatS(U a, U b) {
  const U shifted = Shl(a, b);
  if (a == 0 || (b < kBits<U> && ShrS(shifted, b) == a)) return shifted;
  return as_signed(a) < 0 ? kSignBit<U> : kMaxS<U>;
}
template <typename U>
constexpr U ShlSatSU(U a, U b) {
  return as_signed(a) < 0 ? U{0} : ShlSatU(a, b);
}

namespace detail {
template <typename U>
constexpr int shift_amount(U b) {
  return static_cast<int8_t>(static_cast<uint8_t>(b));
}
}  // namespace detail

template <typename U>
constexpr U ShiftU(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? Shl(a, static_cast<U>(s)) : ShrU(a, static_cast<U>(-s));
}
template <typename U>
constexpr U ShiftS(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? Shl(a, static_cast<U>(s)) : ShrS(a, static_cast<U>(-s));
}
template <typename U>
constexpr U RoundShiftU(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? Shl(a, static_cast<U>(s)) : round_shift_right_u(a, static_cast<unsigned>(-s));
}
template <typename U>
constexpr U RoundShiftS(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? Shl(a, static_cast<U>(s)) : round_shift_right_s(a, static_cast<unsigned>(-s));
}
template <typename U>
constexpr U ShiftSatU(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? ShlSatU(a, static_cast<U>(s)) : ShrU(a, static_cast<U>(-s));
}
template <typename U>
constexpr U ShiftSatS(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? ShlSatS(a, static_cast<U>(s)) : ShrS(a, static_cast<U>(-s));
}
template <typename U>
constexpr U RoundShiftSatU(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? ShlSatU(a, static_cast<U>(s)) : round_shift_right_u(a, static_cast<unsigned>(-s));
}
template <typename U>
constexpr U RoundShiftSatS(U a, U b) {
  const int s = detail::shift_amount(b);
  return s >= 0 ? ShlSatS(a, static_cast<U>(s)) : round_shift_right_s(a, static_cast<unsigned>(-s));
}

// --- saturating, halving and doubling arithmetic

template <typename U>
constexpr U AddSatU(U a, U b) {
  const U sum = Add(a, b);
  return sum < a ? kMaxU<U> : sum;
}
template <typename U>
constexpr U AddSatS(U a, U b) {
  const U sum = Add(a, b);
  const bool overflow = (Not<U>(a ^ b) & (a ^ sum) & kSignBit<U>) != 0;
  return overflow ? (as_signed(a) < 0 ? kSignBit<U> : kMaxS<U>) : sum;
}
template <typename U>
constexpr U SubSatU(U a, U b) {
  return a < b ? U{0} : Sub(a, b);
}
template <typename U>
constexpr U SubSatS(U a, U b) {
  const U difference = Sub(a, b);
  const bool overflow = ((a ^ b) & (a ^ difference) & kSignBit<U>) != 0;
  return overflow ? (as_signed(a) < 0 ? kSignBit<U> : kMaxS<U>) : difference;
}
/// b only adds, so the one way out of range is upward.
template <typename U>
constexpr U AddSatSU(U a, U b) {
  const U sum = Add(a, b);
  return as_signed(sum) < as_signed(a) ? kMaxS<U> : sum;
}
template <typename U>
constexpr U AddSatUS(U a, U b) {
  const U sum = Add(a, b);
  if (as_signed(b) < 0) return sum > a ? U{0} : sum;
  return sum < a ? kMaxU<U> : sum;
}
template <typename U>
constexpr U HalveAddU(U a, U b) {
  return static_cast<U>((wide_u(a) + b) >> 1);
}
template <typename U>
constexpr U HalveAddS(U a, U b) {
  return static_cast<U>((wide_s(a) + wide_s(b)) >> 1);
}
template <typename U>
constexpr U RoundHalveAddU(U a, U b) {
  return static_cast<U>((wide_u(a) + b + 1) >> 1);
}
template <typename U>
constexpr U RoundHalveAddS(U a, U b) {
  return static_cast<U>((wide_s(a) + wide_s(b) + 1) >> 1);
}
template <typename U>
constexpr U HalveSubU(U a, U b) {
  return static_cast<U>((wide_u(a) - b) >> 1);
}
template <typename U>
constexpr U HalveSubS(U a, U b) {
  return static_cast<U>((wide_s(a) - wide_s(b)) >> 1);
}
// 2ab >> n is ab >> (n-1): so even 64-bit lanes fit in 128 bits.
template <typename U>
constexpr U MulDoubleHiSat(U a, U b) {
  return clamp_s<U>((wide_s(a) * wide_s(b)) >> (kBits<U> - 1));
}
template <typename U>
constexpr U RoundMulDoubleHiSat(U a, U b) {
  const WideS<U> half = WideS<U>{1} << (kBits<U> - 2);
  return clamp_s<U>((wide_s(a) * wide_s(b) + half) >> (kBits<U> - 1));
}
template <typename U>
constexpr U RoundMulDoubleAddHiSat(U a, U b, U c) {
  const WideS<U> half = WideS<U>{1} << (kBits<U> - 2);
  const WideS<U> scaled = wide_s(a) * (WideS<U>{1} << (kBits<U> - 1));
  return clamp_s<U>((scaled + wide_s(b) * wide_s(c) + half) >> (kBits<U> - 1));
}
template <typename U>
constexpr U RoundMulDoubleSubHiSat(U a, U b, U c) {
  const WideS<U> half = WideS<U>{1} << (kBits<U> - 2);
  const WideS<U> scaled = wide_s(a) * (WideS<U>{1} << (kBits<U> - 1));
  return clamp_s<U>((scaled - wide_s(b) * wide_s(c) + half) >> (kBits<U> - 1));
}
template <typename U>
constexpr U RoundMulDoubleAddHi(U a, U b, U c) {
  const WideS<U> half = WideS<U>{1} << (kBits<U> - 2);
  return static_cast<U>(a + static_cast<U>((wide_s(b) * wide_s(c) + half) >> (kBits<U> - 1)));
}
template <typename U>
constexpr U RoundMulDoubleSubHi(U a, U b, U c) {
  const WideS<U> half = WideS<U>{1} << (kBits<U> - 2);
  return static_cast<U>(a + static_cast<U>((half - wide_s(b) * wide_s(c)) >> (kBits<U> - 1)));
}

// --- bit counting and moving

/// In fp_estimate.cpp, beside their floating-point siblings.
uint32_t RecipEstimateU(uint32_t a);
uint32_t RsqrtEstimateU(uint32_t a);

template <typename U>
constexpr U Clz(U a) {
  if constexpr (sizeof(U) == 16) {
    const uint64_t high = static_cast<uint64_t>(a >> 64);
    return high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<uint64_t>(a));
  } else {
    return static_cast<U>(std::countl_zero(a));
  }
}
template <typename U>
constexpr U Cls(U a) {
  const U differs = static_cast<U>(a ^ ShrS<U>(a, 1));
  return static_cast<U>(Clz(differs) - 1);
}
template <typename U>
constexpr U Ctz(U a) {
  if constexpr (sizeof(U) == 16) {
    const uint64_t low = static_cast<uint64_t>(a);
    return low != 0 ? std::countr_zero(low) : 64 + std::countr_zero(static_cast<uint64_t>(a >> 64));
  } else {
    return static_cast<U>(std::countr_zero(a));
  }
}
template <typename U>
constexpr U PopCount(U a) {
  if constexpr (sizeof(U) == 16)
    return std::popcount(static_cast<uint64_t>(a)) + std::popcount(static_cast<uint64_t>(a >> 64));
  else
    return static_cast<U>(std::popcount(a));
}
template <typename U>
constexpr U ByteReverse(U a) {
  if constexpr (sizeof(U) == 1)
    return a;
  else if constexpr (sizeof(U) == 2)
    return __builtin_bswap16(a);
  else if constexpr (sizeof(U) == 4)
    return __builtin_bswap32(a);
  else if constexpr (sizeof(U) == 8)
    return __builtin_bswap64(a);
  else
    return u128{__builtin_bswap64(static_cast<uint64_t>(a))} << 64 |
           __builtin_bswap64(static_cast<uint64_t>(a >> 64));
}
template <typename U>
constexpr U BitReverse(U a) {
  constexpr auto every = [](uint8_t byte) { return static_cast<U>(kMaxU<U> / 255 * byte); };
  U r = ByteReverse(a);
  r = static_cast<U>((r >> 4 & every(0x0f)) | (r & every(0x0f)) << 4);
  r = static_cast<U>((r >> 2 & every(0x33)) | (r & every(0x33)) << 2);
  return static_cast<U>((r >> 1 & every(0x55)) | (r & every(0x55)) << 1);
}
/// The whole carry-less product of two lanes of at most 64 bits.
template <typename U>
constexpr WideU<U> carry_less_product(U a, U b)
  requires(sizeof(U) <= 8)
{
  WideU<U> product = 0;
  for (unsigned i = 0; i < kBits<U>; ++i) product ^= (wide_u(a) << i) & (WideU<U>{0} - (b >> i & 1));
  return product;
}
template <typename U>
constexpr U PolyMul(U a, U b)
  requires(sizeof(U) <= 8)
{
  return static_cast<U>(carry_less_product(a, b));
}

// --- compares: bool for a scalar, map_lanes turns it into a mask

template <typename U>
constexpr bool CmpEq(U a, U b) {
  return a == b;
}
template <typename U>
constexpr bool CmpNe(U a, U b) {
  return a != b;
}
template <typename U>
constexpr bool CmpLtS(U a, U b) {
  return as_signed(a) < as_signed(b);
}
template <typename U>
constexpr bool CmpLeS(U a, U b) {
  return as_signed(a) <= as_signed(b);
}
template <typename U>
constexpr bool CmpLtU(U a, U b) {
  return a < b;
}
template <typename U>
constexpr bool CmpLeU(U a, U b) {
  return a <= b;
}
template <typename U>
constexpr bool CmpTest(U a, U b) {
  return (a & b) != 0;
}

// --- choice, carries, conversions (scalars)

template <typename T>
constexpr const T& Select(bool condition, const T& a, const T& b) {
  return condition ? a : b;
}
template <typename U>
constexpr U AddWithCarry(U a, U b, bool carry) {
  return static_cast<U>(wide_u(a) + b + carry);
}
template <typename U>
constexpr U SubWithBorrow(U a, U b, bool borrow) {
  return static_cast<U>(wide_u(a) - b - borrow);
}
template <typename U>
constexpr bool CarryOfAdd(U a, U b, bool carry) {
  const U sum = Add(a, b);
  return sum < a || (carry && sum == kMaxU<U>);
}
template <typename U>
constexpr bool OverflowOfAdd(U a, U b, bool carry) {
  const U sum = AddWithCarry(a, b, carry);
  return (Not<U>(a ^ b) & (a ^ sum) & kSignBit<U>) != 0;
}
template <typename U>
constexpr bool OverflowOfSub(U a, U b) {
  return ((a ^ b) & (a ^ Sub(a, b)) & kSignBit<U>) != 0;
}
/// Bits of a status word.
inline constexpr uint16_t kStatusOverflow = 1 << 0, kStatusCarry = 1 << 8, kStatusOne = 1 << 9,
                          kStatusParity = 1 << 10, kStatusAdjust = 1 << 12, kStatusZero = 1 << 14,
                          kStatusSign = 1 << 15;
/// aux of StatusOfAdd, StatusOfSub and StatusOfValue: the carry is the other one.
inline constexpr uint32_t kOtherCarry = 1;
constexpr uint16_t other_carry(uint32_t aux) { return aux & kOtherCarry ? kStatusCarry : 0; }
template <typename U>
constexpr uint16_t StatusOfValue(U a, uint32_t aux = 0) {
  return static_cast<uint16_t>(kStatusOne | (std::popcount(static_cast<uint8_t>(a)) & 1 ? 0 : kStatusParity) |
                               (a == 0 ? kStatusZero : 0) | (a & kSignBit<U> ? kStatusSign : 0) |
                               other_carry(aux));
}
template <typename U>
constexpr uint16_t StatusOfAdd(U a, U b, bool carry, uint32_t aux = 0) {
  const U sum = AddWithCarry(a, b, carry);
  return static_cast<uint16_t>(
      StatusOfValue(sum) | ((CarryOfAdd(a, b, carry) ? kStatusCarry : 0) ^ other_carry(aux)) |
      ((a ^ b ^ sum) & 16 ? kStatusAdjust : 0) | (OverflowOfAdd(a, b, carry) ? kStatusOverflow : 0));
}
/// a - b - borrow is a + ~b + !borrow, whose carries are the inverse.
template <typename U>
constexpr uint16_t StatusOfSub(U a, U b, bool borrow, uint32_t aux = 0) {
  return StatusOfAdd(a, Not(b), !borrow, aux) ^ (kStatusCarry | kStatusAdjust);
}

inline constexpr uint16_t kStatusFlags =
    kStatusOverflow | kStatusCarry | kStatusParity | kStatusAdjust | kStatusZero | kStatusSign;
/// Ways of StatusOfShift: its aux, with kFirstStep if overflow is the first step's and bit 12 of a shift is
/// clear, and with both others if a turn leaves overflow as it was.
enum ShiftWay : uint32_t { kShiftLeft, kShiftRight, kShiftRightSigned, kTurnLeft, kTurnRight, kShiftWays };
inline constexpr uint32_t kFirstStep = 8, kOldOverflow = 16;
constexpr uint32_t shift_way(uint32_t aux) { return aux & ~(kFirstStep | kOldOverflow); }
constexpr bool is_shift_aux(uint32_t aux) {
  const bool old = (aux & kOldOverflow) != 0, first = (aux & kFirstStep) != 0;
  return shift_way(aux) < kShiftWays && (!old || (first && shift_way(aux) >= kTurnLeft));
}
template <typename U>
constexpr U shifted_by_steps(U a, unsigned n, uint32_t way) {
  constexpr unsigned kBits = 8 * sizeof(U);
  switch (way) {
    case kShiftLeft:
      return n < kBits ? static_cast<U>(a << n) : U{0};
    case kShiftRight:
      return n < kBits ? static_cast<U>(a >> n) : U{0};
    case kShiftRightSigned:
      return static_cast<U>(static_cast<std::make_signed_t<U>>(a) >> std::min(n, kBits - 1));
    case kTurnLeft:
      return std::rotl(a, static_cast<int>(n % kBits));
    default:
      return std::rotr(a, static_cast<int>(n % kBits));
  }
}
template <typename U>
constexpr uint16_t StatusOfShift(U a, U b, uint16_t old, uint32_t aux) {
  const uint32_t way = shift_way(aux);
  const bool first = (aux & kFirstStep) != 0;
  const auto n = static_cast<unsigned>(b & (sizeof(U) == 8 ? 63 : 31));
  old = static_cast<uint16_t>((old & kStatusFlags) | kStatusOne);
  if (n == 0) return old;
  const U before = shifted_by_steps(a, n - 1, way), r = shifted_by_steps(before, 1, way);
  const bool left = way == kShiftLeft || way == kTurnLeft;
  const bool carry = left ? (before & kSignBit<U>) != 0 : (before & 1) != 0;
  const U change = first ? a ^ shifted_by_steps(a, 1, way) : before ^ r;
  const bool overflow = aux & kOldOverflow ? (old & kStatusOverflow) != 0 : (change & kSignBit<U>) != 0;
  const auto others = way >= kTurnLeft ? old & ~(kStatusCarry | kStatusOverflow)
                                       : StatusOfValue(r) | (first ? 0 : kStatusAdjust);
  return static_cast<uint16_t>(others | (carry ? kStatusCarry : 0) | (overflow ? kStatusOverflow : 0));
}
template <typename U>
constexpr uint16_t StatusOfStep(U a, uint16_t old, uint32_t down) {
  const uint16_t word = down ? StatusOfSub(a, U{1}, false) : StatusOfAdd(a, U{1}, false);
  return static_cast<uint16_t>((word & ~kStatusCarry) | (old & kStatusCarry));
}

/// Both are FpOrders.
constexpr uint16_t StatusOfOrder(uint8_t order, uint8_t order_equal, uint32_t aux) {
  if (aux != 0)
    return static_cast<uint16_t>(kStatusOne | (order == 0 ? kStatusZero : 0) |
                                 (order == 1 ? kStatusSign | kStatusCarry : 0) |
                                 (order == 3 ? kStatusParity | kStatusOverflow : 0));
  return static_cast<uint16_t>(kStatusOne | (order & 1 ? kStatusCarry : 0) |
                               (order == 3 ? kStatusParity : 0) | (order_equal == 0 ? kStatusZero : 0));
}

/// What division of two words by one gives; the quotient fits if the remainder is not the divisor.
template <typename U>
struct WideDivision {
  U quotient, remainder;
};
template <typename U>
constexpr WideDivision<U> divide_wide_u(U low, U high, U divisor) {
  if (high >= divisor) return {0, divisor};
  const u128 all = static_cast<u128>(high) << kBits<U> | low;
  return {static_cast<U>(all / divisor), static_cast<U>(all % divisor)};
}
template <typename U>
constexpr WideDivision<U> divide_wide_s(U low, U high, U divisor) {
  const bool negative = (high & kSignBit<U>) != 0, opposite = (divisor & kSignBit<U>) != 0;
  u128 all = static_cast<u128>(high) << kBits<U> | low;
  if (negative) all = (u128{0} - all) & ((u128{kMaxU<U>} << kBits<U>) | kMaxU<U>);
  const U by = opposite ? static_cast<U>(U{0} - divisor) : divisor;
  if (by == 0) return {0, divisor};
  const u128 quotient = all / by, most = u128{kSignBit<U>} - (negative == opposite ? 1 : 0);
  if (quotient > most) return {0, divisor};
  const auto q = static_cast<U>(quotient), r = static_cast<U>(all % by);
  return {negative == opposite ? q : static_cast<U>(U{0} - q), negative ? static_cast<U>(U{0} - r) : r};
}
template <typename U>
constexpr U DivWideU(U low, U high, U divisor) {
  return divide_wide_u(low, high, divisor).quotient;
}
template <typename U>
constexpr U RemWideU(U low, U high, U divisor) {
  return divide_wide_u(low, high, divisor).remainder;
}
template <typename U>
constexpr U DivWideS(U low, U high, U divisor) {
  return divide_wide_s(low, high, divisor).quotient;
}
template <typename U>
constexpr U RemWideS(U low, U high, U divisor) {
  return divide_wide_s(low, high, divisor).remainder;
}
template <typename To, typename From>
constexpr To ZExt(From a) {
  return static_cast<To>(a);
}
/// The sign of an I1 is the bit itself: true becomes all ones.
template <typename To, typename From>
constexpr To SExt(From a) {
  if constexpr (std::is_same_v<From, bool>)
    return a ? kMaxU<To> : To{0};
  else
    return static_cast<To>(static_cast<SignedOf<To>>(as_signed(a)));
}
template <typename To, typename From>
constexpr To Trunc(From a) {
  if constexpr (std::is_same_v<To, bool>)
    return (a & 1) != 0;
  else
    return static_cast<To>(a);
}
constexpr u128 Pair64(uint64_t low, uint64_t high) { return u128{high} << 64 | low; }
constexpr uint64_t Lo64(u128 a) { return static_cast<uint64_t>(a); }
constexpr uint64_t Hi64(u128 a) { return static_cast<uint64_t>(a >> 64); }

namespace detail {
constexpr std::array<uint32_t, 256> crc_table(uint32_t reflected_polynomial) {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int k = 0; k < 8; ++k) crc = crc >> 1 ^ (crc & 1 ? reflected_polynomial : 0);
    table[i] = crc;
  }
  return table;
}
inline constexpr std::array<uint32_t, 256> kCrcIeee = crc_table(0xedb88320);
inline constexpr std::array<uint32_t, 256> kCrcCastagnoli = crc_table(0x82f63b78);
}  // namespace detail

/// aux: bytes of data, and bit 8 for the Castagnoli polynomial.
constexpr uint32_t Crc32(uint32_t accumulator, uint64_t data, uint32_t aux) {
  const auto& table = (aux & 256) != 0 ? detail::kCrcCastagnoli : detail::kCrcIeee;
  for (uint32_t i = 0; i < (aux & 255); ++i, data >>= 8)
    accumulator = accumulator >> 8 ^ table[(accumulator ^ data) & 255];
  return accumulator;
}

}  // namespace lyrebird::ir::eval
