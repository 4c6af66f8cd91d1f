// SPDX-License-Identifier: Apache-2.0
/// The one executable meaning of every floating-point op of ops.inc: a function
/// of the op's name, on raw bits, exact in result and in flags.
///
/// A lane is uint16_t (F16), uint32_t (F32), uint64_t (F64) or Float80 (F80).
/// FpEnv::mode is Inst::fp_mode(); FpEnv::flags are or-ed into. Start from the
/// flags that the guest has collected so far (CpuHeader::fp_flags) and store them
/// back: nearly all results are inexact, and once kFpInexact is set an operation
/// on ordinary F32 and F64 numbers is one host instruction and a few tests. With
/// flags that start at zero each time every inexact result takes the long way.
///
/// The host's part: its unit must be in its default state (nearest even, no
/// flushing), which every thread starts with. It is used only where its result
/// is provably the guest's: operands zero or normal, result exact or normal and
/// well above the subnormal numbers. Everything else is in namespace soft.
///
/// Conversions in Arm's manner where only one side follows FZ: the mode says what
/// to flush, so F16 -> F32 has flush_inputs off, F32 -> F16 flush_outputs.
#pragma once

#include <bit>
#include <cfloat>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>

#include "ir/fp_mode.h"

namespace lyrebird::ir::eval {

struct FpEnv {
  FpMode mode;
  uint32_t flags = 0;  ///< FpFlag bits, collected
  /// Operations with F80 operands or results: Inst::fp_extra() (namespace f80), and that kFpRoundedUp
  /// is wanted in flags, where it is only ever set.
  uint32_t extra = 0;
  bool notes_rounding = false;
  /// FpFlag bits of exceptions that trap. On overflow and underflow an F80 result has its exponent
  /// moved by kTrapExponent (SDM volume 1, 8.5.4 and 8.5.5), and every tiny result is an underflow.
  uint32_t unmasked = 0;
};
inline constexpr int kTrapExponent = 24576;

/// x87 extended precision: an explicit integer bit in bit 63 of the significand.
struct Float80 {
  uint64_t significand = 0;
  uint16_t sign_exponent = 0;
  constexpr bool operator==(const Float80&) const = default;
};

template <class B>
concept BinaryLane = std::same_as<B, uint16_t> || std::same_as<B, uint32_t> || std::same_as<B, uint64_t>;
template <class B>
concept Lane = BinaryLane<B> || std::same_as<B, Float80>;

/// The complete meaning, without help from the host's unit.
namespace soft {
template <Lane B>
B FAdd(B a, B b, FpEnv& env);
template <Lane B>
B FSub(B a, B b, FpEnv& env);
template <Lane B>
B FMul(B a, B b, FpEnv& env);
template <Lane B>
B FMulX(B a, B b, FpEnv& env);
template <Lane B>
B FDiv(B a, B b, FpEnv& env);
template <BinaryLane B>
B FMulAdd(B a, B b, B c, FpEnv& env);
template <Lane B>
B FSqrt(B a, FpEnv& env);
template <Lane B>
B FMin(B a, B b, FpEnv& env);
template <Lane B>
B FMax(B a, B b, FpEnv& env);
template <Lane B>
B FMinNum(B a, B b, FpEnv& env);
template <Lane B>
B FMaxNum(B a, B b, FpEnv& env);
template <Lane B>
B FMinSecond(B a, B b, FpEnv& env);
template <Lane B>
B FMaxSecond(B a, B b, FpEnv& env);
template <Lane B>
B FRoundInt(B a, FpEnv& env, unsigned extra);
template <BinaryLane B>
B FRecipEstimate(B a, FpEnv& env);
template <BinaryLane B>
B FRsqrtEstimate(B a, FpEnv& env);
template <BinaryLane B>
B FRecipExponent(B a, FpEnv& env);
template <BinaryLane B>
B FRecipStep(B a, B b, FpEnv& env);
template <BinaryLane B>
B FRsqrtStep(B a, B b, FpEnv& env);
template <Lane B>
uint8_t FCompare(B a, B b, FpEnv& env, bool signal_quiet);
template <Lane B>
uint64_t FToIntS(B a, unsigned dest_bits, unsigned fbits, FpEnv& env);
template <Lane B>
uint64_t FToIntU(B a, unsigned dest_bits, unsigned fbits, FpEnv& env);
template <Lane B>
B FFromIntS(int64_t a, unsigned fbits, FpEnv& env);
template <Lane B>
B FFromIntU(uint64_t a, unsigned fbits, FpEnv& env);
template <Lane To, Lane From>
To FConvert(From a, FpEnv& env);
}  // namespace soft

namespace detail {

template <class B>
struct HostFloatOf {
  using Type = void;
};
#if FLT_EVAL_METHOD == 0 && !defined(__FAST_MATH__)
template <>
struct HostFloatOf<uint32_t> {
  using Type = float;
};
template <>
struct HostFloatOf<uint64_t> {
  using Type = double;
};
#endif
template <class B>
using HostFloat = typename HostFloatOf<B>::Type;
template <class B>
inline constexpr bool kHasHost = !std::is_void_v<HostFloat<B>>;

template <class B>
inline constexpr unsigned kFractionBits = sizeof(B) == 4 ? 23 : 52;
template <class B>
inline constexpr B kMagnitude = static_cast<B>(~B{0}) >> 1;
template <class B>
inline constexpr B kExponentOne = B{1} << kFractionBits<B>;
template <class B>
inline constexpr B kInfinity = kMagnitude<B> & ~(kExponentOne<B> - 1);

template <class B>
constexpr HostFloat<B> host(B v) {
  return std::bit_cast<HostFloat<B>>(v);
}

template <class B>
constexpr bool is_zero(B v) {
  return static_cast<B>(v << 1) == 0;
}
template <class B>
constexpr bool is_normal(B v) {
  return static_cast<B>((v & kMagnitude<B>)-kExponentOne<B>) < kInfinity<B> - kExponentOne<B>;
}
template <class B>
constexpr bool is_normal_or_zero(B v) {
  return is_normal(v) || is_zero(v);
}
template <class B>
constexpr bool is_subnormal(B v) {
  return static_cast<B>((v & kMagnitude<B>)-1) < kExponentOne<B> - 1;
}
/// Finite, and no rounding can have lifted it over the smallest normal number.
template <class B>
constexpr bool is_safely_normal(B v) {
  constexpr B kLowest = 2 * kExponentOne<B>;
  return static_cast<B>((v & kMagnitude<B>)-kLowest) < kInfinity<B> - kLowest;
}

/// Nothing would be noted if a rounded-to-nearest result were inexact.
inline bool inexact_is_free(const FpEnv& env) {
  return env.mode.round == Round::NearestEven && ((env.flags & kFpInexact) != 0 || env.mode.no_flags);
}

/// Zero bits below the lowest one bit of a normal number's significand.
template <class B>
constexpr unsigned spare_bits(B v) {
  return static_cast<unsigned>(std::countr_zero(static_cast<B>(v | kExponentOne<B>)));
}
/// The product of two normal numbers certainly needs no rounding (but may overflow).
template <class B>
constexpr bool product_fits(B a, B b) {
  return spare_bits(a) + spare_bits(b) > kFractionBits<B>;
}
/// a + b == sum without rounding (Knuth's two-sum; no overflow).
template <class T>
constexpr bool sum_is_exact(T a, T b, T sum) {
  const T b_part = sum - a;
  const T a_part = sum - b_part;
  return a - a_part == 0 && b - b_part == 0;
}

template <class B>
inline bool fast_add(B a, B b, B& result, const FpEnv& env) {
  const auto sum = host(a) + host(b);
  result = std::bit_cast<B>(sum);
  if (!is_normal_or_zero(a) || !is_normal_or_zero(b)) return false;
  if (is_safely_normal(result)) {
    return inexact_is_free(env) || sum_is_exact(host(a), host(b), sum);
  }
  return is_zero(result) && env.mode.round != Round::TowardNegative;
}

template <class B>
inline bool fast_mul(B a, B b, B& result, const FpEnv& env) {
  result = std::bit_cast<B>(host(a) * host(b));
  if (!is_normal_or_zero(a) || !is_normal_or_zero(b)) return false;
  if (is_safely_normal(result)) return inexact_is_free(env) || product_fits(a, b);
  return is_zero(a) || is_zero(b);
}

template <class B>
inline bool fast_div(B a, B b, B& result, const FpEnv& env) {
  if (!is_normal_or_zero(a) || !is_normal(b)) return false;
  result = std::bit_cast<B>(host(a) / host(b));
  if (is_safely_normal(result)) {
    return inexact_is_free(env) || (product_fits(result, b) && host(result) * host(b) == host(a));
  }
  return is_zero(a);
}

template <class B>
inline bool fast_sqrt(B a, B& result, const FpEnv& env) {
  if (!is_normal(a) || host(a) < 0) return false;
  result = std::bit_cast<B>(std::sqrt(host(a)));
  return inexact_is_free(env) || (product_fits(result, result) && host(result) * host(result) == host(a));
}

template <class B>
inline bool fast_mul_add(B a, B b, B c, B& result, const FpEnv& env) {
  if (!inexact_is_free(env)) return false;
  if (!is_normal_or_zero(a) || !is_normal_or_zero(b) || !is_normal_or_zero(c)) return false;
  result = std::bit_cast<B>(std::fma(host(a), host(b), host(c)));
  return is_safely_normal(result);
}

/// The host's compare will do: no NaNs, and no subnormals that the mode cares about.
template <class B>
inline bool plain_compare(B a, B b, const FpEnv& env) {
  if (__builtin_isunordered(host(a), host(b))) return false;
  const bool subnormals_matter =
      env.mode.flush_inputs || env.mode.denormal_report == DenormalReport::WhenUsed;
  return !subnormals_matter || (!is_subnormal(a) && !is_subnormal(b));
}

/// Operands for which plain_compare() holds. If they are equal but differ in
/// their bits they are zeros, and the signs decide.
template <class B>
inline B fast_min(B a, B b) {
  if (host(a) == host(b)) return a | b;
  return host(a) < host(b) ? a : b;
}
template <class B>
inline B fast_max(B a, B b) {
  if (host(a) == host(b)) return a & b;
  return host(a) > host(b) ? a : b;
}

}  // namespace detail

// --- arithmetic

template <Lane B>
inline B FAdd(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    if (detail::fast_add(a, b, result, env)) [[likely]]
      return result;
  }
  return soft::FAdd(a, b, env);
}

