// SPDX-License-Identifier: Apache-2.0
// Binary arithmetic (SDM volume 1, 7.3.2).
#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/helpers.h"

namespace lyrebird::x86 {
namespace {

struct Arithmetic : Lifter {
  using Lifter::Lifter;

  bool ADD() {
    const Value b = read(1);
    const Value a = locked() ? add_locked(b) : read(0);
    const Value r = ir.Add(a, b);
    if (!locked()) write(0, r);
    set_flags_of_add(a, b, r);
    return true;
  }

  bool ADC() {
    const Value b = read(1), carry = flag(Flag::CF);
    const Value a = locked() ? add_locked(ir.Add(b, ir.ZExt(carry, b.type))) : read(0);
    const bool narrow = operand(0).size < 4;
    const Value r = narrow ? ir.Add(ir.Add(a, b), ir.ZExt(carry, b.type)) : ir.AddWithCarry(a, b, carry);
    if (!locked()) write(0, r);
    set_flags_of_add(a, b, carry, r);
    return true;
  }

  bool SUB() {
    const Value b = read(1);
    const Value a = locked() ? add_locked(ir.Neg(b)) : read(0);
    const Value r = ir.Sub(a, b);
    if (!locked()) write(0, r);
    set_flags_of_sub(a, b, r);
    return true;
  }

  bool SBB() {
    const Value b = read(1), borrow = flag(Flag::CF);
    const Value a = locked() ? add_locked(ir.Neg(ir.Add(b, ir.ZExt(borrow, b.type)))) : read(0);
    const bool narrow = operand(0).size < 4;
    const Value r = narrow ? ir.Sub(ir.Sub(a, b), ir.ZExt(borrow, b.type)) : ir.SubWithBorrow(a, b, borrow);
    if (!locked()) write(0, r);
    set_flags_of_sub(a, b, borrow, r);
    return true;
  }

  bool CMP() {
    const Value a = read(0), b = read(1);
    set_flags_of_sub(a, b, {});
    return true;
  }

  /// CF stays as it is, so that the old word is wanted: before the sum, which then leaves the new one behind.
  bool INC() {
    const Value one = imm(type(0), 1);
    (void)status();
    const Value a = locked() ? add_locked(one) : read(0);
    const Value r = ir.Add(a, one);
    if (!locked()) write(0, r);
    set_flags_of_step(false, a, one, r);
    return true;
  }

  bool DEC() {
    const Value one = imm(type(0), 1);
    (void)status();
    const Value a = locked() ? add_locked(imm(type(0), ~uint64_t{0})) : read(0);
    const Value r = ir.Sub(a, one);
    if (!locked()) write(0, r);
    set_flags_of_step(true, a, one, r);
    return true;
  }

  bool NEG() {
    const Value a = read(0), zero = imm(a.type, 0), r = ir.Neg(a);
    if (locked())
      exchange_or_retry(a, r);
    else
      write(0, r);
    set_flags_of_sub(zero, a, r);
    return true;
  }

  // --- multiplication. SF, ZF, AF and PF are undefined: they stay as they are, as on AMD's.

  bool MUL() {
    const Value a = gpr(kRax, type(0)), b = read(0);
    if (a.type == I8) {
      const Value product = ir.Mul(ir.ZExt(a, I16), ir.ZExt(b, I16));
      set_gpr(kRax, product);
      return multiplied(ir.CmpLeU(imm(I16, 0x100), product));
    }
    const Product p = product(a, b, false);
    set_gpr(kRax, p.low);
    set_gpr(kRdx, p.high);
    return multiplied(p.wide ? ir.CmpLtU(imm(p.wide.type, low_bits(a.type)), p.wide)
                             : ir.CmpNe(p.high, imm(a.type, 0)));
  }

  bool IMUL() {
    if (insn.operand_count == 1) return imul_wide();
    const unsigned first = insn.operand_count == 2 ? 0 : 1;
    const Value a = read(first), b = read(first + 1);
    const Product p = product(a, b, true);
    // Not the low part of the wide one, of which only flags are made.
    write(0, ir.Mul(a, b));
    return multiplied(signed_overflow(p));
  }

  bool MULX() {
    const Value a = gpr(kRdx, type(2)), b = read(2);
    const Product p = product(a, b, false);
    write(1, p.low);
    write(0, p.high);
    return true;
  }

  // --- division. All flags are undefined; these are what AMD's processors make of them.

  bool DIV() {
    const Value divisor = read(0);
    switch (divisor.type) {
      case I8: {
        const Value a = gpr(kRax, I16), d = ir.ZExt(divisor, I16);
        ir.RaiseIf(ir.CmpLeU(d, ir.ShrU(a, imm(I16, 8))), ExitKind::ArithmeticTrap, kTrapDivide);
        const Value q = ir.DivU(a, d), r = ir.Sub(a, ir.Mul(q, d));
        set_gpr(kRax, ir.Or(q, ir.Shl(r, imm(I16, 8))));
        return set_division_flags();
      }
      default: {
        const Value low = gpr(kRax, divisor.type), high = gpr(kRdx, divisor.type);
        ir.RaiseIf(ir.CmpLeU(divisor, high), ExitKind::ArithmeticTrap, kTrapDivide);
        const Value q = ir.DivideWide(Op::DivWideU, low, high, divisor);
        return divided(q, ir.DivideWide(Op::RemWideU, low, high, divisor));
      }
    }
  }

