// SPDX-License-Identifier: Apache-2.0
/// Loading segment registers, for the chapters that do. It may change the mode, so the block must
/// end after the instruction.
#pragma once

#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/lift/lifter.h"

namespace lyrebird::x86 {

struct SegmentLoader : Lifter {
  using Lifter::Lifter;

 protected:
  /// Raises what load_segment() would; changes nothing.
  void check_segment(Segment segment, Value selector) {
    raise_faults(ir.CallHelper(kHelperCheckSegment, I8, {number(segment), ir.ZExt(selector, I64)}));
  }
  /// After check_segment().
  void load_segment(Segment segment, Value selector) {
    set_mode(ir.CallHelper(kHelperLoadSegment, I32, {number(segment), ir.ZExt(selector, I64)}));
  }

  /// The same for CS and a far transfer to the offset.
  void check_code_segment(Value selector, Value offset) {
    raise_faults(ir.CallHelper(kHelperCheckCodeSegment, I8, {ir.ZExt(selector, I64), ir.ZExt(offset, I64)}));
  }
  /// After check_code_segment(): ends the block.
  bool far_jump(Value selector, Value offset) {
    const Value wide = ir.ZExt(offset, I64);
    set_mode(ir.CallHelper(kHelperLoadCodeSegment, I32, {ir.ZExt(selector, I64), wide}));
    const Value base = field(offsetof(X86State, cs) + offsetof(SegmentState, base), I64);
    ir.JumpIndirect(ir.Add(base, wide));
    return false;
  }

 private:
  Value number(Segment segment) { return imm(I64, static_cast<unsigned>(segment)); }

  /// The helpers answer with a SegmentFault.
  void raise_faults(Value answer) {
    constexpr ExitKind kKinds[] = {ExitKind::ProtectionFault, ExitKind::StackFault, ExitKind::SegmentAbsent};
    for (unsigned i = 0; i < std::size(kKinds); ++i)
      ir.RaiseIf(ir.CmpEq(answer, imm(I8, i + 1)), kKinds[i], kErrorCodeInState);
  }
};

}  // namespace lyrebird::x86
