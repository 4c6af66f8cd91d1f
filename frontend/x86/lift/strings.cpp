// SPDX-License-Identifier: Apache-2.0
// Strings (SDM volume 1, 7.3.9). With REP, one step, then the instruction again: a fault or an
// interrupt comes between two steps, as the manual has it. After a step a helper makes most of the others
// where they are many.
#include <type_traits>

#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/helpers.h"

namespace lyrebird::x86 {
namespace {

struct Strings : Lifter {
  using Lifter::Lifter;

  bool MOVS() {
    const Value count = begin();
    const Value from = source(), to = destination();
    store(to, load(type(0), from));
    advance(imm(address_type(), 1), true, true);
    return repeat(count, {}, [&](Value steps) {
      const Value done = ir.CallHelper(kHelperMoveMany, I64, {to, from, steps, packed()});
      advance(ir.ZExtOrTrunc(done, address_type()), true, true);
      return done;
    });
  }

  bool STOS() {
    const Value count = begin();
    const Value to = destination(), value = gpr(kRax, type(0));
    store(to, value);
    advance(imm(address_type(), 1), false, true);
    return repeat(count, {}, [&](Value steps) {
      const Value done = ir.CallHelper(kHelperFillMany, I64, {to, ir.ZExt(value, I64), steps, packed()});
      advance(ir.ZExtOrTrunc(done, address_type()), false, true);
      return done;
    });
  }

  bool LODS() {
    const Value count = begin();
    set_gpr(kRax, load(type(0), source()));
    advance(imm(address_type(), 1), true, false);
    return repeat(count);
  }

  bool CMPS() {
    const Value count = begin();
    const Value from = source(), a = load(type(0), from);
    const Value to = destination(false), b = load(type(0), to), more = goes_on(count, a, b);
    set_flags_of_sub(a, b, {});
    advance(imm(address_type(), 1), true, true);
    return repeat(count, more, [&](Value steps) {
      const Value done = ir.CallHelper(kHelperCompareMany, I64, {to, from, but_one(steps), packed()});
      advance(ir.ZExtOrTrunc(done, address_type()), true, true);
      return done;
    });
  }

  bool SCAS() {
    const Value count = begin();
    const Value to = destination(false);
    const Value a = gpr(kRax, type(0)), b = load(type(0), to), more = goes_on(count, a, b);
    set_flags_of_sub(a, b, {});
    advance(imm(address_type(), 1), false, true);
    return repeat(count, more, [&](Value steps) {
      const Value done = ir.CallHelper(kHelperScanMany, I64, {to, ir.ZExt(a, I64), but_one(steps), packed()});
      advance(ir.ZExtOrTrunc(done, address_type()), false, true);
      return done;
    });
  }

 private:
  /// Below this a call of the helper costs more than the steps.
  static constexpr uint64_t kFew = 64;

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
    finish_if(is_zero(count));
    return count;
  }

  /// Whether a helper may go on where nothing but the pages' rights is to be checked. It gives the
  /// number of further steps that it made, and stops before what would fault. It does not compare downwards.
  bool at_once() const {
    const bool plain = insn.memory.segment != Segment::FS && insn.memory.segment != Segment::GS;
    const bool traps = (ctx.mode & kModeTrap) != 0;    // after each step
    const bool checks = (ctx.mode & kModeAlign) != 0;  // each access
    return is_flat() && insn.address_size >= 4 && plain && !traps && !checks;
  }
  /// The flags of what compares are the last step's: it is left to the instruction.
  Value but_one(Value steps) { return ir.Sub(steps, imm(I64, 1)); }
  /// Size, whether equal elements go on, whether addresses have 32 bits.
  Value packed() {
    return imm(I64, size() | unsigned{insn.has(kPrefixRep)} << 8 | unsigned{insn.address_size == 4} << 9);
  }

  /// By so many elements.
  void advance(Value steps, bool source, bool destination) {
    const Type as = address_type();
    const Value backwards = ir.CmpNe(field(offsetof(X86State, df), I8), imm(I8, 0));
    const Value bytes = ir.Mul(steps, imm(as, size())), by = ir.Select(backwards, ir.Neg(bytes), bytes);
    if (source) set_gpr(kRsi, ir.Add(gpr(kRsi, as), by));
    if (destination) set_gpr(kRdi, ir.Add(gpr(kRdi, as), by));
  }

  /// Whether CMPS and SCAS go on but for the count.
  Value goes_on(Value count, Value a, Value b) {
    if (!count) return {};
    return insn.has(kPrefixRep) ? ir.CmpEq(a, b) : ir.CmpNe(a, b);
  }

  /// After a step: the end, the instruction again, or at first `many`, which is given how many steps are
  /// left, makes some of them, and says how many.
  template <typename Many = std::nullptr_t>
  bool repeat(Value count, Value more = {}, Many many = {}) {
    if (!count) return true;
    Value rest = plus(count, -1);
    set_gpr(kRcx, rest);
    if constexpr (!std::is_null_pointer_v<Many>) {
      if (at_once()) {
        Value over = is_zero(rest);
        if (more) over = ir.Or(over, ir.Not(more));
        finish_if(over);
        ir.ExitIf(ir.CmpLtU(rest, imm(rest.type, kFew)), ctx.pc);
        rest = ir.Sub(rest, ir.ZExtOrTrunc(many(ir.ZExt(rest, I64)), rest.type));
        set_gpr(kRcx, rest);
        more = {};
      }
    }
    Value again = ir.CmpNe(rest, imm(rest.type, 0));
    if (more) again = ir.And(again, more);
    ir.Branch(again, ctx.pc, next_pc());
    return false;
  }
};

}  // namespace

#define X86_CHAPTER Strings
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/strings.inc"
#undef HANDLER

}  // namespace lyrebird::x86
