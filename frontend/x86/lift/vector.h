// SPDX-License-Identifier: Apache-2.0
/// What the chapters of MMX, SSE and AVX stand on. A handler is written once for all encodings:
/// legacy forms read and write operand 0, VEX forms name the first source apart and clear what lies
/// above the destination; MMX forms work on V64. 256-bit registers are two V128 fields, and an
/// instruction on them is lifted half by half. Memory is read before any register is written.
#pragma once

#include <optional>

#include "frontend/x86/decode/row.h"
#include "frontend/x86/lift/chapter.h"

namespace lyrebird::x86 {

class Vector : public Lifter {
 public:
  using Lifter::Lifter;

 protected:
  /// A vector operand: V128 for each 16 bytes, or one V64 (MMX).
  struct Halves {
    Value part[2] = {};
    unsigned count = 1;
  };

  bool is_vex() const { return x86::is_vex(row(insn.row).map); }
  bool is_mmx(unsigned i) const { return operand(i).kind == OperandKind::Mmx; }
  bool is_vector(unsigned i) const { return operand(i).kind == OperandKind::Vector; }
  /// 128-bit parts of the instruction's vectors.
  unsigned halves() const { return is_vex() && insn.vector_length == 32 ? 2 : 1; }
  bool has_immediate() const { return is_immediate(insn.operand_count - 1u); }
  uint64_t control() const { return immediate(insn.operand_count - 1u) & 0xff; }
  /// The last operand that is no immediate, and the one before.
  unsigned second() const { return insn.operand_count - (has_immediate() ? 2u : 1u); }
  unsigned first() const { return second() - 1; }
  /// The source whose upper lanes a scalar instruction keeps.
  unsigned kept() const { return is_vex() && insn.operand_count > 2u + has_immediate() ? 1 : 0; }

  // --- whole operands
  /// The operand. Memory shorter than a part comes with zeros above.
  Halves vector(unsigned i);
  Value part(unsigned i, unsigned half);
  /// 16 bytes of a register.
  Value xmm(unsigned reg, unsigned half = 0) { return ir.GetState(ymm_offset(reg) + 16 * half, V128); }
  /// To operand i: memory, or a register with all that the encoding says of the rest of it.
  void set_vector(unsigned i, const Halves& value);
  void set_vector(unsigned i, Value low) { set_vector(i, Halves{{low, {}}, 1}); }
  /// A V128 to a register, zeros above (VEX) or nothing (legacy).
  void set_xmm(unsigned reg, Value low);
  void clear_upper(unsigned reg);
  void set_mm(unsigned reg, Value value);
  Value mm(unsigned reg) { return field(offsetof(X86State, x87) + 16 * reg, V64); }
  /// What every MMX instruction does to the x87: TOP is 0, all registers are in use.
  void enter_mmx();

  // --- scalars in vectors
  /// The lowest lane (memory: of that size).
  Value scalar(unsigned i, Type as);
  /// The lowest lane of the destination, with what kept() has above it.
  void set_scalar(Value value);

  // --- memory
  /// Some instructions take memory at any address although they are not VEX.
  void allow_unaligned() { unaligned_ = true; }
  /// Others want it aligned although they are.
  void need_aligned() { aligned_ = true; }
  Value load_part(Value at, unsigned size, bool aligned);
  /// #AC for 16 bytes, or halves of 32, that need not be aligned but for EFLAGS.AC.
  void check_vector(Value at, unsigned align = 16);
  /// What has been written so far stays if the rest of the instruction faults, which can then be done
  /// again from the start.
  void commit() { ir.Insn(ctx.pc, insn.length); }
  /// Faults where an access of the size would because a page is missing: before several stores, of
  /// which none may happen then, and before flags are raised.
  void probe(Value at, unsigned size);

  // --- templates: f gives each part of the result
  template <typename F>
  bool unary(F f) {
    Halves a = vector(second());
    for (unsigned h = 0; h < a.count; ++h) a.part[h] = f(a.part[h]);
    set_vector(0, a);
    return true;
  }
  template <typename F>
  bool binary(F f) {
    const Halves a = vector(first()), b = vector(second());
    Halves r{{}, a.count};
    for (unsigned h = 0; h < r.count; ++h) r.part[h] = f(a.part[h], b.part[h]);
    set_vector(0, r);
    return true;
  }

  // --- values
  Value zero() { return ctx.zeros ? ctx.zeros : ctx.zeros = ir.ConstVec(V128, 0, 0); }
  Value splat(Type vector, Type elem, uint64_t lane) { return ir.ConstSplat(vector, elem, lane); }
  /// A byte vector constant.
  Value bytes(const uint8_t (&b)[16]);
  Value shuffle(Value a, Value b, unsigned order) { return ir.Shuffle32(a, b, I32, order); }
  Value high_to_low(Value a) { return shuffle(a, a, 0xee); }
  Value low_lane(Value vector, Type lane) { return ir.ExtractLane(vector, lane, 0); }
  static Type type_of_size(unsigned size) { return ir::int_type(8 * size); }

  // --- floating point (SDM volume 1, chapter 11)
  /// MXCSR's rules, from the mode bits.
  FpMode fp_mode() const;
  /// The same for conversions to ints and roundings, which don't report subnormal operands.
  FpMode silent_mode() const;
  /// Around operations that raise exceptions, after all loads and before any write: #XM for those
  /// that are not masked.
  void before_floats();
  void after_floats();
  /// What an arithmetic operation between the two made, lanes of `elem` or one scalar. If underflow is not
  /// masked, every tiny result raises it; the operation itself only says so of inexact ones (SDM volume
  /// 1, 4.9.1.5).
  Value made(Value result, Type elem);

 private:
  Value mxcsr_flags(Value flags);

  bool unaligned_ = false, aligned_ = false;
  Value old_flags_ = {};
  std::optional<Value> tiny_;  ///< a vector, of all ones where a result was tiny
};

}  // namespace lyrebird::x86
