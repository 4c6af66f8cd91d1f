// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/lift/lifter.h"

#include "base/bits.h"
#include "frontend/x86/lift/helpers.h"

namespace lyrebird::x86 {

namespace {
constexpr unsigned kAllFlags = (1u << kFlagCount) - 1;
constexpr uint16_t kStatusOne = 1 << 9;  // a bit of the status word that is always set
constexpr uint32_t kStatusOffset = offsetof(X86State, status);
constexpr unsigned bit_of(Flag flag) { return 1u << static_cast<unsigned>(flag); }
}  // namespace

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
  if (value.type != I32) return ir.SetState(gpr_offset(reg), value);
  const ir::Inst& made = ir.block().insts[value.id];
  const Value wide = made.op == Op::Const ? imm(I64, made.imm) : ir.ZExt(value, I64);
  ir.SetState(gpr_offset(reg), wide);
}

// --- memory

// SDM volume 1, 3.7.5; volume 2, 2.2.1.6.
Value Lifter::offset() {
  const Value sum = offset(ir::int_type(8u * insn.address_size));
  const ir::Inst& made = ir.block().insts[sum.id];
  return made.op == Op::Const ? imm(I64, made.imm) : ir.ZExt(sum, I64);
}

Value Lifter::offset(Type as) {
  const MemoryOperand& m = insn.memory;
  const int64_t bias = m.base == kRsp ? stack_bias_ : 0;
  const auto displacement = static_cast<uint64_t>(m.displacement + bias);
  if (m.base == kRip) {
    const uint64_t at = next_pc() + displacement;
    return imm(as, at);
  }
  if (m.base == kNoRegister && m.index == kNoRegister) return imm(as, displacement);
  Value sum;
  if (m.base != kNoRegister) sum = gpr(m.base, as);
  if (m.index != kNoRegister) {
    Value index = gpr(m.index, as);
    if (m.shift != 0) index = ir.Shl(index, imm(as, m.shift));
    sum = sum ? ir.Add(sum, index) : index;
  }
  if (displacement != 0) sum = ir.Add(sum, imm(as, displacement));
  return sum;
}

Value Lifter::segment_base(Segment segment) {
  return field(segment_offset(segment) + offsetof(SegmentState, base), I64);
}

Value Lifter::linear(Segment segment, Value offset, unsigned size, bool write) {
  const Value at = permitted(segment, offset, size, write);
  if ((ctx.mode & kModeAlign) != 0) check_alignment(at, size);
  return at;
}

/// #AC (SDM volume 3, 6.15, table 6-7). Before page faults, as this has been measured on the host of
/// tests/diff/x86.
void Lifter::check_alignment(Value at, unsigned size) {
  unsigned align = 1;  // vectors have rules of their own
  if (size == 2 || size == 4 || size == 8) align = size;
  if (size == 10) align = 8;
  constexpr unsigned kNarrowImages[] = {14, 94}, kImages[] = {28, 108};  // of the x87
  if (size == kNarrowImages[0] || size == kNarrowImages[1]) align = 2;
  if (size == kImages[0] || size == kImages[1]) align = 4;
  if (align == 1) return;
  ir.RaiseIf(ir.CmpTest(at, imm(I64, align - 1)), ExitKind::ArithmeticTrap, kTrapAlignment);
}

