// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;

struct SimdReduce : SimdLifter {
  using SimdLifter::SimdLifter;

  bool reduce(bool q, Imm<2> size, Vreg n, Vreg d, Op op) {
    if (!across(q, size)) return unallocated();
    const Shape s = ints(q, size);
    set_v(d, ir.Reduce(op, read(n, s), s.elem));
    return true;
  }
  static bool across(bool q, unsigned size) { return size < 2 || (size == 2 && q); }

  /// The sum in twice the width: first of neighbours, then of the rest.
  bool add_long(bool q, Imm<2> size, Vreg n, Vreg d, bool is_signed) {
    if (!across(q, size)) return unallocated();
    const Shape s = ints(q, size + 1);
    set_v(d, ir.Reduce(Op::ReduceAdd, neighbour_sums(s, read(n, s), is_signed), s.elem));
    return true;
  }

  /// Reduce() of the shared pseudocode: halves of halves, so neighbours meet first. Lanes that
  /// meet twice raise the same flags twice.
  bool fp_reduce(Shape s, Vreg n, Vreg d, Fp2 op) {
    Value a = read(n, s);
    for (unsigned lanes = s.lanes(); lanes > 2; lanes /= 2)
      a = (ir.*op)(ir.UnzipEven(a, a, s.elem), ir.UnzipOdd(a, a, s.elem), fp_mode(s), s.elem);
    set_v(d, (ir.*op)(ir.ExtractLane(a, s.elem, 0), ir.ExtractLane(a, s.elem, 1), fp_mode(s), s.elem));
    return true;
  }
  bool fp_reduce_single(bool q, Vreg n, Vreg d, Fp2 op) {
    return q ? fp_reduce({V128, F32}, n, d, op) : unallocated();
  }
  bool fp_pair(Type lane, Vreg n, Vreg d, Fp2 op) {
    const Value a = v(n);
    set_v(d, (ir.*op)(ir.ExtractLane(a, lane, 0), ir.ExtractLane(a, lane, 1), Lifter::fp_mode(lane), lane));
    return true;
  }

  bool SADDLV(bool q, Imm<2> size, Vreg n, Vreg d) { return add_long(q, size, n, d, true); }
  bool UADDLV(bool q, Imm<2> size, Vreg n, Vreg d) { return add_long(q, size, n, d, false); }
  bool SMAXV(bool q, Imm<2> size, Vreg n, Vreg d) { return reduce(q, size, n, d, Op::ReduceMaxS); }
  bool UMAXV(bool q, Imm<2> size, Vreg n, Vreg d) { return reduce(q, size, n, d, Op::ReduceMaxU); }
  bool SMINV(bool q, Imm<2> size, Vreg n, Vreg d) { return reduce(q, size, n, d, Op::ReduceMinS); }
  bool UMINV(bool q, Imm<2> size, Vreg n, Vreg d) { return reduce(q, size, n, d, Op::ReduceMinU); }
  bool ADDV(bool q, Imm<2> size, Vreg n, Vreg d) { return reduce(q, size, n, d, Op::ReduceAdd); }
  bool FMAXNMV(bool q, Vreg n, Vreg d) { return fp_reduce_single(q, n, d, &B::FMaxNum); }
  bool FMAXNMV_half(bool q, Vreg n, Vreg d) { return fp_reduce(halves(q), n, d, &B::FMaxNum); }
  bool FMAXV(bool q, Vreg n, Vreg d) { return fp_reduce_single(q, n, d, &B::FMax); }
  bool FMAXV_half(bool q, Vreg n, Vreg d) { return fp_reduce(halves(q), n, d, &B::FMax); }
  bool FMINNMV(bool q, Vreg n, Vreg d) { return fp_reduce_single(q, n, d, &B::FMinNum); }
  bool FMINNMV_half(bool q, Vreg n, Vreg d) { return fp_reduce(halves(q), n, d, &B::FMinNum); }
  bool FMINV(bool q, Vreg n, Vreg d) { return fp_reduce_single(q, n, d, &B::FMin); }
  bool FMINV_half(bool q, Vreg n, Vreg d) { return fp_reduce(halves(q), n, d, &B::FMin); }
  bool ADDP_scalar(Vreg n, Vreg d) {
    set_v(d, ir.Reduce(Op::ReduceAdd, v(n), I64));
    return true;
  }
  bool FMAXNMP_scalar(bool sz, Vreg n, Vreg d) { return fp_pair(sz ? F64 : F32, n, d, &B::FMaxNum); }
  bool FMAXNMP_scalar_half(Vreg n, Vreg d) { return fp_pair(F16, n, d, &B::FMaxNum); }
  bool FADDP_scalar(bool sz, Vreg n, Vreg d) { return fp_pair(sz ? F64 : F32, n, d, &B::FAdd); }
  bool FADDP_scalar_half(Vreg n, Vreg d) { return fp_pair(F16, n, d, &B::FAdd); }
  bool FMAXP_scalar(bool sz, Vreg n, Vreg d) { return fp_pair(sz ? F64 : F32, n, d, &B::FMax); }
  bool FMAXP_scalar_half(Vreg n, Vreg d) { return fp_pair(F16, n, d, &B::FMax); }
  bool FMINNMP_scalar(bool sz, Vreg n, Vreg d) { return fp_pair(sz ? F64 : F32, n, d, &B::FMinNum); }
  bool FMINNMP_scalar_half(Vreg n, Vreg d) { return fp_pair(F16, n, d, &B::FMinNum); }
  bool FMINP_scalar(bool sz, Vreg n, Vreg d) { return fp_pair(sz ? F64 : F32, n, d, &B::FMin); }
  bool FMINP_scalar_half(Vreg n, Vreg d) { return fp_pair(F16, n, d, &B::FMin); }
};

#define A64_CHAPTER SimdReduce
constexpr Row kRows[] = {
#include "frontend/arm/a64/simd_reduce.inc"
};

}  // namespace

std::span<const Row> simd_reduce_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
