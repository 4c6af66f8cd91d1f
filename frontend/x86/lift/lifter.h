// SPDX-License-Identifier: Apache-2.0
/// What every x86 instruction handler stands on. A chapter is a struct derived from Lifter whose
/// member functions, named as the manual names the instruction, are the handlers: all operand
/// forms of a mnemonic have one. They return true to go on with the next instruction and false
/// when the block has ended. A Lifter lives for one instruction.
///
/// Order inside a handler: everything that may fault first, register writes last.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>

#include "base/bits.h"
#include "frontend/x86/cpu_model.h"
#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x86_state.h"
#include "ir/builder.h"

namespace lyrebird::x86 {

using ir::ExitKind;
using ir::FpMode;
using ir::JumpHint;
using ir::MemInfo;
using ir::Op;
using ir::Type;
using ir::Value;
using enum ir::Type;

enum class Flag : uint8_t { CF, PF, AF, ZF, SF, OF };
inline constexpr unsigned kFlagCount = 6;

/// The status flags as this block last wrote them. Flags are made from where they come from only
/// when something asks for them.
struct KnownFlags {
  enum class Origin : uint8_t {
    None,
    Add,    ///< r = a + b, + carry if there is one
    Sub,    ///< r = a - b, - carry if there is one; no r if nothing else wants it
    Value,  ///< ZF, SF and PF are those of r, the others are clear
    Order,  ///< a is an FCompare, b the same with unordered as equal: CF, PF and ZF say which, the others are
            ///< clear
  };
  Origin origin = Origin::None;
  uint8_t others = 0;  ///< (a bit for each Flag) not of that origin
  Value a = {}, b = {}, carry = {}, r = {};
  std::array<Value, kFlagCount> value = {};  ///< (I1) once asked for, or written one by one
  Value word = {};                           ///< what the state has
};

/// One block being lifted.
struct LiftContext {
  ir::Builder& ir;
  const CpuModel& cpu;
  bool first_step = false;  ///< of X86Frontend
  uint64_t pc = 0;          ///< linear address of the current instruction
  uint32_t mode = 0;        ///< mode bits the block is lifted for (x86_mode.h); TOP changes on the way
  Insn insn = {};           ///< the current instruction
  KnownFlags flags = {};
  uint16_t upper_zero = 0;  ///< vector registers whose upper halves this block has cleared
  Value zeros = {};         ///< a V128 of zeros, once there is one
  unsigned side_exits = 0;  ///< conditional branches that the block goes on behind
};

class Lifter {
 public:
  explicit Lifter(LiftContext& context) : ctx(context), ir(context.ir), insn(context.insn) {}

 protected:
  // --- operands, by index
  const Operand& operand(unsigned i) const { return insn.operands[i]; }
  bool is_memory(unsigned i) const { return operand(i).kind == OperandKind::Memory; }
  bool is_immediate(unsigned i) const { return operand(i).kind == OperandKind::Immediate; }
  /// The int type of the operand's size.
  Type type(unsigned i) const { return ir::int_type(8u * operand(i).size); }
  /// General register, segment register, memory or immediate, as an int of the operand's size.
  Value read(unsigned i) { return read(i, type(i)); }
  /// The low part of it; memory is read in that size.
  Value read(unsigned i, Type as);
  /// To a general register or memory, in the size of the value: 32 bits clear the rest of the
  /// register, 8 and 16 leave it.
  void write(unsigned i, Value value);
  uint64_t immediate(unsigned i) const { return static_cast<uint64_t>(insn.immediate[operand(i).reg]); }

  // --- general registers
  Value gpr(unsigned reg, Type as = I64) { return ir.GetState(gpr_offset(reg), as); }
  void set_gpr(unsigned reg, Value value);
  Value gpr_high(unsigned reg) { return ir.GetState(gpr_offset(reg) + 1, I8); }

