// SPDX-License-Identifier: Apache-2.0
// Vectors of 8 and 16 bytes: lanewise integer ops, moves of lanes, reductions.
// A V64 is worked on as 16 bytes of which the upper half means nothing.
#include <array>
#include <cstring>

#include "jit/baseline/emitter.h"
#include "jit/baseline/ids.h"
#include "jit/baseline/lane_index.h"

namespace lyrebird::jit::baseline {

using namespace asmjit;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

struct Pair {
  InstId sse = hi::kIdNone, avx = hi::kIdNone;
};
/// By lanes of 8, 16, 32, 64 bits.
struct ByLane {
  Pair of[4];
};
#define LYREBIRD_P(name) {hi::kIdP##name, hi::kIdVp##name}
constexpr Pair kNone{};

constexpr ByLane kAdd{{LYREBIRD_P(addb), LYREBIRD_P(addw), LYREBIRD_P(addd), LYREBIRD_P(addq)}};
constexpr ByLane kSub{{LYREBIRD_P(subb), LYREBIRD_P(subw), LYREBIRD_P(subd), LYREBIRD_P(subq)}};
constexpr ByLane kMul{{kNone, LYREBIRD_P(mullw), LYREBIRD_P(mulld), kNone}};
constexpr ByLane kMinS{{LYREBIRD_P(minsb), LYREBIRD_P(minsw), LYREBIRD_P(minsd), kNone}};
constexpr ByLane kMaxS{{LYREBIRD_P(maxsb), LYREBIRD_P(maxsw), LYREBIRD_P(maxsd), kNone}};
constexpr ByLane kMinU{{LYREBIRD_P(minub), LYREBIRD_P(minuw), LYREBIRD_P(minud), kNone}};
constexpr ByLane kMaxU{{LYREBIRD_P(maxub), LYREBIRD_P(maxuw), LYREBIRD_P(maxud), kNone}};
constexpr ByLane kAddSatS{{LYREBIRD_P(addsb), LYREBIRD_P(addsw), kNone, kNone}};
constexpr ByLane kAddSatU{{LYREBIRD_P(addusb), LYREBIRD_P(addusw), kNone, kNone}};
constexpr ByLane kSubSatS{{LYREBIRD_P(subsb), LYREBIRD_P(subsw), kNone, kNone}};
constexpr ByLane kSubSatU{{LYREBIRD_P(subusb), LYREBIRD_P(subusw), kNone, kNone}};
constexpr ByLane kAverage{{LYREBIRD_P(avgb), LYREBIRD_P(avgw), kNone, kNone}};
constexpr ByLane kEqual{{LYREBIRD_P(cmpeqb), LYREBIRD_P(cmpeqw), LYREBIRD_P(cmpeqd), LYREBIRD_P(cmpeqq)}};
constexpr ByLane kGreater{{LYREBIRD_P(cmpgtb), LYREBIRD_P(cmpgtw), LYREBIRD_P(cmpgtd), LYREBIRD_P(cmpgtq)}};
constexpr ByLane kZipLo{
    {LYREBIRD_P(unpcklbw), LYREBIRD_P(unpcklwd), LYREBIRD_P(unpckldq), LYREBIRD_P(unpcklqdq)}};
constexpr ByLane kZipHi{
    {LYREBIRD_P(unpckhbw), LYREBIRD_P(unpckhwd), LYREBIRD_P(unpckhdq), LYREBIRD_P(unpckhqdq)}};
constexpr ByLane kWidenS{{LYREBIRD_P(movsxbw), LYREBIRD_P(movsxwd), LYREBIRD_P(movsxdq), kNone}};
constexpr ByLane kWidenU{{LYREBIRD_P(movzxbw), LYREBIRD_P(movzxwd), LYREBIRD_P(movzxdq), kNone}};
constexpr ByLane kAbs{{LYREBIRD_P(absb), LYREBIRD_P(absw), LYREBIRD_P(absd), kNone}};
constexpr ByLane kShl{{kNone, LYREBIRD_P(sllw), LYREBIRD_P(slld), LYREBIRD_P(sllq)}};
constexpr ByLane kShrU{{kNone, LYREBIRD_P(srlw), LYREBIRD_P(srld), LYREBIRD_P(srlq)}};
constexpr ByLane kShrS{{kNone, LYREBIRD_P(sraw), LYREBIRD_P(srad), kNone}};
#undef LYREBIRD_P

constexpr Pair kPand{hi::kIdPand, hi::kIdVpand}, kPandn{hi::kIdPandn, hi::kIdVpandn},
    kPor{hi::kIdPor, hi::kIdVpor}, kPxor{hi::kIdPxor, hi::kIdVpxor}, kPshufb{hi::kIdPshufb, hi::kIdVpshufb};

const ByLane* lanewise(Op op) {
  switch (op) {
    case Op::Add:
      return &kAdd;
    case Op::Sub:
      return &kSub;
    case Op::Mul:
      return &kMul;
    case Op::MinS:
      return &kMinS;
    case Op::MaxS:
      return &kMaxS;
    case Op::MinU:
      return &kMinU;
    case Op::MaxU:
      return &kMaxU;
    case Op::AddSatS:
      return &kAddSatS;
    case Op::AddSatU:
      return &kAddSatU;
    case Op::SubSatS:
      return &kSubSatS;
    case Op::SubSatU:
      return &kSubSatU;
    case Op::RoundHalveAddU:
      return &kAverage;
    default:
      return nullptr;
  }
}

/// AVX-512's forms for 64-bit lanes.
Pair wide_of(Op op, Pair other) {
  switch (op) {
    case Op::MinS:
      return {hi::kIdNone, hi::kIdVpminsq};
    case Op::MaxS:
      return {hi::kIdNone, hi::kIdVpmaxsq};
    case Op::MinU:
      return {hi::kIdNone, hi::kIdVpminuq};
    case Op::MaxU:
      return {hi::kIdNone, hi::kIdVpmaxuq};
    default:
      return other;
  }
}

/// VPTERNLOG's table: the third operand's bits choose the second's where they are set, else the first's.
constexpr uint32_t kThirdChooses = 0xd8;

std::array<uint64_t, 2> words_of(const uint8_t* bytes) {
  std::array<uint64_t, 2> words;
  std::memcpy(words.data(), bytes, 16);
  return words;
}

/// What PSHUFB makes zeros of.
constexpr uint64_t kZeroLanes = 0x8080808080808080;

/// The order of PSHUFB that brings the even or odd lanes of up to 4 bytes together: 8 bytes of them.
uint64_t unzip_order(unsigned lane, bool odd) {
  const unsigned step = 1u << lane;
  uint64_t order = 0;
  for (unsigned i = 0; i < 8; ++i)
    order |= uint64_t{i / step * 2 * step + (odd ? step : 0) + i % step} << 8 * i;
  return order;
}

}  // namespace

