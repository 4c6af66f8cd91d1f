// SPDX-License-Identifier: Apache-2.0
// Decimal arithmetic (SDM volume 1, 7.3.3; volume 2 has the algorithms). Undefined flags are those of
// the last addition, as on AMD's processors.
#include "frontend/x86/lift/chapter.h"

namespace lyrebird::x86 {
namespace {

struct Bcd : Lifter {
  using Lifter::Lifter;

  bool DAA() { return adjust_packed(false); }
  bool DAS() { return adjust_packed(true); }
  bool AAA() { return adjust_unpacked(false); }
  bool AAS() { return adjust_unpacked(true); }

  bool AAM() {
    const auto base = static_cast<unsigned>(immediate(0)) & 0xff;
    if (base == 0) {
      ir.Raise(ExitKind::ArithmeticTrap, kTrapDivide);
      return false;
    }
    const Value al = gpr(kRax, I8), q = ir.DivU(al, imm(I8, base)), r = ir.Sub(al, ir.Mul(q, imm(I8, base)));
    set_gpr(kRax, ir.Or(ir.Shl(ir.ZExt(q, I16), imm(I16, 8)), ir.ZExt(r, I16)));
    set_flags_of_logic(r);
    return true;
  }

  bool AAD() {
    const Value al = gpr(kRax, I8), tens = ir.Mul(gpr_high(kRax), imm(I8, immediate(0)));
    const Value r = ir.Add(al, tens);
    set_gpr(kRax, ir.ZExt(r, I16));
    set_flags_of_add(al, tens, r);
    return true;
  }

 private:
  Value overflow(Value a, Value b, bool subtract) {
    return subtract ? ir.OverflowOfSub(a, b) : ir.OverflowOfAdd(a, b, ir.False());
  }

  bool adjust_packed(bool subtract) {
    const Value al = gpr(kRax, I8), carry = flag(Flag::CF);
    const Value low = ir.Or(ir.CmpLtU(imm(I8, 9), ir.And(al, imm(I8, 15))), flag(Flag::AF));
    const Value high = ir.Or(ir.CmpLtU(imm(I8, 0x99), al), carry);
    const Value correction =
        ir.Or(ir.Select(low, imm(I8, 6), imm(I8, 0)), ir.Select(high, imm(I8, 0x60), imm(I8, 0)));
    const Value r = subtract ? ir.Sub(al, correction) : ir.Add(al, correction);
    Value carry_out = high;
    // DAS: the borrow of the first step counts, too.
    if (subtract) carry_out = ir.Or(high, ir.And(low, ir.CmpLtU(al, imm(I8, 6))));
    set_gpr(kRax, r);
    const Value over = overflow(al, correction, subtract);
    set_flags_of_result(r, {{Flag::CF, carry_out}, {Flag::AF, low}, {Flag::OF, over}});
    return true;
  }

  bool adjust_unpacked(bool subtract) {
    const Value ax = gpr(kRax, I16), al = ir.Trunc(ax, I8);
    const Value adjust = ir.Or(ir.CmpLtU(imm(I8, 9), ir.And(al, imm(I8, 15))), flag(Flag::AF));
    const Value changed = subtract ? ir.Sub(ax, imm(I16, 0x106)) : ir.Add(ax, imm(I16, 0x106));
    set_gpr(kRax, ir.And(ir.Select(adjust, changed, ax), imm(I16, 0xff0f)));
    const Value correction = ir.Select(adjust, imm(I8, 6), imm(I8, 0));
    const Value over = flag(Flag::OF), r = subtract ? ir.Sub(al, correction) : ir.Add(al, correction);
    set_flags_of_result(r, {{Flag::CF, adjust}, {Flag::AF, adjust}, {Flag::OF, over}});
    return true;
  }
};

}  // namespace

#define X86_CHAPTER Bcd
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/bcd.inc"
#undef HANDLER

}  // namespace lyrebird::x86
