// SPDX-License-Identifier: Apache-2.0
// Floating point of guests whose rules are the host's own (StateLayout::sse_floats): one host
// instruction, whose result and flags, denormal operands among them, are right as they are.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/rounding.h"
#include "jit/host_float.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::FpMode;
using ir::Op;
using ir::Round;
using ir::Type;

namespace {

struct Forms {
  InstId sse[4], avx[4];  // ss, sd, ps, pd
};
constexpr Forms kForms[] = {
    {{hi::kIdAddss, hi::kIdAddsd, hi::kIdAddps, hi::kIdAddpd},
     {hi::kIdVaddss, hi::kIdVaddsd, hi::kIdVaddps, hi::kIdVaddpd}},
    {{hi::kIdSubss, hi::kIdSubsd, hi::kIdSubps, hi::kIdSubpd},
     {hi::kIdVsubss, hi::kIdVsubsd, hi::kIdVsubps, hi::kIdVsubpd}},
    {{hi::kIdMulss, hi::kIdMulsd, hi::kIdMulps, hi::kIdMulpd},
     {hi::kIdVmulss, hi::kIdVmulsd, hi::kIdVmulps, hi::kIdVmulpd}},
    {{hi::kIdDivss, hi::kIdDivsd, hi::kIdDivps, hi::kIdDivpd},
     {hi::kIdVdivss, hi::kIdVdivsd, hi::kIdVdivps, hi::kIdVdivpd}},
    {{hi::kIdMinss, hi::kIdMinsd, hi::kIdMinps, hi::kIdMinpd},
     {hi::kIdVminss, hi::kIdVminsd, hi::kIdVminps, hi::kIdVminpd}},
    {{hi::kIdMaxss, hi::kIdMaxsd, hi::kIdMaxps, hi::kIdMaxpd},
     {hi::kIdVmaxss, hi::kIdVmaxsd, hi::kIdVmaxps, hi::kIdVmaxpd}},
};
const Forms* forms_of(Op op) {
  switch (op) {
    case Op::FAdd:
      return &kForms[0];
    case Op::FSub:
      return &kForms[1];
    case Op::FMul:
      return &kForms[2];
    case Op::FDiv:
      return &kForms[3];
    case Op::FMinSecond:
      return &kForms[4];
    case Op::FMaxSecond:
      return &kForms[5];
    default:
      return nullptr;
  }
}

}  // namespace

bool Emitter::emit_float_native(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  if (!is_sse(mode)) return false;
  if (is_native_arithmetic(inst)) return emit_native_arithmetic(inst);
  const Type elem = inst.elem;
  const bool nearest = mode.round == Round::NearestEven && !mode.no_inexact;
  switch (inst.op) {
    case Op::FCompare:
    case Op::FCmpEq:
    case Op::FCmpLt:
    case Op::FCmpLe:
    case Op::FCmpUnord:
      return reports(mode) && emit_float_compare(inst);
    case Op::FToIntS:
      return is_silent(mode) && !mode.no_inexact && inst.fp_extra() == ir::kFpIndefinite &&
             emit_native_to_int(inst);
    case Op::FFromIntS:
      return nearest && inst.fp_extra() == 0 && emit_native_from_int(inst);
    case Op::FRoundInt:
      return is_silent(mode) && is_host_float(elem) && inst.fp_extra() == 0 && emit_native_round(inst);
    case Op::FConvert:
    case Op::FWidenLo:
    case Op::FNarrow:
      return emit_native_convert(inst);
    default:
      return false;
  }
}

/// Whether one host instruction does it.
bool Emitter::is_native_arithmetic(const ir::Inst& inst) const {
  switch (inst.op) {
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
    case Op::FMinSecond:
    case Op::FMaxSecond:
      break;
    case Op::FMulAdd:
    case Op::FMulSub:
    case Op::FNegMulAdd:
    case Op::FNegMulSub:
      if (host_.fma) break;
      return false;
    default:
      return false;
  }
  const FpMode mode = inst.fp_mode();
  return is_sse(mode) && mode.round == Round::NearestEven && !mode.no_inexact && reports(mode) &&
         is_host_float(inst.elem) && (inst.type == Type::V128 || inst.type == inst.elem);
}

