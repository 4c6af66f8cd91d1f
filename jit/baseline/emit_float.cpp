// SPDX-License-Identifier: Apache-2.0
// Floating point. The host's instruction does it where its rules are the guest's; its
// exception flags collect in MXCSR and reach the state when generated code is left. What
// it may get wrong goes to a cold path, which calls the interpreter's handler: NaN results
// (which NaN, and its sign), and results that rounding may have lifted to the smallest
// normal number (the host looks for tininess after rounding, the IR's default before).
// The host's flags are never more than the right ones, so that the handler only adds.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/interp/select.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::FpMode;
using ir::Op;
using ir::Round;
using ir::Type;
using ir::ValueId;

namespace {

/// The host in its default state does what the mode says, but for the rounding and `no_inexact`.
bool is_plain(const FpMode& mode) {
  return !mode.flush_inputs && !mode.flush_outputs && !mode.no_flags && mode.tiny_before_rounding &&
         mode.denormal_report == ir::DenormalReport::Never;
}
bool is_host_float(Type type) { return type == Type::F32 || type == Type::F64; }

struct Forms {
  InstId sse[4], avx[4];  // ss, sd, ps, pd
};
unsigned form_of(Type type, Type elem) { return (ir::is_vector(type) ? 2 : 0) + (elem == Type::F64 ? 1 : 0); }

constexpr Forms kAdd{{hi::kIdAddss, hi::kIdAddsd, hi::kIdAddps, hi::kIdAddpd},
                     {hi::kIdVaddss, hi::kIdVaddsd, hi::kIdVaddps, hi::kIdVaddpd}};
constexpr Forms kSub{{hi::kIdSubss, hi::kIdSubsd, hi::kIdSubps, hi::kIdSubpd},
                     {hi::kIdVsubss, hi::kIdVsubsd, hi::kIdVsubps, hi::kIdVsubpd}};
constexpr Forms kMul{{hi::kIdMulss, hi::kIdMulsd, hi::kIdMulps, hi::kIdMulpd},
                     {hi::kIdVmulss, hi::kIdVmulsd, hi::kIdVmulps, hi::kIdVmulpd}};
constexpr Forms kDiv{{hi::kIdDivss, hi::kIdDivsd, hi::kIdDivps, hi::kIdDivpd},
                     {hi::kIdVdivss, hi::kIdVdivsd, hi::kIdVdivps, hi::kIdVdivpd}};
constexpr Forms kSqrt{{hi::kIdSqrtss, hi::kIdSqrtsd, hi::kIdSqrtps, hi::kIdSqrtpd},
                      {hi::kIdVsqrtss, hi::kIdVsqrtsd, hi::kIdVsqrtps, hi::kIdVsqrtpd}};
constexpr InstId kFma[4] = {hi::kIdVfmadd231ss, hi::kIdVfmadd231sd, hi::kIdVfmadd231ps, hi::kIdVfmadd231pd};

}  // namespace

bool Emitter::emit_float(const ir::Inst& inst) {
  if (inst.op == Op::FAbs || inst.op == Op::FNeg) return emit_float_sign(inst);
  if (!(ir::info(inst.op).effects & ir::FpFlags) || !is_plain(inst.fp_mode())) return false;
  switch (inst.op) {
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
    case Op::FMulAdd:
      return emit_float_arithmetic(inst);
    case Op::FCompare:
    case Op::FCmpEq:
    case Op::FCmpLt:
    case Op::FCmpLe:
    case Op::FCmpUnord:
      return emit_float_compare(inst);
    case Op::FToIntS:
    case Op::FToIntU:
    case Op::FFromIntS:
    case Op::FFromIntU:
    case Op::FConvert:
      return emit_float_convert(inst);
    case Op::FRoundInt:
      return emit_float_round(inst);
    default:
      return false;
  }
}

