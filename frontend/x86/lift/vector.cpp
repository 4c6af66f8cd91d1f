// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/lift/vector.h"

#include <cstring>

namespace lyrebird::x86 {

// --- whole operands

void Vector::check_vector(Value at, unsigned align) {
  if ((ctx.mode & kModeAlign) != 0)
    ir.RaiseIf(ir.CmpTest(at, imm(I64, align - 1)), ExitKind::ArithmeticTrap, kTrapAlignment);
}

Value Vector::load_part(Value at, unsigned size, bool aligned) {
  if (size == 16 && !aligned) check_vector(at);
  MemInfo rule = load_rule(size == 16 ? V128 : size == 8 ? V64 : type_of_size(size));
  if (aligned) rule.align = ir::Align::Natural;
  switch (size) {
    case 16:
      return ir.Load(V128, at, rule);
    case 8:
      return ir.Resize(ir.Load(V64, at, rule), V128);
    default:
      return ir.VecFromScalar(V128, ir.ZExt(ir.Load(type_of_size(size), at, rule), I32));
  }
}

Vector::Halves Vector::vector(unsigned i) {
  const Operand& o = operand(i);
  if (o.kind == OperandKind::Mmx) return {{mm(o.reg), {}}, 1};
  if (o.kind == OperandKind::Vector) {
    if (o.size > 16) return {{xmm(o.reg), xmm(o.reg, 1)}, 2};
    return {{xmm(o.reg), {}}, 1};
  }
  const Value at = address(o.size, false);
  if (is_mmx(0) && o.size <= 8) {
    if (o.size == 8) return {{load(V64, at), {}}, 1};
    return {{ir.VecFromScalar(V64, load(type_of_size(o.size), at)), {}}, 1};
  }
  if (o.size == 32) {
    if (aligned_) ir.RaiseIf(ir.CmpTest(at, imm(I64, 31)), ExitKind::ProtectionFault);
    return {{load_part(at, 16, false), load_part(plus(at, 16), 16, false)}, 2};
  }
  return {{load_part(at, o.size, o.size == 16 && (aligned_ || !(is_vex() || unaligned_))), {}}, 1};
}

Value Vector::part(unsigned i, unsigned half) { return vector(i).part[half]; }

void Vector::clear_upper(unsigned reg) {
  if (ctx.upper_zero >> reg & 1) return;
  ir.SetState(ymm_offset(reg) + 16, zero());
  ctx.upper_zero = static_cast<uint16_t>(ctx.upper_zero | 1u << reg);
}

void Vector::set_xmm(unsigned reg, Value low) {
  ir.SetState(ymm_offset(reg), low);
  if (is_vex()) clear_upper(reg);
}

void Vector::set_mm(unsigned reg, Value value) {
  enter_mmx();
  set_field(offsetof(X86State, x87) + 16 * reg, value);
  set_field(offsetof(X86State, x87) + 16 * reg + 8, imm(I16, 0xffff));
}

void Vector::enter_mmx() {
  const uint32_t mode = (ctx.mode & ~kModeX87TopMask) | kModeX87UsedMask;
  if (mode == ctx.mode) return;
  ctx.mode = mode;
  set_mode(imm(I32, mode));
}

void Vector::probe(Value at, unsigned size) {
  load(I8, at);
  // The first byte on the second page, if there is one.
  const Value last = ir.And(plus(at, size - 1), imm(I64, ~uint64_t{0xfff}));
  load(I8, ir.MaxU(at, last));
}

void Vector::set_vector(unsigned i, const Halves& value) {
  const Operand& o = operand(i);
  if (o.kind == OperandKind::Mmx) return set_mm(o.reg, value.part[0]);
  if (o.kind == OperandKind::Vector) {
    if (value.count == 1) return set_xmm(o.reg, value.part[0]);
    ir.SetState(ymm_offset(o.reg), value.part[0]);
    ir.SetState(ymm_offset(o.reg) + 16, value.part[1]);
    ctx.upper_zero = static_cast<uint16_t>(ctx.upper_zero & ~(1u << o.reg));
    return;
  }
  const Value at = address(o.size, true);
  if (o.size == 32) {
    if (aligned_) ir.RaiseIf(ir.CmpTest(at, imm(I64, 31)), ExitKind::ProtectionFault);
    check_vector(at);
    probe(at, 32);
    store(at, value.part[0]);
    store(plus(at, 16), value.part[1]);
    return;
  }
  const Value low = value.part[0];
  if (o.size == 16) {
    MemInfo rule = store_rule(V128);
    const bool aligned = aligned_ || !(is_vex() || unaligned_);
    if (aligned)
      rule.align = ir::Align::Natural;
    else
      check_vector(at);
    return ir.Store(at, low, rule);
  }
  store(at,
        o.size == 8 ? (low.type == V64 ? low : ir.Resize(low, V64)) : low_lane(low, type_of_size(o.size)));
}

// --- scalars

Value Vector::scalar(unsigned i, Type as) {
  const Operand& o = operand(i);
  if (o.kind == OperandKind::Memory) return load(as, address(ir::byte_size(as), false));
  // The whole register, so that what is written later is the same value with another lowest lane.
  return low_lane(xmm(o.reg), as);
}

void Vector::set_scalar(Value value) {
  set_xmm(operand(0).reg, ir.InsertLane(xmm(operand(kept()).reg), value, 0));
}

Value Vector::bytes(const uint8_t (&b)[16]) {
  uint64_t words[2];
  std::memcpy(words, b, 16);
  return ir.ConstVec(V128, words[0], words[1]);
}

// --- floating point

FpMode Vector::fp_mode() const {
  constexpr ir::Round kRounds[] = {ir::Round::NearestEven, ir::Round::TowardNegative,
                                   ir::Round::TowardPositive, ir::Round::TowardZero};
  return {.round = kRounds[sse_round_of_mode(ctx.mode)],
          .nan_rule = ir::NanRule::FirstOperand,
          .default_nan_negative = true,
          .flush_inputs = (ctx.mode & kModeSseDaz) != 0,
          .flush_outputs = (ctx.mode & kModeSseFtz) != 0,
          .tiny_before_rounding = false,
          .flush_is_inexact = true,
          .denormal_report = ir::DenormalReport::WhenUsed};
}

FpMode Vector::silent_mode() const {
  FpMode mode = fp_mode();
  mode.denormal_report = ir::DenormalReport::Never;
  return mode;
}

void Vector::before_floats() {
  if ((ctx.mode & kModeSseUnmasked) == 0) return;
  old_flags_ = ir.GetFpFlags();
  ir.SetFpFlags(imm(I32, 0));
  tiny_.reset();
}

Value Vector::made(Value result, Type elem) {
  if ((ctx.mode & kModeSseUnmasked) == 0) return result;
  const Type lane = elem == F64 ? I64 : elem == F32 ? I32 : I16;
  const uint64_t smallest_normal = elem == F64 ? uint64_t{1} << 52 : elem == F32 ? 1 << 23 : 1 << 10;
  const Value all = ir::is_vector(result.type) ? ir.Resize(result, V128) : ir.VecFromScalar(V128, result);
  const Value size = ir.And(all, splat(V128, lane, low_mask(ir::bit_width(lane) - 1)));
  // From 1 to the largest subnormal number: zero wraps.
  const Value tiny =
      ir.CmpLtU(ir.Sub(size, splat(V128, lane, 1), lane), splat(V128, lane, smallest_normal - 1), lane);
  tiny_ = tiny_ ? ir.Or(*tiny_, tiny) : tiny;
  return result;
}

/// FpFlag bits as those of MXCSR.
Value Vector::mxcsr_flags(Value flags) {
  const Value shifted = ir.Shl(ir.And(flags, imm(I32, 0x1e)), imm(I32, 1));
  const Value denormal = ir.ShrU(ir.And(flags, imm(I32, ir::kFpDenormal)), imm(I32, 4));
  return ir.Or(ir.And(flags, imm(I32, 1)), ir.Or(shifted, denormal));
}

void Vector::after_floats() {
  if ((ctx.mode & kModeSseUnmasked) == 0) return;
  // Invalid, denormal and division by zero come before the operation; if they are not masked there are
  // no others.
  const Value masks = ir.ShrU(field(offsetof(X86State, mxcsr), I32), imm(I32, 7));
  Value all = ir.GetFpFlags();
  if (tiny_) {
    constexpr unsigned kUnderflowMask = 4;
    const Value any = ir.Or(ir.ExtractLane(*tiny_, I64, 0), ir.ExtractLane(*tiny_, I64, 1));
    const Value raised = ir.And(ir.CmpNe(any, imm(I64, 0)),
                                ir.CmpEq(ir.And(masks, imm(I32, 1 << kUnderflowMask)), imm(I32, 0)));
    all = ir.Or(all, ir.Select(raised, imm(I32, ir::kFpUnderflow), imm(I32, 0)));
  }
  const Value before = ir.And(all, imm(I32, ir::kFpInvalid | ir::kFpDenormal | ir::kFpDivideByZero));
  const Value stopped = ir.CmpTest(ir.AndNot(mxcsr_flags(before), masks), imm(I32, 7));
  const Value now = ir.Select(stopped, before, all);
  ir.SetFpFlags(ir.Or(now, old_flags_));
  commit();
  const Value raised = mxcsr_flags(now);
  ir.RaiseIf(ir.CmpTest(ir.AndNot(raised, masks), imm(I32, 0x3f)), ExitKind::ArithmeticTrap, kTrapSimd);
}

}  // namespace lyrebird::x86