bool Emitter::emit_native_arithmetic(const ir::Inst& inst) {
  const unsigned form = (inst.type == Type::V128 ? 2u : 0u) + (inst.elem == Type::F64 ? 1u : 0u);
  if (const Forms* const forms = forms_of(inst.op)) {
    const uint8_t a = use_first_xmm(inst.args[0]), b = use_pinned_xmm(inst.args[1]);
    const ir::ValueId above = vector_above(inst.args[0], a);
    const uint8_t d = def_xmm(inst.args[0]);
    vop({forms->sse[form], forms->avx[form]}, d, a, xmm(b));
    if (form < 2) above_[d] = above;
    return true;
  }
  if (inst.op == Op::FSqrt) {
    constexpr VecOp kSqrt[] = {{hi::kIdSqrtss, hi::kIdVsqrtss},
                               {hi::kIdSqrtsd, hi::kIdVsqrtsd},
                               {hi::kIdSqrtps, hi::kIdVsqrtps},
                               {hi::kIdSqrtpd, hi::kIdVsqrtpd}};
    const uint8_t a = use_first_xmm(inst.args[0]);
    const ir::ValueId above = vector_above(inst.args[0], a);
    const uint8_t d = def_xmm();
    if (form < 2) {
      vop(kSqrt[form], d, a, xmm(a));
      above_[d] = above;
    } else {
      vun(kSqrt[form], d, xmm(a));
    }
    return true;
  }
  return emit_native_fused(inst, form);
}

/// Which operand is in the register that the host's fused multiplication changes: of a scalar the one whose
/// vector the result is put into, as nothing is left to do then.
unsigned Emitter::fused_base(const ir::Inst& inst) {
  constexpr unsigned kAddend = 2, kNear = 4;
  const size_t count = block_->insts.size();
  for (ir::ValueId i = now_ + 1; i < count && i <= now_ + kNear; ++i) {
    const ir::Inst& user = at(i);
    if (user.op != Op::InsertLane || user.imm != 0 || user.args[1] != now_) continue;
    for (const unsigned k : {kAddend, 0u, 1u}) {
      const ir::ValueId id = root(inst.args[k]);
      const uint8_t reg = loc(id).xmm;
      if (reg == kNoReg ? id == root(user.args[0]) : vector_above(id, reg) == root(user.args[0])) return k;
    }
  }
  return kAddend;
}

