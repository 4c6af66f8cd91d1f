// SPDX-License-Identifier: Apache-2.0
/// When an op on floats is one instruction of the host, whose result and flags are right as they are: for
/// guests with StateLayout::sse_floats, in either tier.
#pragma once

#include "ir/inst.h"

namespace lyrebird::jit {

constexpr bool is_host_float(ir::Type type) { return type == ir::Type::F32 || type == ir::Type::F64; }

/// SSE's rules with MXCSR's default, but for rounding, no_inexact and reports of subnormal operands.
constexpr bool is_sse(const ir::FpMode& mode) {
  return mode.nan_rule == ir::NanRule::FirstOperand && !mode.default_nan && mode.default_nan_negative &&
         !mode.flush_inputs && !mode.flush_outputs && !mode.tiny_before_rounding && !mode.no_flags &&
         !mode.alternative_half;
}
constexpr bool reports(const ir::FpMode& mode) {
  return mode.denormal_report == ir::DenormalReport::WhenUsed;
}
constexpr bool is_silent(const ir::FpMode& mode) { return mode.denormal_report == ir::DenormalReport::Never; }

}  // namespace lyrebird::jit
