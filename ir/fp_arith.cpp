// SPDX-License-Identifier: Apache-2.0
// Sums and products: FAdd, FSub, FMul, FMulX, FMulAdd, FRecipStep, FRsqrtStep, BfDotAdd.
#include "ir/fp_soft.h"

namespace lyrebird::ir::eval::soft {
namespace {

template <class F>
typename F::Bits add_unpacked(const Unpacked& a, const Unpacked& b, FpEnv& env) {
  if (a.is_inf() || b.is_inf()) {
    if (a.is_inf() && b.is_inf() && a.sign != b.sign) return invalid<F>(env);
    note_denormal(a.denormal || b.denormal, env);
    return infinity<F>(a.is_inf() ? a.sign : b.sign);
  }
  note_denormal(a.denormal || b.denormal, env);
  if (a.is_zero() && b.is_zero() && a.sign == b.sign) return zero<F>(a.sign);
  return round_pack_sum<F>(add(widen(a), widen(b)), env);
}

bool is_inf_times_zero(const Unpacked& a, const Unpacked& b) {
  return (a.is_inf() && b.is_zero()) || (a.is_zero() && b.is_inf());
}

/// The product of numbers other than infinity times zero.
template <class F>
typename F::Bits multiply_unpacked(const Unpacked& a, const Unpacked& b, FpEnv& env) {
  note_denormal(a.denormal || b.denormal, env);
  const bool sign = a.sign != b.sign;
  if (a.is_inf() || b.is_inf()) return infinity<F>(sign);
  if (a.is_zero() || b.is_zero()) return zero<F>(sign);
  const Exact product = multiply(a, b);
  return round_pack<F>(sign, product.exp, product.sig, env);
}

/// The NaN that FMulAdd returns when an operand is one (Arm FPProcessNaNs3 has the addend first).
const Unpacked& choose_nan3(const Unpacked& a, const Unpacked& b, const Unpacked& c, const FpEnv& env) {
  const auto first = [](Kind kind, const Unpacked& x, const Unpacked& y,
                        const Unpacked& z) -> const Unpacked* {
    return x.kind == kind ? &x : y.kind == kind ? &y : z.kind == kind ? &z : nullptr;
  };
  switch (env.mode.nan_rule) {
    case NanRule::SignalingFirst: {
      const Unpacked* signaling = first(Kind::SignalingNan, c, a, b);
      return signaling ? *signaling : *first(Kind::QuietNan, c, a, b);
    }
    case NanRule::FirstOperand:
      return a.is_nan() ? a : b.is_nan() ? b : c;
    case NanRule::AddendSecond:
      return a.is_nan() ? a : c.is_nan() ? c : b;
    case NanRule::LargerSignificand:
      break;
  }
  const Unpacked& ab = choose_nan(a, b, env);
  return choose_nan(ab, c, env);
}

template <class F>
typename F::Bits multiply_add_nan(const Unpacked& a, const Unpacked& b, const Unpacked& c, FpEnv& env) {
  raise_if_signaling(a, env);
  raise_if_signaling(b, env);
  raise_if_signaling(c, env);
  if (c.kind == Kind::QuietNan && is_inf_times_zero(a, b)) {
    switch (env.mode.nan_rule) {
      case NanRule::SignalingFirst:
        return invalid<F>(env);
      case NanRule::AddendSecond:
        raise(env, kFpInvalid);
        break;
      case NanRule::FirstOperand:
      case NanRule::LargerSignificand:
        break;
    }
  }
  return quieted<F>(choose_nan3(a, b, c, env), env);
}

/// (constant - a * b) * 2^scale with one rounding; what infinity * 0 gives is separate.
template <class F>
typename F::Bits fused_step(typename F::Bits a, typename F::Bits b, Exact constant, int scale,
                            typename F::Bits inf_times_zero, FpEnv& env) {
  const Unpacked x = unpack<F>(FNeg(a), env), y = unpack<F>(b, env);
  if (x.is_nan() || y.is_nan()) return nan_result<F>(x, y, env);
  if (is_inf_times_zero(x, y)) return inf_times_zero;
  if (x.is_inf() || y.is_inf()) return infinity<F>(x.sign != y.sign);
  Exact sum = add(constant, multiply(x, y));
  sum.exp += scale;
  return round_pack_sum<F>(sum, env);
}

}  // namespace

template <Lane B>
B FAdd(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  note_origins<F>(x, y, env);
  if (x.is_not_number() || y.is_not_number()) return nan_result<F>(x, y, env);
  return add_unpacked<F>(x, y, env);
}

template <Lane B>
B FSub(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  note_origins<F>(x, y, env);
  if (x.is_not_number() || y.is_not_number()) return nan_result<F>(x, y, env);
  y.sign = !y.sign;
  return add_unpacked<F>(x, y, env);
}

template <Lane B>
B FMul(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  note_origins<F>(x, y, env);
  if (x.is_not_number() || y.is_not_number()) return nan_result<F>(x, y, env);
  if (is_inf_times_zero(x, y)) return invalid<F>(env);
  return multiply_unpacked<F>(x, y, env);
}

template <Lane B>
B FMulX(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked x = unpack<F>(a, env), y = unpack<F>(b, env);
  if (x.is_not_number() || y.is_not_number()) return nan_result<F>(x, y, env);
  if (is_inf_times_zero(x, y)) return assemble_aligned<F>(x.sign != y.sign, F::kBias + 1, uint64_t{1} << 63);
  return multiply_unpacked<F>(x, y, env);
}

template <BinaryLane B>
B FMulAdd(B a, B b, B c, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked addend = unpack<F>(c, env), x = unpack<F>(a, env), y = unpack<F>(b, env);
  if (x.is_nan() || y.is_nan() || addend.is_nan()) return multiply_add_nan<F>(x, y, addend, env);
  const bool sign = x.sign != y.sign;
  const bool product_inf = x.is_inf() || y.is_inf(), product_zero = x.is_zero() || y.is_zero();
  if (product_inf && (product_zero || (addend.is_inf() && addend.sign != sign))) return invalid<F>(env);
  note_denormal(x.denormal || y.denormal || addend.denormal, env);
  if (product_inf || addend.is_inf()) return infinity<F>(product_inf ? sign : addend.sign);
  if (product_zero && addend.is_zero() && sign == addend.sign) return zero<F>(sign);
  return round_pack_sum<F>(add(multiply(x, y), widen(addend)), env);
}

template <BinaryLane B>
B FRecipStep(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  constexpr Exact kTwo{false, 1, u128{1} << 127};
  return fused_step<F>(a, b, kTwo, 0, assemble_aligned<F>(false, F::kBias + 1, uint64_t{1} << 63), env);
}

template <BinaryLane B>
B FRsqrtStep(B a, B b, FpEnv& env) {
  using F = FormatOf<B>;
  constexpr Exact kThree{false, 1, u128{3} << 126};
  return fused_step<F>(a, b, kThree, -1, assemble_aligned<F>(false, F::kBias, uint64_t{3} << 62), env);
}

#define INSTANTIATE(B)              \
  template B FAdd<B>(B, B, FpEnv&); \
  template B FSub<B>(B, B, FpEnv&); \
  template B FMul<B>(B, B, FpEnv&); \
  template B FMulX<B>(B, B, FpEnv&);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
INSTANTIATE(Float80)
#undef INSTANTIATE
#define INSTANTIATE(B)                    \
  template B FMulAdd<B>(B, B, B, FpEnv&); \
  template B FRecipStep<B>(B, B, FpEnv&); \
  template B FRsqrtStep<B>(B, B, FpEnv&);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
#undef INSTANTIATE

}  // namespace lyrebird::ir::eval::soft

