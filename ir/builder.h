// SPDX-License-Identifier: Apache-2.0
/// Appends instructions to a Block. A lifter reads like the manual's pseudocode:
///
///     const Value a = ir.get_state(offset, Type::I64);
///     ir.set_state(offset, ir.add(a, ir.const_int(Type::I64, 1)));
///
/// One method per row of ops.inc. Lanewise methods take the lane type as a last
/// argument; for scalars it is left out. Nothing is folded here: passes do that.
#pragma once

#include <initializer_list>

#include "base/bits.h"
#include "ir/block.h"

namespace lyrebird::ir {

/// A value with its type: what builder methods take and give.
struct Value {
  ValueId id = kNoValue;
  Type type = Type::None;
  explicit operator bool() const { return id != kNoValue; }
};

class Builder {
 public:
  explicit Builder(Block& block) : block_(block) {}
  Block& block() { return block_; }

  // Lanewise ops and vector ops: one method each, in CamelCase as in ops.inc.
#define OP(name, kind, signature, effects, meaning) LYREBIRD_BUILD_##kind(name, signature)
#define LYREBIRD_BUILD_Lane1(name, sig) \
  Value name(Value a, Type elem = Type::None) { return lanewise(Op::name, sig, elem, 0, {a}); }
#define LYREBIRD_BUILD_Lane2(name, sig) \
  Value name(Value a, Value b, Type elem = Type::None) { return lanewise(Op::name, sig, elem, 0, {a, b}); }
#define LYREBIRD_BUILD_Lane3(name, sig)                           \
  Value name(Value a, Value b, Value c, Type elem = Type::None) { \
    return lanewise(Op::name, sig, elem, 0, {a, b, c});           \
  }
#define LYREBIRD_BUILD_Fp1(name, sig)                                              \
  Value name(Value a, FpMode mode, Type elem = Type::None, uint32_t extra = 0) {   \
    return lanewise(Op::name, sig, elem, mode.pack() | extra << kFpModeBits, {a}); \
  }
#define LYREBIRD_BUILD_Fp2(name, sig)                                 \
  Value name(Value a, Value b, FpMode mode, Type elem = Type::None) { \
    return lanewise(Op::name, sig, elem, mode.pack(), {a, b});        \
  }
#define LYREBIRD_BUILD_Fp3(name, sig)                                          \
  Value name(Value a, Value b, Value c, FpMode mode, Type elem = Type::None) { \
    return lanewise(Op::name, sig, elem, mode.pack(), {a, b, c});              \
  }
#define LYREBIRD_BUILD_Vec1(name, sig)                                            \
  Value name(Value a, Type elem = Type::None, uint64_t imm = 0) {                 \
    return emit({.op = Op::name, .type = a.type, .elem = elem, .imm = imm}, {a}); \
  }
#define LYREBIRD_BUILD_Vec2(name, sig)                                               \
  Value name(Value a, Value b, Type elem = Type::None, uint64_t imm = 0) {           \
    return emit({.op = Op::name, .type = a.type, .elem = elem, .imm = imm}, {a, b}); \
  }
#define LYREBIRD_BUILD_Vec3(name, sig)                                                  \
  Value name(Value a, Value b, Value c, Type elem = Type::None, uint64_t imm = 0) {     \
    return emit({.op = Op::name, .type = a.type, .elem = elem, .imm = imm}, {a, b, c}); \
  }
#define LYREBIRD_BUILD_Special(name, sig)
#include "ir/ops.inc"
#undef LYREBIRD_BUILD_Lane1
#undef LYREBIRD_BUILD_Lane2
#undef LYREBIRD_BUILD_Lane3
#undef LYREBIRD_BUILD_Fp1
#undef LYREBIRD_BUILD_Fp2
#undef LYREBIRD_BUILD_Fp3
#undef LYREBIRD_BUILD_Vec1
#undef LYREBIRD_BUILD_Vec2
#undef LYREBIRD_BUILD_Vec3
#undef LYREBIRD_BUILD_Special

  // Constants and choice.
  Value Const(Type type, uint64_t low, uint64_t high = 0);
  Value ConstVec(Type type, uint64_t low, uint64_t high) { return Const(type, low, high); }
  /// A vector constant with every lane equal.
  Value ConstSplat(Type type, Type elem, uint64_t lane);
  Value True() { return Const(Type::I1, 1); }
  Value False() { return Const(Type::I1, 0); }
  Value Select(Value condition, Value a, Value b) {
    return emit({.op = Op::Select, .type = a.type, .elem = a.type}, {condition, a, b});
  }

