// SPDX-License-Identifier: Apache-2.0
/// The chapters of the A64 instruction set: each .cpp offers its rows here.
#pragma once

#include <span>

#include "frontend/arm/a64/decode.h"

/// One entry per chapter NAME: NAME.inc has its rows, NAME.cpp defines NAME_rows().
#define A64_CHAPTERS(X)   \
  X(data_processing_imm)  \
  X(data_processing_reg)  \
  X(branches)             \
  X(system)               \
  X(privileged)           \
  X(loads_stores)         \
  X(loads_stores_atomic)  \
  X(simd_structures)      \
  X(fp_scalar)            \
  X(fp_convert)           \
  X(simd_move)            \
  X(simd_three_same)      \
  X(simd_three_same_fp)   \
  X(simd_two_reg_misc)    \
  X(simd_two_reg_misc_fp) \
  X(simd_reduce)          \
  X(simd_three_different) \
  X(simd_shift_imm)       \
  X(simd_by_element)      \
  X(crypto)

namespace lyrebird::arm::a64 {

#define A64_DECLARE_CHAPTER(name) std::span<const Row> name##_rows();
A64_CHAPTERS(A64_DECLARE_CHAPTER)
#undef A64_DECLARE_CHAPTER

}  // namespace lyrebird::arm::a64
