// SPDX-License-Identifier: Apache-2.0
// Control of the x87, its images in memory, EMMS (SDM volume 1, 8.1.10 and 8.3.11 to 8.3.13).
#include "frontend/x86/lift/x87_unit.h"

namespace lyrebird::x86 {
namespace {

struct X87Control : X87Unit {
  using X87Unit::X87Unit;

  /// The next block is lifted for what was loaded.
  bool FLDCW() {
    wait();
    const Value control = read(0, I16);
    ir.CallHelper(kHelperX87SetControl, None, {ir.ZExt(control, I64)});
    return end_changed();
  }
  bool FNSTCW() {
    write(0, field(offsetof(X86State, x87_control), I16));
    return true;
  }
  bool FNSTSW() {
    write(0, status());
    return true;
  }

  bool FNCLEX() {
    ir.SetState(offsetof(X86State, x87_exceptions), imm(I16, 0));
    settle_c1();
    ir.SetFpFlags(imm(I32, 0), true);
    return true;
  }
  bool FNINIT() {
    ir.CallHelper(kHelperX87Reset, None, {});
    return end_changed();
  }

  bool FLDENV() {
    wait();
    const Value at = address(environment_size(), false);
    return load_environment(at);
  }

  /// Masks all exceptions afterwards.
  bool FNSTENV() {
    const Value at = address(environment_size(), true);
    probe_write(at, environment_size());
    store_environment(at);
    ir.CallHelper(kHelperX87SetControl, None,
                  {ir.Or(ir.ZExt(field(offsetof(X86State, x87_control), I16), I64), imm(I64, 0x3f))});
    return end_changed();
  }

  bool FRSTOR() {
    wait();
    const unsigned size = environment_size();
    const Value at = address(size + 80, false);
    Value registers[8];
    for (unsigned i = 0; i < 8; ++i) registers[i] = load(F80, plus(at, size + 10 * i));
    Environment environment = read_environment(at);
    apply(environment);
    // ST(i) depends on a TOP that is not known here.
    for (unsigned i = 0; i < 8; ++i) {
      set_field(offsetof(X86State, x87_result), registers[i]);
      ir.CallHelper(kHelperX87PutRegister, None, {imm(I64, i)});
    }
    return end_changed();
  }

  bool FNSAVE() {
    const unsigned size = environment_size();
    const Value at = address(size + 80, true);
    probe_write(at, size + 80);
    store_environment(at);
    for (unsigned i = 0; i < 8; ++i) store(plus(at, size + 10 * i), st(i));
    ir.CallHelper(kHelperX87Reset, None, {});
    return end_changed();
  }

  bool FFREE() {
    wait();
    make_empty(operand(0).reg);
    return done(0);
  }
  bool FFREEP() {
    wait();
    make_empty(operand(0).reg);
    pop();
    return done(0);
  }
  bool FINCSTP() {
    wait();
    turn(1);
    return done(0);
  }
  bool FDECSTP() {
    wait();
    turn(-1);
    return done(0);
  }
  bool FNOP() {
    if (insn.opcode == 0xdb) return true;  // FNENI, FNDISI and FNSETPM of the 8087 and 80287
    wait();
    return done_without_c1();
  }
  bool FWAIT() {
    wait();
    return true;
  }

  /// All registers become empty; TOP is 0 (SDM volume 3, table 12-1).
  bool EMMS() {
    wait();
    ctx.mode &= ~(kModeX87UsedMask | kModeX87TopMask);
    set_mode(imm(I32, ctx.mode));
    return true;
  }

 private:
  Value shifted(size_t offset, unsigned by) { return ir.Shl(ir.ZExt(field(offset, I8), I16), imm(I16, by)); }

  /// C1 as 0 or 1.
  Value c1(Value flags) {
    const Value c1 = field(offsetof(X86State, c1), I8);
    const Value up = ir.ZExt(ir.CmpTest(flags, imm(I32, ir::kF80RoundedUp)), I8);
    return ir.Select(ir.CmpEq(c1, imm(I8, kC1Rounded)), up, c1);
  }
  void settle_c1() { ir.SetState(offsetof(X86State, c1), c1(ir.GetFpFlags(true))); }

  Value status() {
    if (!is_masked()) return ir.CallHelper(kHelperX87Status, I16, {});
    // Nothing that is masked sets ES.
    const Value flags = ir.GetFpFlags(true);
    Value value = ir.And(ir.Trunc(flags, I16), imm(I16, ir::kF80Exceptions));
    value = ir.Or(value, field(offsetof(X86State, x87_exceptions), I16));
    value = ir.Or(value, shifted(offsetof(X86State, c0), 8));
    value = ir.Or(value, ir.Shl(ir.ZExt(c1(flags), I16), imm(I16, 9)));
    value = ir.Or(value, shifted(offsetof(X86State, c2), 10));
    value = ir.Or(value, shifted(offsetof(X86State, c3), 14));
    return ir.Or(value, imm(I16, physical(0) << 11));
  }

