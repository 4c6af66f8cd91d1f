// SPDX-License-Identifier: Apache-2.0
#include <bit>

#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdShiftImm : SimdLifter {
  using SimdLifter::SimdLifter;

  /// immh:immb: the highest set bit of immh is the lane size, the rest the amount.
  struct Amount {
    unsigned size;   ///< log2 of the bytes of a lane
    unsigned left;   ///< shift left by this, 0..n-1
    unsigned right;  ///< or right by this, 1..n
  };
  static Amount amount(Imm<4> immh, Imm<3> immb) {
    const unsigned size = static_cast<unsigned>(std::bit_width(immh.value)) - 1, width = 8u << size;
    const unsigned value = immh << 3 | immb;
    return {size, value - width, 2 * width - value};
  }

  // --- one register to another of the same shape

  bool shift(Shape s, unsigned by, Vreg n, Vreg d, Lane2 op) {
    if (s.reserved()) return unallocated();
    set_v(d, (ir.*op)(read(n, s), splat(s, by), s.elem));
    return true;
  }
  bool shift_accumulate(Shape s, unsigned by, Vreg n, Vreg d, Lane2 op) {
    if (s.reserved()) return unallocated();
    set_v(d, ir.Add(read(d, s), (ir.*op)(read(n, s), splat(s, by), s.elem), s.elem));
    return true;
  }
  /// Bits that nothing is shifted into keep their value.
  bool insert(Shape s, unsigned by, Vreg n, Vreg d, Lane2 op, uint64_t inserted) {
    if (s.reserved()) return unallocated();
    const Value moved = (ir.*op)(read(n, s), splat(s, by), s.elem);
    set_v(d, ir.BitSelect(splat(s, inserted), moved, read(d, s), s.vector() ? I64 : s.elem));
    return true;
  }
  static uint64_t ones(unsigned width) { return ~uint64_t{0} >> (64 - width); }
  bool insert_right(Shape s, unsigned by, Vreg n, Vreg d) {
    return insert(s, by, n, d, &B::ShrU, by == s.width() ? 0 : ones(s.width() - by));
  }
  bool insert_left(Shape s, unsigned by, Vreg n, Vreg d) {
    return insert(s, by, n, d, &B::Shl, ones(s.width()) << by);
  }
  /// Nothing was lost where shifting back gives the operand: amounts here are less than the width.
  bool shift_saturated(Shape s, unsigned by, Vreg n, Vreg d, Lane2 saturated, Lane2 back) {
    if (s.reserved()) return unallocated();
    const Value a = read(n, s), result = (ir.*saturated)(a, splat(s, by), s.elem);
    or_qc_if_differ((ir.*back)(result, splat(s, by), s.elem), a);
    set_v(d, result);
    return true;
  }

  // --- between widths; the size of the narrow lane tells

  Value shifted_wide(Value wide, unsigned size, unsigned by, Lane2 op) {
    return (ir.*op)(wide, splat(ints(true, size + 1), by), ir::int_type(16u << size));
  }
  bool narrow(bool q, Amount a, Vreg n, Vreg d, Lane2 op) {
    if (a.size == 3) return unallocated();
    set_v_narrowed(
        d, q, ir.Narrow(Op::Narrow, shifted_wide(v(n), a.size, a.right, op), ir::int_type(16u << a.size)));
    return true;
  }
  bool narrow_saturating(bool q, Amount a, Vreg n, Vreg d, Lane2 op, Op clamp) {
    if (a.size == 3) return unallocated();
    set_v_narrowed(
        d, q, narrow_saturated(shifted_wide(v(n), a.size, a.right, op), clamp, ir::int_type(16u << a.size)));
    return true;
  }
  bool narrow_saturating_scalar(Amount a, Vreg n, Vreg d, Lane2 op, Op clamp) {
    if (a.size == 3) return unallocated();
    const Type wide = ir::int_type(16u << a.size);
    const Value alone = ir.VecFromScalar(V128, v_scalar(n, wide));
    set_v(d, narrow_saturated(shifted_wide(alone, a.size, a.right, op), clamp, wide));
    return true;
  }
  bool lengthen(bool q, Amount a, Vreg n, Vreg d, bool is_signed) {
    if (a.size == 3) return unallocated();
    set_v(d, shifted_wide(widened(n, q, is_signed, ir::int_type(8u << a.size)), a.size, a.left, &B::Shl));
    return true;
  }

  // --- fixed point

  /// The float shape for the lane size; None where there is none.
  Type float_lane(Amount a) const {
    if (a.size == 0 || (a.size == 1 && !has(Feature::FP16))) return Type::None;
    return ir::float_type(8u << a.size);
  }
  bool from_fixed(bool is_vector, bool q, Amount a, Vreg n, Vreg d, Op op) {
    const Type lane = float_lane(a);
    if (lane == Type::None) return unallocated();
    return int_to_fp(is_vector ? Shape{vector(q), lane} : scalar(lane), n, d, op, a.right);
  }
  bool to_fixed(bool is_vector, bool q, Amount a, Vreg n, Vreg d, Op op) {
    const Type lane = float_lane(a);
    if (lane == Type::None) return unallocated();
    return fp_to_int(is_vector ? Shape{vector(q), lane} : scalar(lane), n, d, op, Round::TowardZero, a.right);
  }

  bool SSHR_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift(ints(q, a.size), a.right, n, d, &B::ShrS);
  }
  bool SSHR_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift(scalar(I64), 64 - immediate, n, d, &B::ShrS);
  }
  bool SSRA_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_accumulate(ints(q, a.size), a.right, n, d, &B::ShrS);
  }
  bool SSRA_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift_accumulate(scalar(I64), 64 - immediate, n, d, &B::ShrS);
  }
  bool SRSHR_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift(ints(q, a.size), a.right, n, d, &B::RoundShrS);
  }
  bool SRSHR_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift(scalar(I64), 64 - immediate, n, d, &B::RoundShrS);
  }
  bool SRSRA_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_accumulate(ints(q, a.size), a.right, n, d, &B::RoundShrS);
  }
  bool SRSRA_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift_accumulate(scalar(I64), 64 - immediate, n, d, &B::RoundShrS);
  }
  bool SQSHL_imm_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_saturated(ints(q, a.size), a.left, n, d, &B::ShlSatS, &B::ShrS);
  }
  bool SQSHL_imm_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_saturated(int_scalar(a.size), a.left, n, d, &B::ShlSatS, &B::ShrS);
  }
  bool USHR_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift(ints(q, a.size), a.right, n, d, &B::ShrU);
  }
  bool USHR_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift(scalar(I64), 64 - immediate, n, d, &B::ShrU);
  }
  bool USRA_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_accumulate(ints(q, a.size), a.right, n, d, &B::ShrU);
  }
  bool USRA_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift_accumulate(scalar(I64), 64 - immediate, n, d, &B::ShrU);
  }
  bool URSHR_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift(ints(q, a.size), a.right, n, d, &B::RoundShrU);
  }
  bool URSHR_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift(scalar(I64), 64 - immediate, n, d, &B::RoundShrU);
  }
  bool URSRA_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_accumulate(ints(q, a.size), a.right, n, d, &B::RoundShrU);
  }
  bool URSRA_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return shift_accumulate(scalar(I64), 64 - immediate, n, d, &B::RoundShrU);
  }
  bool UQSHL_imm_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_saturated(ints(q, a.size), a.left, n, d, &B::ShlSatU, &B::ShrU);
  }
  bool UQSHL_imm_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_saturated(int_scalar(a.size), a.left, n, d, &B::ShlSatU, &B::ShrU);
  }
  bool SRI_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return insert_right(ints(q, a.size), a.right, n, d);
  }
  bool SRI_scalar(Imm<6> immediate, Vreg n, Vreg d) {
    return insert_right(scalar(I64), 64 - immediate, n, d);
  }
  bool SHL_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift(ints(q, a.size), a.left, n, d, &B::Shl);
  }
  bool SHL_scalar(Imm<6> immediate, Vreg n, Vreg d) { return shift(scalar(I64), immediate, n, d, &B::Shl); }
  bool SLI_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return insert_left(ints(q, a.size), a.left, n, d);
  }
  bool SLI_scalar(Imm<6> immediate, Vreg n, Vreg d) { return insert_left(scalar(I64), immediate, n, d); }
  bool SQSHLU_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_saturated(ints(q, a.size), a.left, n, d, &B::ShlSatSU, &B::ShrU);
  }
  bool SQSHLU_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    const Amount a = amount(immh, immb);
    return shift_saturated(int_scalar(a.size), a.left, n, d, &B::ShlSatSU, &B::ShrU);
  }
  bool SHRN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow(q, amount(immh, immb), n, d, &B::ShrU);
  }
  bool RSHRN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow(q, amount(immh, immb), n, d, &B::RoundShrU);
  }
  bool SQSHRN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating(q, amount(immh, immb), n, d, &B::ShrS, Op::NarrowSatS);
  }
  bool SQSHRN_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating_scalar(amount(immh, immb), n, d, &B::ShrS, Op::NarrowSatS);
  }
  bool SQRSHRN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating(q, amount(immh, immb), n, d, &B::RoundShrS, Op::NarrowSatS);
  }
  bool SQRSHRN_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating_scalar(amount(immh, immb), n, d, &B::RoundShrS, Op::NarrowSatS);
  }
  bool SQSHRUN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating(q, amount(immh, immb), n, d, &B::ShrS, Op::NarrowSatSU);
  }
  bool SQSHRUN_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating_scalar(amount(immh, immb), n, d, &B::ShrS, Op::NarrowSatSU);
  }
  bool SQRSHRUN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating(q, amount(immh, immb), n, d, &B::RoundShrS, Op::NarrowSatSU);
  }
  bool SQRSHRUN_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating_scalar(amount(immh, immb), n, d, &B::RoundShrS, Op::NarrowSatSU);
  }
  bool UQSHRN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating(q, amount(immh, immb), n, d, &B::ShrU, Op::NarrowSatU);
  }
  bool UQSHRN_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating_scalar(amount(immh, immb), n, d, &B::ShrU, Op::NarrowSatU);
  }
  bool UQRSHRN_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating(q, amount(immh, immb), n, d, &B::RoundShrU, Op::NarrowSatU);
  }
  bool UQRSHRN_scalar(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return narrow_saturating_scalar(amount(immh, immb), n, d, &B::RoundShrU, Op::NarrowSatU);
  }
  bool SSHLL_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return lengthen(q, amount(immh, immb), n, d, true);
  }
  bool USHLL_vec(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return lengthen(q, amount(immh, immb), n, d, false);
  }
  bool SCVTF_vec_fixed(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return from_fixed(true, q, amount(immh, immb), n, d, Op::FFromIntS);
  }
  bool SCVTF_scalar_fixed(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return from_fixed(false, false, amount(immh, immb), n, d, Op::FFromIntS);
  }
  bool UCVTF_vec_fixed(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return from_fixed(true, q, amount(immh, immb), n, d, Op::FFromIntU);
  }
  bool UCVTF_scalar_fixed(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return from_fixed(false, false, amount(immh, immb), n, d, Op::FFromIntU);
  }
  bool FCVTZS_vec_fixed(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return to_fixed(true, q, amount(immh, immb), n, d, Op::FToIntS);
  }
  bool FCVTZS_scalar_fixed(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return to_fixed(false, false, amount(immh, immb), n, d, Op::FToIntS);
  }
  bool FCVTZU_vec_fixed(bool q, Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return to_fixed(true, q, amount(immh, immb), n, d, Op::FToIntU);
  }
  bool FCVTZU_scalar_fixed(Imm<4> immh, Imm<3> immb, Vreg n, Vreg d) {
    return to_fixed(false, false, amount(immh, immb), n, d, Op::FToIntU);
  }
};

#define A64_CHAPTER SimdShiftImm
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_shift_imm.inc"
};

}  // namespace

std::span<const Row> simd_shift_imm_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
