// SPDX-License-Identifier: Apache-2.0
/// The core that all floating-point meanings share; for ir/fp_*.cpp and for what a frontend has to
/// compute in the same manner (frontend/x86/x87.cpp).
///
/// An operand is unpacked to a kind, a sign, an exponent and a significand whose
/// top bit is set, whatever its format. An operation computes an Exact value
/// (or one whose last bit stands for everything lost below it), which
/// round_pack() turns into the format of the result. IEEE 754-2008 sections 4
/// and 7; Arm DDI 0487 FPUnpack, FPProcessNaNs, FPRound; Intel SDM volume 1
/// sections 4.8 and 8.5.
#pragma once

#include <bit>
#include <cstdint>

#include "base/bits.h"
#include "ir/fp_eval.h"

namespace lyrebird::ir::eval::soft {

/// E exponent bits, P bits of precision counting the leading one.
template <class B, unsigned E, unsigned P>
struct BinaryFormat {
  using Bits = B;
  static constexpr unsigned kExpBits = E;
  static constexpr unsigned kPrecision = P;
  static constexpr unsigned kFracBits = P - 1;
  static constexpr int kBias = (1 << (E - 1)) - 1;
  static constexpr int kMaxBiased = (1 << E) - 1;
  static constexpr int kMinExp = 1 - kBias;
};
using Format16 = BinaryFormat<uint16_t, 5, 11>;
using Format32 = BinaryFormat<uint32_t, 8, 24>;
using Format64 = BinaryFormat<uint64_t, 11, 53>;
using Format80 = BinaryFormat<Float80, 15, 64>;
using FormatBf16 = BinaryFormat<uint16_t, 8, 8>;

template <class B>
struct FormatOfBits;
template <>
struct FormatOfBits<uint16_t> {
  using Type = Format16;
};
template <>
struct FormatOfBits<uint32_t> {
  using Type = Format32;
};
template <>
struct FormatOfBits<uint64_t> {
  using Type = Format64;
};
template <>
struct FormatOfBits<Float80> {
  using Type = Format80;
};
template <class B>
using FormatOf = typename FormatOfBits<B>::Type;
template <class F>
inline constexpr bool kIs80 = F::kPrecision == 64;

/// Unsupported: an x87 encoding with an exponent but no integer bit.
enum class Kind : uint8_t { Zero, Finite, Infinity, QuietNan, SignalingNan, Unsupported };

/// Finite: sig * 2^(exp - 63), bit 63 of sig set. NaN: sig has the quiet bit in
/// bit 62 and the payload below it, left-aligned, so that it fits any format.
struct Unpacked {
  Kind kind;
  bool sign;
  bool denormal;
  int exp;
  uint64_t sig;

