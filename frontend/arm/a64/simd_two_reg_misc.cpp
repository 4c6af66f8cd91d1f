// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdTwoRegMisc : SimdLifter {
  using SimdLifter::SimdLifter;

  bool REV64_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return reverse(q, size, n, d, 64); }
  bool REV32_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return reverse(q, size, n, d, 32); }
  bool REV16_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return reverse(q, size, n, d, 16); }
  bool CLS_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return lanes1_to_32(q, size, n, d, &B::Cls); }
  bool CLZ_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return lanes1_to_32(q, size, n, d, &B::Clz); }
  bool CNT_vec(bool q, Vreg n, Vreg d) { return lanes1(ints(q, 0), n, d, &B::PopCount); }
  bool NOT_vec(bool q, Vreg n, Vreg d) { return lanes1(ints(q, 0), n, d, &B::Not); }
  bool RBIT_vec(bool q, Vreg n, Vreg d) { return lanes1(ints(q, 0), n, d, &B::BitReverse); }
  bool ABS_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return lanes1(ints(q, size), n, d, &B::Abs); }
  bool NEG_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return lanes1(ints(q, size), n, d, &B::Neg); }
  bool CMGT_zero_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return compare_zero(ints(q, size), n, d, &B::CmpLtS, true);
  }
  bool CMEQ_zero_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return compare_zero(ints(q, size), n, d, &B::CmpEq, false);
  }
  bool CMLT_zero_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return compare_zero(ints(q, size), n, d, &B::CmpLtS, false);
  }
  bool CMGE_zero_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return compare_zero(ints(q, size), n, d, &B::CmpLeS, true);
  }
  bool CMLE_zero_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return compare_zero(ints(q, size), n, d, &B::CmpLeS, false);
  }
  bool SADDLP_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return add_neighbours(q, size, n, d, true, false); }
  bool SADALP_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return add_neighbours(q, size, n, d, true, true); }
  bool UADDLP_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return add_neighbours(q, size, n, d, false, false); }
  bool UADALP_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return add_neighbours(q, size, n, d, false, true); }
  bool SUQADD_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return add_mixed(ints(q, size), n, d, &B::AddSatSU);
  }
  bool USQADD_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return add_mixed(ints(q, size), n, d, &B::AddSatUS);
  }
  bool SQABS_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return absolute_saturated(ints(q, size), n, d); }
  bool SQNEG_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return negate_saturated(ints(q, size), n, d); }
  bool XTN_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    if (size == 3) return unallocated();
    set_v_narrowed(d, q, ir.Narrow(Op::Narrow, v(n), wide_lane(size)));
    return true;
  }
  bool SQXTUN_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return extract_narrow(q, size, n, d, Op::NarrowSatSU);
  }
  bool SQXTN_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return extract_narrow(q, size, n, d, Op::NarrowSatS);
  }
  bool UQXTN_vec(bool q, Imm<2> size, Vreg n, Vreg d) {
    return extract_narrow(q, size, n, d, Op::NarrowSatU);
  }
  bool SHLL_vec(bool q, Imm<2> size, Vreg n, Vreg d) { return shift_left_long(q, size, n, d); }
  bool URECPE_vec(bool q, Vreg n, Vreg d) { return lanes1(ints(q, 2), n, d, &B::RecipEstimateU); }
  bool URSQRTE_vec(bool q, Vreg n, Vreg d) { return lanes1(ints(q, 2), n, d, &B::RsqrtEstimateU); }

  bool lanes1_to_32(bool q, Imm<2> size, Vreg n, Vreg d, Lane1 op) {
    return size == 3 ? unallocated() : lanes1(ints(q, size), n, d, op);
  }
  bool reverse(bool q, Imm<2> size, Vreg n, Vreg d, unsigned container) {
    const Shape s = ints(q, size);
    if (s.width() >= container) return unallocated();
    set_v(d, ir.ReverseIn(read(n, s), s.elem, container));
    return true;
  }
  /// op(n, 0), or op(0, n)
  bool compare_zero(Shape s, Vreg n, Vreg d, Lane2 op, bool zero_first) {
    if (s.reserved()) return unallocated();
    const Value a = read(n, s), zero = splat(s, 0);
    set_v(d, mask(s, zero_first ? (ir.*op)(zero, a, s.elem) : (ir.*op)(a, zero, s.elem)));
    return true;
  }

  /// Neighbouring lanes extended to twice their width and added.
  bool add_neighbours(bool q, Imm<2> size, Vreg n, Vreg d, bool is_signed, bool accumulate) {
    if (size == 3) return unallocated();
    const Shape s = ints(q, size + 1);
    const Value sum = neighbour_sums(s, read(n, s), is_signed);
    set_v(d, accumulate ? ir.Add(read(d, s), sum, s.elem) : sum);
    return true;
  }

  /// SUQADD, USQADD: the accumulator has one signedness, n the other.
  bool add_mixed(Shape s, Vreg n, Vreg d, Lane2 saturated) {
    if (s.reserved()) return unallocated();
    const Value a = read(d, s), b = read(n, s), result = (ir.*saturated)(a, b, s.elem);
    or_qc_if_differ(result, ir.Add(a, b, s.elem));
    set_v(d, result);
    return true;
  }
  // Only the most negative number has no negative; as an unsigned number it is one too large.
  bool absolute_saturated(Shape s, Vreg n, Vreg d) {
    if (s.reserved()) return unallocated();
    const Value wrapped = ir.Abs(read(n, s), s.elem);
    const Value result = ir.MinU(wrapped, splat(s, (uint64_t{1} << (s.width() - 1)) - 1), s.elem);
    or_qc_if_differ(result, wrapped);
    set_v(d, result);
    return true;
  }
  bool negate_saturated(Shape s, Vreg n, Vreg d) {
    if (s.reserved()) return unallocated();
    set_v(d, sub_saturated(s, splat(s, 0), read(n, s)));
    return true;
  }

  static Type wide_lane(unsigned size) { return ir::int_type(16u << size); }
  bool extract_narrow(bool q, Imm<2> size, Vreg n, Vreg d, Op op) {
    if (size == 3) return unallocated();
    set_v_narrowed(d, q, narrow_saturated(v(n), op, wide_lane(size)));
    return true;
  }
  /// The scalar is lane 0 of a vector whose other lanes are zero and saturate nothing.
  bool extract_narrow_scalar(Imm<2> size, Vreg n, Vreg d, Op op) {
    if (size == 3) return unallocated();
    const Value wide = ir.VecFromScalar(V128, v_scalar(n, wide_lane(size)));
    set_v(d, narrow_saturated(wide, op, wide_lane(size)));
    return true;
  }
  bool shift_left_long(bool q, Imm<2> size, Vreg n, Vreg d) {
    if (size == 3) return unallocated();
    const Shape s = ints(true, size + 1);
    const Value a = widened(n, q, false, ir::int_type(8u << size));
    set_v(d, ir.Shl(a, splat(s, 8u << size), s.elem));
    return true;
  }

  // --- scalar

  bool ABS_scalar(Vreg n, Vreg d) { return lanes1(scalar(I64), n, d, &B::Abs); }
  bool NEG_scalar(Vreg n, Vreg d) { return lanes1(scalar(I64), n, d, &B::Neg); }
  bool CMGT_zero_scalar(Vreg n, Vreg d) { return compare_zero(scalar(I64), n, d, &B::CmpLtS, true); }
  bool CMEQ_zero_scalar(Vreg n, Vreg d) { return compare_zero(scalar(I64), n, d, &B::CmpEq, false); }
  bool CMLT_zero_scalar(Vreg n, Vreg d) { return compare_zero(scalar(I64), n, d, &B::CmpLtS, false); }
  bool CMGE_zero_scalar(Vreg n, Vreg d) { return compare_zero(scalar(I64), n, d, &B::CmpLeS, true); }
  bool CMLE_zero_scalar(Vreg n, Vreg d) { return compare_zero(scalar(I64), n, d, &B::CmpLeS, false); }
  bool SUQADD_scalar(Imm<2> size, Vreg n, Vreg d) { return add_mixed(int_scalar(size), n, d, &B::AddSatSU); }
  bool USQADD_scalar(Imm<2> size, Vreg n, Vreg d) { return add_mixed(int_scalar(size), n, d, &B::AddSatUS); }
  bool SQABS_scalar(Imm<2> size, Vreg n, Vreg d) { return absolute_saturated(int_scalar(size), n, d); }
  bool SQNEG_scalar(Imm<2> size, Vreg n, Vreg d) { return negate_saturated(int_scalar(size), n, d); }
  bool SQXTUN_scalar(Imm<2> size, Vreg n, Vreg d) {
    return extract_narrow_scalar(size, n, d, Op::NarrowSatSU);
  }
  bool SQXTN_scalar(Imm<2> size, Vreg n, Vreg d) { return extract_narrow_scalar(size, n, d, Op::NarrowSatS); }
  bool UQXTN_scalar(Imm<2> size, Vreg n, Vreg d) { return extract_narrow_scalar(size, n, d, Op::NarrowSatU); }
};

#define A64_CHAPTER SimdTwoRegMisc
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_two_reg_misc.inc"
};

}  // namespace

std::span<const Row> simd_two_reg_misc_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
