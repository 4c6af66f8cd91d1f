// SPDX-License-Identifier: Apache-2.0
// FDiv and FSqrt: integer division and square root with a sticky last bit.
#include "ir/fp_soft.h"

namespace lyrebird::ir::eval::soft {
namespace {

/// a / b of finite non-zero numbers: 64 or, for F80, 128 bits of quotient.
template <class F>
Exact divide(const Unpacked& a, const Unpacked& b) {
  Exact r{a.sign != b.sign, a.exp - b.exp, 0};
  u128 dividend = u128{a.sig} << 63;
  if (a.sig < b.sig) {
    dividend <<= 1;
    --r.exp;
  }
  const auto quotient = static_cast<uint64_t>(dividend / b.sig);
  const u128 remainder = dividend - u128{quotient} * b.sig;
  r.sig = u128{quotient} << 64;
  if constexpr (kIs80<F>) {
    const u128 tail = (remainder << 64) / b.sig;
    r.sig |= tail | u128{(remainder << 64) % b.sig != 0};
  } else {
    r.sig |= u128{remainder != 0};
  }
  return r;
}

/// The root, bit by bit: two bits more than the precision, then a sticky one.
template <class F>
Exact square_root(const Unpacked& a) {
  constexpr unsigned kBits = F::kPrecision + 2;
  const bool odd = a.exp & 1;
  // The radicand as a fixed-point number in [1, 4) with 126 bits after the point.
  u128 radicand = u128{a.sig} << (odd ? 64 : 63);
  u128 remainder = 0, root = 0;
  for (unsigned i = 0; i < kBits; ++i) {
    remainder = remainder << 2 | radicand >> 126;
    radicand <<= 2;
    const u128 trial = root << 2 | 1;
    root <<= 1;
    if (remainder >= trial) {
      remainder -= trial;
      root |= 1;
    }
  }
  const u128 sticky = remainder != 0 || radicand != 0;
  return {false, (a.exp - odd) / 2, root << (128 - kBits) | sticky};
}

}  // namespace

template <Lane B>
B FDiv(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  note_origins<F>(x, y, env);
  if (x.is_not_number() || y.is_not_number()) return nan_result<F>(x, y, env);
  if ((x.is_inf() && y.is_inf()) || (x.is_zero() && y.is_zero())) return invalid<F>(env);
  const bool sign = x.sign != y.sign;
  if (y.is_zero() && !x.is_inf()) {
    raise(env, kFpDivideByZero);
    return infinity<F>(sign);
  }
  note_denormal(x.denormal || y.denormal, env);
  if (x.is_inf()) return infinity<F>(sign);
  if (x.is_zero() || y.is_inf()) return zero<F>(sign);
  const Exact quotient = divide<F>(x, y);
  return round_pack<F>(sign, quotient.exp, quotient.sig, env);
}

template <Lane B>
B FSqrt(B a, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked x = unpack<F>(a, env);
  if (x.is_not_number()) return nan_result<F>(x, env);
  if (x.is_zero()) return zero<F>(x.sign);
  if (x.sign) return invalid<F>(env);
  if (x.is_inf()) return infinity<F>(false);
  note_denormal(x.denormal, env);
  const Exact root = square_root<F>(x);
  return round_pack<F>(false, root.exp, root.sig, env);
}

#define INSTANTIATE(B)              \
  template B FDiv<B>(B, B, FpEnv&); \
  template B FSqrt<B>(B, FpEnv&);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
INSTANTIATE(Float80)
#undef INSTANTIATE

}  // namespace lyrebird::ir::eval::soft
