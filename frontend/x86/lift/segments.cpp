// SPDX-License-Identifier: Apache-2.0
// Segment registers, far transfers within the privilege level, what programs may ask of descriptors
// (SDM volume 1, 7.3.14; volume 3, 5.8 and 5.10).
#include "frontend/x86/lift/chapter.h"
#include "frontend/x86/lift/segment_loader.h"

namespace lyrebird::x86 {
namespace {

struct Segments : SegmentLoader {
  using SegmentLoader::SegmentLoader;

  bool LES() { return load_pointer(Segment::ES); }
  bool LDS() { return load_pointer(Segment::DS); }
  bool LSS() { return load_pointer(Segment::SS); }
  bool LFS() { return load_pointer(Segment::FS); }
  bool LGS() { return load_pointer(Segment::GS); }

  bool JMPF() {
    const auto [selector, offset] = far_target();
    check_code_segment(selector, offset);
    return far_jump(selector, offset);
  }

  bool CALLF() {
    const auto [selector, offset] = far_target();
    check_code_segment(selector, offset);
    const Type as = operand_type();
    const int64_t size = insn.operand_size;
    const Value cs = selector_of(Segment::CS);
    stack_store(ir.ZExtOrTrunc(cs, as), -size);
    stack_store(next_ip(as), -2 * size);
    add_to_stack(-2 * size);
    return far_jump(selector, offset);
  }

  /// A return to an outer level (RPL above CPL) does not exist in user mode: #GP(selector), which
  /// check_code_segment() raises.
  bool RETF() {
    const Type as = operand_type();
    const int64_t size = insn.operand_size;
    const int64_t arguments = insn.operand_count == 0 ? 0 : static_cast<int64_t>(immediate(0));
    const Value offset = stack_load(as), selector = stack_load(I16, size);
    check_code_segment(selector, offset);
    add_to_stack(2 * size + arguments);
    return far_jump(selector, offset);
  }

  /// Within the level. In 64-bit mode rSP and SS are popped in any case.
  bool IRET() {
    const Type as = operand_type();
    const int64_t size = insn.operand_size;
    const Value offset = stack_load(as), selector = stack_load(I16, size), flags = stack_load(as, 2 * size);
    check_code_segment(selector, offset);
    if (is64()) {
      const Value stack = stack_load(as, 3 * size), ss = stack_load(I16, 4 * size);
      check_segment(Segment::SS, ss);
      load_segment(Segment::SS, ss);
      set_gpr(kRsp, ir.ZExt(stack, I64));
    } else {
      add_to_stack(3 * size);
    }
    set_mode(ir.CallHelper(kHelperPopEflags, I32, {ir.ZExt(flags, I64), imm(I64, insn.operand_size)}));
    forget_flags();
    return far_jump(selector, offset);
  }

  // --- what descriptors say

  bool LAR() { return ask(kHelperLar); }
  bool LSL() { return ask(kHelperLsl); }

  bool VERR() { return verify(false); }
  bool VERW() { return verify(true); }

  bool ARPL() {
    const Value a = read(0), b = read(1), three = imm(I16, 3);
    const Value lower = ir.CmpLtU(ir.And(a, three), ir.And(b, three));
    write(0, ir.Select(lower, ir.Or(ir.And(a, imm(I16, 0xfffc)), ir.And(b, three)), a));
    set_flag(Flag::ZF, lower);
    return true;
  }

  // --- system registers that programs may read unless CR4.UMIP is set. The addresses are those that
  // Linux answers with where it emulates them.

  bool SLDT() { return write_word(selector_field(offsetof(X86State, ldtr))); }
  bool STR() { return write_word(selector_field(offsetof(X86State, tr))); }
  bool SMSW() {
    if (is_memory(0))
      write(0, field(offsetof(X86State, cr0), I16));
    else
      write(0, field(offsetof(X86State, cr0), type(0)));
    return true;
  }
  bool SGDT() { return store_table(offsetof(X86State, gdtr)); }
  bool SIDT() { return store_table(offsetof(X86State, idtr)); }

  // --- FS and GS base

