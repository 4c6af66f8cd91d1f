// SPDX-License-Identifier: Apache-2.0
// Vector ops that take the host a few instructions: shifts by variable amounts and with rounding,
// saturation and halving of wide lanes, products, bit counts. What lies above a V64 does not matter.
#include <algorithm>

#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/lane_index.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

struct ByWidth {
  InstId sse[4], avx[4];
};
#define LYREBIRD_W(b, w, d, q)                               \
  {                                                          \
    {hi::kIdP##b, hi::kIdP##w, hi::kIdP##d, hi::kIdP##q}, {  \
      hi::kIdVp##b, hi::kIdVp##w, hi::kIdVp##d, hi::kIdVp##q \
    }                                                        \
  }
constexpr ByWidth kAdd LYREBIRD_W(addb, addw, addd, addq);
constexpr ByWidth kSub LYREBIRD_W(subb, subw, subd, subq);
constexpr ByWidth kEqual LYREBIRD_W(cmpeqb, cmpeqw, cmpeqd, cmpeqq);
constexpr ByWidth kGreater LYREBIRD_W(cmpgtb, cmpgtw, cmpgtd, cmpgtq);
#undef LYREBIRD_W

constexpr uint64_t splat(uint64_t value, unsigned lane) {
  const unsigned width = 8u << lane;
  uint64_t all = 0;
  for (unsigned at = 0; at < 64; at += width) all |= (value & low_mask(width)) << at;
  return all;
}

}  // namespace

Emitter::Mem Emitter::lanes_of(uint64_t value, unsigned lane) {
  return pool(splat(value, lane), splat(value, lane));
}

/// d = every lane of a shifted by a constant, of any size; d may be a. Shifts everything out as the IR says.
void Emitter::shift_lanes(Op op, unsigned lane, uint8_t d, uint8_t a, uint32_t by) {
  const unsigned width = 8u << lane;
  if (op == Op::ShrS) by = std::min(by, width - 1);
  if (by >= width) return load_const_xmm(d, 0, 0);
  constexpr VecOp kLeft[] = {
      {hi::kIdPsllw, hi::kIdVpsllw}, {hi::kIdPslld, hi::kIdVpslld}, {hi::kIdPsllq, hi::kIdVpsllq}};
  constexpr VecOp kRight[] = {
      {hi::kIdPsrlw, hi::kIdVpsrlw}, {hi::kIdPsrld, hi::kIdVpsrld}, {hi::kIdPsrlq, hi::kIdVpsrlq}};
  if (lane == 0) {
    vshift(op == Op::Shl ? kLeft[0] : kRight[0], d, a, by);
    vop(kAnd, d, d, lanes_of(op == Op::Shl ? 0xffu << by : 0xffu >> by, 0));
    if (op != Op::ShrS) return;
    vop(kXor, d, d, lanes_of(0x80u >> by, 0));
    vop({kSub.sse[0], kSub.avx[0]}, d, d, lanes_of(0x80u >> by, 0));
    return;
  }
  if (op != Op::ShrS) return vshift((op == Op::Shl ? kLeft : kRight)[lane - 1], d, a, by);
  if (lane < 3)
    return vshift(lane == 1 ? VecOp{hi::kIdPsraw, hi::kIdVpsraw} : VecOp{hi::kIdPsrad, hi::kIdVpsrad}, d, a,
                  by);
  if (host_.avx512) {
    (void)a_.emit(hi::kIdVpsraq, xmm(d), xmm(a), Imm(by));
    return;
  }
  const uint8_t sign = take_xmm();
  load_const_xmm(sign, 0, 0);
  vop({kGreater.sse[3], kGreater.avx[3]}, sign, sign, xmm(a));
  if (by == 0) return move_xmm(d, a);
  vshift(kRight[2], d, a, by);
  vshift(kLeft[2], sign, sign, 64 - by);
  vop(kOr, d, d, xmm(sign));
}

