// SPDX-License-Identifier: Apache-2.0
/// The floating-point rules a guest wants for one operation, and the exception
/// flags it collects. Every FP op carries a packed FpMode in Inst::aux; it is a
/// constant of the block because the guest's control register is part of the
/// block key.
#pragma once

#include <cstdint>

namespace lyrebird::ir {

enum class Round : uint8_t {
  NearestEven,
  TowardPositive,
  TowardNegative,
  TowardZero,
  NearestAway,  ///< ties away from zero
  ToOdd,        ///< inexact results get an odd last bit (von Neumann rounding)
};

/// Which operand's NaN an operation with NaN operands returns (always quieted).
/// FMulAdd computes a * b + c; the order of its operands is part of the rule.
enum class NanRule : uint8_t {
  SignalingFirst,     ///< signalling NaNs before quiet ones, each in order; FMulAdd: c, a, b;
                      ///< infinity * 0 + quiet NaN is invalid and gives the default NaN (Arm)
  FirstOperand,       ///< first operand that is a NaN; FMulAdd: a, b, c; infinity * 0 + quiet NaN
                      ///< returns that NaN and is not invalid (SSE, AVX)
  LargerSignificand,  ///< the NaN with the larger significand, quiet wins over signalling (x87)
  AddendSecond,       ///< first operand that is a NaN; FMulAdd: a, c, b (Power)
};

/// When a subnormal operand raises kFpDenormal.
enum class DenormalReport : uint8_t { Never, WhenFlushed, WhenUsed };

struct FpMode {
  Round round = Round::NearestEven;
  NanRule nan_rule = NanRule::SignalingFirst;
  bool default_nan = false;           ///< every NaN result is the default NaN
  bool default_nan_negative = false;  ///< sign of the default NaN (x86: set)
  bool flush_inputs = false;          ///< subnormal operands count as zero of their sign
  bool flush_outputs = false;         ///< results that are tiny (see tiny_before_rounding) become zero
  bool tiny_before_rounding = true;   ///< how underflow is detected
  bool flush_is_inexact = false;      ///< flushing a result also raises kFpInexact (x86)
  bool no_inexact = false;            ///< never raise kFpInexact (most FRINT forms)
  bool no_flags = false;              ///< raise nothing at all
  bool alternative_half = false;      ///< F16 operand/result without infinities and NaNs (Arm AHP)
  DenormalReport denormal_report = DenormalReport::Never;

  constexpr uint32_t pack() const {
    uint32_t v = static_cast<uint32_t>(round) | static_cast<uint32_t>(nan_rule) << 3 |
                 static_cast<uint32_t>(denormal_report) << 5;
    const bool flags[] = {default_nan,          default_nan_negative, flush_inputs, flush_outputs,
                          tiny_before_rounding, flush_is_inexact,     no_inexact,   no_flags,
                          alternative_half};
    for (unsigned i = 0; i < sizeof flags; ++i) v |= uint32_t{flags[i]} << (7 + i);
    return v;
  }
  static constexpr FpMode unpack(uint32_t v) {
    FpMode m;
    m.round = static_cast<Round>(v & 7);
    m.nan_rule = static_cast<NanRule>(v >> 3 & 3);
    m.denormal_report = static_cast<DenormalReport>(v >> 5 & 3);
    bool* const flags[] = {
        &m.default_nan,          &m.default_nan_negative, &m.flush_inputs, &m.flush_outputs,
        &m.tiny_before_rounding, &m.flush_is_inexact,     &m.no_inexact,   &m.no_flags,
        &m.alternative_half};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; ++i) *flags[i] = v >> (7 + i) & 1;
    return m;
  }
  constexpr bool operator==(const FpMode&) const = default;
};
/// Bits of Inst::aux that pack() uses; the op's own extra bits (see ops.inc) lie above.
inline constexpr unsigned kFpModeBits = 16;

/// Exception flags, collected (or-ed) in CpuHeader::fp_flags.
enum FpFlag : uint32_t {
  kFpInvalid = 1,
  kFpDivideByZero = 2,
  kFpOverflow = 4,
  kFpUnderflow = 8,
  kFpInexact = 16,
  kFpDenormal = 32,
};

}  // namespace lyrebird::ir
