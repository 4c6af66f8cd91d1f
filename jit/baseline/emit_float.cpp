// SPDX-License-Identifier: Apache-2.0
// Floating point. The host's instruction does it where its rules are the guest's; its
// exception flags collect in MXCSR and reach the state when generated code is left. What
// it may get wrong goes to a cold path, which calls the interpreter's handler: NaN results
// (which NaN, and its sign), and results that rounding may have lifted to the smallest
// normal number (the host looks for tininess after rounding, the IR's default before).
// The host's flags are never more than the right ones, so that the handler only adds.
#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/rounding.h"
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
constexpr Forms kMin{{hi::kIdMinss, hi::kIdMinsd, hi::kIdMinps, hi::kIdMinpd},
                     {hi::kIdVminss, hi::kIdVminsd, hi::kIdVminps, hi::kIdVminpd}};
constexpr Forms kMax{{hi::kIdMaxss, hi::kIdMaxsd, hi::kIdMaxps, hi::kIdMaxpd},
                     {hi::kIdVmaxss, hi::kIdVmaxsd, hi::kIdVmaxps, hi::kIdVmaxpd}};
constexpr InstId kFma[4] = {hi::kIdVfmadd231ss, hi::kIdVfmadd231sd, hi::kIdVfmadd231ps, hi::kIdVfmadd231pd};

}  // namespace