/// d = mask's top bits ? b : a, lane by lane (lane >= 2).
void Emitter::blend_by_sign(unsigned lane, uint8_t d, uint8_t a, uint8_t b, uint8_t mask) {
  if (host_.avx) {
    (void)a_.emit(lane == 3 ? hi::kIdVblendvpd : hi::kIdVblendvps, xmm(d), xmm(a), xmm(b), xmm(mask));
    return;
  }
  // SSE wants the mask in xmm0: spread the sign instead.
  if (lane == 3) vun_imm(kShuffle, mask, xmm(mask), 0xf5);
  vshift({hi::kIdPsrad, hi::kIdVpsrad}, mask, mask, 31);
  const uint8_t t = take_xmm();
  move_xmm(t, mask);
  (void)a_.pandn(xmm(t), xmm(a));
  (void)a_.pand(xmm(mask), xmm(b));
  (void)a_.por(xmm(t), xmm(mask));
  move_xmm(d, t);
}

bool Emitter::emit_lanes(const ir::Inst& inst) {
  const unsigned lane = lane_index(inst.elem);
  if (lane > 3) return false;
  switch (inst.op) {
    case Op::RoundShrU:
    case Op::RoundShrS:
    case Op::RotR:
    case Op::Shl:
    case Op::ShrU:
    case Op::ShrS:
    case Op::ShiftU:
    case Op::ShiftS:
      return emit_lane_shift(inst, lane);
    case Op::AddSatS:
    case Op::SubSatS:
    case Op::AddSatU:
    case Op::SubSatU:
      return emit_wide_saturation(inst, lane);
    case Op::HalveAddU:
    case Op::HalveAddS:
    case Op::RoundHalveAddU:
    case Op::RoundHalveAddS:
      emit_halving(inst, lane);
      return true;
    case Op::Mul:
    case Op::MulDoubleHiSat:
    case Op::RoundMulDoubleHiSat:
      return emit_lane_product(inst, lane);
    case Op::DotS:
    case Op::DotU:
    case Op::DotUS:
      emit_dot(inst);
      return true;
    case Op::PopCount:
    case Op::BitReverse:
      return lane == 0 && emit_byte_bits(inst);
    case Op::TransposeEven:
    case Op::TransposeOdd:
      emit_transpose(inst, lane);
      return true;
    case Op::AbsDiffU:
    case Op::AbsDiffS: {
      constexpr VecOp kMin[2][3] = {
          {{hi::kIdPminub, hi::kIdVpminub}, {hi::kIdPminuw, hi::kIdVpminuw}, {hi::kIdPminud, hi::kIdVpminud}},
          {{hi::kIdPminsb, hi::kIdVpminsb},
           {hi::kIdPminsw, hi::kIdVpminsw},
           {hi::kIdPminsd, hi::kIdVpminsd}}};
      constexpr VecOp kMax[2][3] = {
          {{hi::kIdPmaxub, hi::kIdVpmaxub}, {hi::kIdPmaxuw, hi::kIdVpmaxuw}, {hi::kIdPmaxud, hi::kIdVpmaxud}},
          {{hi::kIdPmaxsb, hi::kIdVpmaxsb},
           {hi::kIdPmaxsw, hi::kIdVpmaxsw},
           {hi::kIdPmaxsd, hi::kIdVpmaxsd}}};
      if (lane > 2) return false;
      const bool is_signed = inst.op == Op::AbsDiffS;
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      const uint8_t t = take_xmm(), d = def_xmm();
      vop(kMin[is_signed][lane], t, a, xmm(b));
      vop(kMax[is_signed][lane], d, a, xmm(b));
      vop({kSub.sse[lane], kSub.avx[lane]}, d, d, xmm(t));
      return true;
    }
    case Op::Abs: {
      if (lane != 3) return false;
      const uint8_t a = use_xmm(inst.args[0]);
      const uint8_t sign = take_xmm(), d = def_xmm();
      load_const_xmm(sign, 0, 0);
      vop({kGreater.sse[3], kGreater.avx[3]}, sign, sign, xmm(a));
      vop(kXor, d, a, xmm(sign));
      vop({kSub.sse[3], kSub.avx[3]}, d, d, xmm(sign));
      return true;
    }
    case Op::CmpLtU:
    case Op::CmpLeU: {
      if (lane != 3) return false;
      const bool less = inst.op == Op::CmpLtU;
      const uint8_t a = use_xmm(inst.args[less ? 1 : 0]), b = use_xmm(inst.args[less ? 0 : 1]);
      const uint8_t t = take_xmm(), d = def_xmm();
      const Mem sign = lanes_of(uint64_t{1} << 63, 3);
      vop(kXor, t, b, sign);
      vop(kXor, d, a, sign);
      vop({kGreater.sse[3], kGreater.avx[3]}, d, d, xmm(t));
      if (!less) vop(kXor, d, d, lanes_of(~uint64_t{0}, 3));
      return true;
    }
    case Op::NarrowSatU: {
      if ((lane != 1 && lane != 2) || inst.type != Type::V64) return false;
      const uint8_t a = use_xmm(inst.args[0]);
      const uint8_t d = def_xmm();
      const bool bytes = lane == 1;
      vop(bytes ? VecOp{hi::kIdPminuw, hi::kIdVpminuw} : VecOp{hi::kIdPminud, hi::kIdVpminud}, d, a,
          lanes_of(bytes ? 0xff : 0xffff, lane));
      vop(bytes ? VecOp{hi::kIdPackuswb, hi::kIdVpackuswb} : VecOp{hi::kIdPackusdw, hi::kIdVpackusdw}, d, d,
          xmm(d));
      return true;
    }
    default:
      return false;
  }
}