  bool IDIV() {
    const Value divisor = read(0);
    switch (divisor.type) {
      case I8: {
        const Value a = gpr(kRax, I16), d = ir.SExt(divisor, I16), q = signed_quotient(a, d, I8);
        const Value r = ir.Sub(a, ir.Mul(q, d));
        set_gpr(kRax, ir.Or(ir.And(q, imm(I16, 0xff)), ir.Shl(r, imm(I16, 8))));
        return set_division_flags();
      }
      default: {
        const Value low = gpr(kRax, divisor.type), high = gpr(kRdx, divisor.type);
        const Value q = ir.DivideWide(Op::DivWideS, low, high, divisor);
        const Value r = ir.DivideWide(Op::RemWideS, low, high, divisor);
        ir.RaiseIf(ir.CmpEq(r, divisor), ExitKind::ArithmeticTrap, kTrapDivide);
        return divided(q, r);
      }
    }
  }

  // --- ADX: each uses one flag and leaves the others alone

  bool ADCX() { return add_with(Flag::CF); }
  bool ADOX() { return add_with(Flag::OF); }

 private:
  bool locked() const { return insn.has(kPrefixLock); }

  Value add_locked(Value b) {
    return ir.Atomic(Op::AtomicAdd, address(operand(0).size, true), b, locked_rule(b.type));
  }

  /// Stores `value` if memory still is `expected`, else the instruction starts again.
  void exchange_or_retry(Value expected, Value value) {
    const Value was =
        ir.CompareSwap(address(operand(0).size, true), expected, value, locked_rule(value.type));
    ir.ExitIf(ir.CmpNe(was, expected), ctx.pc);
  }

  Value sign_fill(Value a) { return ir.ShrS(a, imm(a.type, ir::bit_width(a.type) - 1)); }

  bool multiplied(Value overflow) {
    set_flags({{Flag::CF, overflow}, {Flag::OF, overflow}});
    return true;
  }

  bool imul_wide() {
    const Value a = gpr(kRax, type(0)), b = read(0);
    if (a.type == I8) {
      const Value product = ir.Mul(ir.SExt(a, I16), ir.SExt(b, I16));
      set_gpr(kRax, product);
      return multiplied(ir.CmpNe(product, ir.SExt(ir.Trunc(product, I8), I16)));
    }
    const Product p = product(a, b, true);
    set_gpr(kRax, p.low);
    set_gpr(kRdx, p.high);
    return multiplied(signed_overflow(p));
  }

  /// `wide`: both halves, of what has less than 64 bits; one multiplication then makes both.
  struct Product {
    Value low, high, wide;
  };
  Product product(Value a, Value b, bool is_signed) {
    if (a.type == I64) return {ir.Mul(a, b), is_signed ? ir.MulHiS(a, b) : ir.MulHiU(a, b), {}};
    const unsigned width = ir::bit_width(a.type);
    const Type twice = ir::int_type(2 * width);
    const auto extended = [&](Value v) { return is_signed ? ir.SExt(v, twice) : ir.ZExt(v, twice); };
    const Value wide = ir.Mul(extended(a), extended(b));
    return {ir.Trunc(wide, a.type), ir.Trunc(ir.ShrU(wide, imm(twice, width)), a.type), wide};
  }
  Value signed_overflow(const Product& p) {
    return p.wide ? ir.CmpNe(p.wide, ir.SExt(p.low, p.wide.type)) : ir.CmpNe(p.high, sign_fill(p.low));
  }
  static uint64_t low_bits(Type type) { return (uint64_t{1} << ir::bit_width(type)) - 1; }

  bool divided(Value quotient, Value remainder) {
    set_gpr(kRax, quotient);
    set_gpr(kRdx, remainder);
    return set_division_flags();
  }

  bool set_division_flags() {
    const Value no = ir.False();
    set_flags({{Flag::PF, no}, {Flag::AF, ir.True()}, {Flag::ZF, no}, {Flag::SF, no}});
    return true;
  }

  /// a / d, or #DE if d is 0 or the quotient does not fit the type.
  Value signed_quotient(Value a, Value d, Type fits) {
    const Value q = ir.DivS(a, d);
    const Value bad = ir.Or(ir.CmpNe(ir.SExt(ir.Trunc(q, fits), a.type), q), is_zero(d));
    // The lowest number by -1 gives itself, which may fit only where it is no quotient.
    ir.RaiseIf(bad, ExitKind::ArithmeticTrap, kTrapDivide);
    return q;
  }

  bool add_with(Flag which) {
    const Value a = read(0), b = read(1), carry = flag(which);
    const Value out = ir.CarryOfAdd(a, b, carry), r = ir.AddWithCarry(a, b, carry);
    write(0, r);
    set_flag(which, out);
    return true;
  }
};

}  // namespace

#define X86_CHAPTER Arithmetic
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/arithmetic.inc"
#undef HANDLER

}  // namespace lyrebird::x86
