// SPDX-License-Identifier: Apache-2.0
// FCompare, and the minimum and maximum ops.
#include "ir/fp_soft.h"

namespace lyrebird::ir::eval::soft {
namespace {

/// Order of two numbers (no NaNs); zeros are equal.
FpOrder order(const Unpacked& a, const Unpacked& b) {
  if (a.is_zero() && b.is_zero()) return kFpEqual;
  // A zero lies between the signs, so it takes the sign opposite to the other operand's side.
  const bool a_negative = a.sign && !a.is_zero(), b_negative = b.sign && !b.is_zero();
  if (a_negative != b_negative) return a_negative ? kFpLess : kFpGreater;
  const auto magnitude_less = [](const Unpacked& x, const Unpacked& y) {
    if (x.kind != y.kind) return x.kind < y.kind;
    if (x.kind != Kind::Finite) return false;
    return x.exp != y.exp ? x.exp < y.exp : x.sig < y.sig;
  };
  if (magnitude_less(a, b)) return a_negative ? kFpGreater : kFpLess;
  if (magnitude_less(b, a)) return a_negative ? kFpLess : kFpGreater;
  return kFpEqual;
}

/// The operand itself; a subnormal number that the mode flushes became a zero when unpacked.
template <class F>
typename F::Bits as_unpacked(typename F::Bits raw, const Unpacked& a) {
  return a.is_zero() ? zero<F>(a.sign) : raw;
}

template <class F, bool is_max>
typename F::Bits min_max(typename F::Bits a, const Unpacked& x, typename F::Bits b, const Unpacked& y,
                         FpEnv& env) {
  if (x.is_not_number() || y.is_not_number()) return nan_result<F>(x, y, env);
  note_denormal(x.denormal || y.denormal, env);
  const FpOrder o = order(x, y);
  if (o == kFpEqual && x.is_zero()) return zero<F>(is_max ? x.sign && y.sign : x.sign || y.sign);
  return o == (is_max ? kFpGreater : kFpLess) ? as_unpacked<F>(a, x) : as_unpacked<F>(b, y);
}

template <class F, bool is_max>
typename F::Bits min_max_number(typename F::Bits a, typename F::Bits b, FpEnv& env) {
  const Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  const bool x_quiet = x.kind == Kind::QuietNan, y_quiet = y.kind == Kind::QuietNan;
  if (x_quiet != y_quiet) {
    // A lone quiet NaN counts as the infinity that loses.
    const typename F::Bits loser = infinity<F>(is_max);
    const Unpacked loser_unpacked = unpack<F>(loser, env);
    return x_quiet ? min_max<F, is_max>(loser, loser_unpacked, b, y, env)
                   : min_max<F, is_max>(a, x, loser, loser_unpacked, env);
  }
  return min_max<F, is_max>(a, x, b, y, env);
}

template <class F, bool is_max>
typename F::Bits min_max_second(typename F::Bits a, typename F::Bits b, FpEnv& env) {
  const Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  if (x.is_not_number() || y.is_not_number()) {
    raise(env, kFpInvalid);
    return as_unpacked<F>(b, y);
  }
  note_denormal(x.denormal || y.denormal, env);
  return order(x, y) == (is_max ? kFpGreater : kFpLess) ? as_unpacked<F>(a, x) : as_unpacked<F>(b, y);
}

}  // namespace

template <Lane B>
uint8_t FCompare(B a, B b, FpEnv& env, bool signal_quiet) {
  using F = FormatOf<B>;
  Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  note_origins<F>(x, y, env);
  if (x.is_not_number() || y.is_not_number()) {
    raise_if_signaling(x, env);
    raise_if_signaling(y, env);
    if (signal_quiet) raise(env, kFpInvalid);
    return kFpUnordered;
  }
  note_denormal(x.denormal || y.denormal, env);
  return order(x, y);
}

template <Lane B>
B FMin(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  return min_max<F, false>(a, x, b, y, env);
}
template <Lane B>
B FMax(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  return min_max<F, true>(a, x, b, y, env);
}
template <Lane B>
B FMinNum(B a, B b, FpEnv& env) {
  return min_max_number<FormatOf<B>, false>(a, b, env);
}
template <Lane B>
B FMaxNum(B a, B b, FpEnv& env) {
  return min_max_number<FormatOf<B>, true>(a, b, env);
}
template <Lane B>
B FMinSecond(B a, B b, FpEnv& env) {
  return min_max_second<FormatOf<B>, false>(a, b, env);
}
template <Lane B>
B FMaxSecond(B a, B b, FpEnv& env) {
  return min_max_second<FormatOf<B>, true>(a, b, env);
}

#define INSTANTIATE(B)                              \
  template uint8_t FCompare<B>(B, B, FpEnv&, bool); \
  template B FMin<B>(B, B, FpEnv&);                 \
  template B FMax<B>(B, B, FpEnv&);                 \
  template B FMinNum<B>(B, B, FpEnv&);              \
  template B FMaxNum<B>(B, B, FpEnv&);              \
  template B FMinSecond<B>(B, B, FpEnv&);           \
  template B FMaxSecond<B>(B, B, FpEnv&);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
INSTANTIATE(Float80)
#undef INSTANTIATE

}  // namespace lyrebird::ir::eval::soft