bool Emitter::emit_float(const ir::Inst& inst) {
  if (inst.op == Op::FAbs || inst.op == Op::FNeg) return emit_float_sign(inst);
  if (!(ir::info(inst.op).effects & ir::FpFlags)) return false;
  // Any other rules would have the host collect too many reports of subnormal operands.
  if (options_.sse_floats) return emit_float_native(inst);
  if (!is_plain(inst.fp_mode())) return false;
  if (options_.careful && inst.op != Op::FCompare) mask_traps();
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
    case Op::FWidenLo:
    case Op::FWidenHi:
    case Op::FNarrow:
      return emit_float_resize(inst);
    case Op::FMin:
    case Op::FMax:
    case Op::FMinNum:
    case Op::FMaxNum:
      return emit_float_min_max(inst);
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
  const VecOp op = inst.op == Op::FAbs ? kAnd : kXor;
  // Scalars keep zeros above them.
  if (ir::is_vector(inst.type))
    vop(op, d, a, pool(mask, mask));
  else
    vop(op, d, a, pool(elem == Type::F32 ? mask & 0xffffffff : mask, 0));
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

/// Whether the result can be one that rounding lifted to the smallest normal number. Sums of that
/// size are exact, as are roots and what becomes wider.
bool Emitter::may_be_tiny(const ir::Inst& inst) {
  return inst.op == Op::FMul || inst.op == Op::FDiv || inst.op == Op::FMulAdd || inst.op == Op::FNarrow ||
         (inst.op == Op::FConvert && inst.type == Type::F32);
}

void Emitter::leave_if_any_sign(uint8_t x, const Cold& cold) {
  const uint8_t t = take_gpr();
  (void)a_.emit(host_.avx ? hi::kIdVmovmskps : hi::kIdMovmskps, gp32(t), xmm(x));
  (void)a_.test(gp32(t), gp32(t));
  (void)a_.long_().jnz(cold.from);
}

/// Leaves for the cold path if a lane is a NaN or may have been rounded to the smallest normal number.
/// `start`: of the arithmetic that has made d.
void Emitter::check_result(const ir::Inst& inst, uint8_t d, const uint8_t* args, unsigned count,
                           uint32_t start) {
  if (by_traps()) return trap_on_result(inst, d, args, start);
  no_flags();
  Cold& cold = add_cold_float(inst, d, args, count);
  cold.check = true;
  const Type elem = inst.op == Op::FConvert ? inst.type : inst.elem;
  cold.elem = elem;
  const bool wide = elem == Type::F64, tiny = may_be_tiny(inst);
  const uint64_t magnitude = wide ? ~uint64_t{0} >> 1 : 0x7fffffff7fffffff;
  const uint64_t least = wide ? uint64_t{1} << 52 : 0x0080000000800000;
  if (!ir::is_vector(inst.type)) {
    const InstId compare =
        host_.avx ? (wide ? hi::kIdVucomisd : hi::kIdVucomiss) : (wide ? hi::kIdUcomisd : hi::kIdUcomiss);
    if (tiny) {
      const uint8_t x = take_xmm();
      vop(kAnd, x, d, pool(magnitude, magnitude));
      Mem limit = pool(least, least);
      limit.setSize(wide ? 8 : 4);
      (void)a_.emit(compare, xmm(x), limit);
      (void)a_.long_().jbe(cold.from);
    } else {
      (void)a_.emit(compare, xmm(d), xmm(d));
      (void)a_.long_().jp(cold.from);
    }
  } else if (!tiny || host_.avx) {
    constexpr uint32_t kUnordered = 3, kNotGreaterQuiet = 0x1a;
    const VecOp op = wide ? VecOp{hi::kIdCmppd, hi::kIdVcmppd} : VecOp{hi::kIdCmpps, hi::kIdVcmpps};
    const uint8_t x = take_xmm();
    if (tiny) {
      vop(kAnd, x, d, pool(magnitude, magnitude));
      vop_imm(op, x, x, pool(least, least), kNotGreaterQuiet);
    } else {
      vop_imm(op, x, d, xmm(d), kUnordered);
    }
    leave_if_any_sign(x, cold);
  } else {
    // SSE's compares that are not quiet would raise something for a NaN.
    const uint8_t x = take_xmm();
    const VecOp add = wide ? VecOp{hi::kIdPaddq, hi::kIdVpaddq} : kAdd32;
    const VecOp greater =
        wide ? VecOp{hi::kIdPcmpgtq, hi::kIdVpcmpgtq} : VecOp{hi::kIdPcmpgtd, hi::kIdVpcmpgtd};
    const uint64_t bias = wide ? 0x7fdffffffffffffe : 0x7efffffe7efffffe;
    const uint64_t limit = wide ? 0x7fbffffffffffffe : 0x7dfffffe7dfffffe;
    vop(add, x, d, xmm(d));
    vop(add, x, x, pool(bias, bias));
    vop(greater, x, x, pool(limit, limit));
    leave_if_any_sign(x, cold);
  }
  (void)a_.bind(cold.back);
}

void Emitter::emit_cold_float(const Cold& cold) {
  if (cold.trap_size != 0) traps_.push_back({cold.trap_start, cold.trap_size, here()});
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
  // Behind the first operand there is room.
  const Mem flags = frame_mem(kFrameScratch + 16, 8);
  if (cold.keeps_flags) {
    (void)a_.pushfq();
    (void)a_.pop(flags);
  }
  for (unsigned k = 0; k < cold.arg_count; ++k)
    (void)a_.emit(cold.args[k] < 16 ? hi::kIdMovaps : hi::kIdVmovaps, frame_mem(kFrameScratch + 32 * k, 16),
                  xmm(cold.args[k]));
  call_record(cold.record, Thunk::Float);
  if (cold.gpr_result)
    load_int(cold.d, frame_mem(kFrameScratch + 96), cold.type);
  else
    load_float(cold.d, frame_mem(kFrameScratch + 96), cold.type);
  if (cold.keeps_flags) {
    (void)a_.push(flags);
    (void)a_.popfq();
  }
  (void)a_.jmp(cold.back);
}

/// A V64 operand with itself above: what lies there must not raise anything.
uint8_t Emitter::both_halves(const ir::Inst& inst, uint8_t x) {
  if (inst.type != Type::V64) return x;
  const uint8_t both = take_xmm();
  (void)a_.emit(host_.avx ? hi::kIdVmovddup : hi::kIdMovddup, xmm(both), xmm(x));
  return both;
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
    args[k] = k == (count == 3 ? 2 : 0) ? use_first_xmm(inst.args[k]) : use_pinned_xmm(inst.args[k]);
    args[k] = both_halves(inst, args[k]);
  }
  const uint8_t d = def_xmm();
  const uint32_t start = start_traps(inst);
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
  check_result(inst, d, args, count, start);
  return true;
}

