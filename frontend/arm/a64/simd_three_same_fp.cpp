// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdThreeSameFp : SimdLifter {
  using SimdLifter::SimdLifter;

  bool fp_pairwise(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op) {
    if (s.reserved()) return unallocated();
    const Value a = read(n, s), b = read(m, s);
    set_v(d, (ir.*op)(evens(a, b, s.elem), odds(a, b, s.elem), fp_mode(s), s.elem));
    return true;
  }
  /// FACGE, FACGT: compare(|m|, |n|).
  bool compare_magnitudes(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op) {
    if (s.reserved()) return unallocated();
    const Value a = ir.FAbs(read(n, s), s.elem), b = ir.FAbs(read(m, s), s.elem);
    set_v(d, mask(as_ints(s), (ir.*op)(b, a, fp_mode(s), s.elem)));
    return true;
  }
  bool difference(Shape s, Vreg m, Vreg n, Vreg d) {
    if (s.reserved()) return unallocated();
    set_v(d, ir.FAbs(ir.FSub(read(n, s), read(m, s), fp_mode(s), s.elem), s.elem));
    return true;
  }

  bool FMAXNM_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp2(floats(q, sz), m, n, d, &B::FMaxNum);
  }
  bool FMAXNM_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FMaxNum); }
  bool FMLA_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_multiply_add(floats(q, sz), m, n, d, false);
  }
  bool FMLA_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp_multiply_add(halves(q), m, n, d, false); }
  bool FADD_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FAdd); }
  bool FADD_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FAdd); }
  bool FMULX_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FMulX); }
  bool FMULX_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FMulX); }
  bool FMULX_scalar(bool sz, Vreg m, Vreg n, Vreg d) { return fp2(float_scalar(sz), m, n, d, &B::FMulX); }
  bool FMULX_scalar_half(Vreg m, Vreg n, Vreg d) { return fp2(scalar(F16), m, n, d, &B::FMulX); }
  bool FCMEQ_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_compare(floats(q, sz), m, n, d, &B::FCmpEq);
  }
  bool FCMEQ_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp_compare(halves(q), m, n, d, &B::FCmpEq); }
  bool FCMEQ_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_compare(float_scalar(sz), m, n, d, &B::FCmpEq);
  }
  bool FCMEQ_scalar_half(Vreg m, Vreg n, Vreg d) { return fp_compare(scalar(F16), m, n, d, &B::FCmpEq); }
  bool FMAX_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FMax); }
  bool FMAX_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FMax); }
  bool FRECPS_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp2(floats(q, sz), m, n, d, &B::FRecipStep);
  }
  bool FRECPS_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FRecipStep); }
  bool FRECPS_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return fp2(float_scalar(sz), m, n, d, &B::FRecipStep);
  }
  bool FRECPS_scalar_half(Vreg m, Vreg n, Vreg d) { return fp2(scalar(F16), m, n, d, &B::FRecipStep); }
  bool FMINNM_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp2(floats(q, sz), m, n, d, &B::FMinNum);
  }
  bool FMINNM_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FMinNum); }
  bool FMLS_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_multiply_add(floats(q, sz), m, n, d, true);
  }
  bool FMLS_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp_multiply_add(halves(q), m, n, d, true); }
  bool FSUB_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FSub); }
  bool FSUB_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FSub); }
  bool FMIN_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FMin); }
  bool FMIN_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FMin); }
  bool FRSQRTS_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp2(floats(q, sz), m, n, d, &B::FRsqrtStep);
  }
  bool FRSQRTS_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FRsqrtStep); }
  bool FRSQRTS_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return fp2(float_scalar(sz), m, n, d, &B::FRsqrtStep);
  }
  bool FRSQRTS_scalar_half(Vreg m, Vreg n, Vreg d) { return fp2(scalar(F16), m, n, d, &B::FRsqrtStep); }
  bool FMAXNMP_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(floats(q, sz), m, n, d, &B::FMaxNum);
  }
  bool FMAXNMP_vec_half(bool q, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(halves(q), m, n, d, &B::FMaxNum);
  }
  bool FADDP_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(floats(q, sz), m, n, d, &B::FAdd);
  }
  bool FADDP_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp_pairwise(halves(q), m, n, d, &B::FAdd); }
  bool FMUL_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FMul); }
  bool FMUL_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FMul); }
  bool FCMGE_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(floats(q, sz), m, n, d, &B::FCmpLe);
  }
  bool FCMGE_vec_half(bool q, Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(halves(q), m, n, d, &B::FCmpLe);
  }
  bool FCMGE_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(float_scalar(sz), m, n, d, &B::FCmpLe);
  }
  bool FCMGE_scalar_half(Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(scalar(F16), m, n, d, &B::FCmpLe);
  }
  bool FACGE_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(floats(q, sz), m, n, d, &B::FCmpLe);
  }
  bool FACGE_vec_half(bool q, Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(halves(q), m, n, d, &B::FCmpLe);
  }
  bool FACGE_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(float_scalar(sz), m, n, d, &B::FCmpLe);
  }
  bool FACGE_scalar_half(Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(scalar(F16), m, n, d, &B::FCmpLe);
  }
  bool FMAXP_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(floats(q, sz), m, n, d, &B::FMax);
  }
  bool FMAXP_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp_pairwise(halves(q), m, n, d, &B::FMax); }
  bool FDIV_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return fp2(floats(q, sz), m, n, d, &B::FDiv); }
  bool FDIV_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp2(halves(q), m, n, d, &B::FDiv); }
  bool FMINNMP_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(floats(q, sz), m, n, d, &B::FMinNum);
  }
  bool FMINNMP_vec_half(bool q, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(halves(q), m, n, d, &B::FMinNum);
  }
  bool FABD_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) { return difference(floats(q, sz), m, n, d); }
  bool FABD_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return difference(halves(q), m, n, d); }
  bool FABD_scalar(bool sz, Vreg m, Vreg n, Vreg d) { return difference(float_scalar(sz), m, n, d); }
  bool FABD_scalar_half(Vreg m, Vreg n, Vreg d) { return difference(scalar(F16), m, n, d); }
  bool FCMGT_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(floats(q, sz), m, n, d, &B::FCmpLt);
  }
  bool FCMGT_vec_half(bool q, Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(halves(q), m, n, d, &B::FCmpLt);
  }
  bool FCMGT_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(float_scalar(sz), m, n, d, &B::FCmpLt);
  }
  bool FCMGT_scalar_half(Vreg m, Vreg n, Vreg d) {
    return fp_compare_swapped(scalar(F16), m, n, d, &B::FCmpLt);
  }
  bool FACGT_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(floats(q, sz), m, n, d, &B::FCmpLt);
  }
  bool FACGT_vec_half(bool q, Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(halves(q), m, n, d, &B::FCmpLt);
  }
  bool FACGT_scalar(bool sz, Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(float_scalar(sz), m, n, d, &B::FCmpLt);
  }
  bool FACGT_scalar_half(Vreg m, Vreg n, Vreg d) {
    return compare_magnitudes(scalar(F16), m, n, d, &B::FCmpLt);
  }
  bool FMINP_vec(bool q, bool sz, Vreg m, Vreg n, Vreg d) {
    return fp_pairwise(floats(q, sz), m, n, d, &B::FMin);
  }
  bool FMINP_vec_half(bool q, Vreg m, Vreg n, Vreg d) { return fp_pairwise(halves(q), m, n, d, &B::FMin); }

  // --- half to single: lanes of the part of n and m that Q and the name select

  bool multiply_add_long(bool q, Vreg m, Vreg n, Vreg d, bool second, bool negate) {
    const Value a = long_operand(n, q, second), b = long_operand(m, q, second);
    set_v(d, fp_multiply_add_long(q, v_sized(d, q), a, b, negate));
    return true;
  }
  bool FMLAL_vec(bool q, Vreg m, Vreg n, Vreg d) { return multiply_add_long(q, m, n, d, false, false); }
  bool FMLSL_vec(bool q, Vreg m, Vreg n, Vreg d) { return multiply_add_long(q, m, n, d, false, true); }
  bool FMLAL2_vec(bool q, Vreg m, Vreg n, Vreg d) { return multiply_add_long(q, m, n, d, true, false); }
  bool FMLSL2_vec(bool q, Vreg m, Vreg n, Vreg d) { return multiply_add_long(q, m, n, d, true, true); }

  // --- dot products and small matrices

  /// d = op(d, n, m)
  bool accumulate(bool q, Vreg m, Vreg n, Vreg d, Vec3 op) {
    set_v(d, (ir.*op)(v_sized(d, q), v_sized(n, q), v_sized(m, q), I32, 0));
    return true;
  }
  bool SDOT_vec(bool q, Vreg m, Vreg n, Vreg d) { return accumulate(q, m, n, d, &B::DotS); }
  bool UDOT_vec(bool q, Vreg m, Vreg n, Vreg d) { return accumulate(q, m, n, d, &B::DotU); }
  bool USDOT_vec(bool q, Vreg m, Vreg n, Vreg d) { return accumulate(q, m, n, d, &B::DotUS); }
  bool SMMLA(Vreg m, Vreg n, Vreg d) { return accumulate(true, m, n, d, &B::MatMulS); }
  bool UMMLA(Vreg m, Vreg n, Vreg d) { return accumulate(true, m, n, d, &B::MatMulU); }
  bool USMMLA(Vreg m, Vreg n, Vreg d) { return accumulate(true, m, n, d, &B::MatMulUS); }
  bool BFDOT_vec(bool q, Vreg m, Vreg n, Vreg d) { return accumulate(q, m, n, d, &B::BfDot); }
  bool BFMMLA(Vreg m, Vreg n, Vreg d) { return accumulate(true, m, n, d, &B::BfMatMul); }

  bool BFMLAL_vec(bool top, Vreg m, Vreg n, Vreg d) {
    set_v(d, fp_accumulate({V128, F32}, v(d), bf16_lanes(v(n), top), bf16_lanes(v(m), top), false));
    return true;
  }

  // --- complex numbers: even lanes real, odd lanes imaginary

  bool FCMLA_vec(bool q, Imm<2> size, Vreg m, Imm<2> rotation, Vreg n, Vreg d) {
    const Shape s = complex(q, size);
    if (s.elem == Type::None || s.reserved()) return unallocated();
    set_v(d, complex_multiply_add(s, read(d, s), read(n, s), read(m, s), rotation));
    return true;
  }

  // d = n + m turned by 90 or 270 degrees
  bool FCADD(bool q, Imm<2> size, Vreg m, bool three_quarters, Vreg n, Vreg d) {
    const Shape s = complex(q, size);
    if (s.elem == Type::None || s.reserved()) return unallocated();
    const Value turned = negate_lanes(s, swap_parts(s, read(m, s)), !three_quarters, three_quarters);
    set_v(d, ir.FAdd(read(n, s), turned, fp_mode(s), s.elem));
    return true;
  }
};

#define A64_CHAPTER SimdThreeSameFp
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_three_same_fp.inc"
};

}  // namespace

std::span<const Row> simd_three_same_fp_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