// --- host instructions of either encoding

void Emitter::vop(VecOp op, uint8_t d, uint8_t a, const Operand& b) {
  if (host_.avx) {
    (void)a_.emit(op.avx, xmm(d), xmm(a), b);
    return;
  }
  Operand second = b;
  if (d != a && b.isReg() && b.id() == d) {
    const uint8_t t = take_xmm();
    move_xmm(t, d);
    second = xmm(t);
  }
  move_xmm(d, a);
  (void)a_.emit(op.sse, xmm(d), second);
}

void Emitter::vop_imm(VecOp op, uint8_t d, uint8_t a, const Operand& b, uint32_t imm) {
  if (host_.avx) {
    (void)a_.emit(op.avx, xmm(d), xmm(a), b, Imm(imm));
    return;
  }
  Operand second = b;
  if (d != a && b.isReg() && b.id() == d) {
    const uint8_t t = take_xmm();
    move_xmm(t, d);
    second = xmm(t);
  }
  move_xmm(d, a);
  (void)a_.emit(op.sse, xmm(d), second, Imm(imm));
}

void Emitter::vun(VecOp op, uint8_t d, const Operand& a) {
  (void)a_.emit(host_.avx ? op.avx : op.sse, xmm(d), a);
}

void Emitter::vun_imm(VecOp op, uint8_t d, const Operand& a, uint32_t imm) {
  (void)a_.emit(host_.avx ? op.avx : op.sse, xmm(d), a, Imm(imm));
}

/// d = a shifted by a constant.
void Emitter::vshift(VecOp op, uint8_t d, uint8_t a, uint32_t by) {
  if (host_.avx) {
    (void)a_.emit(op.avx, xmm(d), xmm(a), Imm(by));
    return;
  }
  move_xmm(d, a);
  (void)a_.emit(op.sse, xmm(d), Imm(by));
}

/// The lane that every lane of a constant equals.
std::optional<uint64_t> Emitter::splat_constant(ValueId id, Type elem) const {
  const ir::Inst& inst = at(root(id));
  const unsigned width = ir::bit_width(elem);
  if (inst.op == Op::Splat) {
    const ir::Inst& lane = at(root(inst.args[0]));
    if (inst.elem != elem || lane.op != Op::Const) return std::nullopt;
    return constant(inst.args[0]);
  }
  if (inst.op != Op::Const) return std::nullopt;
  const uint64_t lane = inst.imm & low_mask(width);
  for (unsigned at_bit = 0; at_bit < 64; at_bit += width)
    if ((inst.imm >> at_bit & low_mask(width)) != lane) return std::nullopt;
  if (inst.type == Type::V128 && inst.high() != inst.imm) return std::nullopt;
  return lane;
}