bool Emitter::emit_float_sign(const ir::Inst& inst) {
  if (class_of(inst.type) != ValueClass::Xmm) return false;
  const Type elem = inst.elem;
  if (elem != Type::F16 && !is_host_float(elem)) return false;
  const uint64_t lane = elem == Type::F64   ? uint64_t{1} << 63
                        : elem == Type::F32 ? 0x8000000080000000
                                            : 0x8000800080008000;
  const uint64_t mask = inst.op == Op::FAbs ? ~lane : lane;
  const uint8_t a = use_xmm(inst.args[0]);
  const uint8_t d = def_xmm(inst.args[0]);
  const VecOp op = inst.op == Op::FAbs ? VecOp{hi::kIdPand, hi::kIdVpand} : VecOp{hi::kIdPxor, hi::kIdVpxor};
  vop(op, d, a, pool(mask, mask));
  return true;
}

Emitter::Cold& Emitter::add_cold_float(const ir::Inst& inst, uint8_t d, const uint8_t* args, unsigned count) {
  Cold cold{.kind = Cold::Kind::Float,
            .from = a_.newLabel(),
            .back = a_.newLabel(),
            .op = inst.op,
            .type = inst.type};
  cold.elem = inst.elem;
  cold.d = d;
  cold.arg_count = static_cast<uint8_t>(count);
  for (unsigned k = 0; k < count; ++k) cold.args[k] = args[k];
  interp::Code code;
  code.handler = interp::select_general(inst, type_of(inst.args[0]));
  if (!code.handler) failed_ = true;
  code.d = kFrameScratch + 96;
  code.a = kFrameScratch;
  code.b = kFrameScratch + 32;
  code.c = kFrameScratch + 64;
  code.imm = inst.imm;
  code.aux = inst.aux;
  cold.record = add_record(&code, 1);
  cold_.push_back(cold);
  return cold_.back();
}

/// Leaves for the cold path unless every lane is finite or infinite and above the smallest normal number.
void Emitter::check_result(const ir::Inst& inst, uint8_t d, const uint8_t* args, unsigned count) {
  Cold& cold = add_cold_float(inst, d, args, count);
  cold.check = true;
  const Type elem = inst.op == Op::FConvert ? inst.type : inst.elem;
  cold.elem = elem;
  const bool wide = elem == Type::F64;
  if (!ir::is_vector(inst.type)) {
    const uint8_t t = take_gpr();
    if (wide)
      (void)a_.emit(host_.avx ? hi::kIdVpextrd : hi::kIdPextrd, gp32(t), xmm(d), Imm(1));
    else
      (void)a_.emit(host_.avx ? hi::kIdVmovd : hi::kIdMovd, gp32(t), xmm(d));
    const uint32_t low = wide ? 0x00200002 : 0x01000002, high = wide ? 0xffe00000 : 0xff000000;
    (void)a_.lea(gp32(t), x86::ptr(gp64(t), gp64(t), 0, -static_cast<int32_t>(low)));
    (void)a_.cmp(gp32(t), static_cast<int32_t>(high - low));
    (void)a_.long_().ja(cold.from);
  } else {
    const uint8_t x = take_xmm(), t = take_gpr();
    const VecOp add = wide ? VecOp{hi::kIdPaddq, hi::kIdVpaddq} : VecOp{hi::kIdPaddd, hi::kIdVpaddd};
    const VecOp greater =
        wide ? VecOp{hi::kIdPcmpgtq, hi::kIdVpcmpgtq} : VecOp{hi::kIdPcmpgtd, hi::kIdVpcmpgtd};
    const uint64_t bias = wide ? 0x7fdffffffffffffe : 0x7efffffe7efffffe;
    const uint64_t limit = wide ? 0x7fbffffffffffffe : 0x7dfffffe7dfffffe;
    vop(add, x, d, xmm(d));
    vop(add, x, x, pool(bias, bias));
    vop(greater, x, x, pool(limit, limit));
    (void)a_.emit(host_.avx ? hi::kIdVmovmskps : hi::kIdMovmskps, gp32(t), xmm(x));
    (void)a_.test(gp32(t), gp32(t));
    (void)a_.long_().jnz(cold.from);
  }
  (void)a_.bind(cold.back);
}