bool Emitter::emit_native_fused(const ir::Inst& inst, unsigned form) {
  // The first register is changed: it is the addend in form 231, the first factor in 132, the other one in
  // 213, each of which takes its NaNs in the order of the factors and the addend (SDM volume 1, 14.5.2).
  constexpr InstId kFma[4][4] = {
      {hi::kIdVfmadd231ss, hi::kIdVfmadd231sd, hi::kIdVfmadd231ps, hi::kIdVfmadd231pd},
      {hi::kIdVfmsub231ss, hi::kIdVfmsub231sd, hi::kIdVfmsub231ps, hi::kIdVfmsub231pd},
      {hi::kIdVfnmadd231ss, hi::kIdVfnmadd231sd, hi::kIdVfnmadd231ps, hi::kIdVfnmadd231pd},
      {hi::kIdVfnmsub231ss, hi::kIdVfnmsub231sd, hi::kIdVfnmsub231ps, hi::kIdVfnmsub231pd}};
  struct Changed {
    InstId before;           // so many before form 231
    unsigned second, third;  // the instruction's other operands
  };
  constexpr Changed kChanged[] = {{12, 2, 1}, {6, 0, 2}, {0, 0, 1}};
  static_assert(hi::kIdVfmadd213ss + kChanged[1].before == hi::kIdVfmadd231ss &&
                hi::kIdVfmadd132pd + kChanged[0].before == hi::kIdVfmadd231pd);
  static_assert(hi::kIdVfnmsub213ss + kChanged[1].before == hi::kIdVfnmsub231ss &&
                hi::kIdVfnmsub132pd + kChanged[0].before == hi::kIdVfnmsub231pd);
  const unsigned kind = inst.op == Op::FMulAdd      ? 0
                        : inst.op == Op::FMulSub    ? 1
                        : inst.op == Op::FNegMulAdd ? 2
                                                    : 3;
  const unsigned base = form < 2 ? fused_base(inst) : 2;
  uint8_t from[3];
  for (unsigned k = 0; k < 3; ++k)
    from[k] = k == base ? use_first_xmm(inst.args[k]) : use_pinned_xmm(inst.args[k]);
  const ir::ValueId above = vector_above(inst.args[base], from[base]);
  const uint8_t d = def_xmm(inst.args[base]);
  move_xmm(d, from[base]);
  const Changed& how = kChanged[base];
  (void)a_.emit(kFma[kind][form] - how.before, xmm(d), xmm(from[how.second]), xmm(from[how.third]));
  if (form < 2) above_[d] = above;
  return true;
}

/// The vector that has above its lowest lane what the host register of this scalar has there.
ir::ValueId Emitter::vector_above(ir::ValueId scalar, uint8_t reg) const {
  const ir::ValueId id = root(scalar);
  return type_of(id) == Type::V128 || plan_[id].zeros_above ? id : above_[reg];
}

bool Emitter::emit_native_to_int(const ir::Inst& inst) {
  const Round round = inst.fp_mode().round;
  const bool cut = round == Round::TowardZero;
  const Type from = type_of(inst.args[0]);
  if (!cut && round != Round::NearestEven) return false;
  if (inst.type == Type::V128 && inst.elem == Type::F32) {
    const uint8_t a = use_xmm(inst.args[0]);
    vun(cut ? VecOp{hi::kIdCvttps2dq, hi::kIdVcvttps2dq} : VecOp{hi::kIdCvtps2dq, hi::kIdVcvtps2dq},
        def_xmm(), xmm(a));
    return true;
  }
  if ((inst.type != Type::I32 && inst.type != Type::I64) || !is_host_float(from)) return false;
  const bool wide = from == Type::F64;
  const InstId id =
      cut ? (wide ? hi::kIdCvttsd2si : hi::kIdCvttss2si) : (wide ? hi::kIdCvtsd2si : hi::kIdCvtss2si);
  const InstId avx =
      cut ? (wide ? hi::kIdVcvttsd2si : hi::kIdVcvttss2si) : (wide ? hi::kIdVcvtsd2si : hi::kIdVcvtss2si);
  const uint8_t a = use_xmm(inst.args[0]);
  (void)a_.emit(host_.avx ? avx : id, gp(def_gpr(), inst.type), xmm(a));
  return true;
}

bool Emitter::emit_native_from_int(const ir::Inst& inst) {
  const Type from = type_of(inst.args[0]), to = inst.type;
  if (to == Type::V128) {
    const bool wide = inst.elem == Type::F64;
    if (wide ? !host_.avx512 : inst.elem != Type::F32) return false;
    const uint8_t a = use_xmm(inst.args[0]);
    if (wide)
      (void)a_.emit(hi::kIdVcvtqq2pd, xmm(def_xmm()), xmm(a));
    else
      vun({hi::kIdCvtdq2ps, hi::kIdVcvtdq2ps}, def_xmm(), xmm(a));
    return true;
  }
  if (!is_host_float(to) || (from != Type::I32 && from != Type::I64)) return false;
  const bool wide = to == Type::F64;
  const uint8_t a = use_gpr(inst.args[0]), d = def_xmm();
  load_const_xmm(d, 0, 0);
  if (host_.avx)
    (void)a_.emit(wide ? hi::kIdVcvtsi2sd : hi::kIdVcvtsi2ss, xmm(d), xmm(d), gp(a, from));
  else
    (void)a_.emit(wide ? hi::kIdCvtsi2sd : hi::kIdCvtsi2ss, xmm(d), gp(a, from));
  return true;
}

