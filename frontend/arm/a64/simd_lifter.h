// SPDX-License-Identifier: Apache-2.0
/// Common ground of the floating-point and Advanced SIMD chapters: how a register divides
/// into lanes, and one function per shape of instruction, so that a handler says only which
/// operation it is (DDI 0487, C4.1.95; shared pseudocode J1.3).
///
/// A Shape is a vector of lanes or a single scalar; both go through the same functions,
/// because reading the low bits of a register as a scalar and writing them back with the
/// rest cleared is all that the scalar forms do.
#pragma once

#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm::a64 {

/// A vector type with its lane type, or a scalar type twice.
struct Shape {
  Type type, elem;
  unsigned width() const { return ir::bit_width(elem); }
  unsigned lanes() const { return ir::bit_width(type) / width(); }
  bool vector() const { return ir::is_vector(type); }
  /// 64-bit lanes in a 64-bit vector: the arrangement that every vector instruction reserves.
  bool reserved() const { return type == V64 && width() == 64; }
};

class SimdLifter : public Lifter {
 public:
  using Lifter::Lifter;

 protected:
  using B = ir::Builder;
  using Lane1 = Value (B::*)(Value, Type);
  using Lane2 = Value (B::*)(Value, Value, Type);
  using Lane3 = Value (B::*)(Value, Value, Value, Type);
  using Vec1 = Value (B::*)(Value, Type, uint64_t);
  using Vec2 = Value (B::*)(Value, Value, Type, uint64_t);
  using Vec3 = Value (B::*)(Value, Value, Value, Type, uint64_t);
  using Fp1 = Value (B::*)(Value, FpMode, Type, uint32_t);
  using Fp2 = Value (B::*)(Value, Value, FpMode, Type);
  using Fp3 = Value (B::*)(Value, Value, Value, FpMode, Type);

  // Shapes. `size` is log2 of the bytes of a lane.
  static Type vector(bool q) { return q ? V128 : V64; }
  static Shape ints(bool q, unsigned size) { return {vector(q), ir::int_type(8u << size)}; }
  static Shape floats(bool q, bool sz) { return {vector(q), sz ? F64 : F32}; }
  static Shape halves(bool q) { return {vector(q), F16}; }
  static Shape scalar(Type type) { return {type, type}; }
  static Shape int_scalar(unsigned size) { return scalar(ir::int_type(8u << size)); }
  static Shape float_scalar(bool sz) { return scalar(sz ? F64 : F32); }
  /// The shape with the same lanes as integers.
  static Shape as_ints(Shape s) {
    const Type lane = ir::int_type(s.width());
    return {s.vector() ? s.type : lane, lane};
  }

  // Values.
  Value read(Vreg n, Shape s) { return ir.GetState(v_offset(n), s.type); }
  /// Every lane the constant.
  Value splat(Shape s, uint64_t lane) {
    return s.vector() ? ir.ConstSplat(s.type, s.elem, lane) : imm(s.type, lane);
  }
  /// A compare's result as a mask: scalars compare to an I1.
  Value mask(Shape s, Value compared) { return s.vector() ? compared : ir.SExt(compared, s.type); }
  /// The half of a register that Q selects, lanes extended to twice their width.
  Value widened(Vreg n, bool q, bool is_signed, Type lane) { return widened(v(n), q, is_signed, lane); }
  Value widened(Value a, bool q, bool is_signed, Type lane);
  /// Even and odd lanes side by side, from the concatenation b:a.
  Value evens(Value a, Value b, Type lane) { return ir.UnzipEven(a, b, lane); }
  Value odds(Value a, Value b, Type lane) { return ir.UnzipOdd(a, b, lane); }
  /// Sums of neighbouring lanes of half the shape's width, as lanes of its width.
  Value neighbour_sums(Shape s, Value a, bool is_signed);
  /// XTN, and XTN2 which keeps the lower half.
  void set_v_narrowed(Vreg d, bool q, Value narrow);

  static Type wider(Type lane) { return ir::int_type(2 * ir::bit_width(lane)); }

  // FPSR.QC.
  void or_qc(Value condition);
  /// Saturated where the two differ in any bit.
  void or_qc_if_differ(Value a, Value b);

