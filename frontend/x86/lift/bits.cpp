// SPDX-License-Identifier: Apache-2.0
// Bits: test, scan, count, fields (SDM volume 1, 7.3.6 and 7.3.7; BMI1, BMI2), CRC32. Flags that the
// manual leaves undefined are as AMD's processors have them.
#include <bit>

#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/helpers.h"

namespace lyrebird::x86 {
namespace {

struct Bits : Lifter {
  using Lifter::Lifter;

  bool BT() {
    return bit_test([](Value a, Value) { return a; }, Op::GetState, false);
  }
  bool BTS() {
    return bit_test([this](Value a, Value mask) { return ir.Or(a, mask); }, Op::AtomicOr, true);
  }
  bool BTR() {
    return bit_test([this](Value a, Value mask) { return ir.AndNot(a, mask); }, Op::AtomicAndNot, true);
  }
  bool BTC() {
    return bit_test([this](Value a, Value mask) { return ir.Xor(a, mask); }, Op::AtomicXor, true);
  }

  /// Of 0: ZF, and the destination stays as it is (also its upper half).
  bool BSF() {
    const Value a = read(1);
    return scanned(a, ir.Ctz(a));
  }
  bool BSR() {
    const Value a = read(1);
    return scanned(a, ir.Sub(imm(a.type, ir::bit_width(a.type) - 1), ir.Clz(a)));
  }

  bool TZCNT() {
    const Value a = read(1);
    return counted(a, ir.Ctz(a), ir.And(low_word(a), imm(I32, 1)));
  }
  bool LZCNT() {
    const Value a = read(1);
    return counted(a, ir.Clz(a), low_word(ir.ShrU(a, imm(a.type, ir::bit_width(a.type) - 1))));
  }

  bool POPCNT() {
    const Value a = read(1);
    write(0, ir.PopCount(a));
    const Value no = ir.False();
    set_flags({{Flag::CF, no},
               {Flag::PF, no},
               {Flag::AF, no},
               {Flag::ZF, is_zero(a)},
               {Flag::SF, no},
               {Flag::OF, no}});
    return true;
  }

  // --- BMI1

  bool BLSR() {
    const Value a = read(1);
    return low_bit(a, ir.And(a, plus(a, -1)), is_zero(a));
  }
  bool BLSMSK() {
    const Value a = read(1);
    return low_bit(a, ir.Xor(a, plus(a, -1)), is_zero(a));
  }
  bool BLSI() {
    const Value a = read(1);
    return low_bit(a, ir.And(a, ir.Neg(a)), ir.CmpNe(a, imm(a.type, 0)));
  }

  bool BEXTR() {
    const Value a = read(1), control = read(2);
    const Value start = ir.And(control, imm(a.type, 0xff));
    const Value length = ir.And(ir.ShrU(control, imm(a.type, 8)), imm(a.type, 0xff));
    const Value r = ir.And(ir.ShrU(a, start), low_bits(length));
    write(0, r);
    set_flags_of_result(r, {{Flag::AF, ir.True()}});
    set_flag(Flag::SF, ir.False());
    return true;
  }

  // --- BMI2

  bool BZHI() {
    const Value a = read(1), n = ir.And(read(2), imm(a.type, 0xff));
    const Value r = ir.And(a, low_bits(n));
    write(0, r);
    set_flags_of_result(r, {{Flag::CF, ir.CmpLtU(imm(a.type, ir::bit_width(a.type) - 1), n)}});
    return true;
  }

  bool PDEP() { return spread(kHelperDeposit); }
  bool PEXT() { return spread(kHelperExtract); }

  bool CRC32() {
    const Value data = read(1), sum = gpr(operand(0).reg, I32);
    const Value r = ir.Crc32(sum, ir.ZExt(data, I64), operand(1).size, true);
    set_gpr(operand(0).reg, r);
    return true;
  }