bool Emitter::emit_float_compare(const ir::Inst& inst) {
  const Type elem = inst.elem;
  if (!is_host_float(elem)) return false;
  const bool wide = elem == Type::F64;
  if (inst.op == Op::FCompare) {
    const bool as_equal = (inst.fp_extra() & 2) != 0;
    if (plan_[now_].only_flags) {
      const bool there = flags_.kind == Flags::Kind::Float && flags_.type == elem &&
                         flags_.a == root(inst.args[0]) && flags_.b == root(inst.args[1]);
      // One that comes right after its twin has raised everything already.
      if (!as_equal)
        order_flags(inst, !options_.sse_floats && wants_crossed(now_));
      else if (!there)
        order_flags(inst, false);
      return true;
    }
    if (as_equal) return false;
    const uint8_t t = take_gpr();
    make_order(inst, t);
    (void)a_.mov(gp32(def_gpr()), gp32(t));
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
  a = both_halves(inst, a);
  b = both_halves(inst, b);
  const VecOp op = scalar ? (wide ? VecOp{hi::kIdCmpsd, hi::kIdVcmpsd} : VecOp{hi::kIdCmpss, hi::kIdVcmpss})
                          : (wide ? VecOp{hi::kIdCmppd, hi::kIdVcmppd} : VecOp{hi::kIdCmpps, hi::kIdVcmpps});
  const uint8_t d = scalar ? take_xmm() : def_xmm();
  const uint8_t r = scalar ? def_gpr() : kNoReg;
  const uint8_t args[2] = {a, b};
  const uint32_t start = here();
  vop_imm(op, d, a, xmm(b), predicate);
  if (scalar) {
    (void)a_.emit(host_.avx ? hi::kIdVmovd : hi::kIdMovd, gp32(r), xmm(d));
    (void)a_.and_(gp32(r), 1);
    no_flags();
    if (by_traps()) {
      Cold& cold = add_cold_float(inst, r, args, 2);
      cold.gpr_result = true;
      end_traps(cold, start);
    }
  } else if (by_traps()) {
    end_traps(add_cold_float(inst, d, args, 2), start);
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
    uint8_t above = a;
    if (to == Type::F32) {
      above = take_xmm();
      load_const_xmm(above, 0, 0);
    }
    const uint32_t start = start_traps(inst);
    vop(op, d, above, xmm(a));
    check_result(inst, d, &a, 1, start);
    return true;
  }
  const bool from_int = inst.op == Op::FFromIntS || inst.op == Op::FFromIntU;
  if ((inst.fp_extra() != 0 && !from_int) || mode.no_inexact) return false;
  if (ir::is_vector(to)) return emit_float_vector_convert(inst);
  if (inst.op == Op::FToIntS || inst.op == Op::FToIntU) {
    if (mode.round != Round::TowardZero && mode.round != Round::NearestEven)
      return emit_float_to_int_rounding(inst);
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
    const uint32_t start = here();
    (void)a_.emit(id, gp(d, to), xmm(a));
    check_int(inst, d, a, start);
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
  scale_down(inst, d);
  return true;
}

/// Leaves for the cold path if a did not fit. `start`: of what has made d of it.
void Emitter::check_int(const ir::Inst& inst, uint8_t d, uint8_t a, uint32_t start) {
  Cold& cold = add_cold_float(inst, d, &a, 1);
  cold.gpr_result = true;
  no_flags();
  if (by_traps()) return end_traps(cold, start);
  // The host's answer to what does not fit: only the most negative, or the largest.
  const bool is_signed = inst.op == Op::FToIntS;
  (void)a_.cmp(gp(d, inst.type), is_signed ? 1 : -1);
  a_.long_();
  (void)a_.emit(is_signed ? hi::kIdJo : hi::kIdJe, cold.from);
  (void)a_.bind(cold.back);
}

/// d divided by 2^extra, which is exact: no int is so small.
void Emitter::scale_down(const ir::Inst& inst, uint8_t d) {
  const unsigned by = inst.fp_extra();
  if (by == 0) return;
  const Type elem = ir::is_vector(inst.type) ? inst.elem : inst.type;
  const unsigned form = form_of(inst.type, elem);
  const uint64_t factor =
      elem == Type::F64 ? uint64_t{1023 - by} << 52 : (uint64_t{127 - by} << 23) * uint64_t{0x1'0000'0001};
  Mem m = pool(factor, factor);
  if (form < 2) m.setSize(form == 0 ? 4 : 8);
  vop({kMul.sse[form], kMul.avx[form]}, d, d, m);
}

/// Between floats of different size.
bool Emitter::emit_float_resize(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  if (mode.round != Round::NearestEven || mode.no_inexact) return false;
  if (inst.op == Op::FNarrow) {
    if (inst.elem != Type::F64 || inst.type != Type::V64 || !host_.avx) return false;
    const uint8_t a = use_xmm(inst.args[0]);
    const uint8_t d = def_xmm(), x = take_xmm();
    const uint32_t start = start_traps(inst);
    (void)a_.vcvtpd2ps(xmm(d), xmm(a));
    if (by_traps()) {
      trap_on_result(inst, d, &a, start);
      return true;
    }
    no_flags();
    Cold& cold = add_cold_float(inst, d, &a, 1);
    cold.check = true;
    cold.elem = Type::F32;
    // The upper half is zeros, which are above its limit of -1.
    constexpr uint32_t kNotGreaterQuiet = 0x1a;
    vop(kAnd, x, d, pool(0x7fffffff7fffffff, 0x7fffffff7fffffff));
    vop_imm({hi::kIdCmpps, hi::kIdVcmpps}, x, x, pool(0x0080000000800000, 0xbf800000bf800000),
            kNotGreaterQuiet);
    leave_if_any_sign(x, cold);
    (void)a_.bind(cold.back);
    return true;
  }
  if (inst.elem != Type::F32 || inst.type != Type::V128) return false;
  uint8_t a = use_xmm(inst.args[0]);
  const uint8_t whole = a, d = def_xmm(), x = take_xmm();
  if (inst.op == Op::FWidenHi) {
    vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, x, a, 8);
    a = x;
  }
  const uint32_t start = start_traps(inst);
  vun({hi::kIdCvtps2pd, hi::kIdVcvtps2pd}, d, xmm(a));
  if (by_traps()) {
    trap_on_result(inst, d, &whole, start);
    return true;
  }
  no_flags();
  Cold& cold = add_cold_float(inst, d, &whole, 1);
  vop_imm({hi::kIdCmppd, hi::kIdVcmppd}, x, d, xmm(d), 3);
  leave_if_any_sign(x, cold);
  (void)a_.bind(cold.back);
  return true;
}

namespace {
constexpr uint32_t kNoInexact = 8;
/// The largest number below a half.
constexpr uint64_t kAlmostHalf[2] = {0x3effffff, 0x3fdfffffffffffff};
}  // namespace

/// d = a rounded to an integral value, raising nothing but for a signalling NaN. False: no code.
bool Emitter::round_quietly(uint8_t d, uint8_t a, Round round, bool wide) {
  const VecOp op = wide ? VecOp{hi::kIdRoundsd, hi::kIdVroundsd} : VecOp{hi::kIdRoundss, hi::kIdVroundss};
  if (const auto control = rounding_control(round)) {
    vop_imm(op, d, a, xmm(a), *control | kNoInexact);
    return true;
  }
  if (round != Round::NearestAway || !host_.avx512) return false;
  // Add almost a half away from zero, then cut.
  const uint64_t sign = wide ? uint64_t{1} << 63 : uint64_t{1} << 31;
  vop(kAnd, d, a, pool(sign, 0));
  vop(kOr, d, d, pool(kAlmostHalf[wide], 0));
  a_.rn_sae();
  (void)a_.emit(wide ? hi::kIdVaddsd : hi::kIdVaddss, xmm(d), xmm(a), xmm(d));
  vop_imm(op, d, d, xmm(d), 3 | kNoInexact);
  return true;
}

/// Rounds before it converts. What does not fit has raised nothing when it leaves for the cold path.
bool Emitter::emit_float_to_int_rounding(const ir::Inst& inst) {
  const Type from = type_of(inst.args[0]), to = inst.type;
  if ((to != Type::I32 && to != Type::I64) || !is_host_float(from)) return false;
  const bool wide = from == Type::F64, is_signed = inst.op == Op::FToIntS;
  const Round round = inst.fp_mode().round;
  if (!is_signed && !host_.avx512) return false;
  if (!rounding_control(round) && (round != Round::NearestAway || !host_.avx512)) return false;
  const InstId id = is_signed ? (wide ? hi::kIdCvttsd2si : hi::kIdCvttss2si)
                              : (wide ? hi::kIdVcvttsd2usi : hi::kIdVcvttss2usi);
  const uint8_t a = use_xmm(inst.args[0]), t = take_xmm(), cut = take_gpr();
  const uint8_t d = def_gpr();
  const uint32_t start = here();
  round_quietly(t, a, round, wide);
  (void)a_.emit(id, gp(d, to), xmm(t));
  Cold& cold = add_cold_float(inst, d, &a, 1);
  cold.gpr_result = true;
  no_flags();
  if (!by_traps()) {
    (void)a_.cmp(gp(d, to), is_signed ? 1 : -1);
    a_.long_();
    (void)a_.emit(is_signed ? hi::kIdJo : hi::kIdJe, cold.from);
  }
  // What fits when it is rounded fits when it is cut; this tells whether it was integral.
  (void)a_.emit(id, gp(cut, to), xmm(a));
  if (by_traps())
    end_traps(cold, start);
  else
    (void)a_.bind(cold.back);
  return true;
}

/// Between lanes of ints and floats of the same size.
bool Emitter::emit_float_vector_convert(const ir::Inst& inst) {
  if (class_of(inst.type) != ValueClass::Xmm) return false;
  const Round round = inst.fp_mode().round;
  const bool to_int = inst.op == Op::FToIntS || inst.op == Op::FToIntU;
  const bool is_signed = inst.op == Op::FToIntS || inst.op == Op::FFromIntS;
  const bool wide = inst.elem == Type::F64, cut = round == Round::TowardZero;
  if (!is_host_float(inst.elem) || (wide && inst.type == Type::V64)) return false;
  if (round != Round::NearestEven && !(to_int && cut)) return false;
  if ((wide || !is_signed) && !host_.avx512) return false;
  const uint8_t a = both_halves(inst, use_xmm(inst.args[0]));
  const uint8_t d = def_xmm();
  if (!to_int) {
    const InstId id =
        wide ? (is_signed ? hi::kIdVcvtqq2pd : hi::kIdVcvtuqq2pd)
             : (is_signed ? (host_.avx ? hi::kIdVcvtdq2ps : hi::kIdCvtdq2ps) : hi::kIdVcvtudq2ps);
    (void)a_.emit(id, xmm(d), xmm(a));
    scale_down(inst, d);
    return true;
  }
  const InstId id = wide        ? (is_signed ? (cut ? hi::kIdVcvttpd2qq : hi::kIdVcvtpd2qq)
                                             : (cut ? hi::kIdVcvttpd2uqq : hi::kIdVcvtpd2uqq))
                    : is_signed ? (cut ? (host_.avx ? hi::kIdVcvttps2dq : hi::kIdCvttps2dq)
                                       : (host_.avx ? hi::kIdVcvtps2dq : hi::kIdCvtps2dq))
                                : (cut ? hi::kIdVcvttps2udq : hi::kIdVcvtps2udq);
  const uint32_t start = here();
  (void)a_.emit(id, xmm(d), xmm(a));
  Cold& cold = add_cold_float(inst, d, &a, 1);
  no_flags();
  if (by_traps()) {
    end_traps(cold, start);
    return true;
  }
  // The host's answer to what does not fit: only the most negative, or the largest.
  const uint64_t odd = !is_signed ? ~uint64_t{0} : wide ? uint64_t{1} << 63 : 0x8000000080000000;
  const uint8_t x = take_xmm();
  vop(wide ? VecOp{hi::kIdPcmpeqq, hi::kIdVpcmpeqq} : VecOp{hi::kIdPcmpeqd, hi::kIdVpcmpeqd}, x, d,
      pool(odd, odd));
  leave_if_any_sign(x, cold);
  (void)a_.bind(cold.back);
  return true;
}

void Emitter::leave_if_unordered(const Cold& cold, uint8_t t, bool wide, bool scalar) {
  const uint8_t a = cold.args[0], b = cold.args[1];
  if (scalar) {
    (void)a_.emit(
        host_.avx ? (wide ? hi::kIdVucomisd : hi::kIdVucomiss) : (wide ? hi::kIdUcomisd : hi::kIdUcomiss),
        xmm(a), xmm(b));
    (void)a_.long_().jp(cold.from);
    return;
  }
  vop_imm(wide ? VecOp{hi::kIdCmppd, hi::kIdVcmppd} : VecOp{hi::kIdCmpps, hi::kIdVcmpps}, t, a, xmm(b), 3);
  leave_if_any_sign(t, cold);
}

/// NaNs go to the cold path before the host sees them: it would raise invalid for every one. That traps.
bool Emitter::emit_float_min_max(const ir::Inst& inst) {
  const Type elem = inst.elem;
  if (class_of(inst.type) != ValueClass::Xmm || !is_host_float(elem)) return false;
  const bool wide = elem == Type::F64, scalar = !ir::is_vector(inst.type);
  const bool least = inst.op == Op::FMin || inst.op == Op::FMinNum;
  const unsigned form = form_of(inst.type, elem);
  const uint8_t args[2] = {both_halves(inst, use_xmm(inst.args[0])),
                           both_halves(inst, use_xmm(inst.args[1]))};
  const uint8_t d = def_xmm(), t = take_xmm();
  Cold& cold = add_cold_float(inst, d, args, 2);
  const uint32_t start = here();
  if (!by_traps()) leave_if_unordered(cold, t, wide, scalar);
  // Of zeros with different signs the host gives the second: both ways, and their signs combined.
  const Forms& forms = least ? kMin : kMax;
  vop({forms.sse[form], forms.avx[form]}, d, args[0], xmm(args[1]));
  vop({forms.sse[form], forms.avx[form]}, t, args[1], xmm(args[0]));
  vop(least ? kOr : kAnd, d, d, xmm(t));
  no_flags();
  if (by_traps())
    end_traps(cold, start);
  else
    (void)a_.bind(cold.back);
  return true;
}

bool Emitter::emit_float_round(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  const Type elem = inst.elem;
  if (class_of(inst.type) != ValueClass::Xmm || !is_host_float(elem) || inst.fp_extra() != 0) return false;
  const bool wide = elem == Type::F64, scalar = !ir::is_vector(inst.type);
  const auto control = rounding_control(mode.round);
  if (!control && !(scalar && mode.no_inexact && mode.round == Round::NearestAway && host_.avx512))
    return false;
  const uint8_t a = both_halves(inst, use_xmm(inst.args[0]));
  const uint8_t d = def_xmm();
  const uint32_t how = control ? *control | (mode.no_inexact ? kNoInexact : 0) : 0, start = start_traps(inst);
  if (!control)
    round_quietly(d, a, mode.round, wide);
  else if (scalar)
    vop_imm(wide ? VecOp{hi::kIdRoundsd, hi::kIdVroundsd} : VecOp{hi::kIdRoundss, hi::kIdVroundss}, d, a,
            xmm(a), how);
  else
    vun_imm(wide ? VecOp{hi::kIdRoundpd, hi::kIdVroundpd} : VecOp{hi::kIdRoundps, hi::kIdVroundps}, d, xmm(a),
            how);
  no_flags();
  // Without a control the sum may have quieted a signalling NaN unseen.
  if (by_traps() && control) {
    trap_on_result(inst, d, &a, start);
    return true;
  }
  Cold& cold = add_cold_float(inst, d, &a, 1);
  if (scalar) {
    (void)a_.emit(
        host_.avx ? (wide ? hi::kIdVucomisd : hi::kIdVucomiss) : (wide ? hi::kIdUcomisd : hi::kIdUcomiss),
        xmm(d), xmm(d));
    (void)a_.long_().jp(cold.from);
  } else {
    const uint8_t x = take_xmm();
    vop_imm(wide ? VecOp{hi::kIdCmppd, hi::kIdVcmppd} : VecOp{hi::kIdCmpps, hi::kIdVcmpps}, x, d, xmm(d), 3);
    leave_if_any_sign(x, cold);
  }
  (void)a_.bind(cold.back);
  return true;
}

}  // namespace lyrebird::jit::baseline