  // --- memory. Addresses are I64, linear.
  /// The address of insn.memory, for an access of `size` bytes (segment rules are checked).
  Value address(unsigned size, bool write);
  /// The offset of insn.memory, cut to the address size, as an I64.
  Value offset();
  /// The same, cut to a narrower type as well.
  Value offset(Type as);
  /// Linear address of an offset (I64, cut already), for an access that segments and AC permit.
  Value linear(Segment segment, Value offset, unsigned size, bool write);
  Value load(Type as, Value linear_address) { return ir.Load(as, linear_address, load_rule(as)); }
  void store(Value linear_address, Value value) { ir.Store(linear_address, value, store_rule(value.type)); }
  static MemInfo load_rule(Type type) {
    return {.size = static_cast<uint8_t>(ir::byte_size(type)), .order = ir::Order::Acquire};
  }
  static MemInfo store_rule(Type type) {
    return {.size = static_cast<uint8_t>(ir::byte_size(type)), .order = ir::Order::Release};
  }
  static MemInfo locked_rule(Type type) {
    return {.size = static_cast<uint8_t>(ir::byte_size(type)), .order = ir::Order::SeqCst};
  }
  /// Faults where a write of the size (at most a page) would: before several stores, of which none may
  /// happen then. Not for hot code: it writes what is there.
  void probe_write(Value at, unsigned size) { probe_write(at, imm(I64, size)); }
  void probe_write(Value at, Value size);
  /// A value plus a constant, in the value's type.
  Value plus(Value a, int64_t n) { return n == 0 ? a : ir.Add(a, imm(a.type, static_cast<uint64_t>(n))); }

  // --- the stack (SDM volume 1, 6.2)
  Type stack_type() const;
  /// rSP + displacement as an offset (I64), wrapping by the stack's size.
  Value stack_offset(int64_t displacement = 0);
  /// Memory at SS:[rSP + displacement].
  Value stack_load(Type as, int64_t displacement = 0);
  void stack_store(Value value, int64_t displacement);
  /// rSP += n. Last thing in an instruction.
  void add_to_stack(int64_t n);
  void push(Value value);

  // --- flags
  /// Its bit of the status word.
  static constexpr unsigned status_bit(Flag flag) {
    constexpr uint8_t kBits[] = {8, 10, 12, 14, 15, 0};
    return kBits[static_cast<unsigned>(flag)];
  }
  static constexpr uint16_t status_mask(Flag flag) { return static_cast<uint16_t>(1u << status_bit(flag)); }
  Value flag(Flag flag);
  /// The status word.
  Value status();
  /// eflags(), I64.
  Value eflags();
  using FlagValue = std::pair<Flag, Value>;
  /// Some flags; the others stay.
  void set_flags(std::initializer_list<FlagValue> values, Value condition = {});
  /// The same, if `bits` (I32) are these flags as bits of the status word.
  void set_flags_as(std::span<const FlagValue> values, Value bits);
  void set_flag(Flag flag, Value value) { set_flags({{flag, value}}); }
  /// SF, ZF and PF are those of r, the others as listed, or clear. Nothing changes where there is a
  /// condition that does not hold.
  void set_flags_of_result(Value r, std::initializer_list<FlagValue> others, Value condition = {});
  /// After a helper has written flags.
  void forget_flags() { ctx.flags = {}; }
  /// All of them, from bits 7:0 of EFLAGS and OF (bit 0 of an I16).
  void set_status(Value word);
  /// The same, if CF, AF and OF are the word's alone, and the others those of r, or, without an r, still what
  /// they were.
  void set_status(Value word, Value r);
  // All six, as ADD, ADC, SUB, SBB, AND and so on set them; r is the result.
  void set_flags_of_add(Value a, Value b, Value r) { set_flags_of(KnownFlags::Origin::Add, a, b, {}, r); }
  void set_flags_of_add(Value a, Value b, Value carry, Value r) {
    set_flags_of(KnownFlags::Origin::Add, a, b, carry, r);
  }
  void set_flags_of_sub(Value a, Value b, Value r) { set_flags_of(KnownFlags::Origin::Sub, a, b, {}, r); }
  void set_flags_of_sub(Value a, Value b, Value borrow, Value r) {
    set_flags_of(KnownFlags::Origin::Sub, a, b, borrow, r);
  }
  /// The same but for CF, which stays.
  void set_flags_of_step(bool down, Value a, Value one, Value r);
  /// AF is undefined; processors clear it.
  void set_flags_of_logic(Value r) { set_flags_of(KnownFlags::Origin::Value, {}, {}, {}, r); }
  /// As COMISD and FCOMI set them; `order` is an FCompare, `order_equal` the same with unordered as equal.
  void set_flags_of_order(Value order, Value order_equal) {
    set_flags_of(KnownFlags::Origin::Order, order, order_equal, {}, {});
  }
  Value sign_of(Value r) { return ir.CmpLtS(r, imm(r.type, 0)); }
  Value is_zero(Value r) { return ir.CmpEq(r, imm(r.type, 0)); }
  /// The condition cc of Jcc (SDM volume 1, appendix B).
  Value holds(unsigned condition);

