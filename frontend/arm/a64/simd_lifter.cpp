// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {

Value SimdLifter::widened(Value a, bool q, bool is_signed, Type lane) {
  if (q) return is_signed ? ir.WidenHiS(a, lane) : ir.WidenHiU(a, lane);
  return is_signed ? ir.WidenLoS(a, lane) : ir.WidenLoU(a, lane);
}

Value SimdLifter::neighbour_sums(Shape s, Value a, bool is_signed) {
  const Value half = splat(s, s.width() / 2), left = ir.Shl(a, half, s.elem);
  return is_signed ? ir.Add(ir.ShrS(left, half, s.elem), ir.ShrS(a, half, s.elem), s.elem)
                   : ir.Add(ir.ShrU(left, half, s.elem), ir.ShrU(a, half, s.elem), s.elem);
}

void SimdLifter::set_v_narrowed(Vreg d, bool q, Value narrow) {
  set_v(d, q ? ir.Concat(v64(d), narrow) : narrow);
}

void SimdLifter::or_qc(Value condition) {
  constexpr uint32_t kQc = offsetof(A64State, qc);
  ir.SetState(kQc, ir.Or(ir.GetState(kQc, I1), condition));
}

void SimdLifter::or_qc_if_differ(Value a, Value b) {
  or_qc(ir::is_vector(a.type) ? ir.AnyBit(ir.Xor(a, b, I64)) : ir.CmpNe(a, b));
}

bool SimdLifter::lanes1(Shape s, Vreg n, Vreg d, Lane1 op) {
  if (s.reserved()) return unallocated();
  set_v(d, (ir.*op)(read(n, s), s.elem));
  return true;
}

bool SimdLifter::lanes2(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op) {
  if (s.reserved()) return unallocated();
  set_v(d, (ir.*op)(read(n, s), read(m, s), s.elem));
  return true;
}

bool SimdLifter::lanes2_then(Shape s, Vreg m, Vreg n, Vreg d, Lane2 inner, Lane2 outer) {
  if (s.reserved()) return unallocated();
  set_v(d, (ir.*outer)(read(d, s), (ir.*inner)(read(n, s), read(m, s), s.elem), s.elem));
  return true;
}

bool SimdLifter::compare(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op) {
  if (s.reserved()) return unallocated();
  set_v(d, mask(s, (ir.*op)(read(n, s), read(m, s), s.elem)));
  return true;
}

bool SimdLifter::compare_swapped(Shape s, Vreg m, Vreg n, Vreg d, Lane2 op) {
  return compare(s, n, m, d, op);
}

bool SimdLifter::saturating2(Shape s, Vreg m, Vreg n, Vreg d, Lane2 saturated, Lane2 wrapped) {
  if (s.reserved()) return unallocated();
  const Value a = read(n, s), b = read(m, s), result = (ir.*saturated)(a, b, s.elem);
  or_qc_if_differ(result, (ir.*wrapped)(a, b, s.elem));
  set_v(d, result);
  return true;
}

Value SimdLifter::add_saturated(Shape s, Value a, Value b) {
  const Value result = ir.AddSatS(a, b, s.elem);
  or_qc_if_differ(result, ir.Add(a, b, s.elem));
  return result;
}

Value SimdLifter::sub_saturated(Shape s, Value a, Value b) {
  const Value result = ir.SubSatS(a, b, s.elem);
  or_qc_if_differ(result, ir.Sub(a, b, s.elem));
  return result;
}

// Only the product of the two most negative numbers saturates.
Value SimdLifter::mul_double_high(Shape s, Value a, Value b, bool round) {
  const Value lowest = splat(s, uint64_t{1} << (s.width() - 1));
  const Value both = ir.And(ir.CmpEq(a, lowest, s.elem), ir.CmpEq(b, lowest, s.elem), s.vector() ? I64 : I1);
  or_qc(s.vector() ? ir.AnyBit(both) : both);
  return round ? ir.RoundMulDoubleHiSat(a, b, s.elem) : ir.MulDoubleHiSat(a, b, s.elem);
}

