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

/// When a subnormal operand raises kFpDenormal. WhenUsed is x86's, which does not report for
/// conversions to integers and roundings to integral values: their mode says Never.
enum class DenormalReport : uint8_t { Never, WhenFlushed, WhenUsed };

/// Executors have code of their own for the default mode, so a lifter leaves a field alone
/// whose value cannot matter. The fields lie as pack() puts them, so that packing and unpacking cost nothing.
struct FpMode {
  Round round : 3 = Round::NearestEven;
  NanRule nan_rule : 2 = NanRule::SignalingFirst;
  bool default_nan : 1 = false;           ///< every NaN result is the default NaN
  bool default_nan_negative : 1 = false;  ///< sign of the default NaN (x86: set)
  bool flush_inputs : 1 = false;          ///< subnormal operands count as zero of their sign
  bool flush_outputs : 1 = false;         ///< results that are tiny (see tiny_before_rounding) become zero
  bool tiny_before_rounding : 1 = true;   ///< how underflow is detected
  bool flush_is_inexact : 1 = false;      ///< flushing a result also raises kFpInexact (x86)
  bool no_inexact : 1 = false;            ///< never raise kFpInexact (most FRINT forms)
  bool no_flags : 1 = false;              ///< raise nothing at all
  bool alternative_half : 1 = false;      ///< F16 operand/result without infinities and NaNs (Arm AHP)
  DenormalReport denormal_report : 2 = DenormalReport::Never;

  constexpr uint32_t pack() const {
    return static_cast<uint32_t>(round) | static_cast<uint32_t>(nan_rule) << 3 | uint32_t{default_nan} << 5 |
           uint32_t{default_nan_negative} << 6 | uint32_t{flush_inputs} << 7 | uint32_t{flush_outputs} << 8 |
           uint32_t{tiny_before_rounding} << 9 | uint32_t{flush_is_inexact} << 10 |
           uint32_t{no_inexact} << 11 | uint32_t{no_flags} << 12 | uint32_t{alternative_half} << 13 |
           static_cast<uint32_t>(denormal_report) << 14;
  }
  static constexpr FpMode unpack(uint32_t v) {
    const auto flag = [v](unsigned index) { return (v >> index & 1) != 0; };
    return {.round = static_cast<Round>(v & 7),
            .nan_rule = static_cast<NanRule>(v >> 3 & 3),
            .default_nan = flag(5),
            .default_nan_negative = flag(6),
            .flush_inputs = flag(7),
            .flush_outputs = flag(8),
            .tiny_before_rounding = flag(9),
            .flush_is_inexact = flag(10),
            .no_inexact = flag(11),
            .no_flags = flag(12),
            .alternative_half = flag(13),
            .denormal_report = static_cast<DenormalReport>(v >> 14 & 3)};
  }
  constexpr bool operator==(const FpMode&) const = default;
};
static_assert(sizeof(FpMode) == 2);
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
  /// Only of operations on F80, and not collected: the last of them rounded away from zero.
  kFpRoundedUp = 64,
};

/// Inst::fp_extra() of FAdd, FSub, FMul, FDiv, FSqrt and FCompare on F80.
namespace f80 {
/// Arithmetic: the significand is rounded to fewer bits (the exponent keeps its range).
enum Precision : uint32_t { kPrecision64 = 0, kPrecision53 = 1, kPrecision24 = 3, kPrecisionMask = 3 };
/// FCompare: quiet NaNs are invalid, too.
inline constexpr uint32_t kSignalQuiet = 1;
/// The operand was widened from F32 or F64 and counts as subnormal if it was that there.
enum Origin : uint32_t { kOwn = 0, kFromF32 = 1, kFromF64 = 2, kOriginMask = 3 };
inline constexpr unsigned kOriginAShift = 2, kOriginBShift = 4;
}  // namespace f80
/// Inst::fp_extra() of FConvert to F80: a signalling NaN stays one, nothing is raised.
inline constexpr uint32_t kFpRaw = 1;
/// Inst::fp_extra() of FToIntS and FToIntU, beside the fraction bits: what is invalid gives the
/// most negative number (x86's integer indefinite).
inline constexpr uint32_t kFpIndefinite = 0x80;

/// Inst::fp_extra() of FFunction, up to Scale; the others are in ir/f80_functions.h only.
enum class F80Function : uint8_t {
  Exp2Minus1,  ///< 2^a - 1
  Log2,        ///< b * log2(a)
  Log2Plus1,   ///< b * log2(a + 1)
  Angle,       ///< of the point (a, b)
  Scale,       ///< a * 2^(b cut to an integer)
  Tan,
  Sin,
  Cos,
  SinCos,
};
/// Whether b counts; else it is a once more.
constexpr bool has_two_operands(F80Function f) { return f >= F80Function::Log2 && f <= F80Function::Scale; }

/// What FCompare gives.
enum FpOrder : uint8_t { kFpEqual = 0, kFpLess = 1, kFpGreater = 2, kFpUnordered = 3 };

}  // namespace lyrebird::ir