  // --- environments. SDM volume 1, figures 8-9 to 8-12.

  bool is_wide() const { return insn.operand_size != 2; }
  unsigned environment_size() const { return is_wide() ? 28 : 14; }
  /// The formats of real mode put opcode and address together.
  bool has_selectors() const { return !is_real_or_v86(); }
  unsigned slot() const { return is_wide() ? 4 : 2; }

  void store_word(Value at, unsigned index, Value word) {
    store(plus(at, slot() * index), is_wide() ? ir.Or(ir.ZExt(word, I32), imm(I32, 0xffff0000)) : word);
  }
  Value word_of(size_t offset) { return field(offset, I16); }

  void store_environment(Value at) {
    const Value tags = ir.CallHelper(kHelperX87Tags, I16, {});
    store_word(at, 0, field(offsetof(X86State, x87_control), I16));
    store_word(at, 1, status());
    store_word(at, 2, tags);
    const Value ip = field(offsetof(X86State, x87_ip), I32), dp = field(offsetof(X86State, x87_dp), I32);
    const Value opcode = ir.And(word_of(offsetof(X86State, x87_opcode)), imm(I16, 0x7ff));
    if (has_selectors()) {
      const Value cs = word_of(offsetof(X86State, x87_cs)), ds = word_of(offsetof(X86State, x87_ds));
      if (!is_wide()) {
        store_word(at, 3, ir.Trunc(ip, I16));
        store_word(at, 4, cs);
        store_word(at, 5, ir.Trunc(dp, I16));
        store_word(at, 6, ds);
        return;
      }
      store(plus(at, 12), ip);
      store(plus(at, 16), ir.Or(ir.ZExt(cs, I32), ir.Shl(ir.ZExt(opcode, I32), imm(I32, 16))));
      store(plus(at, 20), dp);
      store_word(at, 6, ds);
      return;
    }
    const auto upper = [&](Value pointer, unsigned mask) {
      return ir.And(ir.Shl(ir.ShrU(pointer, imm(I32, 16)), imm(I32, 12)), imm(I32, mask));
    };
    const unsigned mask = is_wide() ? 0x0ffff000 : 0xf000;
    store_word(at, 3, ir.Trunc(ip, I16));
    const Value ip_opcode = ir.Or(upper(ip, mask), ir.ZExt(opcode, I32));
    store(plus(at, 4 * slot()), is_wide() ? ip_opcode : ir.Trunc(ip_opcode, I16));
    store_word(at, 5, ir.Trunc(dp, I16));
    const Value dp_upper = upper(dp, mask);
    store(plus(at, 6 * slot()), is_wide() ? dp_upper : ir.Trunc(dp_upper, I16));
  }

  struct Environment {
    Value words[7];
  };
  Environment read_environment(Value at) {
    Environment environment;
    for (unsigned i = 0; i < 7; ++i)
      environment.words[i] = ir.ZExt(load(is_wide() ? I32 : I16, plus(at, slot() * i)), I64);
    return environment;
  }

  /// Takes the words apart; no fault can follow.
  void apply(const Environment& environment) {
    const auto& w = environment.words;
    const auto low16 = [&](Value v) { return ir.And(v, imm(I64, 0xffff)); };
    const auto left = [&](Value v, unsigned by) { return ir.Shl(v, imm(I64, by)); };
    const auto right = [&](Value v, unsigned by) { return ir.ShrU(v, imm(I64, by)); };
    Value ip, dp, opcode = imm(I64, 0), cs = imm(I64, 0), ds = imm(I64, 0);
    if (has_selectors()) {
      ip = w[3];
      dp = w[5];
      cs = low16(w[4]);
      ds = low16(w[6]);
      if (is_wide()) opcode = ir.And(right(w[4], 16), imm(I64, 0x7ff));
    } else {
      const uint64_t mask = is_wide() ? 0xffff : 0xf;
      ip = ir.Or(low16(w[3]), left(ir.And(right(w[4], 12), imm(I64, mask)), 16));
      dp = ir.Or(low16(w[5]), left(ir.And(right(w[6], 12), imm(I64, mask)), 16));
      opcode = ir.And(w[4], imm(I64, 0x7ff));
    }
    const Value words = ir.Or(ir.Or(low16(w[0]), left(low16(w[1]), 16)), left(low16(w[2]), 32));
    ir.CallHelper(kHelperX87LoadEnvironment, None, {words});
    set_field(offsetof(X86State, x87_ip), ip);
    set_field(offsetof(X86State, x87_dp), dp);
    set_field(offsetof(X86State, x87_opcode), ir.Trunc(opcode, I16));
    set_field(offsetof(X86State, x87_cs), ir.Trunc(cs, I16));
    set_field(offsetof(X86State, x87_ds), ir.Trunc(ds, I16));
  }

  bool load_environment(Value at) {
    apply(read_environment(at));
    return end_changed();
  }
};

}  // namespace

#define X86_CHAPTER X87Control
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/x87_control.inc"
#undef HANDLER

}  // namespace lyrebird::x86
