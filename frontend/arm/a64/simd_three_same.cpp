// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdThreeSame : SimdLifter {
  using SimdLifter::SimdLifter;

  /// Lanes of up to 32 bits.
  bool lanes2_to_32(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, Lane2 op) {
    return size == 3 ? unallocated() : lanes2(ints(q, size), m, n, d, op);
  }

  bool SHADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::HalveAddS);
  }
  bool SQADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(ints(q, size), m, n, d, &B::AddSatS, &B::Add);
  }
  bool SRHADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::RoundHalveAddS);
  }
  bool SHSUB_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::HalveSubS);
  }
  bool SQSUB_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(ints(q, size), m, n, d, &B::SubSatS, &B::Sub);
  }
  bool CMGT_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return compare_swapped(ints(q, size), m, n, d, &B::CmpLtS);
  }
  bool CMGE_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return compare_swapped(ints(q, size), m, n, d, &B::CmpLeS);
  }
  bool SSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2(ints(q, size), m, n, d, &B::ShiftS);
  }
  bool SQSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(ints(q, size), m, n, d, &B::ShiftSatS, &B::ShiftS);
  }
  bool SRSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2(ints(q, size), m, n, d, &B::RoundShiftS);
  }
  bool SQRSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(ints(q, size), m, n, d, &B::RoundShiftSatS, &B::RoundShiftS);
  }
  bool SMAX_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::MaxS);
  }
  bool SMIN_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::MinS);
  }
  bool SABD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::AbsDiffS);
  }
  bool SABA_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : lanes2_then(ints(q, size), m, n, d, &B::AbsDiffS, &B::Add);
  }
  bool ADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2(ints(q, size), m, n, d, &B::Add);
  }
  bool CMTST_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return compare(ints(q, size), m, n, d, &B::CmpTest);
  }
  bool MLA_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : lanes2_then(ints(q, size), m, n, d, &B::Mul, &B::Add);
  }
  bool MUL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::Mul);
  }
  bool SQDMULH_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product(q, size, m, n, d, false);
  }
  bool ADDP_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return pairwise(ints(q, size), m, n, d, &B::Add);
  }
  bool SMAXP_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : pairwise(ints(q, size), m, n, d, &B::MaxS);
  }
  bool SMINP_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : pairwise(ints(q, size), m, n, d, &B::MinS);
  }
  bool UHADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::HalveAddU);
  }
  bool UQADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(ints(q, size), m, n, d, &B::AddSatU, &B::Add);
  }
  bool URHADD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::RoundHalveAddU);
  }
  bool UHSUB_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::HalveSubU);
  }
  bool UQSUB_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(ints(q, size), m, n, d, &B::SubSatU, &B::Sub);
  }
  bool CMHI_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return compare_swapped(ints(q, size), m, n, d, &B::CmpLtU);
  }
  bool CMHS_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return compare_swapped(ints(q, size), m, n, d, &B::CmpLeU);
  }
  bool USHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2(ints(q, size), m, n, d, &B::ShiftU);
  }
  bool UQSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(ints(q, size), m, n, d, &B::ShiftSatU, &B::ShiftU);
  }
  bool URSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2(ints(q, size), m, n, d, &B::RoundShiftU);
  }
  bool UQRSHL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(ints(q, size), m, n, d, &B::RoundShiftSatU, &B::RoundShiftU);
  }
  bool UMAX_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::MaxU);
  }
  bool UMIN_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::MinU);
  }
  bool UABD_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2_to_32(q, size, m, n, d, &B::AbsDiffU);
  }
  bool UABA_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : lanes2_then(ints(q, size), m, n, d, &B::AbsDiffU, &B::Add);
  }
  bool SUB_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return lanes2(ints(q, size), m, n, d, &B::Sub);
  }
  bool CMEQ_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return compare(ints(q, size), m, n, d, &B::CmpEq);
  }
  bool MLS_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : lanes2_then(ints(q, size), m, n, d, &B::Mul, &B::Sub);
  }
  bool PMUL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size != 0 ? unallocated() : lanes2(ints(q, size), m, n, d, &B::PolyMul);
  }
  bool SQRDMULH_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product(q, size, m, n, d, true);
  }
  bool UMAXP_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : pairwise(ints(q, size), m, n, d, &B::MaxU);
  }
  bool UMINP_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return size == 3 ? unallocated() : pairwise(ints(q, size), m, n, d, &B::MinU);
  }

  /// Neighbours in m:n meet.
  bool pairwise(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op) {
    if (s.reserved()) return unallocated();
    const Value a = read(n, s), b = read(m, s);
    set_v(d, (ir.*op)(evens(a, b, s.elem), odds(a, b, s.elem), s.elem));
    return true;
  }

  // A left shift has lost something where the wrapped result differs from the clamped one, or
  // where shifting the clamped one back does not give the operand; each alone misses cases
  // (-127 << 7 wraps to the clamp's -128, -1 << 8 shifts back from it to -1).
  bool shift_saturated(Shape s, Vreg m, Vreg n, Vreg d, Lane2 saturated, Lane2 wrapped) {
    if (s.reserved()) return unallocated();
    const Value a = read(n, s), b = read(m, s), result = (ir.*saturated)(a, b, s.elem);
    const Value back = (ir.*wrapped)(result, ir.Neg(b, s.elem), s.elem);
    const Value amount = ir.Shl(b, splat(s, s.width() - 8), s.elem);
    const Value left = mask(s, ir.CmpLtS(splat(s, 0), amount, s.elem));
    const Type bits = s.vector() ? I64 : s.elem;
    or_qc_if_differ(ir.And(ir.Xor(back, a, bits), left, bits), splat(s, 0));
    or_qc_if_differ(result, (ir.*wrapped)(a, b, s.elem));
    set_v(d, result);
    return true;
  }

  /// 16 and 32-bit lanes.
  bool high_product(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, bool round) {
    const Shape s = ints(q, size);
    if (size == 0 || size == 3) return unallocated();
    set_v(d, mul_double_high(s, read(n, s), read(m, s), round));
    return true;
  }
  bool high_product_accumulated(Imm<2> size, Shape s, Vreg m, Vreg n, Vreg d, bool subtract) {
    if (size == 0 || size == 3) return unallocated();
    set_v(d, mul_double_accumulate_high(s, read(d, s), read(n, s), read(m, s), subtract));
    return true;
  }

  // --- whole registers

  bool AND_vec(bool q, Vreg m, Vreg n, Vreg d) { return lanes2(bits(q), m, n, d, &B::And); }
  bool BIC_vec(bool q, Vreg m, Vreg n, Vreg d) { return lanes2(bits(q), m, n, d, &B::AndNot); }
  bool ORR_vec(bool q, Vreg m, Vreg n, Vreg d) { return lanes2(bits(q), m, n, d, &B::Or); }
  bool ORN_vec(bool q, Vreg m, Vreg n, Vreg d) {
    set_v(d, ir.Or(v_sized(n, q), ir.Not(v_sized(m, q), I32), I32));
    return true;
  }
  bool EOR_vec(bool q, Vreg m, Vreg n, Vreg d) { return lanes2(bits(q), m, n, d, &B::Xor); }
  bool BSL_vec(bool q, Vreg m, Vreg n, Vreg d) { return select(q, d, n, m, d); }
  bool BIT_vec(bool q, Vreg m, Vreg n, Vreg d) { return select(q, m, n, d, d); }
  bool BIF_vec(bool q, Vreg m, Vreg n, Vreg d) { return select(q, m, d, n, d); }

  static Shape bits(bool q) { return {vector(q), I32}; }
  /// d = mask ? a : b, bit by bit
  bool select(bool q, Vreg mask, Vreg a, Vreg b, Vreg d) {
    set_v(d, ir.BitSelect(v_sized(mask, q), v_sized(a, q), v_sized(b, q), I32));
    return true;
  }

  // --- scalar

  bool SQADD_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(int_scalar(size), m, n, d, &B::AddSatS, &B::Add);
  }
  bool SQSUB_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(int_scalar(size), m, n, d, &B::SubSatS, &B::Sub);
  }
  bool SQSHL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(int_scalar(size), m, n, d, &B::ShiftSatS, &B::ShiftS);
  }
  bool SQRSHL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(int_scalar(size), m, n, d, &B::RoundShiftSatS, &B::RoundShiftS);
  }
  bool CMGT_scalar(Vreg m, Vreg n, Vreg d) { return compare_swapped(scalar(I64), m, n, d, &B::CmpLtS); }
  bool CMGE_scalar(Vreg m, Vreg n, Vreg d) { return compare_swapped(scalar(I64), m, n, d, &B::CmpLeS); }
  bool SSHL_scalar(Vreg m, Vreg n, Vreg d) { return lanes2(scalar(I64), m, n, d, &B::ShiftS); }
  bool SRSHL_scalar(Vreg m, Vreg n, Vreg d) { return lanes2(scalar(I64), m, n, d, &B::RoundShiftS); }
  bool ADD_scalar(Vreg m, Vreg n, Vreg d) { return lanes2(scalar(I64), m, n, d, &B::Add); }
  bool CMTST_scalar(Vreg m, Vreg n, Vreg d) { return compare(scalar(I64), m, n, d, &B::CmpTest); }
  bool SQDMULH_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product_scalar(size, m, n, d, false);
  }
  bool UQADD_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(int_scalar(size), m, n, d, &B::AddSatU, &B::Add);
  }
  bool UQSUB_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return saturating2(int_scalar(size), m, n, d, &B::SubSatU, &B::Sub);
  }
  bool UQSHL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(int_scalar(size), m, n, d, &B::ShiftSatU, &B::ShiftU);
  }
  bool UQRSHL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return shift_saturated(int_scalar(size), m, n, d, &B::RoundShiftSatU, &B::RoundShiftU);
  }
  bool CMHI_scalar(Vreg m, Vreg n, Vreg d) { return compare_swapped(scalar(I64), m, n, d, &B::CmpLtU); }
  bool CMHS_scalar(Vreg m, Vreg n, Vreg d) { return compare_swapped(scalar(I64), m, n, d, &B::CmpLeU); }
  bool USHL_scalar(Vreg m, Vreg n, Vreg d) { return lanes2(scalar(I64), m, n, d, &B::ShiftU); }
  bool URSHL_scalar(Vreg m, Vreg n, Vreg d) { return lanes2(scalar(I64), m, n, d, &B::RoundShiftU); }
  bool SUB_scalar(Vreg m, Vreg n, Vreg d) { return lanes2(scalar(I64), m, n, d, &B::Sub); }
  bool CMEQ_scalar(Vreg m, Vreg n, Vreg d) { return compare(scalar(I64), m, n, d, &B::CmpEq); }
  bool SQRDMULH_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product_scalar(size, m, n, d, true);
  }

  bool high_product_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d, bool round) {
    const Shape s = int_scalar(size);
    if (size == 0 || size == 3) return unallocated();
    set_v(d, mul_double_high(s, read(n, s), read(m, s), round));
    return true;
  }

  // --- FEAT_RDM

  bool SQRDMLAH_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product_accumulated(size, ints(q, size), m, n, d, false);
  }
  bool SQRDMLAH_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product_accumulated(size, int_scalar(size), m, n, d, false);
  }
  bool SQRDMLSH_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product_accumulated(size, ints(q, size), m, n, d, true);
  }
  bool SQRDMLSH_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return high_product_accumulated(size, int_scalar(size), m, n, d, true);
  }
};

#define A64_CHAPTER SimdThreeSame
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_three_same.inc"
};

}  // namespace

std::span<const Row> simd_three_same_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
