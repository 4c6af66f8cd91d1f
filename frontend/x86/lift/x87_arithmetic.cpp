// SPDX-License-Identifier: Apache-2.0
// Arithmetic, comparisons and functions of the x87 (SDM volume 1, 8.3.5 to 8.3.10).
#include "frontend/x86/lift/x87_unit.h"

namespace lyrebird::x86 {
namespace {

struct X87Arithmetic : X87Unit {
  using X87Unit::X87Unit;

  bool FADD() { return arithmetic(X87Op::Add, 0); }
  bool FADDP() { return arithmetic(X87Op::Add, 1); }
  bool FIADD() { return integer(X87Op::Add); }
  bool FMUL() { return arithmetic(X87Op::Mul, 0); }
  bool FMULP() { return arithmetic(X87Op::Mul, 1); }
  bool FIMUL() { return integer(X87Op::Mul); }
  bool FSUB() { return arithmetic(X87Op::Sub, 0); }
  bool FSUBP() { return arithmetic(X87Op::Sub, 1); }
  bool FISUB() { return integer(X87Op::Sub); }
  bool FSUBR() { return arithmetic(X87Op::SubR, 0); }
  bool FSUBRP() { return arithmetic(X87Op::SubR, 1); }
  bool FISUBR() { return integer(X87Op::SubR); }
  bool FDIV() { return arithmetic(X87Op::Div, 0); }
  bool FDIVP() { return arithmetic(X87Op::Div, 1); }
  bool FIDIV() { return integer(X87Op::Div); }
  bool FDIVR() { return arithmetic(X87Op::DivR, 0); }
  bool FDIVRP() { return arithmetic(X87Op::DivR, 1); }
  bool FIDIVR() { return integer(X87Op::DivR); }

  bool FCOM() { return compare(X87Op::Com, 0); }
  bool FCOMP() { return compare(X87Op::Com, 1); }
  bool FCOMPP() { return compare(X87Op::Com, 2); }
  bool FUCOM() { return compare(X87Op::Ucom, 0); }
  bool FUCOMP() { return compare(X87Op::Ucom, 1); }
  bool FUCOMPP() { return compare(X87Op::Ucom, 2); }
  bool FICOM() { return compare_integer(0); }
  bool FICOMP() { return compare_integer(1); }
  bool FCOMI() { return compare_to_flags(X87Op::ComFlags, 0); }
  bool FCOMIP() { return compare_to_flags(X87Op::ComFlags, 1); }
  bool FUCOMI() { return compare_to_flags(X87Op::UcomFlags, 0); }
  bool FUCOMIP() { return compare_to_flags(X87Op::UcomFlags, 1); }

  bool FTST() {
    if (!is_simple({0})) return execute({X87Op::Test});
    set_codes(ir.F80Op(Op::FCompare, st(0), ir.Const(F80, 0), mode(), ir::f80::kSignalQuiet));
    return done(0);
  }
  /// The sign and class of an empty register, too.
  bool FXAM() {
    wait();
    call({X87Op::Examine}, imm(I64, 0), imm(I64, 0));
    return keep_mode();
  }

  bool FCHS() {
    if (!is_simple({0})) return execute({X87Op::Negate});
    set_st(0, ir.FNeg(st(0)));
    return done(0);
  }
  bool FABS() {
    if (!is_simple({0})) return execute({X87Op::Abs});
    set_st(0, ir.FAbs(st(0)));
    return done(0);
  }
  bool FSQRT() {
    if (!is_simple({0})) return execute({X87Op::Sqrt});
    set_st(0, ir.F80Sqrt(st(0), mode(), x87_precision(ctx.mode)));
    return done(kC1Rounded);
  }
  bool FRNDINT() {
    if (!is_simple({0})) return execute({X87Op::RoundInt});
    set_st(0, ir.FRoundInt(st(0), mode()));
    return done(kC1Rounded);
  }

  bool FSCALE() { return computed(X87Op::Scale, F80Function::Scale, 0); }
  bool FPREM() { return function(X87Op::Remainder, {0, 1}); }
  bool FPREM1() { return function(X87Op::RemainderNearest, {0, 1}); }
  bool F2XM1() { return computed(X87Op::F2xm1, F80Function::Exp2Minus1, 0); }
  bool FYL2X() { return computed(X87Op::Yl2x, F80Function::Log2, 1); }
  bool FYL2XP1() { return computed(X87Op::Yl2xp1, F80Function::Log2Plus1, 1); }
  bool FPATAN() { return computed(X87Op::Atan, F80Function::Angle, 1); }
  bool FSIN() { return function(X87Op::Sin, {0}); }
  bool FCOS() { return function(X87Op::Cos, {0}); }
  bool FXTRACT() { return execute({X87Op::Extract}); }
  bool FPTAN() { return execute({X87Op::Tan}); }
  bool FSINCOS() { return execute({X87Op::SinCos}); }

 private:
  /// After a helper that did to the stack what ctx.mode has.
  bool keep_mode() {
    set_mode(imm(I32, ctx.mode));
    note_pointers();
    return true;
  }

