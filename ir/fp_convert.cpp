// SPDX-License-Identifier: Apache-2.0
// Between formats, to and from integers, and to integral values.
#include "ir/fp_soft.h"

namespace lyrebird::ir::eval::soft {
namespace {

/// The integer and fractional part (as a fraction of 2^64) of a finite value below
/// 2^64. All that matters of a fraction below a half is that it is not zero.
Split split_integer(const Unpacked& a, int exp) {
  if (exp >= 63) return {a.sig, 0};
  if (exp >= 0) return {a.sig >> (63 - exp), a.sig << (exp + 1)};
  return {0, exp == -1 ? a.sig : 1};
}

struct Rounded {
  uint64_t magnitude;
  bool inexact;
  bool up;
  uint32_t flags() const { return (inexact ? kFpInexact : 0u) | (up ? kFpRoundedUp : 0u); }
};
Rounded round_integer(const Unpacked& a, int exp, Round round) {
  const Split s = split_integer(a, exp);
  const bool up = rounds_up(round, a.sign, s.kept & 1, s.rest);
  uint64_t magnitude = s.kept + up;
  if (round == Round::ToOdd && s.rest != 0) magnitude |= 1;
  return {magnitude, s.rest != 0, up};
}

template <class F>
uint64_t to_int(typename F::Bits value, unsigned dest_bits, unsigned fbits, bool is_signed, FpEnv& env) {
  const bool indefinite = (fbits & kFpIndefinite) != 0;
  fbits &= kFpIndefinite - 1;
  const uint64_t lowest = uint64_t{1} << (dest_bits - 1);
  const Unpacked a = unpack<F>(value, env);
  if (a.is_zero()) return 0;
  if (a.is_not_number()) {
    raise(env, kFpInvalid);
    return indefinite ? lowest : 0;
  }
  const uint64_t positive_limit = low_mask(is_signed ? dest_bits - 1 : dest_bits);
  const uint64_t limit = !a.sign ? positive_limit : is_signed ? positive_limit + 1 : 0;
  const uint64_t clamped = indefinite ? lowest : a.sign ? (0 - limit) & low_mask(dest_bits) : limit;
  const int exp = a.exp + static_cast<int>(fbits);
  if (a.is_inf() || exp > 63) {
    raise(env, kFpInvalid);
    return clamped;
  }
  const Rounded r = round_integer(a, exp, env.mode.round);
  if (r.magnitude > limit) {
    raise(env, kFpInvalid);
    return clamped;
  }
  note_denormal(a.denormal, env);
  raise(env, r.flags());
  return (a.sign ? 0 - r.magnitude : r.magnitude) & low_mask(dest_bits);
}

template <class F>
typename F::Bits from_int(bool sign, uint64_t magnitude, unsigned fbits, FpEnv& env) {
  if (magnitude == 0) return zero<F>(false);
  const int shift = std::countl_zero(magnitude);
  return round_pack<F>(sign, 63 - shift - static_cast<int>(fbits), u128{magnitude << shift} << 64, env);
}

/// An integer of at most the format's precision, which needs no rounding.
template <class F>
typename F::Bits assemble_integer(bool sign, uint64_t magnitude) {
  if (magnitude == 0) return zero<F>(sign);
  const int shift = std::countl_zero(magnitude);
  return assemble_aligned<F>(sign, 63 - shift + F::kBias, magnitude << shift);
}

/// Arm FPRoundIntN: out of the signed range, infinities and NaNs give -2^(bits-1).
template <class F>
typename F::Bits round_int_ranged(const Unpacked& a, unsigned bits, FpEnv& env) {
  const uint64_t limit = low_mask(bits - 1) + a.sign;
  if (a.kind == Kind::Finite && a.exp < 64) {
    const Rounded r = round_integer(a, a.exp, env.mode.round);
    if (r.magnitude <= limit) {
      note_denormal(a.denormal, env);
      raise(env, r.flags());
      return assemble_integer<F>(a.sign, r.magnitude);
    }
  }
  raise(env, kFpInvalid);
  return assemble_integer<F>(true, uint64_t{1} << (bits - 1));
}

/// Arm's alternative half precision has neither: NaNs become zero, infinities the largest number.
uint16_t convert_special_to_alternative_half(const Unpacked& a, FpEnv& env) {
  raise(env, kFpInvalid);
  return a.is_inf() ? static_cast<uint16_t>(a.sign << 15 | 0x7fff) : zero<Format16>(a.sign);
}

/// To F80, signalling NaNs included.
Float80 widen_raw(const Unpacked& a) {
  using F = Format80;
  if (a.is_nan()) return assemble<F>(a.sign, F::kMaxBiased, a.sig);
  if (a.is_inf()) return infinity<F>(a.sign);
  if (a.is_zero()) return zero<F>(a.sign);
  return assemble<F>(a.sign, a.exp + F::kBias, a.sig);
}

template <class From>
Unpacked unpack_for_convert(typename From::Bits value, FpEnv& env) {
  if constexpr (std::same_as<From, Format16>) {
    constexpr int kTop = Format16::kMaxBiased << Format16::kFracBits;
    if (env.mode.alternative_half && (value & kTop) == kTop) {
      return {Kind::Finite, value >> 15 != 0, false, 16, uint64_t{1} << 63 | uint64_t{value} << 54 >> 1};
    }
  }
  return unpack<From>(value, env);
}

}  // namespace

template <Lane B>
B FRoundInt(B value, FpEnv& env, unsigned extra) {
  using F = FormatOf<B>;
  const Unpacked a = unpack<F>(value, env);
  if (a.is_zero()) return zero<F>(a.sign);
  if (extra != 0) return round_int_ranged<F>(a, extra, env);
  if (a.is_not_number()) return nan_result<F>(a, env);
  if (a.is_inf()) return value;
  if (a.exp >= static_cast<int>(F::kFracBits)) return value;
  note_denormal(a.denormal, env);
  const Rounded r = round_integer(a, a.exp, env.mode.round);
  raise(env, r.flags());
  return assemble_integer<F>(a.sign, r.magnitude);
}

template <Lane B>
uint64_t FToIntS(B a, unsigned dest_bits, unsigned fbits, FpEnv& env) {
  return to_int<FormatOf<B>>(a, dest_bits, fbits, true, env);
}
template <Lane B>
uint64_t FToIntU(B a, unsigned dest_bits, unsigned fbits, FpEnv& env) {
  return to_int<FormatOf<B>>(a, dest_bits, fbits, false, env);
}
template <Lane B>
B FFromIntS(int64_t a, unsigned fbits, FpEnv& env) {
  const auto raw = static_cast<uint64_t>(a);
  return from_int<FormatOf<B>>(a < 0, a < 0 ? 0 - raw : raw, fbits, env);
}
template <Lane B>
B FFromIntU(uint64_t a, unsigned fbits, FpEnv& env) {
  return from_int<FormatOf<B>>(false, a, fbits, env);
}

template <Lane ToBits, Lane FromBits>
ToBits FConvert(FromBits value, FpEnv& env) {
  using To = FormatOf<ToBits>;
  const Unpacked a = unpack_for_convert<FormatOf<FromBits>>(value, env);
  constexpr bool kToHalf = std::same_as<To, Format16>;
  if constexpr (kToHalf) {
    if (env.mode.alternative_half && (a.is_not_number() || a.is_inf())) {
      return convert_special_to_alternative_half(a, env);
    }
  }
  if constexpr (kIs80<To>) {
    if (env.extra & kFpRaw) return widen_raw(a);
  }
  if (a.is_not_number()) return nan_result<To>(a, env);
  if (a.is_inf()) return infinity<To>(a.sign);
  if (a.is_zero()) return zero<To>(a.sign);
  note_denormal(a.denormal, env);
  if constexpr (kToHalf) {
    if (env.mode.alternative_half) return round_pack<To, true>(a.sign, a.exp, u128{a.sig} << 64, env);
  }
  return round_pack<To>(a.sign, a.exp, u128{a.sig} << 64, env);
}

#define INSTANTIATE(B)                                         \
  template B FRoundInt<B>(B, FpEnv&, unsigned);                \
  template uint64_t FToIntS<B>(B, unsigned, unsigned, FpEnv&); \
  template uint64_t FToIntU<B>(B, unsigned, unsigned, FpEnv&); \
  template B FFromIntS<B>(int64_t, unsigned, FpEnv&);          \
  template B FFromIntU<B>(uint64_t, unsigned, FpEnv&);         \
  template uint16_t FConvert<uint16_t, B>(B, FpEnv&);          \
  template uint32_t FConvert<uint32_t, B>(B, FpEnv&);          \
  template uint64_t FConvert<uint64_t, B>(B, FpEnv&);          \
  template Float80 FConvert<Float80, B>(B, FpEnv&);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
INSTANTIATE(Float80)
#undef INSTANTIATE

}  // namespace lyrebird::ir::eval::soft