  bool RDFSBASE() { return read_base(Segment::FS); }
  bool RDGSBASE() { return read_base(Segment::GS); }
  bool WRFSBASE() { return write_base(Segment::FS); }
  bool WRGSBASE() { return write_base(Segment::GS); }

 private:
  struct FarTarget {
    Value selector, offset;
  };

  Type operand_type() const { return ir::int_type(8u * insn.operand_size); }
  Value selector_field(size_t segment) { return field(segment + offsetof(SegmentState, selector), I16); }
  Value selector_of(Segment segment) { return selector_field(segment_offset(segment)); }

  FarTarget far_target() {
    const Type as = operand_type();
    if (operand(0).kind == OperandKind::FarPointer)
      return {imm(I16, static_cast<uint64_t>(insn.immediate[1])),
              imm(as, static_cast<uint64_t>(insn.immediate[0]))};
    return far_pointer(as);
  }

  /// The offset and the selector behind it in memory.
  FarTarget far_pointer(Type as) {
    const unsigned size = ir::byte_size(as);
    const Value at = address(size + 2, false);
    const Value offset = load(as, at);
    return {load(I16, plus(at, size)), offset};
  }

  bool load_pointer(Segment segment) {
    const auto [selector, offset] = far_pointer(type(0));
    check_segment(segment, selector);
    load_segment(segment, selector);
    write(0, offset);
    return end_block();
  }

  /// LAR and LSL: the helper's bit 32 says whether there is an answer.
  bool ask(unsigned helper) {
    const Value selector = is_memory(1) ? read(1, I16) : ir.Trunc(read(1), I16);
    const Value answer = ir.CallHelper(helper, I64, {ir.ZExt(selector, I64)});
    const Value valid = ir.CmpTest(answer, imm(I64, uint64_t{1} << 32));
    const Value value = ir.ZExtOrTrunc(ir.And(answer, imm(I64, 0xffffffff)), type(0));
    write_if(valid, value);
    set_flag(Flag::ZF, valid);
    return true;
  }

  /// A 32-bit register keeps its upper half, too, if nothing is written.
  void write_if(Value condition, Value value) {
    const unsigned reg = operand(0).reg;
    if (value.type == I32)
      set_gpr(reg, ir.Select(condition, ir.ZExt(value, I64), gpr(reg)));
    else
      set_gpr(reg, ir.Select(condition, value, gpr(reg, value.type)));
  }

  bool verify(bool write) {
    const Value selector = ir.ZExt(read(0, I16), I64);
    const Value good = ir.CallHelper(kHelperVerify, I8, {selector, imm(I64, write)});
    set_flag(Flag::ZF, ir.CmpNe(good, imm(I8, 0)));
    return true;
  }

  bool write_word(Value value) {
    write(0, is_memory(0) ? value : ir.ZExtOrTrunc(value, type(0)));
    return true;
  }

  bool store_table(size_t table) {
    const Type as = is64() ? I64 : I32;
    const Value limit = field(table + offsetof(TableState, limit), I16);
    const Value base = field(table + offsetof(TableState, base), as);
    const Value at = address(2 + ir::byte_size(as), true);
    store(at, limit);
    store(plus(at, 2), base);
    return true;
  }

  bool read_base(Segment segment) {
    write(0, field(segment_offset(segment) + offsetof(SegmentState, base), type(0)));
    return true;
  }
  /// An address that is not canonical is #GP(0).
  bool write_base(Segment segment) {
    const Value base = ir.ZExt(read(0), I64);
    constexpr unsigned kUnused = 16;
    const Value extended = ir.ShrS(ir.Shl(base, imm(I64, kUnused)), imm(I64, kUnused));
    ir.RaiseIf(ir.CmpNe(extended, base), ExitKind::ProtectionFault);
    set_field(segment_offset(segment) + offsetof(SegmentState, base), base);
    return true;
  }
};

}  // namespace

#define X86_CHAPTER Segments
#define HANDLER(name) X86_DEFINE_HANDLER(name)
#include "frontend/x86/lift/segments.inc"
#undef HANDLER

}  // namespace lyrebird::x86
