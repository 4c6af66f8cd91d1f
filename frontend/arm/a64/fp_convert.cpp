// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/simd_lifter.h"

namespace lyrebird::arm::a64 {
namespace {

using Ptype = Imm<2>;

struct FpConvert : SimdLifter {
  using SimdLifter::SimdLifter;

  // Formats need no FP16: half precision as storage is in the base architecture.
  static Type format(unsigned ptype) {
    constexpr Type kFormats[] = {F32, F64, Type::None, F16};
    return kFormats[ptype];
  }

  bool FCVT(Ptype ptype, Imm<2> opc, Vreg n, Vreg d) {
    const Type from = format(ptype), to = format(opc);
    if (from == Type::None || to == Type::None || from == to) return unallocated();
    set_v(d, ir.FConvert(v_scalar(n, from), to, convert_mode(from, to)));
    return true;
  }

  bool BFCVT(Vreg n, Vreg d) {
    set_v(d, ir.FToBf16(v_scalar(n, F32), Lifter::fp_mode(F32)));
    return true;
  }

  // --- to integer

  bool to_gpr(bool sf, Ptype ptype, Vreg n, Reg d, Op op, Round round, unsigned fraction_bits = 0) {
    const Type t = fp_type(ptype);
    if (t == Type::None || fraction_bits > ir::bit_width(sized(sf))) return unallocated();
    set_x(d, ir.FToInt(op, v_scalar(n, t), sized(sf), rounding(Lifter::fp_mode(t), round), fraction_bits));
    return true;
  }

  bool FCVTNS_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntS, Round::NearestEven);
  }
  bool FCVTNU_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntU, Round::NearestEven);
  }
  bool FCVTAS_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntS, Round::NearestAway);
  }
  bool FCVTAU_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntU, Round::NearestAway);
  }
  bool FCVTPS_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntS, Round::TowardPositive);
  }
  bool FCVTPU_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntU, Round::TowardPositive);
  }
  bool FCVTMS_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntS, Round::TowardNegative);
  }
  bool FCVTMU_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntU, Round::TowardNegative);
  }
  bool FCVTZS_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntS, Round::TowardZero);
  }
  bool FCVTZU_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntU, Round::TowardZero);
  }
  bool FCVTZS_gpr_fixed(bool sf, Ptype ptype, Imm<6> scale, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntS, Round::TowardZero, 64 - scale);
  }
  bool FCVTZU_gpr_fixed(bool sf, Ptype ptype, Imm<6> scale, Vreg n, Reg d) {
    return to_gpr(sf, ptype, n, d, Op::FToIntU, Round::TowardZero, 64 - scale);
  }

  // FPToFixedJS: Z says that the conversion was exact, for which neither -0 nor a flushed
  // subnormal counts: the bits are those of the result.
  bool FJCVTZS(Vreg n, Reg d) {
    const Value a = v_scalar(n, F64);
    const FpMode mode = rounding(Lifter::fp_mode(F64), Round::TowardZero);
    const Value result = ir.FToInt(Op::FToIntModular, a, I32, mode);
    FpMode silent = mode;
    silent.no_flags = true;
    const Value back = ir.FFromInt(Op::FFromIntS, result, F64, silent);
    const Value exact = ir.CmpEq(ir.Bitcast(back, I64), ir.Bitcast(a, I64));
    set_nzcv(ir.Select(exact, imm(I16, status_of_nzcv(4)), imm(I16, status_of_nzcv(0))));
    set_x(d, result);
    return true;
  }

  // --- from integer

  bool from_gpr(bool sf, Ptype ptype, Reg n, Vreg d, Op op, unsigned fraction_bits = 0) {
    const Type t = fp_type(ptype);
    if (t == Type::None || fraction_bits > ir::bit_width(sized(sf))) return unallocated();
    set_v(d, ir.FFromInt(op, x(n, sized(sf)), t, Lifter::fp_mode(t), fraction_bits));
    return true;
  }

  bool SCVTF_gpr(bool sf, Ptype ptype, Reg n, Vreg d) { return from_gpr(sf, ptype, n, d, Op::FFromIntS); }
  bool UCVTF_gpr(bool sf, Ptype ptype, Reg n, Vreg d) { return from_gpr(sf, ptype, n, d, Op::FFromIntU); }
  bool SCVTF_gpr_fixed(bool sf, Ptype ptype, Imm<6> scale, Reg n, Vreg d) {
    return from_gpr(sf, ptype, n, d, Op::FFromIntS, 64 - scale);
  }
  bool UCVTF_gpr_fixed(bool sf, Ptype ptype, Imm<6> scale, Reg n, Vreg d) {
    return from_gpr(sf, ptype, n, d, Op::FFromIntU, 64 - scale);
  }

  // --- moves

  /// The int type of the vector side; half precision goes to and from both register widths.
  Type move_type(bool sf, unsigned ptype) const {
    const Type t = fp_type(ptype);
    if (t == Type::None || (t == F32 && sf) || (t == F64 && !sf)) return Type::None;
    return ir::int_type(ir::bit_width(t));
  }
  bool FMOV_to_gpr(bool sf, Ptype ptype, Vreg n, Reg d) {
    const Type t = move_type(sf, ptype);
    if (t == Type::None) return unallocated();
    set_x(d, v_scalar(n, t));
    return true;
  }
  bool FMOV_from_gpr(bool sf, Ptype ptype, Reg n, Vreg d) {
    const Type t = move_type(sf, ptype);
    if (t == Type::None) return unallocated();
    set_v(d, ir.Trunc(x(n), t));
    return true;
  }
  bool FMOV_top_to_gpr(Vreg n, Reg d) {
    set_x(d, ir.ExtractLane(v(n), I64, 1));
    return true;
  }
  bool FMOV_top_from_gpr(Reg n, Vreg d) {
    set_v(d, ir.InsertLane(v(d), x(n), 1));
    return true;
  }
};

#define A64_CHAPTER FpConvert
constexpr Row kRows[] = {
#include "frontend/arm/a64/fp_convert.inc"
};

}  // namespace

std::span<const Row> fp_convert_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