  // Lanewise integer instructions: d = op(n), d = op(n, m), d = op(d, n, m).
  bool lanes1(Shape s, Vreg n, Vreg d, Lane1 op);
  bool lanes2(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op);
  /// d = outer(d, inner(n, m))
  bool lanes2_then(Shape s, Vreg m, Vreg n, Vreg d, Lane2 inner, Lane2 outer);
  /// All ones where compare(n, m).
  bool compare(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op);
  /// All ones where compare(m, n).
  bool compare_swapped(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op);
  bool saturating2(Shape s, Vreg m, Vreg n, Vreg d, Lane2 saturated, Lane2 wrapped);

  // Saturating building blocks; each sets QC.
  Value add_saturated(Shape s, Value a, Value b);
  Value sub_saturated(Shape s, Value a, Value b);
  /// SQDMULH, SQRDMULH.
  Value mul_double_high(Shape s, Value a, Value b, bool round);
  /// SQRDMLAH, SQRDMLSH.
  Value mul_double_accumulate_high(Shape s, Value accumulator, Value a, Value b, bool subtract);
  enum class Then { Set, Add, Subtract };
  /// SQDMULL, SQDMLAL, SQDMLSL: 2 * a * b of lanes that were extended to the shape's, and then.
  Value mul_double_long(Shape s, Value accumulator, Value a, Value b, Then then);
  /// NarrowSatS, NarrowSatU, NarrowSatSU of a 128-bit vector of wide lanes.
  Value narrow_saturated(Value wide, Op op, Type wide_lane);

  // Floating point.
  FpMode fp_mode(Shape s) const { return Lifter::fp_mode(s.elem); }
  /// FCVT between formats: half precision is never flushed, but may be the alternative format
  /// (FPUnpackCV, FPRoundCV).
  FpMode convert_mode(Type from, Type to) const;
  static FpMode rounding(FpMode mode, Round round) {
    mode.round = round;
    return mode;
  }
  bool fp1(Shape s, Vreg n, Vreg d, Fp1 op);
  bool fp2(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op);
  /// FMLA and FMLS: d + n * m, or d + -n * m.
  Value fp_accumulate(Shape s, Value addend, Value n, Value m, bool negate);
  bool fp_multiply_add(Shape s, Vreg m, Vreg n, Vreg d, bool negate);
  bool fp_compare(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op);
  bool fp_compare_swapped(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op);
  /// FCVT to integer of the lane's own width, and back.
  bool fp_to_int(Shape s, Vreg n, Vreg d, Op op, Round round, unsigned fraction_bits = 0);
  bool int_to_fp(Shape s, Vreg n, Vreg d, Op op, unsigned fraction_bits = 0);
  bool fp_round(Shape s, Vreg n, Vreg d, Round round, bool exact = false, unsigned width = 0);
  Round current_round() const { return Lifter::fp_mode(F32).round; }

  /// Two single-precision lanes' worth of half precision, kept as exact values with the
  /// signalling NaNs still signalling: the operands of FMLAL.
  Value halves_widened(Value halves, bool upper);
  /// The halves that FMLAL (second: FMLAL2) takes from a register.
  Value long_operand(Vreg n, bool q, bool second);
  /// FMLAL, FMLSL on widened operands.
  Value fp_multiply_add_long(bool q, Value addend, Value n, Value m, bool negate);

  /// Every other BF16 number as single precision.
  Value bf16_lanes(Value a, bool top);

  // Complex numbers: even lanes real, odd lanes imaginary.
  Shape complex(bool q, unsigned size) const {
    if (size == 1 && has(Feature::FP16)) return halves(q);
    return size >= 2 ? floats(q, size == 3) : Shape{vector(q), Type::None};
  }
  Value swap_parts(Shape s, Value a) { return ir.ReverseIn(a, s.elem, 2 * s.width()); }
  Value negate_lanes(Shape s, Value a, bool even, bool odd);
  /// FCMLA: accumulator + n * m, the half of the product that the rotation selects.
  Value complex_multiply_add(Shape s, Value accumulator, Value n, Value m, unsigned rotation);

  /// VFPExpandImm
  static uint64_t fp_expand_imm(uint32_t imm8, Type type);

  /// 00 single, 01 double, 11 half if there: None where the encoding is unallocated.
  Type fp_type(unsigned ptype) const {
    return ptype == 0 ? F32 : ptype == 1 ? F64 : ptype == 3 && has(Feature::FP16) ? F16 : Type::None;
  }
};

}  // namespace lyrebird::arm::a64