void Emitter::emit_cold_float(const Cold& cold) {
  (void)a_.bind(cold.from);
  const Label slow = a_.newLabel();
  const bool wide = cold.elem == Type::F64;
  if (cold.check) {
    (void)a_.mov(frame_mem(kFrameSaveGpr, 8), x86::rax);
    if (!ir::is_vector(cold.type)) {
      (void)a_.emit(wide ? hi::kIdUcomisd : hi::kIdUcomiss, xmm(cold.d), xmm(cold.d));
      (void)a_.jp(slow);
      if (wide) {
        (void)a_.movq(x86::rax, xmm(cold.d));
        (void)a_.add(x86::rax, x86::rax);
        (void)a_.rol(x86::rax, 11);
        (void)a_.cmp(x86::rax, 1);
      } else {
        (void)a_.movd(x86::eax, xmm(cold.d));
        (void)a_.add(x86::eax, x86::eax);
        (void)a_.cmp(x86::eax, 0x01000000);
      }
      (void)a_.mov(x86::rax, frame_mem(kFrameSaveGpr, 8));
      (void)a_.jne(cold.back);
    } else {
      uint8_t s = 0;
      while (s == cold.d) ++s;
      const uint64_t magnitude = wide ? ~uint64_t{0} >> 1 : 0x7fffffff7fffffff;
      const uint64_t least = wide ? uint64_t{1} << 52 : 0x0080000000800000;
      (void)a_.movaps(frame_mem(kFrameSaveXmm, 16), xmm(s));
      (void)a_.movaps(frame_mem(kFrameScratch + 96, 16), xmm(cold.d));
      (void)a_.movaps(xmm(s), xmm(cold.d));
      (void)a_.emit(wide ? hi::kIdCmppd : hi::kIdCmpps, xmm(s), xmm(s), Imm(3));
      (void)a_.movaps(frame_mem(kFrameScratch + 112, 16), xmm(s));
      (void)a_.movaps(xmm(s), xmm(cold.d));
      (void)a_.pand(xmm(s), pool(magnitude, magnitude));
      (void)a_.emit(wide ? hi::kIdPcmpeqq : hi::kIdPcmpeqd, xmm(s), pool(least, least));
      (void)a_.por(xmm(s), frame_mem(kFrameScratch + 112, 16));
      (void)a_.movmskps(x86::eax, xmm(s));
      (void)a_.test(x86::eax, x86::eax);
      (void)a_.movaps(xmm(s), frame_mem(kFrameSaveXmm, 16));
      (void)a_.mov(x86::rax, frame_mem(kFrameSaveGpr, 8));
      (void)a_.jz(cold.back);
    }
    (void)a_.bind(slow);
    if (!ir::is_vector(cold.type)) (void)a_.mov(x86::rax, frame_mem(kFrameSaveGpr, 8));
  }
  for (unsigned k = 0; k < cold.arg_count; ++k)
    (void)a_.movaps(frame_mem(kFrameScratch + 32 * k, 16), xmm(cold.args[k]));
  call_record(cold.record, Thunk::Float);
  if (cold.gpr_result)
    load_int(cold.d, frame_mem(kFrameScratch + 96), cold.type);
  else
    load_float(cold.d, frame_mem(kFrameScratch + 96), cold.type);
  (void)a_.jmp(cold.back);
}

bool Emitter::emit_float_arithmetic(const ir::Inst& inst) {
  const Type elem = inst.elem;
  const FpMode mode = inst.fp_mode();
  if (class_of(inst.type) != ValueClass::Xmm || !is_host_float(elem) || mode.round != Round::NearestEven ||
      mode.no_inexact)
    return false;
  if (!ir::is_vector(inst.type) && inst.type != elem) return false;
  if (inst.op == Op::FMulAdd && !host_.fma) return false;
  const unsigned count = ir::arg_count(inst), form = form_of(inst.type, elem);
  uint8_t args[3] = {};
  for (unsigned k = 0; k < count; ++k) {
    args[k] = use_xmm(inst.args[k]);
    if (inst.type != Type::V64) continue;
    // What lies above must not raise anything.
    const uint8_t both = take_xmm();
    (void)a_.emit(host_.avx ? hi::kIdVmovddup : hi::kIdMovddup, xmm(both), xmm(args[k]));
    args[k] = both;
  }
  const uint8_t d = def_xmm();
  const auto with = [&](const Forms& forms) {
    vop({forms.sse[form], forms.avx[form]}, d, args[0], xmm(args[1]));
  };
  switch (inst.op) {
    case Op::FAdd:
      with(kAdd);
      break;
    case Op::FSub:
      with(kSub);
      break;
    case Op::FMul:
      with(kMul);
      break;
    case Op::FDiv:
      with(kDiv);
      break;
    case Op::FSqrt:
      if (form < 2)
        vop({kSqrt.sse[form], kSqrt.avx[form]}, d, args[0], xmm(args[0]));
      else
        (void)a_.emit(host_.avx ? kSqrt.avx[form] : kSqrt.sse[form], xmm(d), xmm(args[0]));
      break;
    default:
      move_xmm(d, args[2]);
      (void)a_.emit(kFma[form], xmm(d), xmm(args[0]), xmm(args[1]));
  }
  check_result(inst, d, args, count);
  no_flags();
  return true;
}