bool Emitter::emit_native_round(const ir::Inst& inst) {
  const auto control = rounding_control(inst.fp_mode().round);
  if (!control || (inst.type != Type::V128 && inst.type != inst.elem)) return false;
  const uint32_t how = *control | (inst.fp_mode().no_inexact ? 8u : 0u);
  const bool wide = inst.elem == Type::F64;
  const uint8_t a = use_xmm(inst.args[0]);
  const uint8_t d = def_xmm();
  if (inst.type == Type::V128)
    vun_imm(wide ? VecOp{hi::kIdRoundpd, hi::kIdVroundpd} : VecOp{hi::kIdRoundps, hi::kIdVroundps}, d, xmm(a),
            how);
  else
    vop_imm(wide ? VecOp{hi::kIdRoundsd, hi::kIdVroundsd} : VecOp{hi::kIdRoundss, hi::kIdVroundss}, d, a,
            xmm(a), how);
  return true;
}

/// Whether it is from one of the host's types to the other, by one instruction.
bool Emitter::is_native_convert(const ir::Inst& inst) const {
  const FpMode mode = inst.fp_mode();
  return inst.op == Op::FConvert && is_sse(mode) && mode.round == Round::NearestEven && !mode.no_inexact &&
         reports(mode) && is_host_float(type_of(inst.args[0])) && is_host_float(inst.type);
}

bool Emitter::emit_native_convert(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  const bool nearest = mode.round == Round::NearestEven && !mode.no_inexact;
  if (inst.op == Op::FConvert) {
    if (!is_native_convert(inst)) return false;
    const Type to = inst.type;
    const uint8_t a = to == Type::F64 ? use_first_xmm(inst.args[0]) : use_xmm(inst.args[0]);
    const ir::ValueId above = vector_above(inst.args[0], a);
    const uint8_t d = def_xmm();
    if (to == Type::F64) {
      vop({hi::kIdCvtss2sd, hi::kIdVcvtss2sd}, d, a, xmm(a));
      above_[d] = above;
      return true;
    }
    const uint8_t zero = take_xmm();
    load_const_xmm(zero, 0, 0);
    vop({hi::kIdCvtsd2ss, hi::kIdVcvtsd2ss}, d, zero, xmm(a));
    return true;
  }
  if (inst.op == Op::FWidenLo) {
    if (inst.type != Type::V128) return false;
    if (inst.elem == Type::F32 ? !reports(mode) : !is_silent(mode) || !host_.avx2) return false;
    const uint8_t a = use_xmm(inst.args[0]);
    if (inst.elem == Type::F32)
      vun({hi::kIdCvtps2pd, hi::kIdVcvtps2pd}, def_xmm(), xmm(a));
    else
      (void)a_.emit(hi::kIdVcvtph2ps, xmm(def_xmm()), xmm(a));
    return true;
  }
  if (inst.type != Type::V64 || !reports(mode) || mode.no_inexact) return false;
  const auto control = rounding_control(mode.round);
  if (inst.elem == Type::F64 ? !nearest : !control || !host_.avx2) return false;
  const uint8_t a = use_xmm(inst.args[0]);
  if (inst.elem == Type::F64)
    vun({hi::kIdCvtpd2ps, hi::kIdVcvtpd2ps}, def_xmm(), xmm(a));
  else
    (void)a_.emit(hi::kIdVcvtps2ph, xmm(def_xmm()), xmm(a), Imm(*control));
  return true;
}

}  // namespace lyrebird::jit::baseline