Value SimdLifter::mul_double_accumulate_high(Shape s, Value accumulator, Value a, Value b, bool subtract) {
  const Value result = subtract ? ir.RoundMulDoubleSubHiSat(accumulator, a, b, s.elem)
                                : ir.RoundMulDoubleAddHiSat(accumulator, a, b, s.elem);
  or_qc_if_differ(result, subtract ? ir.RoundMulDoubleSubHi(accumulator, a, b, s.elem)
                                   : ir.RoundMulDoubleAddHi(accumulator, a, b, s.elem));
  return result;
}

Value SimdLifter::mul_double_long(Shape s, Value accumulator, Value a, Value b, Then then) {
  const Value half = ir.Mul(a, b, s.elem), product = add_saturated(s, half, half);
  if (then == Then::Set) return product;
  return then == Then::Add ? add_saturated(s, accumulator, product) : sub_saturated(s, accumulator, product);
}

Value SimdLifter::narrow_saturated(Value wide, Op op, Type wide_lane) {
  const Type lane = ir::int_type(ir::bit_width(wide_lane) / 2);
  const Value narrow = ir.Narrow(op, wide, wide_lane);
  or_qc_if_differ(widened(ir.Resize(narrow, V128), false, op == Op::NarrowSatS, lane), wide);
  return narrow;
}

FpMode SimdLifter::convert_mode(Type from, Type to) const {
  FpMode mode = Lifter::fp_mode(F32);
  if (from == F16) mode.flush_inputs = false;
  if (to == F16) mode.flush_outputs = false;
  mode.alternative_half = (fpcr_of_mode(ctx.mode) & kFpcrAhp) != 0;
  return mode;
}

bool SimdLifter::fp1(Shape s, Vreg n, Vreg d, Fp1 op) {
  if (s.reserved()) return unallocated();
  set_v(d, (ir.*op)(read(n, s), fp_mode(s), s.elem, 0));
  return true;
}

bool SimdLifter::fp2(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op) {
  if (s.reserved()) return unallocated();
  set_v(d, (ir.*op)(read(n, s), read(m, s), fp_mode(s), s.elem));
  return true;
}

Value SimdLifter::fp_accumulate(Shape s, Value addend, Value n, Value m, bool negate) {
  return ir.FMulAdd(negate ? ir.FNeg(n, s.elem) : n, m, addend, fp_mode(s), s.elem);
}

bool SimdLifter::fp_multiply_add(Shape s, Vreg m, Vreg n, Vreg d, bool negate) {
  if (s.reserved()) return unallocated();
  set_v(d, fp_accumulate(s, read(d, s), read(n, s), read(m, s), negate));
  return true;
}

bool SimdLifter::fp_compare(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op) {
  if (s.reserved()) return unallocated();
  set_v(d, mask(as_ints(s), (ir.*op)(read(n, s), read(m, s), fp_mode(s), s.elem)));
  return true;
}

bool SimdLifter::fp_compare_swapped(Shape s, Vreg m, Vreg n, Vreg d, Fp2 op) {
  return fp_compare(s, n, m, d, op);
}

bool SimdLifter::fp_to_int(Shape s, Vreg n, Vreg d, Op op, Round round, unsigned fraction_bits) {
  if (s.reserved()) return unallocated();
  set_v(d, ir.FToInt(op, read(n, s), as_ints(s).type, rounding(fp_mode(s), round), fraction_bits, s.elem));
  return true;
}

bool SimdLifter::int_to_fp(Shape s, Vreg n, Vreg d, Op op, unsigned fraction_bits) {
  if (s.reserved()) return unallocated();
  set_v(d, ir.FFromInt(op, read(n, as_ints(s)), s.type, fp_mode(s), fraction_bits, s.elem));
  return true;
}

bool SimdLifter::fp_round(Shape s, Vreg n, Vreg d, Round round, bool exact, unsigned width) {
  if (s.reserved()) return unallocated();
  FpMode mode = rounding(fp_mode(s), round);
  mode.no_inexact = !exact;
  set_v(d, ir.FRoundInt(read(n, s), mode, s.elem, width));
  return true;
}