  // Carries.
  Value AddWithCarry(Value a, Value b, Value carry) {
    return emit({.op = Op::AddWithCarry, .type = a.type, .elem = a.type}, {a, b, carry});
  }
  Value SubWithBorrow(Value a, Value b, Value borrow) {
    return emit({.op = Op::SubWithBorrow, .type = a.type, .elem = a.type}, {a, b, borrow});
  }
  Value CarryOfAdd(Value a, Value b, Value carry) { return flag(Op::CarryOfAdd, {a, b, carry}); }
  Value OverflowOfAdd(Value a, Value b, Value carry) { return flag(Op::OverflowOfAdd, {a, b, carry}); }
  Value OverflowOfSub(Value a, Value b) { return flag(Op::OverflowOfSub, {a, b}); }

  /// `aux`: eval::kOtherCarry or 0
  Value StatusOfAdd(Value a, Value b, Value carry, uint32_t aux = 0) {
    return status(Op::StatusOfAdd, {a, b, carry}, aux);
  }
  Value StatusOfSub(Value a, Value b, Value borrow) { return status(Op::StatusOfSub, {a, b, borrow}); }
  Value StatusOfValue(Value a, uint32_t aux = 0) { return status(Op::StatusOfValue, {a}, aux); }
  /// `way`: eval::ShiftWay
  Value StatusOfShift(uint32_t way, Value a, Value b, Value old) {
    return status(Op::StatusOfShift, {a, b, old}, way);
  }
  Value StatusOfStep(bool down, Value a, Value old) { return status(Op::StatusOfStep, {a, old}, down); }
  Value StatusOfOrder(Value order, Value order_equal) {
    return status(Op::StatusOfOrder, {order, order_equal});
  }
  /// With sign and carry for less, overflow for unordered.
  Value StatusOfOrder(Value order) { return status(Op::StatusOfOrder, {order, order}, 1); }

  /// DivWideU, RemWideU, DivWideS, RemWideS.
  Value DivideWide(Op op, Value low, Value high, Value divisor) {
    return emit({.op = op, .type = low.type, .elem = low.type}, {low, high, divisor});
  }

  // Conversions. Each gives `a` itself when it already has the type.
  Value ZExt(Value a, Type to) { return convert(Op::ZExt, a, to); }
  Value SExt(Value a, Type to) { return convert(Op::SExt, a, to); }
  Value Trunc(Value a, Type to) { return convert(Op::Trunc, a, to); }
  Value Bitcast(Value a, Type to) { return convert(Op::Bitcast, a, to); }
  /// ZExt, Trunc or nothing, whichever leads to `to`.
  Value ZExtOrTrunc(Value a, Type to) {
    return bit_width(a.type) < bit_width(to) ? ZExt(a, to) : Trunc(a, to);
  }
  Value SExtOrTrunc(Value a, Type to) {
    return bit_width(a.type) < bit_width(to) ? SExt(a, to) : Trunc(a, to);
  }
  Value Pair64(Value low, Value high) { return emit({.op = Op::Pair64, .type = Type::I128}, {low, high}); }
  Value Lo64(Value a) { return emit({.op = Op::Lo64, .type = Type::I64}, {a}); }
  Value Hi64(Value a) { return emit({.op = Op::Hi64, .type = Type::I64}, {a}); }
  Value Crc32(Value accumulator, Value data, unsigned bytes, bool castagnoli) {
    return emit({.op = Op::Crc32, .type = Type::I32, .aux = bytes | uint32_t{castagnoli} << 8},
                {accumulator, data});
  }

  // Vectors.
  Value Splat(Type vector, Value lane) {
    return emit({.op = Op::Splat, .type = vector, .elem = lane.type}, {lane});
  }
  Value VecFromScalar(Type vector, Value lane) {
    return emit({.op = Op::VecFromScalar, .type = vector, .elem = lane.type}, {lane});
  }
  Value ExtractLane(Value vector, Type lane, unsigned index) {
    return emit({.op = Op::ExtractLane, .type = lane, .elem = lane, .imm = index}, {vector});
  }
  Value InsertLane(Value vector, Value lane, unsigned index) {
    return emit({.op = Op::InsertLane, .type = vector.type, .elem = lane.type, .imm = index}, {vector, lane});
  }
  Value Resize(Value vector, Type to) { return convert(Op::Resize, vector, to); }
  Value Concat(Value low, Value high);
  Value HalfLo(Value vector) { return Resize(vector, half(vector.type)); }
  Value HalfHi(Value vector) { return emit({.op = Op::HalfHi, .type = half(vector.type)}, {vector}); }
  Value AnyBit(Value vector) { return emit({.op = Op::AnyBit, .type = Type::I1}, {vector}); }
  Value SignBits(Value vector, Type elem) {
    return emit({.op = Op::SignBits, .type = Type::I32, .elem = elem}, {vector});
  }
  /// Narrow, NarrowSatS, ..: `elem` is the lane type of the wide operand.
  Value Narrow(Op op, Value wide, Type elem) {
    return emit({.op = op, .type = half(wide.type), .elem = elem}, {wide});
  }
  /// ReduceAdd, ReduceMinS, ..: a scalar of the lane type.
  Value Reduce(Op op, Value vector, Type elem) {
    return emit({.op = op, .type = elem, .elem = elem}, {vector});
  }