/// A constant mask of whole 16-bit lanes as PBLENDW has it.
std::optional<uint32_t> Emitter::blend_control(ValueId mask) const {
  const ir::Inst& inst = at(root(mask));
  if (inst.op != Op::Const) return std::nullopt;
  uint32_t control = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const uint64_t lane = (i < 4 ? inst.imm : inst.high()) >> 16 * (i & 3) & 0xffff;
    if (lane != 0 && lane != 0xffff) return std::nullopt;
    control |= (lane ? 1u : 0u) << i;
  }
  return control;
}

bool Emitter::emit_vector(const ir::Inst& inst) {
  const ValueClass cls = class_of(inst.type);
  if (cls != ValueClass::Xmm && cls != ValueClass::Gpr) return false;
  for (unsigned k = 0; k < ir::arg_count(inst); ++k)
    if (class_of(type_of(inst.args[k])) == ValueClass::Memory) return false;
  if (inst.op == Op::ExtractLane || inst.op == Op::AnyBit || inst.op == Op::SignBits ||
      (inst.op >= Op::ReduceAdd && inst.op <= Op::ReduceMaxU))
    return emit_vector_reduce(inst);
  if (!ir::is_vector(inst.type)) return false;
  return emit_vector_binary(inst) || emit_vector_shift(inst) || emit_vector_compare(inst) ||
         emit_vector_unary(inst) || emit_vector_move(inst) || emit_vector_lanes(inst) || emit_lanes(inst) ||
         emit_whole(inst) || emit_crypto(inst);
}

bool Emitter::emit_vector_binary(const ir::Inst& inst) {
  Pair op;
  switch (inst.op) {
    case Op::And:
      op = kPand;
      break;
    case Op::Or:
      op = kPor;
      break;
    case Op::Xor:
      op = kPxor;
      break;
    case Op::AndNot: {
      const uint8_t b = use_xmm(inst.args[1]);
      const Operand a = use_xm(inst.args[0]);
      vop({kPandn.sse, kPandn.avx}, def_xmm(), b, a);
      return true;
    }
    case Op::BitSelect: {
      if (const auto control = blend_control(inst.args[0])) {
        const uint8_t b = use_xmm(inst.args[1]), c = use_xmm(inst.args[2]);
        vop_imm({hi::kIdPblendw, hi::kIdVpblendw}, def_xmm(inst.args[2]), c, xmm(b), *control);
        return true;
      }
      if (host_.avx512) {
        const uint8_t mask = use_pinned_xmm(inst.args[0]), b = use_pinned_xmm(inst.args[1]);
        const uint8_t c = use_xmm(inst.args[2]);
        const uint8_t d = def_xmm(inst.args[2]);
        move_xmm(d, c);
        (void)a_.emit(hi::kIdVpternlogd, xmm(d), xmm(b), xmm(mask), Imm(kThirdChooses));
        return true;
      }
      const uint8_t mask = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]), c = use_xmm(inst.args[2]);
      const uint8_t t = take_xmm(), u = take_xmm();
      vop({kPand.sse, kPand.avx}, t, mask, xmm(b));
      vop({kPandn.sse, kPandn.avx}, u, mask, xmm(c));
      vop({kPor.sse, kPor.avx}, def_xmm(), t, xmm(u));
      return true;
    }
    default: {
      const ByLane* const table = lanewise(inst.op);
      const unsigned lane = lane_index(inst.elem);
      if (!table || lane > 3) return false;
      op = table->of[lane];
      if (lane == 3 && host_.avx512) op = wide_of(inst.op, op);
    }
  }
  if (op.avx == hi::kIdNone) return false;
  const uint8_t a = use_xmm(inst.args[0]);
  const Operand b = use_xm(inst.args[1]);
  vop({op.sse, op.avx}, def_xmm(inst.args[0]), a, b);
  return true;
}

bool Emitter::emit_vector_shift(const ir::Inst& inst) {
  if (inst.op != Op::Shl && inst.op != Op::ShrU && inst.op != Op::ShrS) return false;
  const unsigned lane = lane_index(inst.elem);
  if (lane > 3) return false;
  const auto by = splat_constant(inst.args[1], inst.elem);
  if (!by) return false;
  const uint32_t amount = *by > 255 ? 255 : static_cast<uint32_t>(*by);
  if (lane == 0) {
    if (inst.op == Op::ShrS || amount > 7) return false;
    const uint64_t keep =
        (inst.op == Op::Shl ? 0xffu << amount & 0xff : 0xffu >> amount) * uint64_t{0x0101010101010101};
    const Pair op = inst.op == Op::Shl ? kShl.of[1] : kShrU.of[1];
    const uint8_t a = use_xmm(inst.args[0]);
    const uint8_t d = def_xmm(inst.args[0]);
    vshift({op.sse, op.avx}, d, a, amount);
    vop({kPand.sse, kPand.avx}, d, d, pool(keep, keep));
    return true;
  }
  Pair op = inst.op == Op::Shl ? kShl.of[lane] : inst.op == Op::ShrU ? kShrU.of[lane] : kShrS.of[lane];
  if (inst.op == Op::ShrS && lane == 3 && host_.avx512) op = {hi::kIdNone, hi::kIdVpsraq};
  if (op.avx == hi::kIdNone) return false;
  const uint8_t a = use_xmm(inst.args[0]);
  vshift({op.sse, op.avx}, def_xmm(inst.args[0]), a, amount);
  return true;
}