template <Lane B>
inline B FSub(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    const B negated = b ^ ~detail::kMagnitude<B>;
    if (detail::fast_add(a, negated, result, env)) [[likely]]
      return result;
  }
  return soft::FSub(a, b, env);
}

template <Lane B>
inline B FMul(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    if (detail::fast_mul(a, b, result, env)) [[likely]]
      return result;
  }
  return soft::FMul(a, b, env);
}

template <Lane B>
inline B FMulX(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    if (detail::fast_mul(a, b, result, env)) [[likely]]
      return result;
  }
  return soft::FMulX(a, b, env);
}

template <Lane B>
inline B FDiv(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    if (detail::fast_div(a, b, result, env)) [[likely]]
      return result;
  }
  return soft::FDiv(a, b, env);
}

/// a * b + c
template <BinaryLane B>
inline B FMulAdd(B a, B b, B c, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    if (detail::fast_mul_add(a, b, c, result, env)) [[likely]]
      return result;
  }
  return soft::FMulAdd(a, b, c, env);
}

template <Lane B>
inline B FSqrt(B a, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    B result;
    if (detail::fast_sqrt(a, result, env)) [[likely]]
      return result;
  }
  return soft::FSqrt(a, env);
}

template <BinaryLane B>
constexpr B FAbs(B a) {
  return a & static_cast<B>(static_cast<B>(~B{0}) >> 1);
}
constexpr Float80 FAbs(Float80 a) { return {a.significand, static_cast<uint16_t>(a.sign_exponent & 0x7fff)}; }

