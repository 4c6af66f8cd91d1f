// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/chapters.h"
#include "frontend/arm/a64/lifter.h"

namespace lyrebird::arm::a64 {
namespace {

struct Branches : Lifter {
  using Lifter::Lifter;

  template <unsigned N>
  uint64_t target(Imm<N> words) {
    return ctx.pc + static_cast<uint64_t>(words.sext() * 4);
  }
  uint64_t next() const { return ctx.pc + 4; }

  bool B_uncond(Imm<26> offset) {
    ir.Jump(target(offset));
    return false;
  }

  bool BL(Imm<26> offset) {
    set_x(Reg{30}, imm(I64, next()));
    ir.Jump(target(offset), JumpHint::Call);
    return false;
  }

  bool B_cond(Imm<19> offset, Cond condition) {
    ir.Branch(holds(condition), target(offset), next());
    return false;
  }

  bool CBZ(bool sf, bool nonzero, Imm<19> offset, Reg t) {
    const Value value = x(t, sized(sf)), zero = imm(sized(sf), 0);
    ir.Branch(nonzero ? ir.CmpNe(value, zero) : ir.CmpEq(value, zero), target(offset), next());
    return false;
  }

  bool TBZ(Imm<6> bit, bool nonzero, Imm<14> offset, Reg t) {
    const Value set = ir.CmpTest(x(t), imm(I64, uint64_t{1} << bit));
    ir.Branch(nonzero ? set : ir.Not(set), target(offset), next());
    return false;
  }

  bool SVC(Imm<16> number) {
    ir.Raise(ExitKind::Syscall, number);
    return false;
  }

  bool BRK(Imm<16> comment) {
    ir.Raise(ExitKind::Breakpoint, comment);
    return false;
  }
};

#define A64_CHAPTER Branches
constexpr Row kRows[] = {
#include "frontend/arm/a64/branches.inc"
};

}  // namespace

std::span<const Row> branches_rows() { return kRows; }

}  // namespace lyrebird::arm::a64