bool Emitter::emit_vector_compare(const ir::Inst& inst) {
  if (inst.op < Op::CmpEq || inst.op > Op::CmpTest) return false;
  const unsigned lane = lane_index(inst.elem);
  if (lane > 3) return false;
  const bool unsigned_order = inst.op == Op::CmpLtU || inst.op == Op::CmpLeU;
  if (unsigned_order && lane == 3) return false;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  const uint8_t d = def_xmm();
  const Pair equal = kEqual.of[lane], greater = kGreater.of[lane], max = kMaxU.of[lane];
  bool invert = false;
  switch (inst.op) {
    case Op::CmpEq:
    case Op::CmpNe:
      vop({equal.sse, equal.avx}, d, a, xmm(b));
      invert = inst.op == Op::CmpNe;
      break;
    case Op::CmpLtS:
      vop({greater.sse, greater.avx}, d, b, xmm(a));
      break;
    case Op::CmpLeS:
      vop({greater.sse, greater.avx}, d, a, xmm(b));
      invert = true;
      break;
    case Op::CmpLtU:
      vop({max.sse, max.avx}, d, a, xmm(b));
      vop({equal.sse, equal.avx}, d, d, xmm(a));
      invert = true;
      break;
    case Op::CmpLeU:
      vop({max.sse, max.avx}, d, a, xmm(b));
      vop({equal.sse, equal.avx}, d, d, xmm(b));
      break;
    default: {
      const uint8_t zero = take_xmm();
      load_const_xmm(zero, 0, 0);
      vop({kPand.sse, kPand.avx}, d, a, xmm(b));
      vop({equal.sse, equal.avx}, d, d, xmm(zero));
      invert = true;
    }
  }
  if (invert) vop({kPxor.sse, kPxor.avx}, d, d, pool(~uint64_t{0}, ~uint64_t{0}));
  return true;
}

bool Emitter::emit_vector_unary(const ir::Inst& inst) {
  const unsigned lane = lane_index(inst.elem);
  switch (inst.op) {
    case Op::Not: {
      const uint8_t a = use_xmm(inst.args[0]);
      vop({kPxor.sse, kPxor.avx}, def_xmm(inst.args[0]), a, pool(~uint64_t{0}, ~uint64_t{0}));
      return true;
    }
    case Op::Neg: {
      if (lane > 3) return false;
      const uint8_t a = use_xmm(inst.args[0]);
      const uint8_t d = def_xmm();
      load_const_xmm(d, 0, 0);
      vop({kSub.of[lane].sse, kSub.of[lane].avx}, d, d, xmm(a));
      return true;
    }
    case Op::Abs: {
      if (lane > 2) return false;
      const uint8_t a = use_xmm(inst.args[0]);
      vun({kAbs.of[lane].sse, kAbs.of[lane].avx}, def_xmm(), xmm(a));
      return true;
    }
    case Op::WidenLoS:
    case Op::WidenLoU:
    case Op::WidenHiS:
    case Op::WidenHiU: {
      if (lane > 2 || ir::is_float(inst.elem)) return false;
      const bool high = inst.op == Op::WidenHiS || inst.op == Op::WidenHiU;
      const bool is_signed = inst.op == Op::WidenLoS || inst.op == Op::WidenHiS;
      uint8_t a = use_xmm(inst.args[0]);
      if (high) {
        const uint8_t t = take_xmm();
        vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, t, a, ir::byte_size(inst.type) / 2);
        a = t;
      }
      const Pair op = is_signed ? kWidenS.of[lane] : kWidenU.of[lane];
      vun({op.sse, op.avx}, def_xmm(), xmm(a));
      return true;
    }
    case Op::ReverseIn: {
      const unsigned step = ir::byte_size(inst.elem), container = static_cast<unsigned>(inst.imm) / 8;
      if (lane > 3 || container > 8 || container < step || container == 0) return false;
      uint8_t order[16];
      for (unsigned i = 0; i < 16; ++i) {
        const unsigned start = i / container * container, within = i - start;
        order[i] = static_cast<uint8_t>(start + container - step - within / step * step + within % step);
      }
      const auto words = words_of(order);
      const uint8_t a = use_xmm(inst.args[0]);
      vop({kPshufb.sse, kPshufb.avx}, def_xmm(inst.args[0]), a, pool(words[0], words[1]));
      return true;
    }
    case Op::Narrow: {
      // elem: the lanes of the wide operand
      if (lane == 0 || lane > 3 || inst.type != Type::V64) return false;
      const unsigned step = ir::byte_size(inst.elem), half = step / 2;
      uint8_t order[16];
      for (unsigned i = 0; i < 16; ++i)
        order[i] = i < 8 ? static_cast<uint8_t>(i / half * step + i % half) : 0x80;
      const auto words = words_of(order);
      const uint8_t a = use_xmm(inst.args[0]);
      vop({kPshufb.sse, kPshufb.avx}, def_xmm(inst.args[0]), a, pool(words[0], words[1]));
      return true;
    }
    case Op::NarrowSatS:
    case Op::NarrowSatSU: {
      if ((lane != 1 && lane != 2) || inst.type != Type::V64) return false;
      const bool to_signed = inst.op == Op::NarrowSatS;
      const VecOp op = lane == 1 ? (to_signed ? VecOp{hi::kIdPacksswb, hi::kIdVpacksswb}
                                              : VecOp{hi::kIdPackuswb, hi::kIdVpackuswb})
                                 : (to_signed ? VecOp{hi::kIdPackssdw, hi::kIdVpackssdw}
                                              : VecOp{hi::kIdPackusdw, hi::kIdVpackusdw});
      const uint8_t a = use_xmm(inst.args[0]);
      vop(op, def_xmm(inst.args[0]), a, xmm(a));
      return true;
    }
    default:
      return false;
  }
}

