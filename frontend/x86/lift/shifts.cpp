// SPDX-License-Identifier: Apache-2.0
// Shifts and rotates (SDM volume 1, 7.3.5). The count is masked to 5 bits, to 6 for 64-bit operands;
// 0 changes no flag. OF is defined for a count of 1; for others it is computed alike, as processors do.
#include "frontend/x86/lift/chapter.h"
#include "ir/eval_scalar.h"

namespace lyrebird::x86 {
namespace {

struct Shifts : Lifter {
  using Lifter::Lifter;

  bool SHL() { return shift(Op::Shl, ir::eval::kShiftLeft); }
  bool SHR() { return shift(Op::ShrU, ir::eval::kShiftRight); }
  bool SAR() { return shift(Op::ShrS, ir::eval::kShiftRightSigned); }
  bool ROL() { return shift(Op::RotR, ir::eval::kTurnLeft); }
  bool ROR() { return shift(Op::RotR, ir::eval::kTurnRight); }

  bool RCL() {
    const Count n = count_with_carry();
    const Value a = read(0), carry_in = ir.ZExt(flag(Flag::CF), I64);
    if (n.is_zero()) return nothing(a);
    Value r, carry;
    if (a.type == I64) {
      const Value less = ir.Sub(n.value, imm(I64, 1));
      r = ir.Or(ir.Or(ir.Shl(a, n.value), ir.Shl(carry_in, less)), ir.ShrU(a, ir.Sub(imm(I64, 65), n.value)));
      carry = ir.CmpTest(ir.ShrU(a, ir.Sub(imm(I64, 64), n.value)), imm(I64, 1));
    } else {
      const Value x = ir.Or(ir.ZExt(a, I64), ir.Shl(carry_in, imm(I64, width(a))));
      const Value turned = ir.Or(ir.Shl(x, n.value), ir.ShrU(x, ir.Sub(imm(I64, width(a) + 1), n.value)));
      r = ir.Trunc(turned, a.type);
      carry = ir.CmpTest(turned, imm(I64, uint64_t{1} << width(a)));
    }
    write(0, r);
    set_flags({{Flag::CF, carry}, {Flag::OF, ir.CmpNe(sign_of(r), carry)}}, n.nonzero);
    return true;
  }

  bool RCR() {
    const Count n = count_with_carry();
    const Value a = read(0), carry_in = ir.ZExt(flag(Flag::CF), I64);
    if (n.is_zero()) return nothing(a);
    Value r, carry;
    if (a.type == I64) {
      const Value less = ir.Sub(n.value, imm(I64, 1));
      r = ir.Or(ir.Or(ir.ShrU(a, n.value), ir.Shl(carry_in, ir.Sub(imm(I64, 64), n.value))),
                ir.Shl(a, ir.Sub(imm(I64, 65), n.value)));
      carry = ir.CmpTest(ir.ShrU(a, less), imm(I64, 1));
    } else {
      const Value x = ir.Or(ir.ZExt(a, I64), ir.Shl(carry_in, imm(I64, width(a))));
      const Value turned = ir.Or(ir.ShrU(x, n.value), ir.Shl(x, ir.Sub(imm(I64, width(a) + 1), n.value)));
      r = ir.Trunc(turned, a.type);
      carry = ir.CmpTest(turned, imm(I64, uint64_t{1} << width(a)));
    }
    write(0, r);
    set_flags({{Flag::CF, carry},
               {Flag::OF, ir.CmpNe(sign_of(r), ir.CmpTest(r, imm(r.type, uint64_t{1} << (width(r) - 2))))}},
              n.nonzero);
    return true;
  }

  /// Counts over 16 of 16-bit operands are undefined: b follows b, and CF is clear (AMD).
  bool SHLD() {
    const Count n = count(2);
    const Value a = read(0), b = read(1);
    if (n.is_zero()) return nothing(a);
    Value r, carry;
    if (a.type == I16) {
      const Value bb = doubled(b);
      const Value wide = ir.Shl(ir.Or(ir.Shl(ir.ZExt(a, I64), imm(I64, 32)), bb), n.value);
      r = ir.Trunc(ir.ShrU(wide, imm(I64, 32)), I16);
      carry = ir.And(ir.CmpTest(wide, imm(I64, uint64_t{1} << 48)), ir.CmpLeU(n.value, imm(I64, 16)));
    } else {
      const Value by = as(n, a.type), back = from(width(a), n, a.type);
      r = n.known >= 0 ? ir.FunnelShr(a, b, back) : ir.Or(ir.Shl(a, by), ir.ShrU(b, back));
      carry = ir.CmpTest(ir.ShrU(a, back), imm(a.type, 1));
    }
    write(0, r);
    return shifted(n, r, carry, ir.CmpNe(sign_of(r), carry));
  }

  bool SHRD() {
    const Count n = count(2);
    const Value a = read(0), b = read(1);
    if (n.is_zero()) return nothing(a);
    Value r, carry;
    if (a.type == I16) {
      const Value x = ir.Or(ir.Shl(doubled(b), imm(I64, 16)), ir.ZExt(a, I64));
      r = ir.Trunc(ir.ShrU(x, n.value), I16);
      carry = ir.And(ir.CmpTest(ir.ShrU(x, ir.Sub(n.value, imm(I64, 1))), imm(I64, 1)),
                     ir.CmpLeU(n.value, imm(I64, 16)));
    } else {
      const Value by = as(n, a.type), back = from(width(a), n, a.type);
      r = n.known >= 0 ? ir.FunnelShr(b, a, by) : ir.Or(ir.ShrU(a, by), ir.Shl(b, back));
      carry = ir.CmpTest(ir.ShrU(a, less_one(n, a.type)), imm(a.type, 1));
    }
    write(0, r);
    return shifted(n, r, carry,
                   ir.CmpNe(sign_of(r), ir.CmpTest(r, imm(r.type, uint64_t{1} << (width(r) - 2)))));
  }

