// SPDX-License-Identifier: Apache-2.0
// Strings (SDM volume 1, 7.3.9). With REP, one step, then the instruction again: a fault or an
// interrupt comes between two steps, as the manual has it.
#include "frontend/x86/lift/chapter.h"

namespace lyrebird::x86 {
namespace {

struct Strings : Lifter {
  using Lifter::Lifter;

  bool MOVS() {
    const Value count = begin();
    store(destination(), load(type(0), source()));
    advance(kRsi);
    advance(kRdi);
    return repeat(count);
  }

  bool STOS() {
    const Value count = begin();
    store(destination(), gpr(kRax, type(0)));
    advance(kRdi);
    return repeat(count);
  }

  bool LODS() {
    const Value count = begin();
    set_gpr(kRax, load(type(0), source()));
    advance(kRsi);
    return repeat(count);
  }

  bool CMPS() {
    const Value count = begin();
    const Value a = load(type(0), source()), b = load(type(0), destination(false));
    set_flags_of_sub(a, b, ir.Sub(a, b));
    advance(kRsi);
    advance(kRdi);
    return repeat_while_equal(count, a, b);
  }

  bool SCAS() {
    const Value count = begin();
    const Value a = gpr(kRax, type(0)), b = load(type(0), destination(false));
    set_flags_of_sub(a, b, ir.Sub(a, b));
    advance(kRdi);
    return repeat_while_equal(count, a, b);
  }

 private:
  Type address_type() const { return ir::int_type(8u * insn.address_size); }
  unsigned size() const { return operand(0).size; }
  bool repeats() const { return insn.has(kPrefixRep) || insn.has(kPrefixRepne); }

  Value source() {
    return linear(insn.memory.segment, ir.ZExt(gpr(kRsi, address_type()), I64), size(), false);
  }
  Value destination(bool write = true) {
    return linear(Segment::ES, ir.ZExt(gpr(kRdi, address_type()), I64), size(), write);
  }

  /// The count before the step; none without REP.
  Value begin() {
    if (!repeats()) return {};
    const Value count = gpr(kRcx, address_type());
    ir.ExitIf(is_zero(count), next_pc());
    return count;
  }

  void advance(unsigned reg) {
    const Type as = address_type();
    const Value backwards = ir.CmpNe(field(offsetof(X86State, df), I8), imm(I8, 0));
    const Value step = ir.Select(backwards, imm(as, -uint64_t{size()}), imm(as, size()));
    set_gpr(reg, ir.Add(gpr(reg, as), step));
  }

  bool repeat(Value count) {
    if (!count) return true;
    set_gpr(kRcx, plus(count, -1));
    ir.Branch(ir.CmpNe(count, imm(count.type, 1)), ctx.pc, next_pc());
    return false;
  }

  bool repeat_while_equal(Value count, Value a, Value b) {
    if (!count) return true;
    set_gpr(kRcx, plus(count, -1));
    const Value goes_on = insn.has(kPrefixRep) ? ir.CmpEq(a, b) : ir.CmpNe(a, b);
    ir.Branch(ir.And(ir.CmpNe(count, imm(count.type, 1)), goes_on), ctx.pc, next_pc());
    return false;
  }
};

}  // namespace

#define X86_CHAPTER Strings
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/strings.inc"
#undef HANDLER

}  // namespace lyrebird::x86