namespace detail {
/// -a, but a NaN as it is.
template <BinaryLane B>
constexpr B negated_number(B a) {
  constexpr B kSign = static_cast<B>(B{1} << (8 * sizeof(B) - 1));
  constexpr unsigned kFraction = sizeof(B) == 2 ? 10 : sizeof(B) == 4 ? 23 : 52;
  constexpr B kTop = static_cast<B>(static_cast<B>(~kSign) >> kFraction << kFraction);
  const bool nan = static_cast<B>(a & ~kSign) > kTop;
  return nan ? a : static_cast<B>(a ^ kSign);
}
}  // namespace detail

template <BinaryLane B>
constexpr B FNeg(B a) {
  return a ^ static_cast<B>(B{1} << (8 * sizeof(B) - 1));
}
constexpr Float80 FNeg(Float80 a) { return {a.significand, static_cast<uint16_t>(a.sign_exponent ^ 0x8000)}; }

template <Lane B>
inline B FMin(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::fast_min(a, b);
  }
  return soft::FMin(a, b, env);
}

template <Lane B>
inline B FMinNum(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::fast_min(a, b);
  }
  return soft::FMinNum(a, b, env);
}

template <Lane B>
inline B FMax(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::fast_max(a, b);
  }
  return soft::FMax(a, b, env);
}

