// SPDX-License-Identifier: Apache-2.0
// Moves, exchanges and flag moves (SDM volume 1, 7.3.1 and 7.3.14).
#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/segment_loader.h"

namespace lyrebird::x86 {
namespace {

struct DataTransfer : SegmentLoader {
  using SegmentLoader::SegmentLoader;

  bool MOV() {
    if (operand(0).kind == OperandKind::Control || operand(0).kind == OperandKind::Debug ||
        operand(1).kind == OperandKind::Control || operand(1).kind == OperandKind::Debug)
      return undefined();  // privileged; system mode is not there yet
    if (operand(0).kind == OperandKind::Segment) {
      const Value selector = read(1, I16);
      const auto segment = static_cast<Segment>(operand(0).reg);
      check_segment(segment, selector);
      load_segment(segment, selector);
      return end_block();
    }
    write(0, read(1, type(0)));
    return true;
  }

  bool MOVSX() {
    const Type as = type(0);
    const bool extends = operand(1).size < operand(0).size;
    if (is_memory(1) && extends && as != I16) {
      MemInfo info = load_rule(type(1));
      info.sign = true;
      write(0, ir.Load(as, address(operand(1).size, false), info));
    } else {
      write(0, ir.SExt(read(1), as));
    }
    return true;
  }
  bool MOVSXD() { return MOVSX(); }
  bool MOVZX() {
    write(0, ir.ZExt(read(1), type(0)));
    return true;
  }

  bool MOVBE() {
    write(0, ir.ByteReverse(read(1)));
    return true;
  }

  bool MOVNTI() {
    write(0, read(1));
    return true;
  }

  bool LEA() {
    if (operand(0).size < insn.address_size)
      write(0, offset(type(0)));
    else
      write(0, ir.ZExtOrTrunc(offset(), type(0)));
    return true;
  }

  bool XCHG() {
    const Value b = read(1);
    if (is_memory(0)) {
      write(1, ir.Atomic(Op::AtomicSwap, address(operand(0).size, true), b, locked_rule(b.type)));
      return true;
    }
    const Value a = read(0);
    write(0, b);
    write(1, a);
    return true;
  }

  bool XADD() {
    const Value b = read(1);
    Value a;
    if (is_memory(0) && insn.has(kPrefixLock)) {
      a = ir.Atomic(Op::AtomicAdd, address(operand(0).size, true), b, locked_rule(b.type));
    } else {
      a = read(0);
      if (is_memory(0)) write(0, ir.Add(a, b));
    }
    const Value sum = ir.Add(a, b);
    set_flags_of_add(a, b, sum);
    write(1, a);
    if (!is_memory(0)) write(0, sum);
    return true;
  }

  /// The accumulator changes only if the comparison fails: not even its upper half is cleared. A
  /// register destination is written in either case, with what it had.
  bool CMPXCHG() {
    const Type as = type(0);
    const Value accumulator = gpr(kRax, as), b = read(1);
    Value a, equal;
    if (is_memory(0) && insn.has(kPrefixLock)) {
      a = ir.CompareSwap(address(operand(0).size, true), accumulator, b, locked_rule(as));
      equal = ir.CmpEq(accumulator, a);
    } else {
      a = read(0);
      equal = ir.CmpEq(accumulator, a);
      if (is_memory(0)) write(0, ir.Select(equal, b, a));
    }
    set_flags_of_sub(accumulator, a, {});
    const Value rax = gpr(kRax);
    if (is_memory(0)) {
      set_gpr(kRax, ir.Select(equal, rax, with_low(rax, a)));
      return true;
    }
    // A destination that is the accumulator compares equal.
    set_gpr(kRax, ir.Select(equal, rax, with_low(rax, a)));
    if (operand(0).kind == OperandKind::Gpr && as == I32) {
      const Value old = gpr(operand(0).reg);
      set_gpr(operand(0).reg, ir.Select(equal, ir.ZExt(b, I64), old));
    } else {
      write(0, ir.Select(equal, b, a));
    }
    return true;
  }

  bool CMPXCHG8B() {
    const Value old_value = ir.Or(ir.ZExt(gpr(kRax, I32), I64), ir.Shl(gpr(kRdx), imm(I64, 32)));
    const Value new_value = ir.Or(ir.ZExt(gpr(kRbx, I32), I64), ir.Shl(gpr(kRcx), imm(I64, 32)));
    const Value was = ir.CompareSwap(address(8, true), old_value, new_value, locked_rule(I64));
    const Value equal = ir.CmpEq(was, old_value);
    set_flag(Flag::ZF, equal);
    set_gpr(kRax, ir.Select(equal, gpr(kRax), ir.ZExt(ir.Trunc(was, I32), I64)));
    set_gpr(kRdx, ir.Select(equal, gpr(kRdx), ir.ShrU(was, imm(I64, 32))));
    return true;
  }

