// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/lift/x87_unit.h"

namespace lyrebird::x86 {

void X87Unit::wait() {
  if (is_masked()) return;
  const Value pending = ir.CallHelper(kHelperX87Pending, I8, {});
  ir.RaiseIf(ir.CmpNe(pending, imm(I8, 0)), ExitKind::ArithmeticTrap, kTrapX87);
}

/// SDM volume 1, 8.1.8 and 8.1.9. After a fault of a later instruction in the block they, and C1, may
/// be older than they should. Selectors are not kept, as processors of today don't.
void X87Unit::note_pointers() {
  const uint64_t opcode = (insn.opcode & 7u) << 8 | insn.modrm;
  ir.SetStateLate(offsetof(X86State, x87_ip), is_flat() ? imm(I64, ctx.pc) : ir.ZExt(next_ip(I32), I64));
  ir.SetStateLate(offsetof(X86State, x87_opcode), imm(I16, opcode));
  if (insn.modrm < 0xc0) ir.SetStateLate(offsetof(X86State, x87_dp), offset());
}

bool X87Unit::done_without_c1() {
  if (ctx.mode != mode_before_) set_mode(imm(I32, ctx.mode));
  note_pointers();
  return true;
}

bool X87Unit::done(uint8_t c1) {
  set_c1(c1);
  return done_without_c1();
}

/// C3, C2 and C0 of an ir::FpOrder.
void X87Unit::set_codes(Value order) {
  const Value unordered = ir.CmpEq(order, imm(I8, ir::kFpUnordered));
  ir.SetState(offsetof(X86State, c0), ir.And(order, imm(I8, 1)));
  ir.SetState(offsetof(X86State, c2), unordered);
  ir.SetState(offsetof(X86State, c3), ir.Or(ir.CmpEq(order, imm(I8, ir::kFpEqual)), unordered));
}

namespace {
/// Whether the operand's low part is an int of its size.
Type low_type(X87Operand operand) {
  switch (operand) {
    case X87Operand::I16:
      return I16;
    case X87Operand::F32:
    case X87Operand::I32:
      return I32;
    default:
      return I64;
  }
}
bool is_wide(X87Operand operand) { return operand == X87Operand::F80 || operand == X87Operand::Bcd; }
}  // namespace

bool X87Unit::execute(X87Insn what) {
  wait();
  Value low = imm(I64, 0), high = imm(I64, 0);
  if (what.operand != X87Operand::Register) {
    const Value at = address(is_wide(what.operand) ? 10 : ir::byte_size(low_type(what.operand)), false);
    low = ir.ZExt(load(low_type(what.operand), at), I64);
    if (is_wide(what.operand)) high = ir.ZExt(load(I16, plus(at, 8)), I64);
  }
  call(what, low, high);
  note_pointers();
  return end_changed();
}

/// What is stored is asked for first; only when the store has been done does anything change. An
/// instruction that stores nothing writes back what was there.
bool X87Unit::execute_store(X87Insn what) {
  wait();
  const Type as = low_type(what.operand);
  const bool wide = is_wide(what.operand);
  const Value at = address(ir::byte_size(as) + (wide ? 2 : 0), true), packed = imm(I64, what.pack());
  const Value low = ir.CallHelper(kHelperX87Stored, I64, {packed, imm(I64, 0)});
  const Value high = ir.CallHelper(kHelperX87Stored, I64, {packed, imm(I64, 1)});
  const Value stores = ir.CmpTest(high, imm(I64, kX87Stored << 16));
  if (wide) probe_write(at, 10);
  const auto put = [&](Value to, Value value) { store(to, ir.Select(stores, value, load(value.type, to))); };
  put(at, ir.Trunc(low, as));
  if (wide) put(plus(at, 8), ir.Trunc(high, I16));
  call(what, imm(I64, 0), imm(I64, 0));
  note_pointers();
  return end_changed();
}

}  // namespace lyrebird::x86
