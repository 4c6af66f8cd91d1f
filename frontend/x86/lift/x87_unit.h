// SPDX-License-Identifier: Apache-2.0
/// What the chapters of the x87 stand on. TOP, the tags and the control word are mode bits, so a
/// handler knows whether its operands exist and how to round. Where they do and all exceptions are
/// masked, it lifts to a few operations on F80; anything else is one call of x87_execute().
#pragma once

#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/x87.h"
#include "frontend/x86/x87_functions.h"

namespace lyrebird::x86 {

using ir::F80Function;

class X87Unit : public Lifter {
 public:
  using Lifter::Lifter;

 protected:
  // --- the stack
  unsigned physical(unsigned i) const { return (x87_top_of_mode(ctx.mode) + i) & 7; }
  bool is_used(unsigned i) const { return (ctx.mode & x87_used_bit(physical(i))) != 0; }
  bool is_masked() const { return (ctx.mode & kModeX87Unmasked) == 0; }
  Value st(unsigned i) { return field(register_offset(i), F80); }
  void set_st(unsigned i, Value value) {
    set_field(register_offset(i), value);
    ctx.mode |= x87_used_bit(physical(i));
  }
  void pop(unsigned count = 1) {
    for (; count != 0; --count) {
      make_empty(0);
      turn(1);
    }
  }
  /// What an empty register has is nobody's: the tag tells a program not to look.
  void make_empty(unsigned i) {
    ctx.mode &= ~x87_used_bit(physical(i));
    ir.ForgetState(register_offset(i));
  }
  void push(Value value) {
    turn(-1);
    set_st(0, value);
  }
  void turn(int by) {
    ctx.mode = (ctx.mode & ~kModeX87TopMask) | (physical(0) + static_cast<unsigned>(by) & 7)
                                                   << kModeX87TopShift;
  }

  // --- modes
  FpMode mode(ir::DenormalReport report = ir::DenormalReport::WhenUsed) const {
    return {.round = x87_round(ctx.mode),
            .nan_rule = ir::NanRule::LargerSignificand,
            .default_nan_negative = true,
            .tiny_before_rounding = false,
            .denormal_report = report};
  }
  FpMode store_mode() const { return mode(ir::DenormalReport::Never); }
  /// Stores convert(mode), which raises its flags only after the store: a fault must find none.
  template <typename F>
  void store_converted(Value at, FpMode mode, F convert) {
    FpMode quiet = mode;
    quiet.no_flags = true;
    store(at, convert(quiet));
    convert(mode);
  }

  // --- around an instruction
  /// #MF for an exception that waits.
  void wait();
  /// Last thing in an instruction: the mode if the stack changed, and where the instruction was.
  bool done(uint8_t c1);
  bool done_without_c1();
  /// Of an instruction that is no control instruction.
  void note_pointers();
  void set_c1(uint8_t c1) { ir.SetStateLate(offsetof(X86State, c1), imm(I8, c1)); }
  void set_codes(Value order);

  /// All that the short path assumes.
  bool is_simple(std::initializer_list<unsigned> needed) const {
    bool simple = is_masked();
    for (const unsigned i : needed) simple = simple && is_used(i);
    return simple;
  }
  bool can_push() const { return is_masked() && !is_used(7); }

  // --- the long path
  /// Reads the operand from memory, executes and ends the block unless the outcome is known.
  bool execute(X87Insn what);
  bool execute_store(X87Insn what);
  /// The call alone: what x87_execute() gives.
  Value call(X87Insn what, Value low, Value high) {
    return ir.CallHelper(kHelperX87Execute, I64, {imm(I64, what.pack()), low, high});
  }
  /// Ends the block; the mode is what a helper made it.
  bool end_changed() { return end_block(); }

  // --- operands in memory
  X87Operand float_operand(unsigned i) const {
    return operand(i).size == 4 ? X87Operand::F32 : operand(i).size == 8 ? X87Operand::F64 : X87Operand::F80;
  }
  X87Operand int_operand(unsigned i) const {
    return operand(i).size == 2 ? X87Operand::I16 : operand(i).size == 4 ? X87Operand::I32 : X87Operand::I64;
  }
  Type float_type(unsigned i) const { return ir::float_type(8u * operand(i).size); }
  Value read_float(unsigned i) { return load(float_type(i), address(operand(i).size, false)); }

 private:
  uint32_t register_offset(unsigned i) const {
    return static_cast<uint32_t>(offsetof(X86State, x87)) + 16 * physical(i);
  }
  uint32_t mode_before_ = ctx.mode;
};

}  // namespace lyrebird::x86