  bool CMPXCHG16B() {
    MemInfo rule = locked_rule(I128);
    rule.align = ir::Align::Natural;
    const Value old_value = ir.Pair64(gpr(kRax), gpr(kRdx)), new_value = ir.Pair64(gpr(kRbx), gpr(kRcx));
    const Value was = ir.CompareSwap(address(16, true), old_value, new_value, rule);
    set_flag(Flag::ZF, ir.CmpEq(was, old_value));
    // If they were equal this is what they have.
    set_gpr(kRax, ir.Lo64(was));
    set_gpr(kRdx, ir.Hi64(was));
    return true;
  }

  bool CMOVcc() {
    const Value source = read(1);
    write(0, ir.Select(holds(insn.condition()), source, read(0)));
    return true;
  }

  bool SETcc() {
    write(0, ir.ZExt(holds(insn.condition()), I8));
    return true;
  }

  /// Of 16 bits it is undefined; processors give 0.
  bool BSWAP() {
    write(0, operand(0).size == 2 ? imm(I16, 0) : ir.ByteReverse(read(0)));
    return true;
  }

  /// CBW, CWDE, CDQE.
  bool CBW() {
    const Type to = ir::int_type(8u * insn.operand_size), from = ir::int_type(4u * insn.operand_size);
    set_gpr(kRax, ir.SExt(gpr(kRax, from), to));
    return true;
  }

  /// CWD, CDQ, CQO.
  bool CWD() {
    const Type as = ir::int_type(8u * insn.operand_size);
    set_gpr(kRdx, ir.ShrS(gpr(kRax, as), imm(as, ir::bit_width(as) - 1)));
    return true;
  }

  bool XLAT() {
    const Type as = ir::int_type(8u * insn.address_size);
    const Value at = ir.ZExt(ir.Add(gpr(kRbx, as), ir.ZExt(gpr(kRax, I8), as)), I64);
    set_gpr(kRax, load(I8, linear(insn.memory.segment, at, 1, false)));
    return true;
  }

  // --- flags

  /// SF, ZF, AF, PF and CF, which the status word has in bits 15:8.
  static constexpr uint8_t kLowFlags = 0xd5;

  bool LAHF() {
    const Value low = ir.Trunc(ir.ShrU(ir.ZExt(status(), I32), imm(I32, 8)), I8);
    ir.SetState(gpr_offset(kRax) + 1, ir.Or(ir.And(low, imm(I8, kLowFlags)), imm(I8, 2)));
    return true;
  }

  bool SAHF() {
    const Value low = ir.And(ir.ZExt(gpr_high(kRax), I32), imm(I32, kLowFlags));
    const Value overflow = ir.And(ir.ZExt(status(), I32), imm(I32, status_mask(Flag::OF)));
    const Value sum = ir.Or(ir.Shl(ir.Or(low, imm(I32, 2)), imm(I32, 8)), overflow);
    set_status(ir.Trunc(sum, I16));
    return true;
  }

  bool CLC() {
    set_flag(Flag::CF, ir.False());
    return true;
  }
  bool STC() {
    set_flag(Flag::CF, ir.True());
    return true;
  }
  bool CMC() {
    set_flag(Flag::CF, ir.Not(flag(Flag::CF)));
    return true;
  }
  bool CLD() {
    set_field(offsetof(X86State, df), imm(I8, 0));
    return true;
  }
  bool STD() {
    set_field(offsetof(X86State, df), imm(I8, 1));
    return true;
  }

  bool SALC() {
    set_gpr(kRax, ir.Select(flag(Flag::CF), imm(I8, 0xff), imm(I8, 0)));
    return true;
  }

 private:
  /// `wide` with its low part replaced as writing a register does.
  Value with_low(Value wide, Value low) {
    if (low.type == I64) return low;
    if (low.type == I32) return ir.ZExt(low, I64);
    const uint64_t mask = low_mask(ir::bit_width(low.type));
    return ir.Or(ir.And(wide, imm(I64, ~mask)), ir.ZExt(low, I64));
  }
};

}  // namespace

#define X86_CHAPTER DataTransfer
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/data_transfer.inc"
#undef HANDLER

}  // namespace lyrebird::x86