  bool function(X87Op op, std::initializer_list<unsigned> needed) {
    if (!is_simple(needed)) return execute({op});
    call({op}, imm(I64, 0), imm(I64, 0));
    return keep_mode();
  }

  /// The function replaces ST0, or ST1 before a pop.
  bool computed(X87Op op, F80Function f, unsigned pops) {
    const bool two = ir::has_two_operands(f);
    if (!is_simple({0}) || (two && !is_used(1))) return execute({op});
    set_st(pops, ir.FFunction(f, st(0), two ? st(1) : Value{}, mode()));
    pop(pops);
    return done(kC1Rounded);
  }

  static Op ir_op(X87Op op) {
    switch (op) {
      case X87Op::Add:
        return Op::FAdd;
      case X87Op::Mul:
        return Op::FMul;
      case X87Op::Sub:
      case X87Op::SubR:
        return Op::FSub;
      default:
        return Op::FDiv;
    }
  }
  static bool is_reversed(X87Op op) { return op == X87Op::SubR || op == X87Op::DivR; }

  /// destination := destination op source.
  void combine(X87Op op, unsigned to, Value source, uint32_t origin) {
    const bool reversed = is_reversed(op);
    const Value a = st(to);
    const uint32_t extra =
        x87_precision(ctx.mode) | origin << (reversed ? ir::f80::kOriginAShift : ir::f80::kOriginBShift);
    set_st(to, ir.F80Op(ir_op(op), reversed ? source : a, reversed ? a : source, mode(), extra));
  }

  bool arithmetic(X87Op op, uint8_t pops) {
    if (is_memory(0)) {
      if (!is_simple({0})) return execute({op, float_operand(0)});
      combine(op, 0, widened(), origin());
      return done(kC1Rounded);
    }
    const uint8_t to = operand(0).reg, from = operand(1).reg;
    if (!is_simple({to, from}))
      return execute({op, X87Operand::Register, static_cast<uint8_t>(to | from), pops,
                      from == 0 && insn.opcode != 0xd8});
    combine(op, to, st(from), ir::f80::kOwn);
    pop(pops);
    return done(kC1Rounded);
  }

  bool integer(X87Op op) {
    if (!is_simple({0})) return execute({op, int_operand(0)});
    combine(op, 0, ir.FFromInt(Op::FFromIntS, read(0), F80, mode()), ir::f80::kOwn);
    return done(kC1Rounded);
  }

  /// The operand in memory for an operation that looks at its NaNs and its subnormal numbers itself.
  Value widened() { return ir.FConvert(read_float(0), F80, mode(), ir::kFpRaw); }
  uint32_t origin() const { return operand(0).size == 4 ? ir::f80::kFromF32 : ir::f80::kFromF64; }

  Value order_of(Value b, bool quiet, uint32_t origin) {
    const uint32_t extra = (quiet ? 0 : ir::f80::kSignalQuiet) | origin << ir::f80::kOriginBShift;
    return ir.F80Op(Op::FCompare, st(0), b, mode(), extra);
  }

  bool compare(X87Op op, uint8_t pops) {
    const bool quiet = op == X87Op::Ucom;
    if (insn.operand_count != 0 && is_memory(0)) {
      if (!is_simple({0})) return execute({op, float_operand(0), 0, pops});
      set_codes(order_of(widened(), quiet, origin()));
    } else {
      const uint8_t i = insn.operand_count != 0 ? operand(1).reg : 1;
      if (!is_simple({0, i})) return execute({op, X87Operand::Register, i, pops});
      set_codes(order_of(st(i), quiet, ir::f80::kOwn));
    }
    pop(pops);
    return done(0);
  }

  bool compare_integer(uint8_t pops) {
    if (!is_simple({0})) return execute({X87Op::Com, int_operand(0), 0, pops});
    const Value b = ir.FFromInt(Op::FFromIntS, read(0), F80, mode());
    set_codes(order_of(b, false, ir::f80::kOwn));
    pop(pops);
    return done(0);
  }

  /// C1 is cleared as the manual says; AMD's and Intel's processors leave it.
  bool compare_to_flags(X87Op op, uint8_t pops) {
    const uint8_t i = operand(1).reg;
    if (is_simple({0, i})) {
      set_flags_of_order(order_of(st(i), op == X87Op::UcomFlags, ir::f80::kOwn));
      pop(pops);
      return done(0);
    }
    wait();
    const Value outcome = call({op, X87Operand::Register, i, pops}, imm(I64, 0), imm(I64, 0));
    note_pointers();
    const Value order = ir.And(ir.Trunc(ir.ShrU(outcome, imm(I64, 8)), I8), imm(I8, 3));
    set_flags_of_order(order);
    return end_changed();
  }

  /// Unordered is less and equal, too.
  void set_flags_of_order(Value order) {
    const Value unordered = ir.CmpEq(order, imm(I8, ir::kFpUnordered));
    const Value order_equal = ir.Select(unordered, imm(I8, ir::kFpEqual), order);
    Lifter::set_flags_of_order(order, order_equal);
  }
};

}  // namespace

#define X86_CHAPTER X87Arithmetic
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/x87_arithmetic.inc"
#undef HANDLER

}  // namespace lyrebird::x86