/// A scalar that has what the vector has above it, or zeros where the vector is zero, is the result.
bool Emitter::emit_lowest_lane(const ir::Inst& inst) {
  const ValueId vector = root(inst.args[0]), scalar = root(inst.args[1]);
  if (inst.imm != 0 || inst.type != Type::V128 || class_of(type_of(inst.args[1])) != ValueClass::Xmm)
    return false;
  const uint8_t reg = loc(scalar).xmm;
  if (reg == kNoReg || at(scalar).type != inst.elem) return false;
  const ir::Inst& into = at(vector);
  const bool zeros = into.op == Op::Const && into.imm == 0 && into.high() == 0 && plan_[scalar].zeros_above;
  if (!zeros && above_[reg] != vector) return false;
  const uint8_t s = use_xmm(inst.args[1]);
  touch(vector);
  const uint8_t d = def_xmm(inst.args[1]);
  move_xmm(d, s);
  return true;
}

/// Scalars into vectors, halves, concatenation.
bool Emitter::emit_vector_move(const ir::Inst& inst) {
  const unsigned lane = lane_index(inst.elem);
  switch (inst.op) {
    case Op::Splat: {
      if (lane > 3) return false;
      const ValueClass cls = class_of(type_of(inst.args[0]));
      if (cls == ValueClass::Xmm) {
        const uint8_t a = use_xmm(inst.args[0]);
        const uint8_t d = def_xmm(inst.args[0]);
        if (lane == 2)
          vun_imm({hi::kIdPshufd, hi::kIdVpshufd}, d, xmm(a), 0);
        else
          vun({hi::kIdMovddup, hi::kIdVmovddup}, d, xmm(a));
        return true;
      }
      const uint8_t a = use_gpr(inst.args[0]);
      const uint8_t d = def_xmm();
      if (host_.avx512) {
        const InstId id = lane == 0   ? hi::kIdVpbroadcastb
                          : lane == 1 ? hi::kIdVpbroadcastw
                          : lane == 2 ? hi::kIdVpbroadcastd
                                      : hi::kIdVpbroadcastq;
        (void)a_.emit(id, xmm(d), lane == 3 ? gp64(a) : gp32(a));
        return true;
      }
      (void)a_.emit(host_.avx ? hi::kIdVmovq : hi::kIdMovq, xmm(d), gp64(a));
      if (lane == 3)
        vop({hi::kIdPunpcklqdq, hi::kIdVpunpcklqdq}, d, d, xmm(d));
      else if (lane == 2)
        vun_imm({hi::kIdPshufd, hi::kIdVpshufd}, d, xmm(d), 0);
      else
        vop({kPshufb.sse, kPshufb.avx}, d, d,
            lane == 0 ? pool(0, 0) : pool(0x0100010001000100, 0x0100010001000100));
      return true;
    }
    case Op::VecFromScalar: {
      if (lane > 3) return false;
      if (class_of(type_of(inst.args[0])) == ValueClass::Xmm) {
        const uint8_t a = use_xmm(inst.args[0]);
        const uint8_t d = def_xmm(inst.args[0]);
        if (lane == 3)
          vun({hi::kIdMovq, hi::kIdVmovq}, d, xmm(a));
        else
          vop_imm({hi::kIdInsertps, hi::kIdVinsertps}, d, a, xmm(a), 0x0e);
        return true;
      }
      const uint8_t a = use_clean(inst.args[0]);
      (void)a_.emit(host_.avx ? hi::kIdVmovq : hi::kIdMovq, xmm(def_xmm()), gp64(a));
      return true;
    }
    case Op::Resize: {
      if (inst.type != Type::V128 || type_of(inst.args[0]) != Type::V64) return false;
      const uint8_t a = use_xmm(inst.args[0]);
      const ValueId id = root(inst.args[0]);
      const bool zeros = plan_[id].zeros_above && ir::byte_size(type_of(id)) == 8;
      const uint8_t d = def_xmm(inst.args[0]);
      if (zeros)
        move_xmm(d, a);
      else
        vun({hi::kIdMovq, hi::kIdVmovq}, d, xmm(a));
      return true;
    }
    case Op::Concat: {
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      vop({hi::kIdPunpcklqdq, hi::kIdVpunpcklqdq}, def_xmm(inst.args[0]), a, xmm(b));
      return true;
    }
    case Op::HalfHi: {
      const uint8_t a = use_xmm(inst.args[0]);
      vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, def_xmm(inst.args[0]), a, 8);
      return true;
    }
    case Op::InsertLane: {
      if (emit_lowest_lane(inst)) return true;
      if (lane > 3 || lane < 2) {
        if (lane > 3 || class_of(type_of(inst.args[1])) != ValueClass::Gpr) return false;
      }
      const auto index = static_cast<uint32_t>(inst.imm);
      const uint8_t a = use_xmm(inst.args[0]);
      if (class_of(type_of(inst.args[1])) == ValueClass::Gpr) {
        const uint8_t b = use_gpr(inst.args[1]);
        const VecOp op = lane == 0   ? VecOp{hi::kIdPinsrb, hi::kIdVpinsrb}
                         : lane == 1 ? VecOp{hi::kIdPinsrw, hi::kIdVpinsrw}
                         : lane == 2 ? VecOp{hi::kIdPinsrd, hi::kIdVpinsrd}
                                     : VecOp{hi::kIdPinsrq, hi::kIdVpinsrq};
        vop_imm(op, def_xmm(inst.args[0]), a, lane == 3 ? gp64(b) : gp32(b), index);
        return true;
      }
      const uint8_t b = use_xmm(inst.args[1]);
      if (lane == 2)
        vop_imm({hi::kIdInsertps, hi::kIdVinsertps}, def_xmm(), a, xmm(b), index << 4);
      else if (index == 0)
        vop_imm({hi::kIdPblendw, hi::kIdVpblendw}, def_xmm(), a, xmm(b), 0x0f);
      else
        vop({hi::kIdPunpcklqdq, hi::kIdVpunpcklqdq}, def_xmm(), a, xmm(b));
      return true;
    }
    default:
      return false;
  }
}

