// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdByElement : SimdLifter {
  using SimdLifter::SimdLifter;

  /// The one lane of Vm that all lanes of Vn meet.
  struct Element {
    Vreg reg;
    unsigned index;
  };
  /// 16-bit lanes: index H:L:M, registers 0 to 15.
  static Element half_element(bool l, Vreg m, bool h) { return {Vreg{m & 15}, h << 2 | l << 1 | m >> 4}; }
  static Element word_element(bool l, Vreg m, bool h) { return {m, uint32_t{h} << 1 | l}; }
  static Element double_element(Vreg m, bool h) { return {m, h}; }
  static Element element(unsigned size, bool l, Vreg m, bool h) {
    return size == 1 ? half_element(l, m, h) : word_element(l, m, h);
  }
  Value lane_of(Type lane, const Element& e) { return ir.ExtractLane(v(e.reg), lane, e.index); }
  Value all_of(Shape s, const Element& e) {
    const Value lane = lane_of(s.elem, e);
    return s.vector() ? ir.Splat(s.type, lane) : lane;
  }
  static bool is_word_or_half(unsigned size) { return size == 1 || size == 2; }

  // --- integers

  bool multiply(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    if (!is_word_or_half(size)) return unallocated();
    const Shape s = ints(q, size);
    set_v(d, ir.Mul(read(n, s), all_of(s, element(size, l, m, h)), s.elem));
    return true;
  }
  bool multiply_then(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, Lane2 then) {
    if (!is_word_or_half(size)) return unallocated();
    const Shape s = ints(q, size);
    const Value product = ir.Mul(read(n, s), all_of(s, element(size, l, m, h)), s.elem);
    set_v(d, (ir.*then)(read(d, s), product, s.elem));
    return true;
  }

  /// n extended, and the extended element in every lane.
  struct LongOperands {
    Shape wide;
    Value n, m;
  };
  LongOperands long_operands(bool q, unsigned size, Vreg n, const Element& e, bool is_signed) {
    const Type lane = ir::int_type(8u << size);
    const Shape wide = ints(true, size + 1);
    const Value factor = lane_of(lane, e);
    return {wide, widened(n, q, is_signed, lane),
            ir.Splat(V128, is_signed ? ir.SExt(factor, wide.elem) : ir.ZExt(factor, wide.elem))};
  }
  bool multiply_long(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, bool is_signed) {
    if (!is_word_or_half(size)) return unallocated();
    const LongOperands o = long_operands(q, size, n, element(size, l, m, h), is_signed);
    set_v(d, ir.Mul(o.n, o.m, o.wide.elem));
    return true;
  }
  bool multiply_long_then(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, bool is_signed,
                          Lane2 then) {
    if (!is_word_or_half(size)) return unallocated();
    const LongOperands o = long_operands(q, size, n, element(size, l, m, h), is_signed);
    set_v(d, (ir.*then)(v(d), ir.Mul(o.n, o.m, o.wide.elem), o.wide.elem));
    return true;
  }

  bool double_long(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, Then then) {
    if (!is_word_or_half(size)) return unallocated();
    const LongOperands o = long_operands(q, size, n, element(size, l, m, h), true);
    set_v(d, mul_double_long(o.wide, v(d), o.n, o.m, then));
    return true;
  }
  bool double_long_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, Then then) {
    if (!is_word_or_half(size)) return unallocated();
    const Type lane = ir::int_type(8u << size);
    const Shape s = int_scalar(size + 1);
    const Value a = ir.SExt(v_scalar(n, lane), s.type);
    const Value b = ir.SExt(lane_of(lane, element(size, l, m, h)), s.type);
    set_v(d, mul_double_long(s, read(d, s), a, b, then));
    return true;
  }

  bool double_high(Shape s, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, bool round) {
    if (!is_word_or_half(size)) return unallocated();
    set_v(d, mul_double_high(s, read(n, s), all_of(s, element(size, l, m, h)), round));
    return true;
  }
  bool double_high_accumulated(Shape s, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, bool subtract) {
    if (!is_word_or_half(size)) return unallocated();
    set_v(d,
          mul_double_accumulate_high(s, read(d, s), read(n, s), all_of(s, element(size, l, m, h)), subtract));
    return true;
  }

  bool MUL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply(q, size, l, m, h, n, d);
  }
  bool MLA_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_then(q, size, l, m, h, n, d, &B::Add);
  }
  bool MLS_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_then(q, size, l, m, h, n, d, &B::Sub);
  }
  bool SMLAL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_long_then(q, size, l, m, h, n, d, true, &B::Add);
  }
  bool SMLSL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_long_then(q, size, l, m, h, n, d, true, &B::Sub);
  }
  bool SMULL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_long(q, size, l, m, h, n, d, true);
  }
  bool UMLAL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_long_then(q, size, l, m, h, n, d, false, &B::Add);
  }
  bool UMLSL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_long_then(q, size, l, m, h, n, d, false, &B::Sub);
  }
  bool UMULL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_long(q, size, l, m, h, n, d, false);
  }
  bool SQDMLAL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_long(q, size, l, m, h, n, d, Then::Add);
  }
  bool SQDMLSL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_long(q, size, l, m, h, n, d, Then::Subtract);
  }
  bool SQDMULL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_long(q, size, l, m, h, n, d, Then::Set);
  }
  bool SQDMULH_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high(ints(q, size), size, l, m, h, n, d, false);
  }
  bool SQRDMULH_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high(ints(q, size), size, l, m, h, n, d, true);
  }
  bool SQRDMLAH_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high_accumulated(ints(q, size), size, l, m, h, n, d, false);
  }
  bool SQRDMLSH_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high_accumulated(ints(q, size), size, l, m, h, n, d, true);
  }

  /// d = op(d, n, one group of four bytes or two BF16 of m)
  bool dot(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d, Vec3 op, bool swap = false) {
    const Value a = v_sized(n, q), b = all_of({vector(q), I32}, word_element(l, m, h));
    set_v(d, (ir.*op)(v_sized(d, q), swap ? b : a, swap ? a : b, I32, 0));
    return true;
  }
  bool SDOT_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) { return dot(q, l, m, h, n, d, &B::DotS); }
  bool UDOT_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) { return dot(q, l, m, h, n, d, &B::DotU); }
  bool SUDOT_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return dot(q, l, m, h, n, d, &B::DotUS, true);
  }
  bool USDOT_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) { return dot(q, l, m, h, n, d, &B::DotUS); }
  bool BFDOT_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) { return dot(q, l, m, h, n, d, &B::BfDot); }
  bool SQDMLAL_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_long_scalar(size, l, m, h, n, d, Then::Add);
  }
  bool SQDMLSL_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_long_scalar(size, l, m, h, n, d, Then::Subtract);
  }
  bool SQDMULL_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_long_scalar(size, l, m, h, n, d, Then::Set);
  }
  bool SQDMULH_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high(int_scalar(size), size, l, m, h, n, d, false);
  }
  bool SQRDMULH_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high(int_scalar(size), size, l, m, h, n, d, true);
  }
  bool SQRDMLAH_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high_accumulated(int_scalar(size), size, l, m, h, n, d, false);
  }
  bool SQRDMLSH_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return double_high_accumulated(int_scalar(size), size, l, m, h, n, d, true);
  }

  // --- floating point: size 00 is half, 10 single, 11 double

  /// The lane type, or None where the encoding is unallocated.
  Type fp_lane(unsigned size, bool l) const {
    if (size == 0 && has(Feature::FP16)) return F16;
    return size == 2 ? F32 : size == 3 && !l ? F64 : Type::None;
  }
  static Element fp_element(unsigned size, bool l, Vreg m, bool h) {
    return size == 0 ? half_element(l, m, h) : size == 2 ? word_element(l, m, h) : double_element(m, h);
  }
  bool fp_product(Shape s, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, Fp2 op) {
    if (s.elem == Type::None || s.reserved()) return unallocated();
    set_v(d, (ir.*op)(read(n, s), all_of(s, fp_element(size, l, m, h)), fp_mode(s), s.elem));
    return true;
  }
  bool fp_product_added(Shape s, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d, bool negate) {
    if (s.elem == Type::None || s.reserved()) return unallocated();
    set_v(d, fp_accumulate(s, read(d, s), read(n, s), all_of(s, fp_element(size, l, m, h)), negate));
    return true;
  }
  bool FMLA_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product_added({vector(q), fp_lane(size, l)}, size, l, m, h, n, d, false);
  }
  bool FMLA_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product_added(scalar(fp_lane(size, l)), size, l, m, h, n, d, false);
  }
  bool FMLS_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product_added({vector(q), fp_lane(size, l)}, size, l, m, h, n, d, true);
  }
  bool FMLS_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product_added(scalar(fp_lane(size, l)), size, l, m, h, n, d, true);
  }
  bool FMUL_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product({vector(q), fp_lane(size, l)}, size, l, m, h, n, d, &B::FMul);
  }
  bool FMUL_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product(scalar(fp_lane(size, l)), size, l, m, h, n, d, &B::FMul);
  }
  bool FMULX_elem(bool q, Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product({vector(q), fp_lane(size, l)}, size, l, m, h, n, d, &B::FMulX);
  }
  bool FMULX_elem_scalar(Imm<2> size, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return fp_product(scalar(fp_lane(size, l)), size, l, m, h, n, d, &B::FMulX);
  }

  bool multiply_add_long(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d, bool second, bool negate) {
    const Value factor = ir.Splat(V128, lane_of(I16, half_element(l, m, h)));
    set_v(d, fp_multiply_add_long(q, v_sized(d, q), long_operand(n, q, second), halves_widened(factor, false),
                                  negate));
    return true;
  }
  bool FMLAL_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_add_long(q, l, m, h, n, d, false, false);
  }
  bool FMLSL_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_add_long(q, l, m, h, n, d, false, true);
  }
  bool FMLAL2_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_add_long(q, l, m, h, n, d, true, false);
  }
  bool FMLSL2_elem(bool q, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    return multiply_add_long(q, l, m, h, n, d, true, true);
  }
  bool BFMLAL_elem(bool top, bool l, Vreg m, bool h, Vreg n, Vreg d) {
    const Value factor = bf16_lanes(ir.Splat(V128, lane_of(I16, half_element(l, m, h))), true);
    set_v(d, fp_accumulate({V128, F32}, v(d), bf16_lanes(v(n), top), factor, false));
    return true;
  }

  // The element is a complex number, two lanes: H:L of halves, H of singles.
  bool FCMLA_elem(bool q, Imm<2> size, bool l, Vreg m, Imm<2> rotation, bool h, Vreg n, Vreg d) {
    const Shape s = complex(q, size);
    if (s.elem == Type::None || size == 3 || (size == 1 && h && !q) || (size == 2 && (l || !q)))
      return unallocated();
    const unsigned index = size == 1 ? uint32_t{h} << 1 | l : uint32_t{h};
    const Value number = ir.Splat(s.type, ir.ExtractLane(v(m), ir::int_type(16u << size), index));
    set_v(d, complex_multiply_add(s, read(d, s), read(n, s), number, rotation));
    return true;
  }
};

#define A64_CHAPTER SimdByElement
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_by_element.inc"
};

}  // namespace

std::span<const Row> simd_by_element_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
