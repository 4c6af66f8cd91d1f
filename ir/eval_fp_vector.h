// SPDX-License-Identifier: Apache-2.0
/// The floating-point ops on whole vectors; ir/fp_eval.h has their lanes.
/// Included through ir/eval.h. Lane by lane ones are
/// map_lanes<U, N>([&](U x, U y) { return FAdd(x, y, env); }, a, b).
#pragma once

#include "ir/eval_vector.h"
#include "ir/fp_eval.h"

namespace lyrebird::ir::eval {

/// FWiden..: U is the narrow lane (F16 or F32).
template <typename U, unsigned N>
  requires(sizeof(U) == 2 || sizeof(U) == 4)
inline Vec<N> FWidenLo(const Vec<N>& a, FpEnv& env) {
  return detail::widen<U>(a, false, [&](U x) { return FConvert<Doubled<U>>(x, env); });
}
template <typename U, unsigned N>
  requires(sizeof(U) == 2 || sizeof(U) == 4)
inline Vec<N> FWidenHi(const Vec<N>& a, FpEnv& env) {
  return detail::widen<U>(a, true, [&](U x) { return FConvert<Doubled<U>>(x, env); });
}
/// FNarrow..: U is the wide lane (F32 or F64), N the bytes of the wide operand.
template <typename U, unsigned N>
  requires(sizeof(U) == 4 || sizeof(U) == 8)
inline Vec<N / 2> FNarrow(const Vec<N>& a, FpEnv& env) {
  return detail::narrow<U>(a, [&](U x) { return FConvert<Halved<U>>(x, env); });
}
template <unsigned N>
inline Vec<N / 2> FNarrowBf16(const Vec<N>& a, FpEnv& env) {
  return detail::narrow<uint32_t>(a, [&](uint32_t x) { return FToBf16(x, env); });
}

// Conversions of vectors keep the lane size.
template <typename U, unsigned N>
inline Vec<N> FToIntS(const Vec<N>& a, unsigned fraction_bits, FpEnv& env) {
  return map_lanes<U, N>([&](U x) { return static_cast<U>(FToIntS(x, kBits<U>, fraction_bits, env)); }, a);
}
template <typename U, unsigned N>
inline Vec<N> FToIntU(const Vec<N>& a, unsigned fraction_bits, FpEnv& env) {
  return map_lanes<U, N>([&](U x) { return static_cast<U>(FToIntU(x, kBits<U>, fraction_bits, env)); }, a);
}
template <typename U, unsigned N>
inline Vec<N> FFromIntS(const Vec<N>& a, unsigned fraction_bits, FpEnv& env) {
  return map_lanes<U, N>([&](U x) { return FFromIntS<U>(as_signed(x), fraction_bits, env); }, a);
}
template <typename U, unsigned N>
inline Vec<N> FFromIntU(const Vec<N>& a, unsigned fraction_bits, FpEnv& env) {
  return map_lanes<U, N>([&](U x) { return FFromIntU<U>(x, fraction_bits, env); }, a);
}

template <typename U, unsigned N>
inline Vec<N> BfDot(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  auto r = lanes<uint32_t, N>(a);
  const auto x = lanes<uint16_t, N>(b), y = lanes<uint16_t, N>(c);
  for (unsigned i = 0; i < N / 4; ++i) r[i] = BfDotAdd(r[i], x[2 * i], y[2 * i], x[2 * i + 1], y[2 * i + 1]);
  return from_lanes<N, uint32_t>(r);
}

template <typename U, unsigned N>
  requires Blocks16<N>
inline Vec<N> BfMatMul(const Vec<N>& a, const Vec<N>& b, const Vec<N>& c, uint64_t = 0) {
  auto r = lanes<uint32_t, N>(a);
  const auto x = lanes<uint16_t, N>(b), y = lanes<uint16_t, N>(c);
  for (unsigned i = 0; i < N / 4; ++i) {
    const unsigned base = i / 4 * 8, row = base + (i & 2) * 2, column = base + (i & 1) * 4;
    for (unsigned k = 0; k < 4; k += 2)
      r[i] = BfDotAdd(r[i], x[row + k], y[column + k], x[row + k + 1], y[column + k + 1]);
  }
  return from_lanes<N, uint32_t>(r);
}

// --- estimates of the host's own: 12 bits, no rounding mode, no flags

template <typename U, unsigned N>
inline Vec<N> RecipApprox(const Vec<N>& a, uint64_t = 0) {
  return map_lanes<uint32_t, N>(recip_approx, a);
}
template <typename U, unsigned N>
inline Vec<N> RsqrtApprox(const Vec<N>& a, uint64_t = 0) {
  return map_lanes<uint32_t, N>(rsqrt_approx, a);
}

}  // namespace lyrebird::ir::eval