  // --- control
  uint64_t next_pc() const;
  /// The instruction is done already if `done`.
  void finish_if(ir::Value done);
  bool is64() const { return insn.mode == Mode::k64; }
  bool is_flat() const { return is64() || (ctx.mode & kModeFlat) != 0; }
  bool is_real() const { return (ctx.mode & kModeProtected) == 0; }
  bool is_real_or_v86() const { return is_real() || (ctx.mode & kModeV86) != 0; }
  unsigned cpl() const { return cpl_of_mode(ctx.mode); }
  /// rIP of the next instruction, in the type.
  Value next_ip(Type as);
  /// Ends the block: near jump to the relative operand, to an offset in CS (any int).
  bool jump_relative(JumpHint hint = JumpHint::None);
  bool jump_to_offset(Value offset, JumpHint hint = JumpHint::None);
  /// Ends the block: the next instruction, after the mode may have changed.
  bool end_block();
  /// Linear address that the relative operand leads to; only where it is known (has_static_target).
  uint64_t static_target() const;
  /// Code with a segment base wraps at 64 KiB or 4 GiB from that base, which is not known.
  bool has_static_target() const { return is_flat() || insn.operand_size != 2; }

  bool undefined();
  /// #GP(0).
  bool protection_fault();

  /// The low bits of the number.
  Value imm(Type type, uint64_t value) { return ir.Const(type, value & low_mask(ir::bit_width(type))); }
  Value field(size_t offset, Type as) { return ir.GetState(static_cast<uint32_t>(offset), as); }
  void set_field(size_t offset, Value value) { ir.SetState(static_cast<uint32_t>(offset), value); }
  /// Writes the mode; what is written becomes what the rest of the block is lifted for only if the
  /// caller changes ctx.mode as well.
  void set_mode(Value mode) { set_field(kModeOffset, mode); }
  bool has(Feature feature) const { return ctx.cpu.features.has(feature); }

  static constexpr uint32_t gpr_offset(unsigned reg) { return offsetof(X86State, gpr) + 8 * reg; }
  static constexpr uint32_t ymm_offset(unsigned reg) { return offsetof(X86State, ymm) + 32 * reg; }
  static constexpr uint32_t segment_offset(Segment segment) {
    constexpr uint32_t kOffsets[] = {offsetof(X86State, es), offsetof(X86State, cs), offsetof(X86State, ss),
                                     offsetof(X86State, ds), offsetof(X86State, fs), offsetof(X86State, gs)};
    return kOffsets[static_cast<unsigned>(segment)];
  }
  static constexpr uint32_t kModeOffset = offsetof(X86State, header) + offsetof(ir::CpuHeader, mode);

  LiftContext& ctx;
  ir::Builder& ir;
  const Insn& insn;

 private:
  Value compare_holds(unsigned condition, Value a, Value b);
  Value logic_holds(unsigned condition, Value result);
  Value order_holds(unsigned condition, Value order, Value order_equal);
  Value flags_hold(unsigned pair);
  void set_flags_of(KnownFlags::Origin origin, Value a, Value b, Value carry, Value r);
  Value status_of(const KnownFlags& flags);
  Value flag_of_origin(Flag flag);
  /// Writes the status word that the flags say.
  void put_status(Value word);
  Value with_flags(Value word, uint16_t clear, std::initializer_list<FlagValue> values);
  Value segment_base(Segment segment);
  Value permitted(Segment segment, Value offset, unsigned size, bool write);
  void check_alignment(Value at, unsigned size);

  Value address_ = {};  ///< of insn.memory, once asked for

 protected:
  int64_t stack_bias_ = 0;  ///< what rSP as a base counts as more (POP to memory)
};

}  // namespace lyrebird::x86