/// Lanes of two vectors.
bool Emitter::emit_vector_lanes(const ir::Inst& inst) {
  const unsigned lane = lane_index(inst.elem);
  const bool half = inst.type == Type::V64;
  switch (inst.op) {
    case Op::ZipLo:
    case Op::ZipHi: {
      if (lane > 3) return false;
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      const uint8_t d = def_xmm(inst.args[0]);
      const Pair op = inst.op == Op::ZipLo || half ? kZipLo.of[lane] : kZipHi.of[lane];
      vop({op.sse, op.avx}, d, a, xmm(b));
      if (half && inst.op == Op::ZipHi) vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, d, d, 8);
      return true;
    }
    case Op::UnzipEven:
    case Op::UnzipOdd:
      return emit_unzip(inst, lane);
    case Op::ByteExtract: {
      const auto by = static_cast<uint32_t>(inst.imm);
      const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
      if (!half) {
        vop_imm({hi::kIdPalignr, hi::kIdVpalignr}, def_xmm(), b, xmm(a), by);
        return true;
      }
      const uint8_t t = take_xmm();
      vop({hi::kIdPunpcklqdq, hi::kIdVpunpcklqdq}, t, a, xmm(b));
      vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, def_xmm(), t, by);
      return true;
    }
    case Op::TableLookup: {
      const ir::Inst& other = at(root(inst.args[2]));
      const bool zero = other.op == Op::Const && other.imm == 0 && other.high() == 0;
      uint8_t a = use_xmm(inst.args[0]);
      const uint8_t b = use_xmm(inst.args[1]);
      const uint8_t c = zero ? kNoReg : use_xmm(inst.args[2]);
      const uint8_t t = take_xmm();
      // 16 (8) and above get bit 7, which gives zero.
      if (half) {
        // 8 more is the same byte of the other half.
        const uint8_t twice = take_xmm();
        vun({hi::kIdMovddup, hi::kIdVmovddup}, twice, xmm(a));
        a = twice;
      }
      const uint64_t bias = half ? 0x7878787878787878 : 0x7070707070707070;
      vop({hi::kIdPaddusb, hi::kIdVpaddusb}, t, b, pool(bias, bias));
      if (zero) {
        vop({kPshufb.sse, kPshufb.avx}, def_xmm(), a, xmm(t));
        return true;
      }
      const uint8_t u = take_xmm(), outside = take_xmm();
      vop({kPshufb.sse, kPshufb.avx}, u, a, xmm(t));
      load_const_xmm(outside, 0, 0);
      vop({hi::kIdPcmpgtb, hi::kIdVpcmpgtb}, outside, outside, xmm(t));
      vop({kPand.sse, kPand.avx}, outside, outside, xmm(c));
      vop({kPor.sse, kPor.avx}, def_xmm(), u, xmm(outside));
      return true;
    }
    default:
      return false;
  }
}