bool Emitter::emit_float_compare(const ir::Inst& inst) {
  const Type elem = inst.elem;
  if (!is_host_float(elem)) return false;
  const bool wide = elem == Type::F64;
  if (inst.op == Op::FCompare) {
    const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
    const bool signal = inst.fp_extra() & 1;
    const InstId compare = signal ? (host_.avx ? (wide ? hi::kIdVcomisd : hi::kIdVcomiss)
                                               : (wide ? hi::kIdComisd : hi::kIdComiss))
                                  : (host_.avx ? (wide ? hi::kIdVucomisd : hi::kIdVucomiss)
                                               : (wide ? hi::kIdUcomisd : hi::kIdUcomiss));
    const uint8_t less = take_gpr(), greater = take_gpr();
    load_const(less, 0);
    load_const(greater, 0);
    // Each is set by an unordered pair as well.
    (void)a_.emit(compare, xmm(a), xmm(b));
    (void)a_.setb(x86::gpb_lo(less));
    (void)a_.emit(compare, xmm(b), xmm(a));
    (void)a_.setb(x86::gpb_lo(greater));
    const uint8_t d = def_gpr();
    (void)a_.lea(gp32(d), x86::ptr(gp64(less), gp64(greater), 1));
    no_flags();
    return true;
  }
  const uint32_t predicate = inst.op == Op::FCmpEq   ? 0
                             : inst.op == Op::FCmpLt ? 1
                             : inst.op == Op::FCmpLe ? 2
                                                     : 3;
  const bool scalar = inst.type == Type::I1;
  if (!scalar && (class_of(inst.type) != ValueClass::Xmm || !ir::is_vector(inst.type))) return false;
  uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  if (inst.type == Type::V64) {
    for (uint8_t* const x : {&a, &b}) {
      const uint8_t both = take_xmm();
      (void)a_.emit(host_.avx ? hi::kIdVmovddup : hi::kIdMovddup, xmm(both), xmm(*x));
      *x = both;
    }
  }
  const VecOp op = scalar ? (wide ? VecOp{hi::kIdCmpsd, hi::kIdVcmpsd} : VecOp{hi::kIdCmpss, hi::kIdVcmpss})
                          : (wide ? VecOp{hi::kIdCmppd, hi::kIdVcmppd} : VecOp{hi::kIdCmpps, hi::kIdVcmpps});
  const uint8_t d = scalar ? take_xmm() : def_xmm();
  vop_imm(op, d, a, xmm(b), predicate);
  if (scalar) {
    const uint8_t r = def_gpr();
    (void)a_.emit(host_.avx ? hi::kIdVmovd : hi::kIdMovd, gp32(r), xmm(d));
    (void)a_.and_(gp32(r), 1);
    no_flags();
  }
  return true;
}

