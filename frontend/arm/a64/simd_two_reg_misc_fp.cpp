// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdTwoRegMiscFp : SimdLifter {
  using SimdLifter::SimdLifter;

  bool FCMGT_zero_vec(bool q, bool sz, Vreg n, Vreg d) {
    return compare_zero(floats(q, sz), n, d, &B::FCmpLt, true);
  }
  bool FCMEQ_zero_vec(bool q, bool sz, Vreg n, Vreg d) {
    return compare_zero(floats(q, sz), n, d, &B::FCmpEq, false);
  }
  bool FCMLT_zero_vec(bool q, bool sz, Vreg n, Vreg d) {
    return compare_zero(floats(q, sz), n, d, &B::FCmpLt, false);
  }
  bool FCMGE_zero_vec(bool q, bool sz, Vreg n, Vreg d) {
    return compare_zero(floats(q, sz), n, d, &B::FCmpLe, true);
  }
  bool FCMLE_zero_vec(bool q, bool sz, Vreg n, Vreg d) {
    return compare_zero(floats(q, sz), n, d, &B::FCmpLe, false);
  }
  bool FABS_vec(bool q, bool sz, Vreg n, Vreg d) { return lanes1(floats(q, sz), n, d, &B::FAbs); }
  bool FNEG_vec(bool q, bool sz, Vreg n, Vreg d) { return lanes1(floats(q, sz), n, d, &B::FNeg); }
  bool FSQRT_vec(bool q, bool sz, Vreg n, Vreg d) { return fp1(floats(q, sz), n, d, &B::FSqrt); }
  bool FRECPE_vec(bool q, bool sz, Vreg n, Vreg d) { return fp1(floats(q, sz), n, d, &B::FRecipEstimate); }
  bool FRSQRTE_vec(bool q, bool sz, Vreg n, Vreg d) { return fp1(floats(q, sz), n, d, &B::FRsqrtEstimate); }
  bool FRINTN_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::NearestEven);
  }
  bool FRINTM_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::TowardNegative);
  }
  bool FRINTP_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::TowardPositive);
  }
  bool FRINTZ_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::TowardZero);
  }
  bool FRINTA_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::NearestAway);
  }
  bool FRINTX_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, current_round(), true);
  }
  bool FRINTI_vec(bool q, bool sz, Vreg n, Vreg d) { return fp_round(floats(q, sz), n, d, current_round()); }
  bool FCVTNS_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntS, Round::NearestEven);
  }
  bool FCVTMS_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntS, Round::TowardNegative);
  }
  bool FCVTAS_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntS, Round::NearestAway);
  }
  bool FCVTPS_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntS, Round::TowardPositive);
  }
  bool FCVTZS_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntS, Round::TowardZero);
  }
  bool SCVTF_vec(bool q, bool sz, Vreg n, Vreg d) { return int_to_fp(floats(q, sz), n, d, Op::FFromIntS); }
  bool FCVTNU_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntU, Round::NearestEven);
  }
  bool FCVTMU_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntU, Round::TowardNegative);
  }
  bool FCVTAU_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntU, Round::NearestAway);
  }
  bool FCVTPU_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntU, Round::TowardPositive);
  }
  bool FCVTZU_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_to_int(floats(q, sz), n, d, Op::FToIntU, Round::TowardZero);
  }
  bool UCVTF_vec(bool q, bool sz, Vreg n, Vreg d) { return int_to_fp(floats(q, sz), n, d, Op::FFromIntU); }
  bool FRINT32Z_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::TowardZero, true, 32);
  }
  bool FRINT64Z_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, Round::TowardZero, true, 64);
  }
  bool FRINT32X_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, current_round(), true, 32);
  }
  bool FRINT64X_vec(bool q, bool sz, Vreg n, Vreg d) {
    return fp_round(floats(q, sz), n, d, current_round(), true, 64);
  }
  bool FCMGT_zero_vec_half(bool q, Vreg n, Vreg d) { return compare_zero(halves(q), n, d, &B::FCmpLt, true); }
  bool FCMEQ_zero_vec_half(bool q, Vreg n, Vreg d) {
    return compare_zero(halves(q), n, d, &B::FCmpEq, false);
  }
  bool FCMLT_zero_vec_half(bool q, Vreg n, Vreg d) {
    return compare_zero(halves(q), n, d, &B::FCmpLt, false);
  }
  bool FCMGE_zero_vec_half(bool q, Vreg n, Vreg d) { return compare_zero(halves(q), n, d, &B::FCmpLe, true); }
  bool FCMLE_zero_vec_half(bool q, Vreg n, Vreg d) {
    return compare_zero(halves(q), n, d, &B::FCmpLe, false);
  }
  bool FABS_vec_half(bool q, Vreg n, Vreg d) { return lanes1(halves(q), n, d, &B::FAbs); }
  bool FNEG_vec_half(bool q, Vreg n, Vreg d) { return lanes1(halves(q), n, d, &B::FNeg); }
  bool FSQRT_vec_half(bool q, Vreg n, Vreg d) { return fp1(halves(q), n, d, &B::FSqrt); }
  bool FRECPE_vec_half(bool q, Vreg n, Vreg d) { return fp1(halves(q), n, d, &B::FRecipEstimate); }
  bool FRSQRTE_vec_half(bool q, Vreg n, Vreg d) { return fp1(halves(q), n, d, &B::FRsqrtEstimate); }
  bool FRINTN_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, Round::NearestEven); }
  bool FRINTM_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, Round::TowardNegative); }
  bool FRINTP_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, Round::TowardPositive); }
  bool FRINTZ_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, Round::TowardZero); }
  bool FRINTA_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, Round::NearestAway); }
  bool FRINTX_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, current_round(), true); }
  bool FRINTI_vec_half(bool q, Vreg n, Vreg d) { return fp_round(halves(q), n, d, current_round()); }
  bool FCVTNS_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntS, Round::NearestEven);
  }
  bool FCVTMS_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntS, Round::TowardNegative);
  }
  bool FCVTAS_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntS, Round::NearestAway);
  }
  bool FCVTPS_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntS, Round::TowardPositive);
  }
  bool FCVTZS_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntS, Round::TowardZero);
  }
  bool SCVTF_vec_half(bool q, Vreg n, Vreg d) { return int_to_fp(halves(q), n, d, Op::FFromIntS); }
  bool FCVTNU_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntU, Round::NearestEven);
  }
  bool FCVTMU_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntU, Round::TowardNegative);
  }
  bool FCVTAU_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntU, Round::NearestAway);
  }
  bool FCVTPU_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntU, Round::TowardPositive);
  }
  bool FCVTZU_vec_half(bool q, Vreg n, Vreg d) {
    return fp_to_int(halves(q), n, d, Op::FToIntU, Round::TowardZero);
  }
  bool UCVTF_vec_half(bool q, Vreg n, Vreg d) { return int_to_fp(halves(q), n, d, Op::FFromIntU); }
  bool FCMGT_zero_scalar(bool sz, Vreg n, Vreg d) {
    return compare_zero(float_scalar(sz), n, d, &B::FCmpLt, true);
  }
  bool FCMEQ_zero_scalar(bool sz, Vreg n, Vreg d) {
    return compare_zero(float_scalar(sz), n, d, &B::FCmpEq, false);
  }
  bool FCMLT_zero_scalar(bool sz, Vreg n, Vreg d) {
    return compare_zero(float_scalar(sz), n, d, &B::FCmpLt, false);
  }
  bool FCMGE_zero_scalar(bool sz, Vreg n, Vreg d) {
    return compare_zero(float_scalar(sz), n, d, &B::FCmpLe, true);
  }
  bool FCMLE_zero_scalar(bool sz, Vreg n, Vreg d) {
    return compare_zero(float_scalar(sz), n, d, &B::FCmpLe, false);
  }
  bool FRECPE_scalar(bool sz, Vreg n, Vreg d) { return fp1(float_scalar(sz), n, d, &B::FRecipEstimate); }
  bool FRSQRTE_scalar(bool sz, Vreg n, Vreg d) { return fp1(float_scalar(sz), n, d, &B::FRsqrtEstimate); }
  bool FRECPX_scalar(bool sz, Vreg n, Vreg d) { return fp1(float_scalar(sz), n, d, &B::FRecipExponent); }
  bool FCVTNS_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntS, Round::NearestEven);
  }
  bool FCVTMS_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntS, Round::TowardNegative);
  }
  bool FCVTAS_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntS, Round::NearestAway);
  }
  bool FCVTPS_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntS, Round::TowardPositive);
  }
  bool FCVTZS_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntS, Round::TowardZero);
  }
  bool SCVTF_scalar(bool sz, Vreg n, Vreg d) { return int_to_fp(float_scalar(sz), n, d, Op::FFromIntS); }
  bool FCVTNU_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntU, Round::NearestEven);
  }
  bool FCVTMU_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntU, Round::TowardNegative);
  }
  bool FCVTAU_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntU, Round::NearestAway);
  }
  bool FCVTPU_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntU, Round::TowardPositive);
  }
  bool FCVTZU_scalar(bool sz, Vreg n, Vreg d) {
    return fp_to_int(float_scalar(sz), n, d, Op::FToIntU, Round::TowardZero);
  }
  bool UCVTF_scalar(bool sz, Vreg n, Vreg d) { return int_to_fp(float_scalar(sz), n, d, Op::FFromIntU); }
  bool FCMGT_zero_scalar_half(Vreg n, Vreg d) { return compare_zero(scalar(F16), n, d, &B::FCmpLt, true); }
  bool FCMEQ_zero_scalar_half(Vreg n, Vreg d) { return compare_zero(scalar(F16), n, d, &B::FCmpEq, false); }
  bool FCMLT_zero_scalar_half(Vreg n, Vreg d) { return compare_zero(scalar(F16), n, d, &B::FCmpLt, false); }
  bool FCMGE_zero_scalar_half(Vreg n, Vreg d) { return compare_zero(scalar(F16), n, d, &B::FCmpLe, true); }
  bool FCMLE_zero_scalar_half(Vreg n, Vreg d) { return compare_zero(scalar(F16), n, d, &B::FCmpLe, false); }
  bool FRECPE_scalar_half(Vreg n, Vreg d) { return fp1(scalar(F16), n, d, &B::FRecipEstimate); }
  bool FRSQRTE_scalar_half(Vreg n, Vreg d) { return fp1(scalar(F16), n, d, &B::FRsqrtEstimate); }
  bool FRECPX_scalar_half(Vreg n, Vreg d) { return fp1(scalar(F16), n, d, &B::FRecipExponent); }
  bool FCVTNS_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntS, Round::NearestEven);
  }
  bool FCVTMS_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntS, Round::TowardNegative);
  }
  bool FCVTAS_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntS, Round::NearestAway);
  }
  bool FCVTPS_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntS, Round::TowardPositive);
  }
  bool FCVTZS_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntS, Round::TowardZero);
  }
  bool SCVTF_scalar_half(Vreg n, Vreg d) { return int_to_fp(scalar(F16), n, d, Op::FFromIntS); }
  bool FCVTNU_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntU, Round::NearestEven);
  }
  bool FCVTMU_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntU, Round::TowardNegative);
  }
  bool FCVTAU_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntU, Round::NearestAway);
  }
  bool FCVTPU_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntU, Round::TowardPositive);
  }
  bool FCVTZU_scalar_half(Vreg n, Vreg d) {
    return fp_to_int(scalar(F16), n, d, Op::FToIntU, Round::TowardZero);
  }
  bool UCVTF_scalar_half(Vreg n, Vreg d) { return int_to_fp(scalar(F16), n, d, Op::FFromIntU); }

  /// op(n, 0), or op(0, n)
  bool compare_zero(Shape s, Vreg n, Vreg d, Fp2 op, bool zero_first) {
    if (s.reserved()) return unallocated();
    const Value a = read(n, s), zero = splat(s, 0);
    const Value result =
        zero_first ? (ir.*op)(zero, a, fp_mode(s), s.elem) : (ir.*op)(a, zero, fp_mode(s), s.elem);
    set_v(d, mask(as_ints(s), result));
    return true;
  }

  // --- between widths

  bool FCVTN_vec(bool q, bool sz, Vreg n, Vreg d) {
    const Type from = sz ? F64 : F32, to = sz ? F32 : F16;
    set_v_narrowed(d, q, ir.FNarrow(v(n), from, convert_mode(from, to)));
    return true;
  }
  bool FCVTL_vec(bool q, bool sz, Vreg n, Vreg d) {
    const Type from = sz ? F32 : F16, to = sz ? F64 : F32;
    const FpMode mode = convert_mode(from, to);
    set_v(d, q ? ir.FWidenHi(v(n), mode, from) : ir.FWidenLo(v(n), mode, from));
    return true;
  }
  bool BFCVTN_vec(bool q, Vreg n, Vreg d) {
    set_v_narrowed(d, q, ir.FNarrowBf16(v(n), Lifter::fp_mode(F32)));
    return true;
  }
  bool FCVTXN_vec(bool q, Vreg n, Vreg d) {
    set_v_narrowed(d, q, ir.FNarrow(v(n), F64, rounding(convert_mode(F64, F32), Round::ToOdd)));
    return true;
  }
  bool FCVTXN_scalar(Vreg n, Vreg d) {
    set_v(d, ir.FConvert(v_scalar(n, F64), F32, rounding(convert_mode(F64, F32), Round::ToOdd)));
    return true;
  }
};

#define A64_CHAPTER SimdTwoRegMiscFp
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_two_reg_misc_fp.inc"
};

}  // namespace

std::span<const Row> simd_two_reg_misc_fp_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