/// All lanes by the same amount, which is the highest lane of it with zeros in place of those below.
bool Emitter::emit_shift_by_splat(const ir::Inst& inst, unsigned lane) {
  constexpr VecOp kShifts[3][3] = {
      {{hi::kIdPsllw, hi::kIdVpsllw}, {hi::kIdPslld, hi::kIdVpslld}, {hi::kIdPsllq, hi::kIdVpsllq}},
      {{hi::kIdPsrlw, hi::kIdVpsrlw}, {hi::kIdPsrld, hi::kIdVpsrld}, {hi::kIdPsrlq, hi::kIdVpsrlq}},
      {{hi::kIdPsraw, hi::kIdVpsraw}, {hi::kIdPsrad, hi::kIdVpsrad}, {hi::kIdNone, hi::kIdNone}}};
  const bool shift = inst.op == Op::Shl || inst.op == Op::ShrU || inst.op == Op::ShrS;
  const ir::Inst& amount = at(root(inst.args[1]));
  if (!shift || lane == 0 || amount.op != Op::Splat || amount.elem != inst.elem) return false;
  const VecOp op = kShifts[inst.op == Op::Shl ? 0 : inst.op == Op::ShrU ? 1 : 2][lane - 1];
  if (op.avx == hi::kIdNone) return false;
  const uint8_t a = use_xmm(inst.args[0]);
  uint8_t by = use_xmm(inst.args[1]);
  if (lane != 3) {
    const uint8_t t = take_xmm();
    vshift({hi::kIdPsrlq, hi::kIdVpsrlq}, t, by, 64 - (8u << lane));
    by = t;
  }
  vop(op, def_xmm(inst.args[0]), a, xmm(by));
  return true;
}