namespace lyrebird::ir::eval {
namespace {

constexpr FpMode kBfMode{.round = Round::ToOdd,
                         .default_nan = true,
                         .flush_inputs = true,
                         .flush_outputs = true,
                         .no_flags = true};

/// BFRound is rounding to odd, but gives infinity where that gives the largest number.
uint32_t bf_round(const soft::Exact& x, FpEnv& env) {
  if (x.exp > soft::Format32::kBias) return soft::infinity<soft::Format32>(x.sign);
  return soft::round_pack<soft::Format32>(x.sign, x.exp, x.sig, env);
}

uint32_t bf_multiply(uint16_t a, uint16_t b, FpEnv& env) {
  const soft::Unpacked x = soft::unpack<soft::FormatBf16>(a, env), y = soft::unpack<soft::FormatBf16>(b, env);
  const bool is_ordinary = x.kind == soft::Kind::Finite && y.kind == soft::Kind::Finite;
  if (is_ordinary) return bf_round(soft::multiply(x, y), env);
  return soft::FMul<uint32_t>(uint32_t{a} << 16, uint32_t{b} << 16, env);
}

uint32_t bf_add(uint32_t a, uint32_t b, FpEnv& env) {
  const soft::Unpacked x = soft::unpack<soft::Format32>(a, env), y = soft::unpack<soft::Format32>(b, env);
  const bool is_ordinary = x.kind == soft::Kind::Finite && y.kind == soft::Kind::Finite;
  if (!is_ordinary) return soft::FAdd<uint32_t>(a, b, env);
  const soft::Exact sum = soft::add(soft::widen(x), soft::widen(y));
  return sum.sig == 0 ? 0 : bf_round(sum, env);
}

}  // namespace

uint32_t BfDotAdd(uint32_t addend, uint16_t a0, uint16_t b0, uint16_t a1, uint16_t b1) {
  FpEnv env{kBfMode};
  const uint32_t products = bf_add(bf_multiply(a0, b0, env), bf_multiply(a1, b1, env), env);
  return bf_add(addend, products, env);
}

}  // namespace lyrebird::ir::eval