  // --- BMI2: no flags

  bool SHLX() { return write_shifted(ir.Shl(read(1), bmi_count())); }
  bool SHRX() { return write_shifted(ir.ShrU(read(1), bmi_count())); }
  bool SARX() { return write_shifted(ir.ShrS(read(1), bmi_count())); }
  bool RORX() { return write_shifted(ir.RotR(read(1), imm(type(1), immediate(2) & (width_of(1) - 1)))); }

 private:
  /// A masked count, as an I64; `known` if it is a constant.
  struct Count {
    Value value;
    int known = -1;
    Value nonzero = {};
    bool is_zero() const { return known == 0; }
  };

  /// The count, less 1, and `bits` less it, in a type.
  Value as(const Count& n, Type type) {
    return n.known >= 0 ? imm(type, static_cast<unsigned>(n.known)) : ir.Trunc(n.value, type);
  }
  Value less_one(const Count& n, Type type) {
    return n.known >= 0 ? imm(type, static_cast<unsigned>(n.known) - 1) : plus(as(n, type), -1);
  }
  Value from(unsigned bits, const Count& n, Type type) {
    return n.known >= 0 ? imm(type, bits - static_cast<unsigned>(n.known))
                        : ir.Sub(imm(type, bits), as(n, type));
  }

  static unsigned width(Value v) { return ir::bit_width(v.type); }
  unsigned width_of(unsigned i) const { return 8u * operand(i).size; }

  Count count(unsigned i) {
    const unsigned mask = operand(0).size == 8 ? 63 : 31;
    if (is_immediate(i)) {
      const auto n = static_cast<unsigned>(immediate(i) & mask);
      return {imm(I64, n), static_cast<int>(n)};
    }
    const Value n = ir.ZExt(ir.And(gpr(kRcx, I8), imm(I8, mask)), I64);
    return {n, -1, ir.CmpNe(n, imm(I64, 0))};
  }

  /// Of RCL and RCR: 8- and 16-bit operands turn in 9 and 17 bits. 0 after that leaves CF as it is
  /// anyway, so it needs no case of its own.
  Count count_with_carry() {
    Count n = count(1);
    if (operand(0).size > 2) return n;
    const unsigned turn = width_of(0) + 1;
    if (n.known >= 0) {
      n.value = imm(I64, static_cast<unsigned>(n.known) % turn);
    } else {
      n.value = ir.RemU(n.value, imm(I64, turn));
    }
    return n;
  }

  /// 16 bits twice, as an I64.
  Value doubled(Value b) { return ir.Mul(ir.ZExt(b, I64), imm(I64, 0x10001)); }

  /// A count of 0: the destination is written all the same (a 32-bit register's upper half is
  /// cleared, memory must be writable).
  bool nothing(Value a) {
    write(0, a);
    return true;
  }

  /// The flags of a shift by two registers. AF is undefined; AMD's set it.
  bool shifted(const Count& n, Value r, Value carry, Value overflow) {
    set_flags_of_result(r, {{Flag::CF, carry}, {Flag::AF, ir.True()}, {Flag::OF, overflow}}, n.nonzero);
    return true;
  }

  /// What the host's own instruction does. Turns of a register by an immediate leave OF on Intel's
  /// processors.
  uint32_t undefined_flags(const Count& n, bool turn) const {
    if (!ctx.first_step) return 0;
    return ir::eval::kFirstStep | (turn && n.known > 1 && !is_memory(0) ? ir::eval::kOldOverflow : 0);
  }

  bool shift(Op op, uint32_t way) {
    const Count n = count(1);
    const bool turn = op == Op::RotR, keeps = turn || n.known < 0;
    const Value old = keeps && !n.is_zero() ? status() : Value{};
    const Value a = read(0);
    if (n.is_zero()) return nothing(a);
    const Value by = as(n, a.type), amount = way == ir::eval::kTurnLeft ? from(width(a), n, a.type) : by;
    const Value r = op == Op::Shl    ? ir.Shl(a, amount)
                    : op == Op::ShrU ? ir.ShrU(a, amount)
                    : op == Op::ShrS ? ir.ShrS(a, amount)
                                     : ir.RotR(a, amount);
    write(0, r);
    const Value word = ir.StatusOfShift(way | undefined_flags(n, turn), a, by, keeps ? old : imm(I16, 0));
    if (n.known < 0)
      set_status(word);
    else
      set_status(word, turn ? Value{} : r);
    return true;
  }

  Value bmi_count() {
    const Type as = type(2);
    return ir.And(read(2), imm(as, ir::bit_width(as) - 1));
  }
  bool write_shifted(Value r) {
    write(0, r);
    return true;
  }
};

}  // namespace

#define X86_CHAPTER Shifts
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/shifts.inc"
#undef HANDLER

}  // namespace lyrebird::x86
