// SPDX-License-Identifier: Apache-2.0
// Strings (SDM volume 1, 7.3.9). With REP, one step, then the instruction again: a fault or an
// interrupt comes between two steps, as the manual has it. After a step a helper may make many more.
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
    if (at_once(count)) done_ = ir.CallHelper(kHelperMoveMany, I64, {to, from, left(count, 1), packed()});
    advance(kRsi);
    advance(kRdi);
    return repeat(count);
  }

  bool STOS() {
    const Value count = begin();
    const Value to = destination(), value = gpr(kRax, type(0));
    store(to, value);
    if (at_once(count))
      done_ = ir.CallHelper(kHelperFillMany, I64, {to, ir.ZExt(value, I64), left(count, 1), packed()});
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
    const Value from = source(), to = destination(false);
    const Value a = load(type(0), from), b = load(type(0), to), more = goes_on(count, a, b);
    if (at_once(count))
      done_ = ir.CallHelper(kHelperCompareMany, I64, {to, from, left(count, 2, more), packed()});
    set_flags_of_sub(a, b, {});
    advance(kRsi);
    advance(kRdi);
    return repeat(count, more);
  }

  bool SCAS() {
    const Value count = begin();
    const Value to = destination(false);
    const Value a = gpr(kRax, type(0)), b = load(type(0), to), more = goes_on(count, a, b);
    if (at_once(count))
      done_ = ir.CallHelper(kHelperScanMany, I64, {to, ir.ZExt(a, I64), left(count, 2, more), packed()});
    set_flags_of_sub(a, b, {});
    advance(kRdi);
    return repeat(count, more);
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
    finish_if(is_zero(count));
    return count;
  }

  /// Whether a helper may go on where nothing but the pages' rights is to be checked. It gives the
  /// number of further steps that it made; none if DF is set, and it stops before what would fault.
  bool at_once(Value count) const {
    const bool plain = insn.memory.segment != Segment::FS && insn.memory.segment != Segment::GS;
    const bool traps = (ctx.mode & kModeTrap) != 0;  // after each step
    return count && is_flat() && insn.address_size >= 4 && plain && !traps;
  }
  /// The steps that a helper may make after this one; `kept` - 1 are left for afterwards.
  Value left(Value count, unsigned kept, Value more = {}) {
    const Value n = ir.ZExt(count, I64), limit = imm(I64, kept);
    Value enough = ir.CmpLtU(limit, n);
    if (more) enough = ir.And(enough, more);
    return ir.Select(enough, ir.Sub(n, limit), imm(I64, 0));
  }
  /// Size, whether equal elements go on, whether addresses have 32 bits.
  Value packed() {
    return imm(I64, size() | unsigned{insn.has(kPrefixRep)} << 8 | unsigned{insn.address_size == 4} << 9);
  }

  void advance(unsigned reg) {
    const Type as = address_type();
    const Value backwards = ir.CmpNe(field(offsetof(X86State, df), I8), imm(I8, 0));
    Value step = ir.Select(backwards, imm(as, -uint64_t{size()}), imm(as, size()));
    if (done_) step = ir.Add(step, ir.Mul(ir.ZExtOrTrunc(done_, as), imm(as, size())));
    set_gpr(reg, ir.Add(gpr(reg, as), step));
  }

  /// Whether CMPS and SCAS go on but for the count.
  Value goes_on(Value count, Value a, Value b) {
    if (!count) return {};
    return insn.has(kPrefixRep) ? ir.CmpEq(a, b) : ir.CmpNe(a, b);
  }

  bool repeat(Value count, Value more = {}) {
    if (!count) return true;
    Value rest = plus(count, -1);
    if (done_) rest = ir.Sub(rest, ir.ZExtOrTrunc(done_, rest.type));
    set_gpr(kRcx, rest);
    Value again = ir.CmpNe(rest, imm(rest.type, 0));
    if (more) again = ir.And(again, more);
    ir.Branch(again, ctx.pc, next_pc());
    return false;
  }

  Value done_ = {};  ///< steps that a helper made after the first
};

}  // namespace

#define X86_CHAPTER Strings
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/strings.inc"
#undef HANDLER

}  // namespace lyrebird::x86
