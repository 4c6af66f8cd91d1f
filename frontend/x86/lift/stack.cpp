// SPDX-License-Identifier: Apache-2.0
// The stack (SDM volume 1, 6.2 and 7.3.1.4).
#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/segment_loader.h"

namespace lyrebird::x86 {
namespace {

struct Stack : SegmentLoader {
  using SegmentLoader::SegmentLoader;

  bool PUSH() {
    push(read(0, operand_type()));
    return true;
  }

  bool POP() {
    const int64_t size = insn.operand_size;
    if (operand(0).kind == OperandKind::Segment) {
      const Value selector = stack_load(I16);
      const auto segment = static_cast<Segment>(operand(0).reg);
      check_segment(segment, selector);
      load_segment(segment, selector);
      add_to_stack(size);
      return end_block();
    }
    const Value value = stack_load(operand_type());
    if (is_memory(0)) {
      stack_bias_ = size;  // the address is that after rSP has grown
      write(0, value);
      add_to_stack(size);
    } else {
      add_to_stack(size);
      write(0, value);
    }
    return true;
  }

  bool PUSHA() {
    const Type as = operand_type();
    const int64_t size = insn.operand_size;
    for (unsigned i = 0; i < 8; ++i) stack_store(gpr(i, as), -size * static_cast<int64_t>(i + 1));
    add_to_stack(-8 * size);
    return true;
  }

  bool POPA() {
    const Type as = operand_type();
    const int64_t size = insn.operand_size;
    // What has been popped stays if a later one faults, as on the processors that we compare with. rSP is
    // as it was, so that all of it can be done again.
    for (unsigned i = 0; i < 8; ++i) {
      const Value value = stack_load(as, size * static_cast<int64_t>(i));
      if (7 - i != kRsp) set_gpr(7 - i, value);
      ir.Insn(ctx.pc, insn.length);
    }
    add_to_stack(8 * size);
    return true;
  }

  /// RF and VM are pushed as zeros.
  bool PUSHF() {
    v86_needs_iopl();
    constexpr uint64_t kPushed = 0xfcffff;
    const Value flags = eflags();
    push(ir.Trunc(ir.And(flags, imm(I64, kPushed)), operand_type()));
    return true;
  }

  bool POPF() {
    v86_needs_iopl();
    const Value value = stack_load(operand_type());
    set_mode(ir.CallHelper(kHelperPopEflags, I32, {ir.ZExt(value, I64), imm(I64, insn.operand_size)}));
    add_to_stack(insn.operand_size);
    forget_flags();
    return end_block();
  }

  /// SDM volume 2, ENTER: `level` frame pointers, the last of them the new one's.
  bool ENTER() {
    const Type as = operand_type();
    const int64_t size = insn.operand_size;
    const auto level = static_cast<unsigned>(immediate(1) & 31);
    int64_t depth = size;
    stack_store(gpr(kRbp, as), -depth);
    const Value frame = ir.Sub(gpr(kRsp, stack_type()), imm(stack_type(), static_cast<uint64_t>(size)));
    for (unsigned i = 1; i < level; ++i) {
      const Value at = ir.Sub(gpr(kRbp, stack_type()), imm(stack_type(), static_cast<uint64_t>(size) * i));
      const Value pointer = load(as, linear(Segment::SS, ir.ZExt(at, I64), insn.operand_size, false));
      depth += size;
      stack_store(pointer, -depth);
    }
    if (level > 0) {
      depth += size;
      stack_store(ir.ZExtOrTrunc(frame, as), -depth);
    }
    // The new top of the stack must be accessible.
    const int64_t top = -depth - static_cast<int64_t>(immediate(0));
    load(I8, linear(Segment::SS, stack_offset(top), 1, true));
    add_to_stack(top);
    set_gpr(kRbp, ir.ZExtOrTrunc(frame, as));
    return true;
  }

  bool LEAVE() {
    const Type stack = stack_type();
    const Value frame = gpr(kRbp, stack);
    const Value value =
        load(operand_type(), linear(Segment::SS, ir.ZExt(frame, I64), insn.operand_size, false));
    set_gpr(kRsp, ir.Add(frame, imm(stack, insn.operand_size)));
    set_gpr(kRbp, value);
    return true;
  }

 private:
  Type operand_type() const { return ir::int_type(8u * insn.operand_size); }

  /// In v86 mode with IOPL below 3 it is #GP(0).
  void v86_needs_iopl() {
    if ((ctx.mode & kModeV86) != 0)
      ir.RaiseIf(ir.CmpNe(field(offsetof(X86State, iopl), I8), imm(I8, 3)), ExitKind::ProtectionFault);
  }
};

}  // namespace

#define X86_CHAPTER Stack
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/stack.inc"
#undef HANDLER

}  // namespace lyrebird::x86
