// SPDX-License-Identifier: Apache-2.0
// Moves between the x87's stack and memory, constants (SDM volume 1, 8.3.3 and 8.3.4).
#include "frontend/x86/lift/x87_unit.h"

namespace lyrebird::x86 {
namespace {

struct X87Data : X87Unit {
  using X87Unit::X87Unit;

  bool FLD() {
    if (!is_memory(0)) {
      const uint8_t i = operand(0).reg;
      if (!can_push() || !is_used(i)) return execute({X87Op::Load, X87Operand::Register, i});
      push(st(i));
      return done(0);
    }
    if (!can_push()) return execute({X87Op::Load, float_operand(0)});
    const Value value = read_float(0);
    push(value.type == F80 ? value : ir.FConvert(value, F80, mode()));
    return done(0);
  }

  bool FST() { return store_float(0); }
  bool FSTP() { return store_float(1); }

  bool FILD() {
    if (!can_push()) return execute({X87Op::Load, int_operand(0)});
    push(ir.FFromInt(Op::FFromIntS, read(0), F80, mode()));
    return done(0);
  }

  bool FIST() { return store_int(0); }
  bool FISTP() { return store_int(1); }
  bool FISTTP() {
    if (!is_simple({0})) return execute_store({X87Op::StoreTruncated, int_operand(0), 0, 1});
    FpMode truncating = store_mode();
    truncating.round = ir::Round::TowardZero;
    const Value at = address(operand(0).size, true);
    const Value value = st(0);
    store_converted(at, truncating, [&](FpMode mode) {
      return ir.FToInt(Op::FToIntS, value, type(0), mode, ir::kFpIndefinite);
    });
    pop();
    return done(0);
  }

  bool FBLD() { return execute({X87Op::Load, X87Operand::Bcd}); }
  bool FBSTP() { return execute_store({X87Op::Store, X87Operand::Bcd, 0, 1}); }

  bool FXCH() {
    const uint8_t i = operand(0).reg;
    if (!is_simple({0, i})) return execute({X87Op::Exchange, X87Operand::Register, i});
    const Value a = st(0), b = st(i);
    set_st(0, b);
    set_st(i, a);
    return done(0);
  }

  bool FLD1() { return constant(0); }
  bool FLDL2T() { return constant(1); }
  bool FLDL2E() { return constant(2); }
  bool FLDPI() { return constant(3); }
  bool FLDLG2() { return constant(4); }
  bool FLDLN2() { return constant(5); }
  bool FLDZ() { return constant(6); }

  // Conditions as those of Jcc.
  bool FCMOVB() { return move_if(2); }
  bool FCMOVE() { return move_if(4); }
  bool FCMOVBE() { return move_if(6); }
  bool FCMOVU() { return move_if(10); }
  bool FCMOVNB() { return move_if(3); }
  bool FCMOVNE() { return move_if(5); }
  bool FCMOVNBE() { return move_if(7); }
  bool FCMOVNU() { return move_if(11); }

 private:
  bool store_float(uint8_t pops) {
    if (!is_memory(0)) {
      const uint8_t i = operand(0).reg;
      // The undocumented D9 D8+i raises nothing if ST0 is empty, and does nothing but pop.
      const bool quiet = insn.opcode == 0xd9;
      if (quiet)
        wait();
      else if (!is_simple({0}))
        return execute({X87Op::Store, X87Operand::Register, i, pops});
      if (!quiet || is_used(0)) set_st(i, st(0));
      pop(pops);
      return done(0);
    }
    if (!is_simple({0})) return execute_store({X87Op::Store, float_operand(0), 0, pops});
    const Type as = float_type(0);
    const Value at = address(operand(0).size, true), value = st(0);
    if (as == F80)
      store(at, value);
    else
      store_converted(at, store_mode(), [&](FpMode mode) { return ir.FConvert(value, as, mode); });
    pop(pops);
    return done(as == F80 ? 0 : kC1Rounded);
  }

  bool store_int(uint8_t pops) {
    if (!is_simple({0})) return execute_store({X87Op::Store, int_operand(0), 0, pops});
    const Value at = address(operand(0).size, true);
    const Value value = st(0);
    store_converted(at, store_mode(), [&](FpMode mode) {
      return ir.FToInt(Op::FToIntS, value, type(0), mode, ir::kFpIndefinite);
    });
    pop(pops);
    return done(kC1Rounded);
  }

  bool constant(uint8_t which) {
    if (!can_push()) return execute({X87Op::Constant, X87Operand::Register, which});
    const ir::eval::Float80 value = x87_constant(which, x87_round(ctx.mode));
    push(ir.Const(F80, value.significand, value.sign_exponent));
    return done(0);
  }

  bool move_if(unsigned condition) {
    const uint8_t i = operand(1).reg;
    const Value moves = holds(condition);
    if (!is_simple({0, i})) {
      wait();
      call({X87Op::Move, X87Operand::Register, i}, ir.ZExt(moves, I64), imm(I64, 0));
      note_pointers();
      return end_changed();
    }
    set_st(0, ir.Select(moves, st(i), st(0)));
    return done_without_c1();
  }
};

}  // namespace

#define X86_CHAPTER X87Data
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/x87_data.inc"
#undef HANDLER

}  // namespace lyrebird::x86
