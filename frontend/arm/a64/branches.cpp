// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/lifter.h"
#include "frontend/arm/a64/privileged.h"
#include "ir/const_address.h"

namespace lyrebird::arm::a64 {
namespace {

struct Branches : Lifter {
  using Lifter::Lifter;

  // --- to constants

  bool B_uncond(Imm<26> offset) {
    ir.Jump(target(offset));
    return false;
  }

  bool BL(Imm<26> offset) {
    set_x(Reg{30}, ir::const_address(ir, next()));
    ir.Jump(target(offset), JumpHint::Call);
    return false;
  }

  bool B_cond(Imm<19> offset, Cond condition) { return branch_if(holds(condition), target(offset)); }

  bool CBZ(bool sf, bool nonzero, Imm<19> offset, Reg t) {
    const Value value = x(t, sized(sf)), zero = imm(sized(sf), 0);
    return branch_if(nonzero ? ir.CmpNe(value, zero) : ir.CmpEq(value, zero), target(offset));
  }

  bool TBZ(Imm<6> bit, bool nonzero, Imm<14> offset, Reg t) {
    const Value set = ir.CmpTest(x(t), imm(I64, uint64_t{1} << bit));
    if (nonzero || ctx.goes_on) return branch_if(nonzero ? set : ir.Not(set), target(offset));
    ir.Branch(set, next(), target(offset));
    return false;
  }

  // --- to registers

  bool BR(Reg n) { return branch(n, x(n)); }
  bool BLR(Reg n) { return call(x(n)); }
  bool RET(Reg n) { return ret(x(n)); }

  bool BRA(bool b_key, Reg n, Reg m) { return branch(n, authenticate(x(n), x_or_sp(m), b_key)); }
  bool BRAZ(bool b_key, Reg n) { return branch(n, authenticate(x(n), imm(I64, 0), b_key)); }
  bool BLRA(bool b_key, Reg n, Reg m) { return call(authenticate(x(n), x_or_sp(m), b_key)); }
  bool BLRAZ(bool b_key, Reg n) { return call(authenticate(x(n), imm(I64, 0), b_key)); }
  bool RETA(bool b_key) { return ret(authenticate(x(Reg{30}), x_or_sp(Reg{31}), b_key)); }

  // --- exceptions

  bool SVC(Imm<16> number) {
    if (ctx.system) return lift_supervisor_call(ctx, number);
    ir.Raise(ExitKind::Syscall, number);
    return false;
  }

  bool BRK(Imm<16> comment) {
    ir.Raise(ExitKind::Breakpoint, comment);
    return false;
  }

 private:
  template <unsigned N>
  uint64_t target(Imm<N> words) {
    return ctx.pc + static_cast<uint64_t>(words.sext() * 4);
  }
  uint64_t next() const { return ctx.pc + 4; }

  bool branch_if(Value condition, uint64_t to) {
    if (ctx.goes_on) {
      ir.ExitIf(condition, to);
      return true;
    }
    ir.Branch(condition, to, next());
    return false;
  }

  // PSTATE.BTYPE after an indirect branch (DDI 0487, D8.4.6): 1 through X16 and X17, or from a page
  // that is not guarded, 3 through others; 2 for a call; 0 for a return.

  bool branch(Reg n, Value to) {
    set_btype(n == 16 || n == 17 || !ctx.guarded_page ? 1 : 3);
    ir.JumpIndirect(to);
    return false;
  }

  bool call(Value to) {
    set_x(Reg{30}, ir::const_address(ir, next()));
    set_btype(2);
    ir.JumpIndirect(to, JumpHint::Call);
    return false;
  }

  bool ret(Value to) {
    ir.JumpIndirect(to, JumpHint::Return);
    return false;
  }

  void set_btype(uint32_t btype) {
    if (!(ctx.mode & kModeBti)) return;
    const uint32_t mode = (ctx.mode & ~kModeBtypeMask) | btype << kModeBtypeShift;
    ir.SetState(mode_offset(), imm(I32, mode));
  }
};

#define A64_CHAPTER Branches
constexpr Row kRows[] = {
#include "frontend/arm/a64/branches.inc"
};

}  // namespace

std::span<const Row> branches_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
