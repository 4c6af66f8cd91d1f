// SPDX-License-Identifier: Apache-2.0
/// Functions of F80 that no IEEE operation is. On an x86 host they are the host's own, so that they have
/// the bits and flags of a processor's 80-bit unit; on others they come from the host's mathematical
/// library and differ in the last bits. Scale is exact everywhere.
#pragma once

#include "ir/fp_eval.h"

namespace lyrebird::ir::eval {

struct F80FunctionResult {
  Float80 value = {};
  Float80 second = {};      ///< Tan: 1; SinCos: the cosine
  uint32_t flags = 0;       ///< FpFlag bits and kFpRoundedUp
  bool incomplete = false;  ///< the angle is too large, nothing was computed
};

/// All but Scale, with an x87 control word's rounding and masks (results of unmasked overflows and
/// underflows are those that trap handlers see).
F80FunctionResult f80_function(F80Function f, Float80 a, Float80 b, uint16_t control);
/// The same where the host has no such unit, with all exceptions masked.
F80FunctionResult f80_function_soft(F80Function f, Float80 a, Float80 b);

/// Op::FFunction: those up to Scale.
Float80 FFunction(F80Function f, Float80 a, Float80 b, FpEnv& env);

}  // namespace lyrebird::ir::eval