Value SimdLifter::halves_widened(Value halves, bool upper) {
  FpMode mode = Lifter::fp_mode(F16);
  mode.no_flags = true;
  const Value numbers = upper ? ir.FWidenHi(halves, mode, F16) : ir.FWidenLo(halves, mode, F16);
  // A NaN keeps its quiet bit here, so that the multiplication sees it as it was.
  const Value bits = upper ? ir.WidenHiU(halves, I16) : ir.WidenLoU(halves, I16);
  const auto all = [&](uint64_t lane) { return ir.ConstSplat(V128, I32, lane); };
  const Value sign = ir.Shl(ir.And(bits, all(0x8000), I64), all(16), I32);
  const Value nan =
      ir.Or(ir.Or(sign, ir.Shl(ir.And(bits, all(0x3ff), I64), all(13), I32), I64), all(0x7f800000), I64);
  const Value is_nan = ir.CmpLtU(all(0x7c00), ir.And(bits, all(0x7fff), I64), I32);
  return ir.BitSelect(is_nan, nan, numbers, I64);
}

Value SimdLifter::long_operand(Vreg n, bool q, bool second) {
  if (q) return halves_widened(v(n), second);
  // Of the 64-bit form the second part is lanes 2 and 3.
  return halves_widened(second ? ir.ShrU(v(n), ir.ConstSplat(V128, I64, 32), I64) : v(n), false);
}

Value SimdLifter::bf16_lanes(Value a, bool top) {
  return top ? ir.And(a, ir.ConstSplat(V128, I32, 0xffff0000), I32)
             : ir.Shl(a, ir.ConstSplat(V128, I32, 16), I32);
}

Value SimdLifter::negate_lanes(Shape s, Value a, bool even, bool odd) {
  const uint64_t sign = uint64_t{1} << (s.width() - 1);
  if (s.width() == 64) return ir.Xor(a, ir.ConstVec(V128, even ? sign : 0, odd ? sign : 0), I64);
  const uint64_t pair = (even ? sign : 0) | (odd ? sign : 0) << s.width();
  return ir.Xor(a, ir.ConstSplat(s.type, ir::int_type(2 * s.width()), pair), I64);
}

Value SimdLifter::complex_multiply_add(Shape s, Value accumulator, Value n, Value m, unsigned rotation) {
  const bool imaginary = rotation & 1;
  const Value factor = imaginary ? ir.TransposeOdd(n, n, s.elem) : ir.TransposeEven(n, n, s.elem);
  const Value other = imaginary ? swap_parts(s, m) : m;
  // Rotations 0, 90, 180, 270: (re, im), (-im, re), (-re, -im), (im, -re) of m.
  const Value turned = rotation == 0 ? other : negate_lanes(s, other, rotation != 3, rotation != 1);
  return ir.FMulAdd(factor, turned, accumulator, fp_mode(s), s.elem);
}

uint64_t SimdLifter::fp_expand_imm(uint32_t imm8, Type type) {
  const unsigned width = ir::bit_width(type), fraction_bits = width == 16 ? 10 : width == 32 ? 23 : 52;
  const unsigned exponent_bits = width - fraction_bits - 1;
  const uint64_t sign = imm8 >> 7, low_exponent = imm8 >> 4 & 3, fraction = imm8 & 15;
  const uint64_t repeated = imm8 >> 6 & 1 ? (uint64_t{1} << (exponent_bits - 3)) - 1 : 0;
  const uint64_t top = ~(uint64_t{imm8} >> 6) & 1;
  const uint64_t exponent = top << (exponent_bits - 1) | repeated << 2 | low_exponent;
  return sign << (width - 1) | exponent << fraction_bits | fraction << (fraction_bits - 4);
}

Value SimdLifter::fp_multiply_add_long(bool q, Value addend, Value n, Value m, bool negate) {
  return fp_accumulate({vector(q), F32}, addend, ir.Resize(n, vector(q)), ir.Resize(m, vector(q)), negate);
}

}  // namespace lyrebird::arm::a64