Value Lifter::permitted(Segment segment, Value offset, unsigned size, bool write) {
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

void Lifter::probe_write(Value at, Value size) {
  // The first byte, and the first one on the second page, if there is one.
  const Value last = ir.And(plus(ir.Add(at, size), -1), imm(I64, ~uint64_t{0xfff}));
  for (const Value byte : {at, ir.MaxU(at, last)}) {
    const Value value = load(I8, byte);
    ir.CompareSwap(byte, value, value, locked_rule(I8));
  }
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

using Origin = KnownFlags::Origin;

Value Lifter::status() {
  KnownFlags& flags = ctx.flags;
  if (!flags.word) flags.word = ir.GetState(kStatusOffset, I16);
  return flags.word;
}

Value Lifter::eflags() {
  const Value word = ir.ZExt(status(), I64);
  const Value overflow = ir.Shl(ir.And(word, imm(I64, 1)), imm(I64, 11));
  Value value = ir.Or(ir.And(ir.ShrU(word, imm(I64, 8)), imm(I64, kLowFlags)), ir.Or(overflow, imm(I64, 2)));
  for (const FlagField& part : flag_fields())
    value = ir.Or(value, ir.Shl(ir.ZExt(field(part.offset, I8), I64), imm(I64, part.bit)));
  return value;
}

Value Lifter::flag(Flag flag) {
  KnownFlags& flags = ctx.flags;
  Value& known = flags.value[static_cast<unsigned>(flag)];
  if (known) return known;
  // Carry and overflow of three operands: from the word, which costs nothing where it is in the host's flags.
  const bool of_word = flags.carry && (flag == Flag::CF || flag == Flag::OF);
  const bool of_origin = flags.origin != Origin::None && !of_word && !(flags.others & bit_of(flag));
  return known = of_origin ? flag_of_origin(flag) : ir.CmpTest(status(), imm(I16, status_mask(flag)));
}

Value Lifter::flag_of_origin(Flag flag) {
  KnownFlags& f = ctx.flags;
  const bool of_result = flag == Flag::PF || flag == Flag::SF || flag == Flag::AF;
  if (f.origin == Origin::Sub && !f.r && of_result) f.r = ir.Sub(f.a, f.b);
  const bool sub = f.origin == Origin::Sub;
  if (f.origin == Origin::Order) {
    if (flag == Flag::CF) return ir.CmpTest(f.a, imm(I8, 1));
    if (flag == Flag::PF) return ir.CmpEq(f.a, imm(I8, ir::kFpUnordered));
    return flag == Flag::ZF ? ir.CmpEq(f.b, imm(I8, ir::kFpEqual)) : ir.False();
  }
  switch (flag) {
    case Flag::PF:
      return ir.Not(ir.CmpTest(ir.PopCount(ir.Trunc(f.r, I8)), imm(I8, 1)));
    case Flag::ZF:
      return f.r ? is_zero(f.r) : ir.CmpEq(f.a, f.b);
    case Flag::SF:
      return sign_of(f.r);
    default:
      break;
  }
  if (f.origin == Origin::Value) return ir.False();
  if (flag == Flag::AF) return ir.CmpTest(ir.Xor(ir.Xor(f.a, f.b), f.r), imm(f.r.type, 16));
  if (sub) return flag == Flag::OF ? ir.OverflowOfSub(f.a, f.b) : ir.CmpLtU(f.a, f.b);
  return flag == Flag::OF ? ir.OverflowOfAdd(f.a, f.b, ir.False()) : ir.CmpLtU(f.r, f.a);
}

Value Lifter::status_of(const KnownFlags& flags) {
  const Value carry = flags.carry ? flags.carry : ir.False();
  switch (flags.origin) {
    case Origin::Add:
      return ir.StatusOfAdd(flags.a, flags.b, carry);
    case Origin::Sub:
      return ir.StatusOfSub(flags.a, flags.b, carry);
    case Origin::Order:
      return ir.StatusOfOrder(flags.a, flags.b);
    default:
      break;
  }
  const ir::Inst& r = ir.block().insts[flags.r.id];
  if (r.op != Op::Const || r.imm != 0) return ir.StatusOfValue(flags.r);
  return imm(I16,
             kStatusOne | status_mask(Flag::ZF) | status_mask(Flag::PF));  // XOR of a register with itself
}

void Lifter::put_status(Value word) {
  ctx.flags.word = word;
  ir.SetState(kStatusOffset, word);
}

void Lifter::set_status(Value word) {
  ctx.flags = {};
  put_status(word);
}

void Lifter::set_status(Value word, Value r) {
  constexpr uint8_t kOfWord = bit_of(Flag::CF) | bit_of(Flag::AF) | bit_of(Flag::OF);
  KnownFlags& flags = ctx.flags;
  if (r) flags = {.origin = Origin::Value, .r = r};
  flags.others |= kOfWord;
  for (const Flag of_word : {Flag::CF, Flag::AF, Flag::OF}) flags.value[static_cast<unsigned>(of_word)] = {};
  put_status(word);
}

void Lifter::set_flags_of(Origin origin, Value a, Value b, Value carry, Value r) {
  ctx.flags = {.origin = origin, .a = a, .b = b, .carry = carry, .r = r};
  put_status(status_of(ctx.flags));
}

void Lifter::set_flags_of_step(bool down, Value a, Value one, Value r) {
  const Value old = status();
  ctx.flags = {
      .origin = down ? Origin::Sub : Origin::Add, .others = bit_of(Flag::CF), .a = a, .b = one, .r = r};
  put_status(ir.StatusOfStep(down, a, old));
}

/// The word without the bits of `clear`, with the flags, which must be clear then.
Value Lifter::with_flags(Value word, uint16_t clear, std::initializer_list<FlagValue> values) {
  Value sum = word ? ir.ZExt(word, I32) : Value{};
  if (sum && clear != 0) sum = ir.And(sum, imm(I32, 0xffffu & ~clear));
  uint32_t constant = sum ? 0 : kStatusOne;
  for (const auto& [which, value] : values) {
    const ir::Inst& made = ir.block().insts[value.id];
    if (made.op == Op::Const) {
      if (made.imm) constant |= status_mask(which);
      continue;
    }
    const Value wide = ir.ZExt(value, I32);
    const Value term = status_bit(which) ? ir.Shl(wide, imm(I32, status_bit(which))) : wide;
    sum = sum ? ir.Or(sum, term) : term;
  }
  if (!sum) return imm(I16, constant);
  return ir.Trunc(constant ? ir.Or(sum, imm(I32, constant)) : sum, I16);
}

void Lifter::set_flags(std::initializer_list<FlagValue> values, Value condition) {
  unsigned written = 0;
  uint16_t clear = 0;
  for (const auto& [which, value] : values) {
    written |= bit_of(which);
    clear |= status_mask(which);
  }
  const bool all = written == kAllFlags;
  const Value old = all && !condition ? Value{} : status();
  const Value word = with_flags(all ? Value{} : old, clear, values);
  if (condition) return set_status(ir.Select(condition, word, old));
  KnownFlags& flags = ctx.flags;
  flags.others |= static_cast<uint8_t>(written);
  for (const auto& [which, value] : values) flags.value[static_cast<unsigned>(which)] = value;
  put_status(word);
}

void Lifter::set_flags_as(std::span<const FlagValue> values, Value bits) {
  uint16_t clear = 0;
  for (const auto& [which, value] : values) clear |= status_mask(which);
  const Value old = ir.And(ir.ZExt(status(), I32), imm(I32, 0xffffu & ~clear));
  KnownFlags& flags = ctx.flags;
  for (const auto& [which, value] : values) {
    flags.others |= static_cast<uint8_t>(bit_of(which));
    flags.value[static_cast<unsigned>(which)] = value;
  }
  put_status(ir.Trunc(ir.Or(old, bits), I16));
}

void Lifter::set_flags_of_result(Value r, std::initializer_list<FlagValue> others, Value condition) {
  const Value word = with_flags(ir.StatusOfValue(r), 0, others);
  if (condition) return set_status(ir.Select(condition, word, status()));
  ctx.flags = {.origin = Origin::Value, .r = r};
  for (const auto& [which, value] : others) {
    ctx.flags.others |= static_cast<uint8_t>(bit_of(which));
    ctx.flags.value[static_cast<unsigned>(which)] = value;
  }
  put_status(word);
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
  const KnownFlags& f = ctx.flags;
  // What each pair of conditions asks for.
  constexpr unsigned kCf = bit_of(Flag::CF), kZf = bit_of(Flag::ZF), kSf = bit_of(Flag::SF),
                     kOf = bit_of(Flag::OF);
  constexpr unsigned kAsked[] = {kOf, kCf, kZf, kCf | kZf, kSf, bit_of(Flag::PF), kSf | kOf, kSf | kOf | kZf};
  if (!(kAsked[condition >> 1] & f.others)) {
    Value known;
    if (f.origin == Origin::Order) known = order_holds(condition, f.a, f.b);
    // The result rather than what it was made of, which is overwritten.
    const bool zero = (condition & 14) == 4 && f.r;
    if (f.origin == Origin::Sub && !f.carry && !zero) known = compare_holds(condition, f.a, f.b);
    if (f.origin == Origin::Sub && zero) known = logic_holds(condition, f.r);
    if (f.origin == Origin::Value) known = logic_holds(condition, f.r);
    if (known) return known;
  }
  const Value result = flags_hold(condition >> 1);
  return condition & 1 ? ir.Not(result) : result;
}

/// The condition after a - b as one op; no value where there is none.
Value Lifter::compare_holds(unsigned condition, Value a, Value b) {
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
      return ir.CmpLeU(a, b);
    case 7:
      return ir.CmpLtU(b, a);
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
  const bool only_word = ctx.flags.origin == Origin::None && ctx.flags.others == 0;
  // Bit 0 of it: the sign is bit 15 of the word, the overflow bit 0.
  const auto less = [&] {
    const Value word = ir.ZExt(status(), I32);
    return ir.Xor(ir.ShrU(word, imm(I32, status_bit(Flag::SF))), word);
  };
  switch (pair) {
    case 0:
      return flag(Flag::OF);
    case 1:
      return flag(Flag::CF);
    case 2:
      return flag(Flag::ZF);
    case 3:
      if (only_word) return ir.CmpTest(status(), imm(I16, status_mask(Flag::CF) | status_mask(Flag::ZF)));
      return ir.Or(flag(Flag::CF), flag(Flag::ZF));
    case 4:
      return flag(Flag::SF);
    case 5:
      return flag(Flag::PF);
    case 6:
      return ir.CmpTest(less(), imm(I32, 1));
    default: {
      const Value zero = ir.ShrU(ir.ZExt(status(), I32), imm(I32, status_bit(Flag::ZF)));
      return ir.CmpTest(ir.Or(less(), zero), imm(I32, 1));
    }
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