 private:
  /// The bit of a register or, with a bit number in a register, of a bit string in memory (SDM
  /// volume 2, 3.1.1.9). Only CF is defined, the others stay.
  template <typename F>
  bool bit_test(F change, Op atomic, bool writes) {
    const Type as = type(0);
    const unsigned bits = ir::bit_width(as);
    const bool locked = insn.has(kPrefixLock);
    Value index, at;
    if (is_memory(0) && !is_immediate(1)) {
      const Value number = read(1), unit = imm(as, bits - 1);
      // Units of the operand's size, counted from the address, which wraps by the address size.
      const unsigned log = as == I16 ? 4 : as == I32 ? 5 : 6;
      const Value units = ir.SExt(ir.ShrS(number, imm(as, log)), I64);
      const Value bytes = ir.Shl(units, imm(I64, log - 3));
      Value where = ir.Add(offset(), bytes);
      if (insn.address_size != 8) where = ir.And(where, imm(I64, low_mask(8u * insn.address_size)));
      at = linear(insn.memory.segment, where, operand(0).size, writes);
      index = ir.And(number, unit);
    } else {
      index = is_immediate(1) ? imm(as, immediate(1) & (bits - 1)) : ir.And(read(1), imm(as, bits - 1));
      if (is_memory(0)) at = address(operand(0).size, writes);
    }
    const Value mask = ir.Shl(imm(as, 1), index);
    Value old;
    if (locked)
      old = ir.Atomic(atomic, at, mask, locked_rule(as));
    else
      old = is_memory(0) ? load(as, at) : read(0);
    if (writes && !locked) {
      const Value now = change(old, mask);
      if (is_memory(0))
        store(at, now);
      else
        write(0, now);
    }
    set_flag(Flag::CF, ir.CmpTest(old, mask));
    return true;
  }

  bool scanned(Value a, Value r) {
    const Value zero = is_zero(a), reg = gpr(operand(0).reg);
    if (a.type == I16)
      write(0, ir.Select(zero, gpr(operand(0).reg, I16), r));
    else
      set_gpr(operand(0).reg, ir.Select(zero, reg, ir.ZExt(r, I64)));
    // PF is that of the result, which is 0 without a source: the same low byte, but not 0.
    const Value number = ir.Or(low_word(r), imm(I32, 0x100));
    set_flags_of_logic(ir.Select(zero, imm(I32, 0), number));
    return true;
  }

  /// ZF is that of the result (`none` is 1 if that is 0), CF that of the source; PF, AF and SF are undefined.
  bool counted(Value a, Value r, Value none) {
    const unsigned width = ir::bit_width(a.type);
    write(0, r);
    const Value no = ir.False();
    const FlagValue flags[] = {
        {Flag::CF, is_zero(a)}, {Flag::PF, no}, {Flag::AF, no}, {Flag::ZF, is_zero(r)}, {Flag::SF, no}};
    // The width itself is the result without a source.
    const unsigned up = status_bit(Flag::CF) - static_cast<unsigned>(std::countr_zero(width));
    const Value carry = ir.Shl(ir.And(low_word(r), imm(I32, width)), imm(I32, up));
    const Value zero = ir.Shl(none, imm(I32, status_bit(Flag::ZF)));
    set_flags_as(flags, ir.Or(carry, zero));
    return true;
  }

  Value low_word(Value a) { return a.type == I64 ? ir.Trunc(a, I32) : a.type == I32 ? a : ir.ZExt(a, I32); }

  bool low_bit(Value, Value r, Value carry) {
    write(0, r);
    set_flags_of_result(r, {{Flag::CF, carry}});
    return true;
  }

  /// n ones, all of them for n from the width on.
  Value low_bits(Value n) { return ir.Not(ir.Shl(imm(n.type, ~uint64_t{0}), n)); }

  bool spread(unsigned helper) {
    const Value a = ir.ZExt(read(1), I64), mask = ir.ZExt(read(2), I64);
    write(0, ir.Trunc(ir.CallHelper(helper, I64, {a, mask}), type(0)));
    return true;
  }
};

}  // namespace

#define X86_CHAPTER Bits
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/bits.inc"
#undef HANDLER

}  // namespace lyrebird::x86
