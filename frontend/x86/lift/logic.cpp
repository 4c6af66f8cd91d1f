// SPDX-License-Identifier: Apache-2.0
// Logical instructions (SDM volume 1, 7.3.4).
#include "frontend/x86/lift/chapter.h"

namespace lyrebird::x86 {
namespace {

struct Logic : Lifter {
  using Lifter::Lifter;

  bool AND() {
    const Value b = read(1);
    const Value a = locked() ? atomic(Op::AtomicAndNot, ir.Not(b)) : read(0);
    return finish(ir.And(a, b));
  }
  bool OR() {
    const Value b = read(1);
    const Value a = locked() ? atomic(Op::AtomicOr, b) : read(0);
    return finish(ir.Or(a, b));
  }
  bool XOR() {
    const Value b = read(1);
    const Value a = locked() ? atomic(Op::AtomicXor, b) : read(0);
    const bool clears = operand(0) == operand(1) && operand(0).kind == OperandKind::Gpr;
    return finish(clears ? imm(b.type, 0) : ir.Xor(a, b));
  }
  bool NOT() {
    if (locked())
      atomic(Op::AtomicXor, imm(type(0), ~uint64_t{0}));
    else
      write(0, ir.Not(read(0)));
    return true;
  }
  bool TEST() {
    const Value a = read(0);
    set_flags_of_logic(operand(0) == operand(1) ? a : ir.And(a, read(1)));
    return true;
  }
  bool ANDN() {
    const Value r = ir.AndNot(read(2), read(1));
    write(0, r);
    set_flags_of_logic(r);
    return true;
  }

 private:
  bool locked() const { return insn.has(kPrefixLock); }
  Value atomic(Op op, Value b) {
    return ir.Atomic(op, address(operand(0).size, true), b, locked_rule(b.type));
  }
  bool finish(Value r) {
    if (!locked()) write(0, r);
    set_flags_of_logic(r);
    return true;
  }
};

}  // namespace

#define X86_CHAPTER Logic
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/logic.inc"
#undef HANDLER

}  // namespace lyrebird::x86
