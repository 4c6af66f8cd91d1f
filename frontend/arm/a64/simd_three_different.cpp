// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdThreeDifferent : SimdLifter {
  using SimdLifter::SimdLifter;

  static Type lane(unsigned size) { return ir::int_type(8u << size); }
  /// The wide side: always a whole register.
  static Shape wide(unsigned size) { return ints(true, size + 1); }

  /// d = op(extended n, extended m)
  bool long2(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, bool is_signed, Lane2 op) {
    if (size == 3) return unallocated();
    set_v(d, (ir.*op)(widened(n, q, is_signed, lane(size)), widened(m, q, is_signed, lane(size)),
                      wide(size).elem));
    return true;
  }
  /// d = outer(d, inner(extended n, extended m))
  bool long2_then(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, bool is_signed, Lane2 inner, Lane2 outer) {
    if (size == 3) return unallocated();
    const Type elem = wide(size).elem;
    const Value a = widened(n, q, is_signed, lane(size)), b = widened(m, q, is_signed, lane(size));
    set_v(d, (ir.*outer)(v(d), (ir.*inner)(a, b, elem), elem));
    return true;
  }
  /// d = op(n, extended m)
  bool wide2(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, bool is_signed, Lane2 op) {
    if (size == 3) return unallocated();
    set_v(d, (ir.*op)(v(n), widened(m, q, is_signed, lane(size)), wide(size).elem));
    return true;
  }
  /// The upper halves of the lanes of op(n, m).
  bool narrow_high(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, Lane2 op, bool round) {
    if (size == 3) return unallocated();
    const Shape s = wide(size);
    const unsigned half = s.width() / 2;
    Value a = (ir.*op)(v(n), v(m), s.elem);
    if (round) a = ir.Add(a, splat(s, uint64_t{1} << (half - 1)), s.elem);
    set_v_narrowed(d, q, ir.Narrow(Op::Narrow, ir.ShrU(a, splat(s, half), s.elem), s.elem));
    return true;
  }

  bool double_long(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d, Then then) {
    if (size == 0 || size == 3) return unallocated();
    const Value a = widened(n, q, true, lane(size)), b = widened(m, q, true, lane(size));
    set_v(d, mul_double_long(wide(size), v(d), a, b, then));
    return true;
  }
  bool double_long_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d, Then then) {
    if (size == 0 || size == 3) return unallocated();
    const Shape s = int_scalar(size + 1);
    const auto operand = [&](Vreg r) { return ir.SExt(v_scalar(r, lane(size)), s.type); };
    set_v(d, mul_double_long(s, read(d, s), operand(n), operand(m), then));
    return true;
  }

  bool SADDL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return long2(q, size, m, n, d, true, &B::Add); }
  bool SADDW(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return wide2(q, size, m, n, d, true, &B::Add); }
  bool SSUBL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return long2(q, size, m, n, d, true, &B::Sub); }
  bool SSUBW(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return wide2(q, size, m, n, d, true, &B::Sub); }
  bool SABAL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2_then(q, size, m, n, d, true, &B::AbsDiffS, &B::Add);
  }
  bool SABDL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2(q, size, m, n, d, true, &B::AbsDiffS);
  }
  bool SMLAL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2_then(q, size, m, n, d, true, &B::Mul, &B::Add);
  }
  bool SMLSL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2_then(q, size, m, n, d, true, &B::Mul, &B::Sub);
  }
  bool SMULL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2(q, size, m, n, d, true, &B::Mul);
  }
  bool UADDL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return long2(q, size, m, n, d, false, &B::Add); }
  bool UADDW(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return wide2(q, size, m, n, d, false, &B::Add); }
  bool USUBL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return long2(q, size, m, n, d, false, &B::Sub); }
  bool USUBW(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) { return wide2(q, size, m, n, d, false, &B::Sub); }
  bool UABAL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2_then(q, size, m, n, d, false, &B::AbsDiffU, &B::Add);
  }
  bool UABDL(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2(q, size, m, n, d, false, &B::AbsDiffU);
  }
  bool UMLAL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2_then(q, size, m, n, d, false, &B::Mul, &B::Add);
  }
  bool UMLSL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2_then(q, size, m, n, d, false, &B::Mul, &B::Sub);
  }
  bool UMULL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return long2(q, size, m, n, d, false, &B::Mul);
  }
  bool ADDHN(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return narrow_high(q, size, m, n, d, &B::Add, false);
  }
  bool SUBHN(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return narrow_high(q, size, m, n, d, &B::Sub, false);
  }
  bool RADDHN(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return narrow_high(q, size, m, n, d, &B::Add, true);
  }
  bool RSUBHN(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return narrow_high(q, size, m, n, d, &B::Sub, true);
  }
  bool SQDMLAL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return double_long(q, size, m, n, d, Then::Add);
  }
  bool SQDMLSL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return double_long(q, size, m, n, d, Then::Subtract);
  }
  bool SQDMULL_vec(bool q, Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return double_long(q, size, m, n, d, Then::Set);
  }
  bool PMULL_8(bool q, Vreg m, Vreg n, Vreg d) {
    set_v(d, ir.PolyMul(widened(n, q, false, I8), widened(m, q, false, I8), I16));
    return true;
  }
  bool PMULL_64(bool q, Vreg m, Vreg n, Vreg d) {
    set_v(d, ir.ClMul(v(n), v(m), I64, q ? 3 : 0));
    return true;
  }
  bool SQDMLAL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return double_long_scalar(size, m, n, d, Then::Add);
  }
  bool SQDMLSL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return double_long_scalar(size, m, n, d, Then::Subtract);
  }
  bool SQDMULL_scalar(Imm<2> size, Vreg m, Vreg n, Vreg d) {
    return double_long_scalar(size, m, n, d, Then::Set);
  }
};

#define A64_CHAPTER SimdThreeDifferent
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_three_different.inc"
};

}  // namespace

std::span<const Row> simd_three_different_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