template <Lane B>
inline B FMaxNum(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::fast_max(a, b);
  }
  return soft::FMaxNum(a, b, env);
}

using soft::FMaxSecond;
using soft::FMinSecond;

// Negating what is not a NaN is exact.
template <BinaryLane B>
inline B FMulSub(B a, B b, B c, FpEnv& env) {
  return FMulAdd(a, b, detail::negated_number(c), env);
}
template <BinaryLane B>
inline B FNegMulAdd(B a, B b, B c, FpEnv& env) {
  return FMulAdd(detail::negated_number(a), b, c, env);
}
template <BinaryLane B>
inline B FNegMulSub(B a, B b, B c, FpEnv& env) {
  return FMulAdd(detail::negated_number(a), b, detail::negated_number(c), env);
}

// --- to an integral value: extra is 0, 32 or 64

using soft::FRoundInt;

// --- Arm's estimates and steps

using soft::FRecipEstimate;
using soft::FRecipExponent;
using soft::FRecipStep;
using soft::FRsqrtEstimate;
using soft::FRsqrtStep;

// --- compares

template <Lane B>
inline uint8_t FCompare(B a, B b, FpEnv& env, bool signal_quiet) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]] {
      const auto x = detail::host(a), y = detail::host(b);
      return static_cast<uint8_t>((x < y ? kFpLess : 0) | (x > y ? kFpGreater : 0));
    }
  }
  return soft::FCompare(a, b, env, signal_quiet);
}

template <Lane B>
inline bool FCmpEq(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::host(a) == detail::host(b);
  }
  return soft::FCompare(a, b, env, false) == kFpEqual;
}

template <Lane B>
inline bool FCmpLt(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::host(a) < detail::host(b);
  }
  return soft::FCompare(a, b, env, true) == kFpLess;
}

template <Lane B>
inline bool FCmpLe(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return detail::host(a) <= detail::host(b);
  }
  return soft::FCompare(a, b, env, true) <= kFpLess;
}

template <Lane B>
inline bool FCmpUnord(B a, B b, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    if (detail::plain_compare(a, b, env)) [[likely]]
      return false;
  }
  return soft::FCompare(a, b, env, false) == kFpUnordered;
}

// --- floats to integers: the result is `dest_bits` (8..64) wide, zeros above.
// fbits 0..64: the value is multiplied by 2^fbits first. FToIntS: + kFpIndefinite.

namespace detail {
/// Truncation of what certainly fits; false if the long way is needed.
template <class B, bool is_signed>
inline bool fast_to_int(B a, unsigned dest_bits, unsigned fbits, uint64_t& result, FpEnv& env) {
  if (env.mode.round != Round::TowardZero || (fbits & ~kFpIndefinite) != 0 || !is_normal_or_zero(a))
    return false;
  const auto value = host(a);
  const unsigned limit_bits = is_signed || dest_bits == 64 ? dest_bits - 1 : dest_bits;
  const auto limit = static_cast<HostFloat<B>>(uint64_t{1} << limit_bits);
  if (!(value < limit && (is_signed ? value > -limit : value >= 0))) return false;
  const auto integer = static_cast<int64_t>(value);
  if (static_cast<HostFloat<B>>(integer) != value && !env.mode.no_flags && !env.mode.no_inexact) {
    env.flags |= kFpInexact;
  }
  result = static_cast<uint64_t>(integer) & (~uint64_t{0} >> (64 - dest_bits));
  return true;
}
}  // namespace detail

