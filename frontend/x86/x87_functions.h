// SPDX-License-Identifier: Apache-2.0
/// What the x87 has beside operations of the IR: its constants, classes and modes.
#pragma once

#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x87.h"
#include "ir/fp_eval.h"

namespace lyrebird::x86 {

inline ir::Round x87_round(uint32_t mode) {
  constexpr ir::Round kRounds[] = {ir::Round::NearestEven, ir::Round::TowardNegative,
                                   ir::Round::TowardPositive, ir::Round::TowardZero};
  return kRounds[x87_round_of_mode(mode)];
}
/// As ir::f80::Precision.
constexpr uint32_t x87_precision(uint32_t mode) { return mode >> kModeX87PrecisionShift & 3; }
inline bool x87_is_used(const X86State& state, unsigned physical) {
  return (state.header.mode & x87_used_bit(physical)) != 0;
}

/// FLD1 (0), FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ (6).
ir::eval::Float80 x87_constant(unsigned which, ir::Round round);

/// C3, C2, C0 in bits 2:0 as FXAM has them for a register that is not empty.
unsigned x87_class(uint64_t significand, uint16_t sign_exponent);

/// By how much FPREM lowers an exponent that is more than 63 above the divisor's.
int x87_partial_steps(int distance);

}  // namespace lyrebird::x86
