// SPDX-License-Identifier: Apache-2.0
// Near transfers of control, software interrupts, instructions that do nothing (SDM volume 1, 7.3.8).
#include "frontend/x86/lift/chapter.h"

namespace lyrebird::x86 {
namespace {

/// That many branches a block goes on behind: who comes to what follows from elsewhere has it translated
/// again.
constexpr unsigned kSideExits = 3;

struct Control : Lifter {
  using Lifter::Lifter;

  bool JMP() {
    if (operand(0).kind == OperandKind::Relative) return jump_relative();
    return jump_to_offset(read(0));
  }

  bool CALL() {
    const Type as = ir::int_type(8u * insn.operand_size);
    if (operand(0).kind == OperandKind::Relative) {
      push(next_ip(as));
      return jump_relative(JumpHint::Call);
    }
    const Value target = read(0);
    push(next_ip(as));
    return jump_to_offset(target, JumpHint::Call);
  }

  bool RET() {
    const Value target = stack_load(ir::int_type(8u * insn.operand_size));
    const int64_t arguments = insn.operand_count == 0 ? 0 : static_cast<int64_t>(immediate(0));
    add_to_stack(insn.operand_size + arguments);
    return jump_to_offset(target, JumpHint::Return);
  }

  bool Jcc() { return branch_if(holds(insn.condition())); }

  bool LOOP() { return branch_if(count_down()); }
  bool LOOPE() {
    const Value more = count_down();
    return branch_if(ir.And(more, flag(Flag::ZF)));
  }
  bool LOOPNE() {
    const Value more = count_down();
    return branch_if(ir.AndNot(more, flag(Flag::ZF)));
  }
  bool JCXZ() { return branch_if(is_zero(gpr(kRcx, address_type()))); }

  // --- interrupts

  bool INT() { return interrupt(static_cast<unsigned>(immediate(0))); }
  bool INTO() {
    finish_if(ir.Not(flag(Flag::OF)));
    return interrupt(4);
  }
  bool INT3() {
    ir.Raise(ExitKind::Breakpoint, 3);
    return false;
  }
  bool INT1() {
    ir.Raise(ExitKind::Breakpoint, 1);
    return false;
  }

  bool BOUND() {
    const Type as = type(0);
    const unsigned size = operand(0).size;
    const Value index = read(0), low = load(as, address(size, false));
    const Value second = imm(ir::int_type(8u * insn.address_size), size);
    const Value above = ir.ZExt(ir.Add(offset(second.type), second), I64);
    const Value high = load(as, linear(insn.memory.segment, above, size, false));
    ir.RaiseIf(ir.Or(ir.CmpLtS(index, low), ir.CmpLtS(high, index)), ExitKind::ArithmeticTrap, kTrapBound);
    return true;
  }

  bool NOP() { return true; }
  bool ENDBR64() { return true; }
  bool ENDBR32() { return true; }
  bool PAUSE() {
    ir.Raise(ExitKind::Yield);
    return false;
  }

 private:
  Type address_type() const { return ir::int_type(8u * insn.address_size); }

  bool branch_if(Value condition) {
    if (has_static_target()) {
      if (goes_on()) {
        ++ctx.side_exits;
        ir.ExitIf(condition, static_target());
        return true;
      }
      ir.Branch(condition, static_target(), next_pc());
      return false;
    }
    const Type as = ir::int_type(8u * insn.operand_size);
    const Value next = next_ip(as);
    return jump_to_offset(ir.Select(condition, plus(next, insn.immediate[0]), next));
  }

  /// Whether what follows the branch, if it is not taken, becomes part of the block. Nobody would note the
  /// debug exception of a branch in its middle.
  bool goes_on() const {
    return static_target() > ctx.pc && ctx.side_exits < kSideExits && (ctx.mode & kModeTrap) == 0;
  }

  /// rCX - 1, and whether that is not 0.
  Value count_down() {
    const Value count = gpr(kRcx, address_type());
    const Value more = ir.CmpNe(count, imm(count.type, 1));
    set_gpr(kRcx, plus(count, -1));
    return more;
  }

  bool interrupt(unsigned vector) {
    ir.Raise(ExitKind::SoftwareInterrupt, interrupt_detail(vector, insn.length));
    return false;
  }
};

}  // namespace

#define X86_CHAPTER Control
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/control.inc"
#undef HANDLER

}  // namespace lyrebird::x86