/// Even or odd lanes of two vectors.
bool Emitter::emit_unzip(const ir::Inst& inst, unsigned lane) {
  const bool odd = inst.op == Op::UnzipOdd, half = inst.type == Type::V64;
  if (lane > 3 || (half && lane == 3)) return false;
  if (lane < (half ? 3 : 2) && emit_both_unzips(inst, lane)) return true;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  const Pair low = kZipLo.of[3];
  if (half) {
    // Both operands as one, of which the even or odd lanes are the lower half.
    const uint8_t t = take_xmm();
    vop({low.sse, low.avx}, t, a, xmm(b));
    vop({kPshufb.sse, kPshufb.avx}, def_xmm(), t, pool(unzip_order(lane, odd), kZeroLanes));
  } else if (lane == 3) {
    const Pair op = odd ? kZipHi.of[3] : low;
    vop({op.sse, op.avx}, def_xmm(), a, xmm(b));
  } else if (lane == 2) {
    vop_imm({hi::kIdShufps, hi::kIdVshufps}, def_xmm(), a, xmm(b), odd ? 0xdd : 0x88);
  } else if (a == b) {
    const uint64_t order = unzip_order(lane, odd);
    vop({kPshufb.sse, kPshufb.avx}, def_xmm(), a, pool(order, order));
  } else {
    const Mem order = pool(unzip_order(lane, odd), kZeroLanes);
    const uint8_t t = take_xmm(), u = take_xmm();
    vop({kPshufb.sse, kPshufb.avx}, t, a, order);
    vop({kPshufb.sse, kPshufb.avx}, u, b, order);
    vop({low.sse, low.avx}, def_xmm(), t, xmm(u));
  }
  return true;
}

/// Even and odd lanes of the same vectors, one after the other, as pairwise instructions want them: each
/// vector is put in order once, for both.
bool Emitter::emit_both_unzips(const ir::Inst& inst, unsigned lane) {
  const ValueId second = now_ + 1;
  if (second >= block_->insts.size()) return false;
  const ir::Inst& other = at(second);
  const Op wanted = inst.op == Op::UnzipEven ? Op::UnzipOdd : Op::UnzipEven;
  const bool half = inst.type == Type::V64;
  if (other.op != wanted || other.type != inst.type || other.elem != inst.elem ||
      root(other.args[0]) != root(inst.args[0]) || root(other.args[1]) != root(inst.args[1]) ||
      (!half && root(inst.args[0]) == root(inst.args[1])) || !plan_[second].needed || root(second) != second)
    return false;
  const uint8_t a = use_xmm(inst.args[0]), b = use_xmm(inst.args[1]);
  const Pair low = kZipLo.of[3], high = kZipHi.of[3];
  const uint8_t t = take_xmm(), u = half ? t : take_xmm();
  if (half) {
    vop({low.sse, low.avx}, t, a, xmm(b));
  } else {
    const Mem order = pool(unzip_order(lane, false), unzip_order(lane, true));
    vop({kPshufb.sse, kPshufb.avx}, t, a, order);
    vop({kPshufb.sse, kPshufb.avx}, u, b, order);
  }
  const auto define = [&](Op op) {
    const bool odd = op == Op::UnzipOdd;
    if (half)
      vop({kPshufb.sse, kPshufb.avx}, def_xmm(), t, pool(unzip_order(lane, odd), kZeroLanes));
    else
      vop({odd ? high.sse : low.sse, odd ? high.avx : low.avx}, def_xmm(), t, xmm(u));
  };
  define(inst.op);
  early_ = ++now_;
  locs_[now_] = {};
  define(wanted);
  --now_;
  return true;
}