bool Emitter::emit_lane_shift(const ir::Inst& inst, unsigned lane) {
  const auto by = splat_constant(inst.args[1], inst.elem);
  const uint32_t amount = by ? static_cast<uint32_t>(std::min<uint64_t>(*by, 255)) : 0;
  const VecOp add{kAdd.sse[lane], kAdd.avx[lane]};
  switch (inst.op) {
    case Op::RoundShrU:
    case Op::RoundShrS: {
      // a >> b, and the last bit that was shifted out.
      if (!by || amount == 0 || amount > (8u << lane)) return false;
      const Op shift = inst.op == Op::RoundShrU ? Op::ShrU : Op::ShrS;
      const uint8_t a = use_xmm(inst.args[0]);
      const uint8_t t = take_xmm(), d = def_xmm();
      shift_lanes(shift, lane, t, a, amount - 1);
      vop(kAnd, t, t, lanes_of(1, lane));
      shift_lanes(shift, lane, d, a, amount);
      vop(add, d, d, xmm(t));
      return true;
    }
    case Op::RotR: {
      if (!by) return false;
      const auto right = static_cast<uint32_t>(*by % (8u << lane));
      const uint8_t a = use_xmm(inst.args[0]);
      const uint8_t t = take_xmm(), d = def_xmm();
      if (host_.avx512 && lane >= 2) {
        (void)a_.emit(lane == 2 ? hi::kIdVprord : hi::kIdVprorq, xmm(d), xmm(a), Imm(right));
        return true;
      }
      shift_lanes(Op::Shl, lane, t, a, (8u << lane) - right);
      shift_lanes(Op::ShrU, lane, d, a, right);
      vop(kOr, d, d, xmm(t));
      return true;
    }
    case Op::Shl:
    case Op::ShrU:
    case Op::ShrS: {
      if (by) {
        const uint8_t a = use_xmm(inst.args[0]);
        shift_lanes(inst.op, lane, def_xmm(), a, amount);
        return true;
      }
      break;
    }
    default:
      break;
  }
  if (emit_shift_by_splat(inst, lane)) return true;
  // By variable amounts: what is too much shifts everything out on the host as well.
  const bool s = inst.op == Op::ShrS || inst.op == Op::ShiftS;
  if (lane == 0 || !host_.avx2 || (lane == 1 && !host_.avx512) || (s && lane == 3 && !host_.avx512))
    return false;
  constexpr InstId kLeft[] = {hi::kIdVpsllvw, hi::kIdVpsllvd, hi::kIdVpsllvq};
  constexpr InstId kRightU[] = {hi::kIdVpsrlvw, hi::kIdVpsrlvd, hi::kIdVpsrlvq};
  constexpr InstId kRightS[] = {hi::kIdVpsravw, hi::kIdVpsravd, hi::kIdVpsravq};
  const InstId left = kLeft[lane - 1], right = (s ? kRightS : kRightU)[lane - 1];
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  if (inst.op == Op::Shl || inst.op == Op::ShrU || inst.op == Op::ShrS) {
    (void)a_.emit(inst.op == Op::Shl ? left : right, xmm(def_xmm()), xmm(a), xmm(b));
    return true;
  }
  // The amount is a signed byte: both ways, one of which is by too much.
  const uint8_t count = take_xmm(), back = take_xmm(), d = def_xmm();
  load_const_xmm(back, 0, 0);
  (void)a_.emit(kSub.avx[lane], xmm(back), xmm(back), xmm(b));
  vop(kAnd, back, back, lanes_of(0xff, lane));
  vop(kAnd, count, b, lanes_of(0xff, lane));
  (void)a_.emit(right, xmm(back), xmm(a), xmm(back));
  (void)a_.emit(left, xmm(d), xmm(a), xmm(count));
  if (!s) {
    vop(kOr, d, d, xmm(back));
    return true;
  }
  shift_lanes(Op::Shl, lane, count, b, (8u << lane) - 8);
  if (lane == 1) {
    vshift({hi::kIdPsraw, hi::kIdVpsraw}, count, count, 15);
    (void)a_.emit(hi::kIdVpblendvb, xmm(d), xmm(d), xmm(back), xmm(count));
  } else {
    blend_by_sign(lane, d, d, back, count);
  }
  return true;
}

/// Of 32 and 64-bit lanes.
bool Emitter::emit_wide_saturation(const ir::Inst& inst, unsigned lane) {
  if (lane < 2) return false;
  const bool subtract = inst.op == Op::SubSatS || inst.op == Op::SubSatU;
  const VecOp add{kAdd.sse[lane], kAdd.avx[lane]}, sub{kSub.sse[lane], kSub.avx[lane]};
  if (inst.op == Op::AddSatU || inst.op == Op::SubSatU) {
    if (lane == 3 && !host_.avx512) return false;
    const VecOp least = lane == 2 ? VecOp{hi::kIdPminud, hi::kIdVpminud} : VecOp{hi::kIdNone, hi::kIdVpminuq};
    const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
    const uint8_t t = take_xmm(), d = def_xmm();
    if (subtract) {
      vop(least, t, b, xmm(a));
      vop(sub, d, a, xmm(t));
    } else {
      vop(kXor, t, a, lanes_of(~uint64_t{0}, 3));
      vop(least, t, t, xmm(b));
      vop(add, d, a, xmm(t));
    }
    return true;
  }
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  const uint8_t sum = take_xmm(), over = take_xmm(), limit = take_xmm(), d = def_xmm();
  vop(subtract ? sub : add, sum, a, xmm(b));
  vop(kXor, over, a, xmm(sum));
  vop(kXor, limit, subtract ? a : b, subtract ? xmm(b) : xmm(sum));
  vop(kAnd, over, over, xmm(limit));
  // The limit of a's sign.
  load_const_xmm(limit, 0, 0);
  vop({kGreater.sse[lane], kGreater.avx[lane]}, limit, limit, xmm(a));
  vop(kXor, limit, limit, lanes_of(low_mask((8u << lane) - 1), lane));
  blend_by_sign(lane, d, sum, limit, over);
  return true;
}

