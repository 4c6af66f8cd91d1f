// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using B = ir::Builder;
using Ptype = Imm<2>;

struct FpScalar : SimdLifter {
  using SimdLifter::SimdLifter;

  bool one(Ptype ptype, Vreg n, Vreg d, Lane1 op) {
    const Type t = fp_type(ptype);
    return t == Type::None ? unallocated() : lanes1(scalar(t), n, d, op);
  }
  bool two(Ptype ptype, Vreg m, Vreg n, Vreg d, Fp2 op) {
    const Type t = fp_type(ptype);
    return t == Type::None ? unallocated() : fp2(scalar(t), m, n, d, op);
  }
  bool round(Ptype ptype, Vreg n, Vreg d, Round rounding, bool exact = false, unsigned width = 0) {
    const Type t = fp_type(ptype);
    return t == Type::None ? unallocated() : fp_round(scalar(t), n, d, rounding, exact, width);
  }

  // FMOV has no flags and quiets no NaN: a copy of bits.
  bool FMOV_scalar(Ptype ptype, Vreg n, Vreg d) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    set_v(d, v_scalar(n, ir::int_type(ir::bit_width(t))));
    return true;
  }
  bool FABS_scalar(Ptype ptype, Vreg n, Vreg d) { return one(ptype, n, d, &B::FAbs); }
  bool FNEG_scalar(Ptype ptype, Vreg n, Vreg d) { return one(ptype, n, d, &B::FNeg); }
  bool FSQRT_scalar(Ptype ptype, Vreg n, Vreg d) {
    const Type t = fp_type(ptype);
    return t == Type::None ? unallocated() : fp1(scalar(t), n, d, &B::FSqrt);
  }

  bool FRINTN_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, Round::NearestEven); }
  bool FRINTP_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, Round::TowardPositive); }
  bool FRINTM_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, Round::TowardNegative); }
  bool FRINTZ_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, Round::TowardZero); }
  bool FRINTA_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, Round::NearestAway); }
  bool FRINTX_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, current_round(), true); }
  bool FRINTI_scalar(Ptype ptype, Vreg n, Vreg d) { return round(ptype, n, d, current_round()); }
  bool FRINT32Z_scalar(bool sz, Vreg n, Vreg d) {
    return fp_round(float_scalar(sz), n, d, Round::TowardZero, true, 32);
  }
  bool FRINT32X_scalar(bool sz, Vreg n, Vreg d) {
    return fp_round(float_scalar(sz), n, d, current_round(), true, 32);
  }
  bool FRINT64Z_scalar(bool sz, Vreg n, Vreg d) {
    return fp_round(float_scalar(sz), n, d, Round::TowardZero, true, 64);
  }
  bool FRINT64X_scalar(bool sz, Vreg n, Vreg d) {
    return fp_round(float_scalar(sz), n, d, current_round(), true, 64);
  }

  bool FMUL_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FMul); }
  bool FDIV_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FDiv); }
  bool FADD_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FAdd); }
  bool FSUB_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FSub); }
  bool FMAX_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FMax); }
  bool FMIN_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FMin); }
  bool FMAXNM_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FMaxNum); }
  bool FMINNM_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) { return two(ptype, m, n, d, &B::FMinNum); }
  bool FNMUL_scalar(Ptype ptype, Vreg m, Vreg n, Vreg d) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    set_v(d, ir.FNeg(ir.FMul(v_scalar(n, t), v_scalar(m, t), Lifter::fp_mode(t))));
    return true;
  }

  // Negations are of operands, NaNs included.
  bool multiply_add(Ptype ptype, Vreg m, Vreg a, Vreg n, Vreg d, bool negate_addend, bool negate_product) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    const Value addend = v_scalar(a, t);
    set_v(d, fp_accumulate(scalar(t), negate_addend ? ir.FNeg(addend) : addend, v_scalar(n, t),
                           v_scalar(m, t), negate_product));
    return true;
  }
  bool FMADD(Ptype ptype, Vreg m, Vreg a, Vreg n, Vreg d) {
    return multiply_add(ptype, m, a, n, d, false, false);
  }
  bool FMSUB(Ptype ptype, Vreg m, Vreg a, Vreg n, Vreg d) {
    return multiply_add(ptype, m, a, n, d, false, true);
  }
  bool FNMADD(Ptype ptype, Vreg m, Vreg a, Vreg n, Vreg d) {
    return multiply_add(ptype, m, a, n, d, true, true);
  }
  bool FNMSUB(Ptype ptype, Vreg m, Vreg a, Vreg n, Vreg d) {
    return multiply_add(ptype, m, a, n, d, true, false);
  }

  bool FCMP(Ptype ptype, Vreg m, Vreg n, bool signal_quiet) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    set_nzcv(flags_of_order(ir.FCompare(v_scalar(n, t), v_scalar(m, t), Lifter::fp_mode(t), signal_quiet)));
    return true;
  }
  bool FCMP_zero(Ptype ptype, Vreg n, bool signal_quiet) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    set_nzcv(flags_of_order(ir.FCompare(v_scalar(n, t), imm(t, 0), Lifter::fp_mode(t), signal_quiet)));
    return true;
  }

  bool FCCMP(Ptype ptype, Vreg m, Cond condition, Vreg n, bool signal_quiet, Imm<4> otherwise) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    const Value go = holds(condition);
    // Comparing zeros raises nothing, so the compare needs no branch around it.
    const auto operand = [&](Vreg r) { return ir.Select(go, v_scalar(r, t), imm(t, 0)); };
    const Value order = ir.FCompare(operand(n), operand(m), Lifter::fp_mode(t), signal_quiet);
    set_nzcv(flags_if(condition, go, {.word = ir.StatusOfOrder(order)}, otherwise));
    return true;
  }

  bool FCSEL(Ptype ptype, Vreg m, Cond condition, Vreg n, Vreg d) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    set_v(d, ir.Select(holds(condition), v_scalar(n, t), v_scalar(m, t)));
    return true;
  }

  bool FMOV_scalar_imm(Ptype ptype, Imm<8> imm8, Vreg d) {
    const Type t = fp_type(ptype);
    if (t == Type::None) return unallocated();
    set_v(d, imm(ir::int_type(ir::bit_width(t)), fp_expand_imm(imm8, t)));
    return true;
  }
};

#define A64_CHAPTER FpScalar
constexpr Row kRows[] = {
#include "frontend/arm/a64/fp_scalar.inc"
};

}  // namespace

std::span<const Row> fp_scalar_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