/// Vectors into scalars.
bool Emitter::emit_vector_reduce(const ir::Inst& inst) {
  const unsigned lane = lane_index(inst.elem);
  const uint8_t a_type_size = static_cast<uint8_t>(ir::byte_size(type_of(inst.args[0])));
  if (!ir::is_vector(type_of(inst.args[0]))) return false;
  if (inst.op == Op::AnyBit) {
    const uint8_t a = use_xmm(inst.args[0]);
    const uint8_t d = def_gpr();
    if (a_type_size == 8) {
      (void)a_.emit(host_.avx ? hi::kIdVmovq : hi::kIdMovq, gp64(d), xmm(a));
      (void)a_.test(gp64(d), gp64(d));
    } else {
      (void)a_.emit(host_.avx ? hi::kIdVptest : hi::kIdPtest, xmm(a), xmm(a));
    }
    (void)a_.setne(x86::gpb_lo(d));
    (void)a_.movzx(gp32(d), x86::gpb_lo(d));
    no_flags();
    return true;
  }
  if (lane > 3) return false;
  if (inst.op == Op::SignBits) {
    uint8_t a = use_xmm(inst.args[0]);
    if (lane == 1) {
      // The upper bytes of the lanes, and nothing else.
      const uint8_t t = take_xmm();
      vop({kPshufb.sse, kPshufb.avx}, t, a, pool(0x0f0d0b0907050301, ~uint64_t{0}));
      a = t;
    }
    const uint8_t d = def_gpr();
    (void)a_.emit(lane < 2    ? (host_.avx ? hi::kIdVpmovmskb : hi::kIdPmovmskb)
                  : lane == 2 ? (host_.avx ? hi::kIdVmovmskps : hi::kIdMovmskps)
                              : (host_.avx ? hi::kIdVmovmskpd : hi::kIdMovmskpd),
                  gp32(d), xmm(a));
    if (lane == 1 || a_type_size == 8) {
      (void)a_.and_(gp32(d), static_cast<int32_t>(low_mask(a_type_size >> lane)));
      no_flags();
    }
    return true;
  }
  if (inst.op == Op::ExtractLane) {
    const auto index = static_cast<uint32_t>(inst.imm);
    const uint8_t a = use_xmm(inst.args[0]);
    if (class_of(inst.type) == ValueClass::Xmm) {
      vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, def_xmm(inst.args[0]), a, index << lane);
      return true;
    }
    const uint8_t d = def_gpr();
    if (index == 0 && lane >= 2) {
      const bool wide = lane == 3;
      (void)a_.emit(
          wide ? (host_.avx ? hi::kIdVmovq : hi::kIdMovq) : (host_.avx ? hi::kIdVmovd : hi::kIdMovd),
          wide ? gp64(d) : gp32(d), xmm(a));
      return true;
    }
    const VecOp op = lane == 0   ? VecOp{hi::kIdPextrb, hi::kIdVpextrb}
                     : lane == 1 ? VecOp{hi::kIdPextrw, hi::kIdVpextrw}
                     : lane == 2 ? VecOp{hi::kIdPextrd, hi::kIdVpextrd}
                                 : VecOp{hi::kIdPextrq, hi::kIdVpextrq};
    (void)a_.emit(host_.avx ? op.avx : op.sse, lane == 3 ? gp64(d) : gp32(d), xmm(a), Imm(index));
    return true;
  }
  const ByLane& table = inst.op == Op::ReduceAdd    ? kAdd
                        : inst.op == Op::ReduceMinS ? kMinS
                        : inst.op == Op::ReduceMaxS ? kMaxS
                        : inst.op == Op::ReduceMinU ? kMinU
                                                    : kMaxU;
  const Pair op = table.of[lane];
  if (op.avx == hi::kIdNone || class_of(inst.type) != ValueClass::Gpr) return false;
  const uint8_t a = use_xmm(inst.args[0]);
  const uint8_t r = take_xmm(), t = take_xmm();
  uint8_t from = a;
  for (unsigned step = a_type_size / 2u; step >= 1u << lane; step /= 2) {
    vshift({hi::kIdPsrldq, hi::kIdVpsrldq}, t, from, step);
    vop({op.sse, op.avx}, r, from, xmm(t));
    from = r;
  }
  const uint8_t d = def_gpr();
  (void)a_.emit(
      lane == 3 ? (host_.avx ? hi::kIdVmovq : hi::kIdMovq) : (host_.avx ? hi::kIdVmovd : hi::kIdMovd),
      lane == 3 ? gp64(d) : gp32(d), xmm(from));
  if (lane == 0) (void)a_.movzx(gp32(d), x86::gpb_lo(d));
  if (lane == 1) (void)a_.movzx(gp32(d), x86::gpw(d));
  return true;
}

}  // namespace lyrebird::jit::baseline