bool Emitter::emit_float_convert(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  const Type from = type_of(inst.args[0]), to = inst.type;
  if (inst.op == Op::FConvert) {
    if (!is_host_float(from) || !is_host_float(to) || mode.round != Round::NearestEven || mode.no_inexact)
      return false;
    const uint8_t a = use_xmm(inst.args[0]);
    const uint8_t d = def_xmm();
    const VecOp op =
        to == Type::F64 ? VecOp{hi::kIdCvtss2sd, hi::kIdVcvtss2sd} : VecOp{hi::kIdCvtsd2ss, hi::kIdVcvtsd2ss};
    vop(op, d, a, xmm(a));
    check_result(inst, d, &a, 1);
    no_flags();
    return true;
  }
  if (inst.fp_extra() != 0 || mode.no_inexact) return false;
  if (inst.op == Op::FToIntS || inst.op == Op::FToIntU) {
    if ((to != Type::I32 && to != Type::I64) || !is_host_float(from)) return false;
    if (mode.round != Round::TowardZero && mode.round != Round::NearestEven) return false;
    const bool cut = mode.round == Round::TowardZero, wide = from == Type::F64,
               is_signed = inst.op == Op::FToIntS;
    if (!is_signed && !host_.avx512) return false;
    const InstId id = is_signed ? (cut ? (wide ? hi::kIdCvttsd2si : hi::kIdCvttss2si)
                                       : (wide ? hi::kIdCvtsd2si : hi::kIdCvtss2si))
                                : (cut ? (wide ? hi::kIdVcvttsd2usi : hi::kIdVcvttss2usi)
                                       : (wide ? hi::kIdVcvtsd2usi : hi::kIdVcvtss2usi));
    const uint8_t a = use_xmm(inst.args[0]);
    const uint8_t d = def_gpr();
    (void)a_.emit(id, gp(d, to), xmm(a));
    Cold& cold = add_cold_float(inst, d, &a, 1);
    cold.gpr_result = true;
    // The host's answer to what does not fit: only the most negative, or the largest.
    (void)a_.cmp(gp(d, to), is_signed ? 1 : -1);
    a_.long_();
    (void)a_.emit(is_signed ? hi::kIdJo : hi::kIdJe, cold.from);
    (void)a_.bind(cold.back);
    no_flags();
    return true;
  }
  if (mode.round != Round::NearestEven || !is_host_float(to)) return false;
  if (from != Type::I32 && from != Type::I64) return false;
  const bool wide = to == Type::F64, big = inst.op == Op::FFromIntU && from == Type::I64;
  if (big && !host_.avx512) return false;
  const uint8_t a = inst.op == Op::FFromIntU ? use_clean(inst.args[0]) : use_gpr(inst.args[0]);
  const uint8_t d = def_xmm();
  const Gp source = from == Type::I32 && inst.op == Op::FFromIntS ? gp32(a) : gp64(a);
  load_const_xmm(d, 0, 0);
  if (big)
    (void)a_.emit(wide ? hi::kIdVcvtusi2sd : hi::kIdVcvtusi2ss, xmm(d), xmm(d), source);
  else if (host_.avx)
    (void)a_.emit(wide ? hi::kIdVcvtsi2sd : hi::kIdVcvtsi2ss, xmm(d), xmm(d), source);
  else
    (void)a_.emit(wide ? hi::kIdCvtsi2sd : hi::kIdCvtsi2ss, xmm(d), source);
  return true;
}

bool Emitter::emit_float_round(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  if (!is_host_float(inst.type) || inst.fp_extra() != 0) return false;
  uint32_t control;
  switch (mode.round) {
    case Round::NearestEven:
      control = 0;
      break;
    case Round::TowardNegative:
      control = 1;
      break;
    case Round::TowardPositive:
      control = 2;
      break;
    case Round::TowardZero:
      control = 3;
      break;
    default:
      return false;
  }
  if (mode.no_inexact) control |= 8;
  const bool wide = inst.type == Type::F64;
  const uint8_t a = use_xmm(inst.args[0]);
  const uint8_t d = def_xmm();
  vop_imm(wide ? VecOp{hi::kIdRoundsd, hi::kIdVroundsd} : VecOp{hi::kIdRoundss, hi::kIdVroundss}, d, a,
          xmm(a), control);
  Cold& cold = add_cold_float(inst, d, &a, 1);
  (void)a_.emit(
      host_.avx ? (wide ? hi::kIdVucomisd : hi::kIdVucomiss) : (wide ? hi::kIdUcomisd : hi::kIdUcomiss),
      xmm(d), xmm(d));
  (void)a_.long_().jp(cold.from);
  (void)a_.bind(cold.back);
  no_flags();
  return true;
}

}  // namespace lyrebird::jit::baseline