  // Floating point with operand types of its own.
  Value FCompare(Value a, Value b, FpMode mode, bool signal_quiet, bool unordered_is_equal = false) {
    const uint32_t extra = (signal_quiet ? 1u : 0u) | (unordered_is_equal ? 2u : 0u);
    return emit(
        {.op = Op::FCompare, .type = Type::I8, .elem = a.type, .aux = mode.pack() | extra << kFpModeBits},
        {a, b});
  }
  /// FToIntS, FToIntU, FToIntModular. `to` is the int type, or the vector type with `elem` its float lanes.
  Value FToInt(Op op, Value a, Type to, FpMode mode, unsigned fraction_bits = 0, Type elem = Type::None) {
    return emit({.op = op,
                 .type = to,
                 .elem = elem == Type::None ? a.type : elem,
                 .aux = mode.pack() | fraction_bits << kFpModeBits},
                {a});
  }
  /// FFromIntS, FFromIntU. `to` is the float type, or the vector type with `elem` its float lanes.
  Value FFromInt(Op op, Value a, Type to, FpMode mode, unsigned fraction_bits = 0, Type elem = Type::None) {
    return emit({.op = op,
                 .type = to,
                 .elem = elem == Type::None ? to : elem,
                 .aux = mode.pack() | fraction_bits << kFpModeBits},
                {a});
  }
  Value FConvert(Value a, Type to, FpMode mode, uint32_t extra = 0) {
    return emit({.op = Op::FConvert, .type = to, .elem = a.type, .aux = mode.pack() | extra << kFpModeBits},
                {a});
  }
  /// Of F80; those of one operand have no b.
  Value FFunction(F80Function f, Value a, Value b, FpMode mode) {
    return emit({.op = Op::FFunction,
                 .type = Type::F80,
                 .elem = Type::F80,
                 .aux = mode.pack() | static_cast<uint32_t>(f) << kFpModeBits},
                {a, has_two_operands(f) ? b : a});
  }
  Value FToBf16(Value a, FpMode mode) {
    return emit({.op = Op::FToBf16, .type = Type::I16, .elem = a.type, .aux = mode.pack()}, {a});
  }
  Value FNarrow(Value wide, Type elem, FpMode mode) {
    return emit({.op = Op::FNarrow, .type = half(wide.type), .elem = elem, .aux = mode.pack()}, {wide});
  }
  Value FNarrowBf16(Value wide, FpMode mode) {
    return emit({.op = Op::FNarrowBf16, .type = half(wide.type), .elem = Type::F32, .aux = mode.pack()},
                {wide});
  }
  Value GetFpFlags(bool of_f80 = false) {
    return emit({.op = Op::GetFpFlags, .type = Type::I32, .aux = of_f80}, {});
  }
  void SetFpFlags(Value flags, bool of_f80 = false) { emit({.op = Op::SetFpFlags, .aux = of_f80}, {flags}); }
  /// FAdd, FSub, FMul, FDiv, FSqrt, FCompare on F80 with the extra bits of namespace f80.
  Value F80Op(Op op, Value a, Value b, FpMode mode, uint32_t extra) {
    return emit({.op = op,
                 .type = op == Op::FCompare ? Type::I8 : Type::F80,
                 .elem = Type::F80,
                 .aux = mode.pack() | extra << kFpModeBits},
                {a, b});
  }
  Value F80Sqrt(Value a, FpMode mode, uint32_t extra) {
    return emit(
        {.op = Op::FSqrt, .type = Type::F80, .elem = Type::F80, .aux = mode.pack() | extra << kFpModeBits},
        {a});
  }

  // Guest state.
  Value GetState(uint32_t offset, Type type) {
    return emit({.op = Op::GetState, .type = type, .imm = offset}, {});
  }
  void SetState(uint32_t offset, Value value) {
    emit({.op = Op::SetState, .type = value.type, .imm = offset}, {value});
  }

  /// Says that nobody will read the field before it is written again.
  void ForgetState(uint32_t offset) { emit({.op = Op::ForgetState, .imm = offset}, {}); }
  /// A SetState that need not be in place at faults in the middle of the block, only at its exits.
  void SetStateLate(uint32_t offset, Value value) {
    emit({.op = Op::SetState, .type = value.type, .aux = kStateLate, .imm = offset}, {value});
  }

