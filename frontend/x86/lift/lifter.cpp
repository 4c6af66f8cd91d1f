// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/lift/lifter.h"

#include "base/bits.h"
#include "frontend/x86/lift/helpers.h"

namespace lyrebird::x86 {

constexpr unsigned kAdjustBit = 1 << 4;  // AF in X86State::adjust

// --- operands

Value Lifter::read(unsigned i, Type as) {
  const Operand& o = operand(i);
  switch (o.kind) {
    case OperandKind::Gpr:
      return gpr(o.reg, as);
    case OperandKind::GprHigh:
      return gpr_high(o.reg);
    case OperandKind::Segment:
      return ir.ZExt(
          field(segment_offset(static_cast<Segment>(o.reg)) + offsetof(SegmentState, selector), I16), as);
    case OperandKind::Memory:
      return load(as, address(ir::byte_size(as), false));
    default:
      return imm(as, immediate(i));
  }
}

void Lifter::write(unsigned i, Value value) {
  const Operand& o = operand(i);
  if (o.kind == OperandKind::Memory)
    store(address(ir::byte_size(value.type), true), value);
  else if (o.kind == OperandKind::GprHigh)
    ir.SetState(gpr_offset(o.reg) + 1, value);
  else
    set_gpr(o.reg, value);
}

void Lifter::set_gpr(unsigned reg, Value value) {
  ir.SetState(gpr_offset(reg), value.type == I32 ? ir.ZExt(value, I64) : value);
}

// --- memory

// SDM volume 1, 3.7.5; volume 2, 2.2.1.6.
Value Lifter::offset() {
  const MemoryOperand& m = insn.memory;
  const Type as = ir::int_type(8u * insn.address_size);
  const int64_t bias = m.base == kRsp ? stack_bias_ : 0;
  const auto displacement = static_cast<uint64_t>(m.displacement + bias);
  if (m.base == kRip) {
    const uint64_t at = next_pc() + displacement;
    return imm(I64, as == I32 ? static_cast<uint32_t>(at) : at);
  }
  if (m.base == kNoRegister && m.index == kNoRegister)
    return imm(I64, displacement & low_mask(ir::bit_width(as)));
  Value sum;
  if (m.base != kNoRegister) sum = gpr(m.base, as);
  if (m.index != kNoRegister) {
    Value index = gpr(m.index, as);
    if (m.shift != 0) index = ir.Shl(index, imm(as, m.shift));
    sum = sum ? ir.Add(sum, index) : index;
  }
  if (displacement != 0) sum = ir.Add(sum, imm(as, displacement));
  return ir.ZExt(sum, I64);
}

Value Lifter::segment_base(Segment segment) {
  return field(segment_offset(segment) + offsetof(SegmentState, base), I64);
}

Value Lifter::linear(Segment segment, Value offset, unsigned size, bool write) {
  const bool extra = segment == Segment::FS || segment == Segment::GS;
  if (is64()) return extra ? ir.Add(segment_base(segment), offset) : offset;
  if (is_flat()) {
    if (segment == Segment::CS && write) ir.RaiseIf(ir.True(), ExitKind::ProtectionFault);
    if (!extra) return offset;
    const Value limit = ir.ZExt(field(segment_offset(segment) + offsetof(SegmentState, limit), I32), I64);
    ir.RaiseIf(ir.CmpLtU(limit, plus(offset, size - 1)), ExitKind::ProtectionFault);
  } else {
    const uint64_t access = static_cast<unsigned>(segment) | uint64_t{size} << 8 | uint64_t{write} << 16;
    const Value breaks = ir.CallHelper(kHelperBreaksSegment, I8, {offset, imm(I64, access)});
    ir.RaiseIf(ir.CmpNe(breaks, imm(I8, 0)),
               segment == Segment::SS ? ExitKind::StackFault : ExitKind::ProtectionFault);
  }
  return ir.And(ir.Add(segment_base(segment), offset), imm(I64, 0xffffffff));
}

Value Lifter::address(unsigned size, bool write) {
  // An instruction that writes what it read asks for both; the write decides what is allowed.
  if (!address_ || (write && !is64() && (!is_flat() || insn.memory.segment == Segment::CS)))
    address_ = linear(insn.memory.segment, offset(), size, write);
  return address_;
}

// --- the stack

Type Lifter::stack_type() const { return is64() ? I64 : ctx.mode & kModeStack32 ? I32 : I16; }

Value Lifter::stack_offset(int64_t displacement) {
  const Type as = stack_type();
  const Value at = gpr(kRsp, as);
  if (displacement == 0) return ir.ZExt(at, I64);
  return ir.ZExt(ir.Add(at, imm(as, static_cast<uint64_t>(displacement))), I64);
}

Value Lifter::stack_load(Type as, int64_t displacement) {
  return load(as, linear(Segment::SS, stack_offset(displacement), ir::byte_size(as), false));
}

void Lifter::stack_store(Value value, int64_t displacement) {
  store(linear(Segment::SS, stack_offset(displacement), ir::byte_size(value.type), true), value);
}

void Lifter::add_to_stack(int64_t n) {
  const Type as = stack_type();
  set_gpr(kRsp, ir.Add(gpr(kRsp, as), imm(as, static_cast<uint64_t>(n))));
}

void Lifter::push(Value value) {
  const auto size = static_cast<int64_t>(ir::byte_size(value.type));
  stack_store(value, -size);
  add_to_stack(-size);
}

// --- flags

Value Lifter::flag(Flag flag) {
  Value& known = ctx.flags.value[static_cast<unsigned>(flag)];
  if (known) return known;
  const uint32_t offset = flag_offset(flag);
  switch (flag) {
    case Flag::PF: {
      const Value byte = ctx.flags.parity ? ctx.flags.parity : ir.GetState(offset, I8);
      known = ir.Not(ir.CmpTest(ir.PopCount(byte), imm(I8, 1)));
      break;
    }
    case Flag::AF:
      known = ir.CmpTest(ir.GetState(offset, I8), imm(I8, kAdjustBit));
      break;
    default:
      known = ir.GetState(offset, I1);
  }
  return known;
}

void Lifter::set_flag(Flag flag, Value value) {
  const uint32_t offset = flag_offset(flag);
  if (flag == Flag::PF) {
    ctx.flags.parity = ir.ZExt(ir.Not(value), I8);
    ir.SetState(offset, ctx.flags.parity);
  } else if (flag == Flag::AF) {
    ir.SetState(offset, ir.Shl(ir.ZExt(value, I8), imm(I8, 4)));
  } else {
    ir.SetState(offset, value);
  }
  ctx.flags.value[static_cast<unsigned>(flag)] = value;
  ctx.flags.forget_origin();
}

void Lifter::set_flag_if(Value condition, Flag which, Value value) {
  set_flag(which, ir.Select(condition, value, flag(which)));
}

void Lifter::set_parity_of(Value r, Value condition) {
  Value byte = ir.Trunc(r, I8);
  const uint32_t offset = flag_offset(Flag::PF);
  if (condition)
    byte = ir.Select(condition, byte, ctx.flags.parity ? ctx.flags.parity : ir.GetState(offset, I8));
  ir.SetState(offset, byte);
  ctx.flags.parity = byte;
  ctx.flags.value[static_cast<unsigned>(Flag::PF)] = {};
  ctx.flags.forget_origin();
}

void Lifter::set_auxiliary_of(Value a, Value b, Value r) {
  ir.SetState(flag_offset(Flag::AF), ir.Trunc(ir.Xor(ir.Xor(a, b), r), I8));
  ctx.flags.value[static_cast<unsigned>(Flag::AF)] = {};
  ctx.flags.forget_origin();
}

void Lifter::set_flags_of_result(Value r) {
  set_flag(Flag::SF, sign_of(r));
  set_flag(Flag::ZF, is_zero(r));
  set_parity_of(r);
}

void Lifter::set_flags_of_add(Value a, Value b, Value r) {
  set_flags_of_result(r);
  set_flag(Flag::CF, ir.CmpLtU(r, a));
  set_auxiliary_of(a, b, r);
  set_flag(Flag::OF, ir.OverflowOfAdd(a, b, ir.False()));
}

void Lifter::set_flags_of_add(Value a, Value b, Value carry, Value r) {
  set_flags_of_result(r);
  set_flag(Flag::CF, ir.CarryOfAdd(a, b, carry));
  set_auxiliary_of(a, b, r);
  set_flag(Flag::OF, ir.OverflowOfAdd(a, b, carry));
}

void Lifter::set_flags_of_sub(Value a, Value b, Value r) {
  set_flag(Flag::SF, sign_of(r));
  set_flag(Flag::ZF, ir.CmpEq(a, b));
  set_parity_of(r);
  set_flag(Flag::CF, ir.CmpLtU(a, b));
  set_auxiliary_of(a, b, r);
  set_flag(Flag::OF, ir.OverflowOfSub(a, b));
  ctx.flags.sub_a = a;
  ctx.flags.sub_b = b;
  ctx.flags.sub_carry = true;
}

/// a - b - borrow is a + ~b + !borrow, the borrow the inverse of its carry.
void Lifter::set_flags_of_sub(Value a, Value b, Value borrow, Value r) {
  const Value inverted = ir.Not(b), carry = ir.Not(borrow);
  set_flags_of_result(r);
  set_flag(Flag::CF, ir.Not(ir.CarryOfAdd(a, inverted, carry)));
  set_auxiliary_of(a, b, r);
  set_flag(Flag::OF, ir.OverflowOfAdd(a, inverted, carry));
}

/// AF is undefined; processors clear it.
void Lifter::set_flags_of_logic(Value r) {
  set_flags_of_result(r);
  set_flag(Flag::CF, ir.False());
  set_flag(Flag::AF, ir.False());
  set_flag(Flag::OF, ir.False());
  ctx.flags.logic = r;
}

void Lifter::set_flags_of_order(Value order, Value order_equal) {
  set_flag(Flag::CF, ir.CmpTest(order, imm(I8, 1)));
  set_flag(Flag::PF, ir.CmpEq(order, imm(I8, ir::kFpUnordered)));
  set_flag(Flag::ZF, ir.CmpEq(order_equal, imm(I8, ir::kFpEqual)));
  for (const Flag clear : {Flag::AF, Flag::SF, Flag::OF}) set_flag(clear, ir.False());
  ctx.flags.order = order;
  ctx.flags.order_equal = order_equal;
}

Value Lifter::order_holds(unsigned condition, Value order, Value order_equal) {
  const Value greater = imm(I8, ir::kFpGreater), unordered = imm(I8, ir::kFpUnordered);
  switch (condition) {
    case 2:
      return ir.CmpTest(order, imm(I8, 1));
    case 3:
      return ir.Not(ir.CmpTest(order, imm(I8, 1)));
    case 4:
    case 14:
      return ir.CmpEq(order_equal, imm(I8, ir::kFpEqual));
    case 5:
    case 15:
      return ir.CmpNe(order_equal, imm(I8, ir::kFpEqual));
    case 6:
      return ir.CmpNe(order, greater);
    case 7:
      return ir.CmpEq(order, greater);
    case 10:
      return ir.CmpEq(order, unordered);
    case 11:
      return ir.CmpNe(order, unordered);
    default:  // of OF and SF, which are clear
      return condition & 1 ? ir.True() : ir.False();
  }
}

Value Lifter::holds(unsigned condition) {
  if (ctx.flags.order) return order_holds(condition, ctx.flags.order, ctx.flags.order_equal);
  if (ctx.flags.sub_a)
    if (const Value compare = compare_holds(condition, ctx.flags.sub_a, ctx.flags.sub_b)) return compare;
  if (ctx.flags.logic)
    if (const Value compare = logic_holds(condition, ctx.flags.logic)) return compare;
  const Value result = flags_hold(condition >> 1);
  return condition & 1 ? ir.Not(result) : result;
}

/// The condition after a - b as one op; no value where there is none.
Value Lifter::compare_holds(unsigned condition, Value a, Value b) {
  if (!ctx.flags.sub_carry && (condition & 12) == 0) return {};
  switch (condition) {
    case 2:
      return ir.CmpLtU(a, b);
    case 3:
      return ir.CmpLeU(b, a);
    case 4:
      return ir.CmpEq(a, b);
    case 5:
      return ir.CmpNe(a, b);
    case 6:
      return ctx.flags.sub_carry ? ir.CmpLeU(a, b) : Value{};
    case 7:
      return ctx.flags.sub_carry ? ir.CmpLtU(b, a) : Value{};
    case 12:
      return ir.CmpLtS(a, b);
    case 13:
      return ir.CmpLeS(b, a);
    case 14:
      return ir.CmpLeS(a, b);
    case 15:
      return ir.CmpLtS(b, a);
    default:
      return {};
  }
}

Value Lifter::logic_holds(unsigned condition, Value r) {
  const Value zero = imm(r.type, 0);
  switch (condition) {
    case 0:
    case 2:
      return ir.False();
    case 1:
    case 3:
      return ir.True();
    case 4:
    case 6:
      return ir.CmpEq(r, zero);
    case 5:
    case 7:
      return ir.CmpNe(r, zero);
    case 8:
    case 12:
      return ir.CmpLtS(r, zero);
    case 9:
    case 13:
      return ir.CmpLeS(zero, r);
    case 14:
      return ir.CmpLeS(r, zero);
    case 15:
      return ir.CmpLtS(zero, r);
    default:
      return {};
  }
}

/// The even condition of the pair.
Value Lifter::flags_hold(unsigned pair) {
  switch (pair) {
    case 0:
      return flag(Flag::OF);
    case 1:
      return flag(Flag::CF);
    case 2:
      return flag(Flag::ZF);
    case 3:
      return ir.Or(flag(Flag::CF), flag(Flag::ZF));
    case 4:
      return flag(Flag::SF);
    case 5:
      return flag(Flag::PF);
    case 6:
      return ir.CmpNe(flag(Flag::SF), flag(Flag::OF));
    default:
      return ir.Or(ir.CmpNe(flag(Flag::SF), flag(Flag::OF)), flag(Flag::ZF));
  }
}

// --- control

/// Linear addresses have 32 bits outside of 64-bit mode.
void Lifter::finish_if(ir::Value done) {
  if ((ctx.mode & kModeTrap) != 0) {
    constexpr auto kMode = static_cast<uint32_t>(offsetof(X86State, header) + offsetof(ir::CpuHeader, mode));
    const Value mode = ir.GetState(kMode, I32);
    ir.SetState(kMode, ir.Select(done, ir.Or(mode, ir.Const(I32, kModeTrapPending)), mode));
  }
  ir.ExitIf(done, next_pc());
}

uint64_t Lifter::next_pc() const {
  const uint64_t next = ctx.pc + insn.length;
  return is64() ? next : static_cast<uint32_t>(next);
}

Value Lifter::next_ip(Type as) {
  if (is_flat()) return imm(as, next_pc());
  return ir.Trunc(ir.Sub(imm(I64, next_pc()), segment_base(Segment::CS)), as);
}

uint64_t Lifter::static_target() const {
  if (is_flat()) return insn.relative_target(ctx.pc);
  return static_cast<uint32_t>(next_pc() + static_cast<uint64_t>(insn.immediate[0]));
}

bool Lifter::jump_relative(JumpHint hint) {
  if (has_static_target()) {
    ir.Jump(static_target(), hint);
    return false;
  }
  const Type as = ir::int_type(8u * insn.operand_size);
  return jump_to_offset(plus(next_ip(as), insn.immediate[0]), hint);
}

bool Lifter::jump_to_offset(Value offset, JumpHint hint) {
  Value target = ir.ZExt(offset, I64);
  if (!is_flat()) target = ir.And(ir.Add(segment_base(Segment::CS), target), imm(I64, 0xffffffff));
  ir.JumpIndirect(target, hint);
  return false;
}

bool Lifter::end_block() {
  ir.Jump(next_pc());
  return false;
}

bool Lifter::undefined() {
  ir.Raise(ExitKind::Undefined);
  return false;
}

bool Lifter::protection_fault() {
  ir.Raise(ExitKind::ProtectionFault);
  return false;
}

}  // namespace lyrebird::x86