/// What both have, and half of what one has.
void Emitter::emit_halving(const ir::Inst& inst, unsigned lane) {
  const bool rounds = inst.op == Op::RoundHalveAddU || inst.op == Op::RoundHalveAddS;
  const bool s = inst.op == Op::HalveAddS || inst.op == Op::RoundHalveAddS;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  const uint8_t t = take_xmm(), d = def_xmm();
  vop(kXor, t, a, xmm(b));
  shift_lanes(s ? Op::ShrS : Op::ShrU, lane, t, t, 1);
  vop(rounds ? kOr : kAnd, d, a, xmm(b));
  if (rounds)
    vop({kSub.sse[lane], kSub.avx[lane]}, d, d, xmm(t));
  else
    vop({kAdd.sse[lane], kAdd.avx[lane]}, d, d, xmm(t));
}

bool Emitter::emit_lane_product(const ir::Inst& inst, unsigned lane) {
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  constexpr VecOp kMul16{hi::kIdPmullw, hi::kIdVpmullw}, kMulU{hi::kIdPmuludq, hi::kIdVpmuludq},
      kMulS{hi::kIdPmuldq, hi::kIdVpmuldq};
  if (inst.op == Op::Mul && lane == 0) {
    const uint8_t t = take_xmm(), u = take_xmm(), d = def_xmm();
    shift_lanes(Op::ShrU, 1, t, a, 8);
    shift_lanes(Op::ShrU, 1, u, b, 8);
    vop(kMul16, t, t, xmm(u));
    shift_lanes(Op::Shl, 1, t, t, 8);
    vop(kMul16, d, a, xmm(b));
    vop(kAnd, d, d, lanes_of(0xff, 1));
    vop(kOr, d, d, xmm(t));
    return true;
  }
  if (inst.op == Op::Mul) {
    if (lane != 3) return false;
    const auto widened = [&](unsigned k, Op low, Op high) {
      const ir::Inst& maker = at(root(inst.args[k]));
      return (maker.op == low || maker.op == high) && lane_index(maker.elem) == 2;
    };
    const bool s = widened(0, Op::WidenLoS, Op::WidenHiS) && widened(1, Op::WidenLoS, Op::WidenHiS);
    if (s || (widened(0, Op::WidenLoU, Op::WidenHiU) && widened(1, Op::WidenLoU, Op::WidenHiU))) {
      vop(s ? kMulS : kMulU, def_xmm(inst.args[0]), a, xmm(b));
      return true;
    }
    if (host_.avx512) {
      (void)a_.emit(hi::kIdVpmullq, xmm(def_xmm()), xmm(a), xmm(b));
      return true;
    }
    const uint8_t t = take_xmm(), u = take_xmm(), d = def_xmm();
    shift_lanes(Op::ShrU, 3, t, a, 32);
    vop(kMulU, t, t, xmm(b));
    shift_lanes(Op::ShrU, 3, u, b, 32);
    vop(kMulU, u, u, xmm(a));
    vop({kAdd.sse[3], kAdd.avx[3]}, t, t, xmm(u));
    shift_lanes(Op::Shl, 3, t, t, 32);
    vop(kMulU, d, a, xmm(b));
    vop({kAdd.sse[3], kAdd.avx[3]}, d, d, xmm(t));
    return true;
  }
  // Doubled, the upper half. The one product that does not fit comes out as the most negative, which no other
  // does.
  const bool rounds = inst.op == Op::RoundMulDoubleHiSat;
  if (lane != 1 && lane != 2) return false;
  const uint8_t t = take_xmm(), u = take_xmm(), d = def_xmm();
  if (lane == 1 && rounds) {
    vop({hi::kIdPmulhrsw, hi::kIdVpmulhrsw}, d, a, xmm(b));
  } else if (lane == 1) {
    vop({hi::kIdPmulhw, hi::kIdVpmulhw}, t, a, xmm(b));
    vop({kAdd.sse[1], kAdd.avx[1]}, t, t, xmm(t));
    vop(kMul16, d, a, xmm(b));
    shift_lanes(Op::ShrU, 1, d, d, 15);
    vop(kOr, d, d, xmm(t));
  } else {
    shift_lanes(Op::ShrU, 3, t, a, 32);
    shift_lanes(Op::ShrU, 3, u, b, 32);
    vop(kMulS, t, t, xmm(u));
    vop(kMulS, d, a, xmm(b));
    for (const uint8_t product : {t, d}) {
      vop({kAdd.sse[3], kAdd.avx[3]}, product, product, xmm(product));
      if (rounds) vop({kAdd.sse[3], kAdd.avx[3]}, product, product, lanes_of(0x80000000, 3));
    }
    shift_lanes(Op::ShrU, 3, d, d, 32);
    vop_imm({hi::kIdPblendw, hi::kIdVpblendw}, d, d, xmm(t), 0xcc);
  }
  vop({kEqual.sse[lane], kEqual.avx[lane]}, t, d, lanes_of(uint64_t{1} << ((8u << lane) - 1), lane));
  vop(kXor, d, d, xmm(t));
  return true;
}