  // Memory.
  Value Load(Type type, Value address, MemInfo info) {
    return emit({.op = Op::Load, .type = type, .aux = info.pack()}, {address});
  }
  void Store(Value address, Value value, MemInfo info) {
    emit({.op = Op::Store, .type = value.type, .aux = info.pack()}, {address, value});
  }
  /// AtomicAdd .. AtomicSwap: gives the old value.
  Value Atomic(Op op, Value address, Value value, MemInfo info) {
    return emit({.op = op, .type = value.type, .aux = info.pack()}, {address, value});
  }
  Value CompareSwap(Value address, Value expected, Value desired, MemInfo info) {
    return emit({.op = Op::CompareSwap, .type = desired.type, .aux = info.pack()},
                {address, expected, desired});
  }
  Value LoadExclusive(Type type, Value address, MemInfo info) {
    return emit({.op = Op::LoadExclusive, .type = type, .aux = info.pack()}, {address});
  }
  /// I1: true when the store did not happen. The type of the access is in elem.
  Value StoreExclusive(Value address, Value value, MemInfo info) {
    return emit({.op = Op::StoreExclusive, .type = Type::I1, .elem = value.type, .aux = info.pack()},
                {address, value});
  }
  void ClearExclusive() { emit({.op = Op::ClearExclusive}, {}); }
  void Fence(unsigned kinds) { emit({.op = Op::Fence, .aux = kinds}, {}); }

  /// Up to 4 int arguments; the result is of `result` (None for no result).
  Value CallHelper(unsigned index, Type result, std::initializer_list<Value> args) {
    return emit({.op = Op::CallHelper, .type = result, .aux = index}, args);
  }

  // Control.
  void Insn(uint64_t pc, unsigned length) { emit({.op = Op::Insn, .aux = length, .imm = pc}, {}); }
  void ExitIf(Value condition, uint64_t pc) { emit({.op = Op::ExitIf, .imm = pc}, {condition}); }
  void RaiseIf(Value condition, ExitKind kind, uint64_t detail = 0) {
    emit({.op = Op::RaiseIf, .aux = static_cast<uint32_t>(kind), .imm = detail}, {condition});
  }
  void Jump(uint64_t pc, JumpHint hint = JumpHint::None) {
    emit({.op = Op::Jump, .aux = static_cast<uint32_t>(hint), .imm = pc}, {});
  }
  void Branch(Value condition, uint64_t taken, uint64_t not_taken, JumpHint hint = JumpHint::None);
  void JumpIndirect(Value pc, JumpHint hint = JumpHint::None) {
    emit({.op = Op::JumpIndirect, .aux = static_cast<uint32_t>(hint)}, {pc});
  }
  void Raise(ExitKind kind, uint64_t detail = 0) {
    emit({.op = Op::Raise, .aux = static_cast<uint32_t>(kind), .imm = detail}, {});
  }

  /// The block has its terminal.
  bool ended() const { return !block_.insts.empty() && (info(block_.insts.back().op).effects & Terminal); }

 private:
  static Type half(Type vector) { return vector == Type::V256 ? Type::V128 : Type::V64; }

  /// All of `made` but its operands.
  [[gnu::always_inline]] Value emit(const Inst& made, std::initializer_list<Value> args) {
    return append(made.op, made.type, made.elem, made.aux, made.imm, args);
  }
  /// In its place word by word: an instruction that is copied there at once is waited for by the host's
  /// loads.
  Value append(Op op, Type type, Type elem, uint32_t aux, uint64_t imm, std::initializer_list<Value> args) {
    Inst& inst = block_.insts.emplace_back();
    inst.op = op;
    inst.type = type;
    inst.elem = elem;
    inst.aux = aux;
    inst.imm = imm;
    unsigned i = 0;
    for (const Value& v : args) inst.args[i++] = v.id;
    return {static_cast<ValueId>(block_.insts.size() - 1), type};
  }
  Value convert(Op op, Value a, Type to) {
    if (a.type == to) return a;
    return emit({.op = op, .type = to, .elem = a.type}, {a});
  }
  Value flag(Op op, std::initializer_list<Value> args) {
    return emit({.op = op, .type = Type::I1, .elem = args.begin()->type}, args);
  }
  Value status(Op op, std::initializer_list<Value> args, uint32_t aux = 0) {
    return emit({.op = op, .type = Type::I16, .elem = args.begin()->type, .aux = aux}, args);
  }
  /// Type of the result: that of the first operand, or I1 for compares of scalars ('L' operands).
  Value lanewise(Op op, std::string_view signature, Type elem, uint32_t aux,
                 std::initializer_list<Value> args) {
    const Type operand = args.begin()->type;
    const bool compare = signature[0] == 'L' && !is_vector(operand);
    return emit({.op = op,
                 .type = compare ? Type::I1 : operand,
                 .elem = elem == Type::None ? operand : elem,
                 .aux = aux},
                args);
  }

  Block& block_;
};

}  // namespace lyrebird::ir