namespace lyrebird::ir::eval {

uint32_t FToIntModular(uint64_t value, FpEnv& env) {
  const soft::Unpacked a = soft::unpack<soft::Format64>(value, env);
  if (a.is_zero()) return 0;
  if (a.kind != soft::Kind::Finite) {
    soft::raise(env, kFpInvalid);
    return 0;
  }
  if (a.exp > 63) {
    soft::raise(env, kFpInvalid);
    // The last significant bit is 2^(exp - 52).
    const unsigned shift = static_cast<unsigned>(a.exp - 63);
    const uint32_t low = shift < 32 ? static_cast<uint32_t>(a.sig << shift) : 0;
    return a.sign ? 0 - low : low;
  }
  const soft::Rounded r = soft::round_integer(a, a.exp, Round::TowardZero);
  if (r.magnitude > low_mask(31) + a.sign)
    soft::raise(env, kFpInvalid);
  else if (r.inexact)
    soft::raise(env, kFpInexact);
  const auto low = static_cast<uint32_t>(r.magnitude);
  return a.sign ? 0 - low : low;
}

uint16_t FToBf16(uint32_t value, FpEnv& env) {
  using To = soft::FormatBf16;
  const soft::Unpacked a = soft::unpack<soft::Format32>(value, env);
  if (a.is_nan()) return soft::nan_result<To>(a, env);
  if (a.is_inf()) return soft::infinity<To>(a.sign);
  if (a.is_zero()) return soft::zero<To>(a.sign);
  soft::note_denormal(a.denormal, env);
  return soft::round_pack<To>(a.sign, a.exp, u128{a.sig} << 64, env);
}

}  // namespace lyrebird::ir::eval