void Emitter::emit_dot(const ir::Inst& inst) {
  constexpr VecOp kS{hi::kIdPmovsxbw, hi::kIdVpmovsxbw}, kU{hi::kIdPmovzxbw, hi::kIdVpmovzxbw};
  constexpr VecOp kPairs{hi::kIdPmaddwd, hi::kIdVpmaddwd};
  const VecOp first = inst.op == Op::DotS ? kS : kU, second = inst.op == Op::DotU ? kU : kS;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]), c = use_xmm(inst.args[2]);
  const uint8_t t = take_xmm(), u = take_xmm(), v = take_xmm(), d = def_xmm();
  vun(first, t, xmm(b));
  vun(second, u, xmm(c));
  vop(kPairs, t, t, xmm(u));
  vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, u, b, 8);
  vun(first, u, xmm(u));
  vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, v, c, 8);
  vun(second, v, xmm(v));
  vop(kPairs, u, u, xmm(v));
  vop({hi::kIdPhaddd, hi::kIdVphaddd}, t, t, xmm(u));
  vop(kAdd32, d, t, xmm(a));
}

/// By tables of half a byte.
bool Emitter::emit_byte_bits(const ir::Inst& inst) {
  const bool count = inst.op == Op::PopCount;
  const uint8_t a = use_xmm(inst.args[0]);
  if (!count && host_.gfni && host_.avx) {
    (void)a_.emit(hi::kIdVgf2p8affineqb, xmm(def_xmm()), xmm(a), lanes_of(0x8040201008040201, 3), Imm(0));
    return true;
  }
  const uint8_t low = take_xmm(), high = take_xmm(), t = take_xmm(), d = def_xmm();
  constexpr VecOp kLook{hi::kIdPshufb, hi::kIdVpshufb};
  vop(kAnd, low, a, lanes_of(0x0f, 0));
  shift_lanes(Op::ShrU, 1, high, a, 4);
  vop(kAnd, high, high, lanes_of(0x0f, 0));
  load_const_xmm(t, count ? 0x0302020102010100 : 0xe060a020c0408000,
                 count ? 0x0403030203020201 : 0xf070b030d0509010);
  vop(kLook, d, t, xmm(low));
  if (!count) load_const_xmm(t, 0x0e060a020c040800, 0x0f070b030d050901);
  vop(kLook, t, t, xmm(high));
  if (count)
    vop({kAdd.sse[0], kAdd.avx[0]}, d, d, xmm(t));
  else
    vop(kOr, d, d, xmm(t));
  return true;
}

void Emitter::emit_transpose(const ir::Inst& inst, unsigned lane) {
  const bool odd = inst.op == Op::TransposeOdd;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  if (lane == 3) {
    vop(odd ? VecOp{hi::kIdPunpckhqdq, hi::kIdVpunpckhqdq} : VecOp{hi::kIdPunpcklqdq, hi::kIdVpunpcklqdq},
        def_xmm(), a, xmm(b));
    return;
  }
  const uint8_t t = take_xmm(), d = def_xmm();
  if (lane == 2) {
    vop_imm(kShuffle2, t, a, xmm(b), odd ? 0xdd : 0x88);
    vun_imm(kShuffle, d, xmm(t), 0xd8);
    return;
  }
  const uint32_t width = 8u << lane;
  const uint64_t low = low_mask(width);
  if (odd) {
    shift_lanes(Op::ShrU, lane + 1, t, a, width);
    vop(kAnd, d, b, lanes_of(low << width, lane + 1));
  } else {
    shift_lanes(Op::Shl, lane + 1, t, b, width);
    vop(kAnd, d, a, lanes_of(low, lane + 1));
  }
  vop(kOr, d, d, xmm(t));
}

}  // namespace lyrebird::jit::baseline