  bool is_nan() const { return kind == Kind::QuietNan || kind == Kind::SignalingNan; }
  /// A NaN, or what is treated like one.
  bool is_not_number() const { return kind >= Kind::QuietNan; }
  bool is_inf() const { return kind == Kind::Infinity; }
  bool is_zero() const { return kind == Kind::Zero; }
};

/// sig * 2^(exp - 127), bit 127 of sig set unless the value is zero.
struct Exact {
  bool sign;
  int exp;
  u128 sig;
};

inline void raise(FpEnv& env, uint32_t flags) {
  if (env.mode.no_flags) return;
  if (!env.notes_rounding) flags &= ~uint32_t{kFpRoundedUp};
  if (env.mode.no_inexact) flags &= ~uint32_t{kFpInexact | kFpRoundedUp};
  env.flags |= flags;
}

// --- building values of a format

/// `significand` counts the integer bit, which only F80 stores.
template <class F>
constexpr typename F::Bits assemble(bool sign, int biased, uint64_t significand) {
  if constexpr (kIs80<F>) {
    return Float80{significand, static_cast<uint16_t>(sign << 15 | biased)};
  } else {
    const uint64_t magnitude =
        static_cast<uint64_t>(biased) << F::kFracBits | (significand & low_mask(F::kFracBits));
    return static_cast<typename F::Bits>(uint64_t{sign} << (F::kFracBits + F::kExpBits) | magnitude);
  }
}
/// `significand` has its integer bit in bit 63 and must fit the format.
template <class F>
constexpr typename F::Bits assemble_aligned(bool sign, int biased, uint64_t significand) {
  return assemble<F>(sign, biased, significand >> (64 - F::kPrecision));
}
template <class F>
constexpr typename F::Bits zero(bool sign) {
  return assemble<F>(sign, 0, 0);
}
template <class F>
constexpr typename F::Bits infinity(bool sign) {
  return assemble_aligned<F>(sign, F::kMaxBiased, uint64_t{1} << 63);
}
template <class F>
constexpr typename F::Bits max_normal(bool sign, unsigned precision = 64) {
  return assemble_aligned<F>(sign, F::kMaxBiased - 1, ~uint64_t{0} << (64 - precision));
}
template <class F>
constexpr typename F::Bits default_nan(const FpEnv& env) {
  return assemble_aligned<F>(env.mode.default_nan_negative, F::kMaxBiased, uint64_t{3} << 62);
}
template <class F>
constexpr typename F::Bits invalid(FpEnv& env) {
  raise(env, kFpInvalid);
  return default_nan<F>(env);
}
/// The NaN, quieted and cut to the format, or the default NaN if the mode asks for it.
template <class F>
constexpr typename F::Bits quieted(const Unpacked& nan, const FpEnv& env) {
  if (env.mode.default_nan) return default_nan<F>(env);
  return assemble_aligned<F>(nan.sign, F::kMaxBiased, nan.sig | uint64_t{1} << 62);
}

// --- unpacking

template <class F>
constexpr Unpacked unpack_magnitude(bool sign, int biased, uint64_t aligned, bool integer_bit, FpEnv& env) {
  const uint64_t fraction = aligned << 1;
  if (biased == F::kMaxBiased && (!kIs80<F> || integer_bit)) {
    if (fraction == 0) return {Kind::Infinity, sign, false, 0, 0};
    const Kind kind = bit(aligned, 62) ? Kind::QuietNan : Kind::SignalingNan;
    return {kind, sign, false, 0, aligned | uint64_t{1} << 63};
  }
  if (biased == 0) {
    if (aligned == 0) return {Kind::Zero, sign, false, 0, 0};
    if (env.mode.flush_inputs) {
      if (env.mode.denormal_report == DenormalReport::WhenFlushed) raise(env, kFpDenormal);
      return {Kind::Zero, sign, false, 0, 0};
    }
    const int shift = std::countl_zero(aligned);
    return {Kind::Finite, sign, true, F::kMinExp - shift, aligned << shift};
  }
  if (kIs80<F> && !integer_bit) return {Kind::Unsupported, sign, false, 0, 0};
  return {Kind::Finite, sign, false, biased - F::kBias, aligned | uint64_t{1} << 63};
}

template <class F>
constexpr Unpacked unpack(typename F::Bits value, FpEnv& env) {
  if constexpr (kIs80<F>) {
    return unpack_magnitude<F>(value.sign_exponent >> 15, value.sign_exponent & F::kMaxBiased,
                               value.significand, value.significand >> 63, env);
  } else {
    const uint64_t fraction = value & low_mask(F::kFracBits);
    const int biased = static_cast<int>(value >> F::kFracBits) & F::kMaxBiased;
    return unpack_magnitude<F>(value >> (F::kFracBits + F::kExpBits) & 1, biased,
                               fraction << (63 - F::kFracBits), true, env);
  }
}

/// x86 reports a subnormal operand only if nothing of higher rank (NaN, invalid,
/// division by zero) happened; callers place this after those checks.
inline void note_denormal(bool denormal, FpEnv& env) {
  if (denormal && env.mode.denormal_report == DenormalReport::WhenUsed) raise(env, kFpDenormal);
}

// --- NaN operands

inline void raise_if_signaling(const Unpacked& a, FpEnv& env) {
  if (a.kind == Kind::SignalingNan || a.kind == Kind::Unsupported) raise(env, kFpInvalid);
}

template <class F>
typename F::Bits nan_result(const Unpacked& a, FpEnv& env) {
  raise_if_signaling(a, env);
  return a.kind == Kind::Unsupported ? default_nan<F>(env) : quieted<F>(a, env);
}

/// Which of two operands, of which at least one is a NaN, gives the result.
inline const Unpacked& choose_nan(const Unpacked& a, const Unpacked& b, const FpEnv& env) {
  if (!b.is_nan()) return a;
  if (!a.is_nan()) return b;
  switch (env.mode.nan_rule) {
    case NanRule::SignalingFirst:
      return a.kind == Kind::SignalingNan || b.kind == Kind::QuietNan ? a : b;
    case NanRule::FirstOperand:
    case NanRule::AddendSecond:
      return a;
    case NanRule::LargerSignificand:
      break;
  }
  if (a.kind != b.kind) return a.kind == Kind::QuietNan ? a : b;
  if (a.sig != b.sig) return a.sig > b.sig ? a : b;
  return a.sign ? b : a;
}

template <class F>
typename F::Bits nan_result(const Unpacked& a, const Unpacked& b, FpEnv& env) {
  raise_if_signaling(a, env);
  raise_if_signaling(b, env);
  if (a.kind == Kind::Unsupported || b.kind == Kind::Unsupported) return default_nan<F>(env);
  return quieted<F>(choose_nan(a, b, env), env);
}

// --- rounding

/// Bits that a result of the format keeps.
template <class F>
constexpr unsigned precision_of(const FpEnv& env) {
  if constexpr (!kIs80<F>) return F::kPrecision;
  constexpr uint8_t kBits[] = {64, 53, 64, 24};
  return kBits[env.extra & f80::kPrecisionMask];
}
/// The operand is subnormal in the format that it was widened from.
inline bool was_subnormal(const Unpacked& a, uint32_t origin) {
  if (a.kind != Kind::Finite) return false;
  return (origin == f80::kFromF32 && a.exp < Format32::kMinExp) ||
         (origin == f80::kFromF64 && a.exp < Format64::kMinExp);
}
template <class F>
void note_origins(Unpacked& a, Unpacked& b, const FpEnv& env) {
  if constexpr (kIs80<F>) {
    a.denormal |= was_subnormal(a, env.extra >> f80::kOriginAShift & f80::kOriginMask);
    b.denormal |= was_subnormal(b, env.extra >> f80::kOriginBShift & f80::kOriginMask);
  }
}

/// Whether a magnitude with last bit `odd` goes up by one, where `rest` / 2^64 is
/// what lies below that bit (its own last bit standing for all lower ones).
constexpr bool rounds_up(Round round, bool sign, bool odd, uint64_t rest) {
  constexpr uint64_t kHalf = uint64_t{1} << 63;
  switch (round) {
    case Round::NearestEven:
      return rest > kHalf || (rest == kHalf && odd);
    case Round::NearestAway:
      return rest >= kHalf;
    case Round::TowardPositive:
      return !sign && rest != 0;
    case Round::TowardNegative:
      return sign && rest != 0;
    case Round::TowardZero:
    case Round::ToOdd:
      return false;
  }
  return false;
}

constexpr bool overflows_to_infinity(Round round, bool sign) {
  switch (round) {
    case Round::NearestEven:
    case Round::NearestAway:
      return true;
    case Round::TowardPositive:
      return !sign;
    case Round::TowardNegative:
      return sign;
    case Round::TowardZero:
    case Round::ToOdd:
      return false;
  }
  return false;
}

/// value >> count; what falls out is or-ed into the last bit.
constexpr u128 shift_right_jam(u128 value, unsigned count) {
  if (count == 0) return value;
  if (count >= 128) return value != 0;
  return value >> count | u128{(value << (128 - count)) != 0};
}

struct Split {
  uint64_t kept;
  uint64_t rest;
};
/// The top `precision` bits, and the others as a fraction of 2^64.
constexpr Split split(u128 sig, unsigned precision) {
  const auto hi = static_cast<uint64_t>(sig >> 64), lo = static_cast<uint64_t>(sig);
  if (precision == 64) return {hi, lo};
  return {hi >> (64 - precision), hi << precision | (lo != 0)};
}

/// Whether a value just below the smallest normal number reaches it when rounded
/// as if the exponent had no lower end.
constexpr bool rounds_to_min_normal(bool sign, u128 sig, Round round, unsigned precision) {
  const Split s = split(sig, precision);
  return s.kept == low_mask(precision) && rounds_up(round, sign, true, s.rest);
}

/// Rounds to the format as env.mode says and raises what that needs. `sig` is as
/// in Exact, not zero. HalfWithoutInfinity: F16 as Arm's AHP has it.
template <class F, bool HalfWithoutInfinity = false>
typename F::Bits round_pack(bool sign, int exp, u128 sig, FpEnv& env) {
  const FpMode& mode = env.mode;
  const unsigned precision = precision_of<F>(env);
  int biased = exp + F::kBias;
  bool tiny = biased <= 0;
  if constexpr (kIs80<F>) {
    if (tiny && (env.unmasked & kFpUnderflow)) {
      if (biased < 0 || !rounds_to_min_normal(sign, sig, mode.round, precision)) {
        raise(env, kFpUnderflow);
        biased += kTrapExponent;
        tiny = false;
        if (biased <= 0) {
          raise(env, kFpInexact);
          return zero<F>(sign);
        }
      }
    }
  } else if (tiny && (env.unmasked & kFpUnderflow)) {
    raise(env, kFpUnderflow);
  }
  if (tiny) [[unlikely]] {
    if (!mode.tiny_before_rounding && biased == 0)
      tiny = !rounds_to_min_normal(sign, sig, mode.round, precision);
    if (tiny && mode.flush_outputs) {
      raise(env, kFpUnderflow | (mode.flush_is_inexact ? uint32_t{kFpInexact} : 0));
      return zero<F>(sign);
    }
    sig = shift_right_jam(sig, static_cast<unsigned>(1 - biased));
    biased = 0;
  }
  auto [kept, rest] = split(sig, precision);
  const bool up = rounds_up(mode.round, sign, kept & 1, rest);
  if (up) {
    ++kept;
    if (precision == 64 ? kept == 0 : kept >> (precision % 64) != 0) {
      kept = uint64_t{1} << (precision - 1);
      ++biased;
    }
  } else if (rest != 0 && mode.round == Round::ToOdd) {
    kept |= 1;
  }
  kept <<= F::kPrecision - precision;
  if (biased == 0) biased = kept >> (F::kPrecision - 1) & 1;
  if constexpr (HalfWithoutInfinity) {
    if (biased > F::kMaxBiased) {
      raise(env, kFpInvalid);
      return static_cast<typename F::Bits>(sign << 15 | 0x7fff);
    }
  } else if (biased >= F::kMaxBiased) [[unlikely]] {
    if (kIs80<F> && (env.unmasked & kFpOverflow)) {
      raise(env, kFpOverflow | (rest != 0 ? uint32_t{kFpInexact} : 0) | (up ? uint32_t{kFpRoundedUp} : 0));
      biased -= kTrapExponent;
      if (biased < F::kMaxBiased) return assemble<F>(sign, biased, kept);
      raise(env, kFpInexact | kFpRoundedUp);
      return infinity<F>(sign);
    }
    const bool infinite = overflows_to_infinity(mode.round, sign);
    raise(env, kFpOverflow | kFpInexact | (infinite ? uint32_t{kFpRoundedUp} : 0));
    return infinite ? infinity<F>(sign) : max_normal<F>(sign, kIs80<F> ? precision : 64);
  }
  if (up) raise(env, kFpRoundedUp);
  if (rest != 0) raise(env, kFpInexact | (tiny ? uint32_t{kFpUnderflow} : 0));
  return assemble<F>(sign, biased, kept);
}

/// Like round_pack(), for a value that may be zero; an exact zero that did not
/// come from equal signs is negative only when rounding down (IEEE 754 6.3).
template <class F>
typename F::Bits round_pack_sum(const Exact& x, FpEnv& env) {
  if (x.sig == 0) return zero<F>(env.mode.round == Round::TowardNegative);
  return round_pack<F>(x.sign, x.exp, x.sig, env);
}

// --- exact arithmetic

inline Exact widen(const Unpacked& a) {
  return {a.sign, a.exp, a.kind == Kind::Finite ? u128{a.sig} << 64 : u128{0}};
}

inline Exact multiply(const Unpacked& a, const Unpacked& b) {
  Exact r{a.sign != b.sign, a.exp + b.exp + 1, 0};
  if (a.is_zero() || b.is_zero()) return r;
  r.sig = u128{a.sig} * b.sig;
  if (!(r.sig >> 127)) {
    r.sig <<= 1;
    --r.exp;
  }
  return r;
}

/// a + b, of which the larger must have enough low zero bits for the jammed bit of
/// the smaller to stay below any rounding point: true for sums of two 64-bit
/// significands and for a 64-bit one plus a product of 53-bit ones.
inline Exact add(Exact a, Exact b) {
  if (a.sig == 0) return b;
  if (b.sig == 0) return a;
  if (a.exp < b.exp || (a.exp == b.exp && a.sig < b.sig)) {
    const Exact t = a;
    a = b;
    b = t;
  }
  const u128 addend = shift_right_jam(b.sig, static_cast<unsigned>(a.exp - b.exp));
  if (a.sign == b.sign) {
    u128 sum = a.sig + addend;
    if (sum < addend) {
      sum = sum >> 1 | (sum & 1) | u128{1} << 127;
      ++a.exp;
    }
    return {a.sign, a.exp, sum};
  }
  const u128 difference = a.sig - addend;
  if (difference == 0) return {false, 0, 0};
  const auto hi = static_cast<uint64_t>(difference >> 64);
  const int shift = hi ? std::countl_zero(hi) : 64 + std::countl_zero(static_cast<uint64_t>(difference));
  return {a.sign, a.exp - shift, difference << shift};
}

}  // namespace lyrebird::ir::eval::soft
