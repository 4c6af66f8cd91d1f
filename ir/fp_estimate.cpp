// SPDX-License-Identifier: Apache-2.0
// Arm's reciprocal and square root estimates (DDI 0487, shared/functions/float:
// FPRecipEstimate, FPRSqrtEstimate, FPRecpX).
#include <array>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "ir/eval_scalar.h"
#include "ir/fp_soft.h"

namespace lyrebird::ir::eval::soft {
namespace {

/// 256..511 stands for [0.5, 1); gives 256..511 standing for 1 / a in [1, 2).
uint32_t recip_estimate(uint32_t a) { return ((1u << 19) / (2 * a + 1) + 1) / 2; }

/// 128..511 stands for [0.25, 1); gives 256..511 standing for 1 / sqrt(a) in [1, 2).
constexpr uint32_t rsqrt_estimate(uint32_t a) {
  const uint32_t middle = a < 256 ? 2 * a + 1 : 2 * (a | 1);
  uint32_t b = 512;
  while (middle * (b + 1) * (b + 1) < 1u << 28) ++b;
  return (b + 1) / 2;
}

constexpr auto kRsqrtEstimates = [] {
  std::array<uint16_t, 512> table{};
  for (uint32_t a = 128; a < table.size(); ++a) table[a] = static_cast<uint16_t>(rsqrt_estimate(a));
  return table;
}();

}  // namespace

template <BinaryLane B>
B FRecipEstimate(B value, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked a = unpack<F>(value, env);
  if (a.is_nan()) return nan_result<F>(a, env);
  if (a.is_inf()) return zero<F>(a.sign);
  if (a.is_zero()) {
    raise(env, kFpDivideByZero);
    return infinity<F>(a.sign);
  }
  if (a.exp < F::kMinExp - 2) {
    raise(env, kFpOverflow | kFpInexact);
    return overflows_to_infinity(env.mode.round, a.sign) ? infinity<F>(a.sign) : max_normal<F>(a.sign);
  }
  if (env.mode.flush_outputs && a.exp >= F::kBias - 1) {
    raise(env, kFpUnderflow);
    return zero<F>(a.sign);
  }
  const int biased = -1 - a.exp + F::kBias;
  const uint64_t estimate = uint64_t{recip_estimate(static_cast<uint32_t>(a.sig >> 55))} << 55;
  if (biased > 0) return assemble_aligned<F>(a.sign, biased, estimate);
  return assemble_aligned<F>(a.sign, 0, estimate >> (1 - biased));
}

template <BinaryLane B>
B FRsqrtEstimate(B value, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked a = unpack<F>(value, env);
  if (a.is_nan()) return nan_result<F>(a, env);
  if (a.is_zero()) {
    raise(env, kFpDivideByZero);
    return infinity<F>(a.sign);
  }
  if (a.sign) return invalid<F>(env);
  if (a.is_inf()) return zero<F>(false);
  // The operand is scaled by an even power of two into [0.25, 1).
  const bool odd = a.exp & 1;
  const auto scaled = static_cast<uint32_t>(a.sig >> (odd ? 55 : 56));
  const int half_exp = (a.exp + (odd ? 1 : 2)) / 2;
  return assemble_aligned<F>(false, -half_exp + F::kBias, uint64_t{kRsqrtEstimates[scaled]} << 55);
}

template <BinaryLane B>
B FRecipExponent(B value, FpEnv& env) {
  using F = FormatOf<B>;
  const Unpacked a = unpack<F>(value, env);
  if (a.is_nan()) return nan_result<F>(a, env);
  const int biased = static_cast<int>(value >> F::kFracBits) & F::kMaxBiased;
  return assemble<F>(a.sign, biased == 0 ? F::kMaxBiased - 1 : ~biased & F::kMaxBiased, 0);
}

#define INSTANTIATE(B)                     \
  template B FRecipEstimate<B>(B, FpEnv&); \
  template B FRsqrtEstimate<B>(B, FpEnv&); \
  template B FRecipExponent<B>(B, FpEnv&);
INSTANTIATE(uint16_t)
INSTANTIATE(uint32_t)
INSTANTIATE(uint64_t)
#undef INSTANTIATE

}  // namespace lyrebird::ir::eval::soft

namespace lyrebird::ir::eval {

uint32_t RecipEstimateU(uint32_t a) { return a >> 31 == 0 ? ~0u : soft::recip_estimate(a >> 23) << 23; }

uint32_t RsqrtEstimateU(uint32_t a) {
  return a >> 30 == 0 ? ~0u : uint32_t{soft::kRsqrtEstimates[a >> 23]} << 23;
}

#if defined(__SSE__)
uint32_t recip_approx(uint32_t a) {
  return std::bit_cast<uint32_t>(_mm_cvtss_f32(_mm_rcp_ss(_mm_set_ss(std::bit_cast<float>(a)))));
}
uint32_t rsqrt_approx(uint32_t a) {
  return std::bit_cast<uint32_t>(_mm_cvtss_f32(_mm_rsqrt_ss(_mm_set_ss(std::bit_cast<float>(a)))));
}
#else
namespace {
constexpr FpMode kApproxMode{.nan_rule = NanRule::FirstOperand,
                             .default_nan_negative = true,
                             .flush_inputs = true,
                             .flush_outputs = true,
                             .no_flags = true};
/// The 12 bits of the fraction that count.
uint32_t cut(uint32_t value) { return (value & 0x7f800000) == 0x7f800000 ? value : value & ~0x7ffu; }
}  // namespace
uint32_t recip_approx(uint32_t a) {
  FpEnv env{kApproxMode};
  return cut(soft::FDiv<uint32_t>(0x3f800000, a, env));
}
uint32_t rsqrt_approx(uint32_t a) {
  FpEnv env{kApproxMode};
  return cut(soft::FDiv<uint32_t>(0x3f800000, soft::FSqrt<uint32_t>(a, env), env));
}
#endif

}  // namespace lyrebird::ir::eval