template <Lane B>
inline uint64_t FToIntS(B a, unsigned dest_bits, unsigned fbits, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    uint64_t result;
    if (detail::fast_to_int<B, true>(a, dest_bits, fbits, result, env)) [[likely]]
      return result;
  }
  return soft::FToIntS(a, dest_bits, fbits, env);
}

template <Lane B>
inline uint64_t FToIntU(B a, unsigned dest_bits, unsigned fbits, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    uint64_t result;
    if (detail::fast_to_int<B, false>(a, dest_bits, fbits, result, env)) [[likely]]
      return result;
  }
  return soft::FToIntU(a, dest_bits, fbits, env);
}

uint32_t FToIntModular(uint64_t a, FpEnv& env);

// --- integers to floats: the value is divided by 2^fbits (0..64)

template <Lane B>
inline B FFromIntS(int64_t a, unsigned fbits, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    constexpr auto kExact = int64_t{1} << (detail::kFractionBits<B> + 1);
    if (fbits == 0 && ((a >= -kExact && a <= kExact) || detail::inexact_is_free(env))) [[likely]] {
      return std::bit_cast<B>(static_cast<detail::HostFloat<B>>(a));
    }
  }
  return soft::FFromIntS<B>(a, fbits, env);
}

template <Lane B>
inline B FFromIntU(uint64_t a, unsigned fbits, FpEnv& env) {
  if constexpr (detail::kHasHost<B>) {
    constexpr auto kExact = uint64_t{1} << (detail::kFractionBits<B> + 1);
    if (fbits == 0 && (a <= kExact || detail::inexact_is_free(env))) [[likely]] {
      return std::bit_cast<B>(static_cast<detail::HostFloat<B>>(a));
    }
  }
  return soft::FFromIntU<B>(a, fbits, env);
}

// --- between formats

template <Lane To, Lane From>
inline To FConvert(From a, FpEnv& env) {
  if constexpr (std::same_as<From, uint32_t> && std::same_as<To, uint64_t> && detail::kHasHost<From>) {
    if (detail::is_normal_or_zero(a)) [[likely]] {
      return std::bit_cast<To>(static_cast<double>(detail::host(a)));
    }
  }
  if constexpr (std::same_as<From, uint64_t> && std::same_as<To, uint32_t> && detail::kHasHost<From>) {
    if (detail::is_normal_or_zero(a)) [[likely]] {
      const double value = detail::host(a);
      const auto narrow = static_cast<float>(value);
      const auto result = std::bit_cast<To>(narrow);
      if (detail::is_safely_normal(result)) {
        if (detail::inexact_is_free(env) || static_cast<double>(narrow) == value) return result;
      } else if (detail::is_zero(a)) {
        return result;
      }
    }
  }
  return soft::FConvert<To, From>(a, env);
}

/// F32 to BF16 (Arm FPConvertBF).
uint16_t FToBf16(uint32_t a, FpEnv& env);

/// Lanes of RecipApprox and RsqrtApprox.
uint32_t recip_approx(uint32_t a);
uint32_t rsqrt_approx(uint32_t a);

// --- building blocks of BfDot and BfMatMul, with Arm's fixed rules for them
// (FEAT_BF16 without FEAT_EBF16): round to odd, subnormals are zero, default NaN,
// overflow to infinity, no flags.

/// addend + (a0 * b0 + a1 * b1), rounded after each product and each sum (Arm BFDotAdd).
/// A lane of BfMatMul is two of these, for k = 0, 1 and k = 2, 3.
uint32_t BfDotAdd(uint32_t addend, uint16_t a0, uint16_t b0, uint16_t a1, uint16_t b1);

}  // namespace lyrebird::ir::eval
