// SPDX-License-Identifier: Apache-2.0
#include "ir/typing.h"

#include <algorithm>

#include "ir/eval_scalar.h"

namespace lyrebird::ir {
namespace {

constexpr bool is_scalar(Type t) { return t != Type::None && !is_vector(t); }
/// A lane of a vector: 8 to 64 bits, int or float.
constexpr bool is_lane(Type t) { return is_scalar(t) && bit_width(t) >= 8 && bit_width(t) <= 64; }
constexpr bool is_float_lane(Type t) { return t == Type::F16 || t == Type::F32 || t == Type::F64; }
constexpr Type half_of(Type t) { return vector_type(bit_width(t) / 2); }
constexpr Type twice(Type t) { return vector_type(bit_width(t) * 2); }
constexpr bool has_lane(Type vector, Type lane, uint64_t index) {
  return is_vector(vector) && is_scalar(lane) && bit_width(lane) >= 8 && lane != Type::F80 &&
         index < bit_width(vector) / bit_width(lane);
}

const char* signature_error(const Inst& inst, const Type* operands) {
  const std::string_view signature = info(inst.op).signature;
  const bool scalar_compare = signature[0] == 'L' && inst.type == Type::I1;
  for (unsigned i = 0; signature[i] != '>'; ++i) {
    const Type t = operands[i];
    bool right = true;
    switch (signature[i]) {
      case 'T':
        right = t == (inst.op == Op::StoreExclusive ? inst.elem : inst.type);
        break;
      case 'S':
        right = t == inst.elem;
        break;
      case 'L':
        right = t == (scalar_compare ? inst.elem : inst.type);
        break;
      case 'b':
        right = t == Type::I1;
        break;
      case 'w':
        right = t == Type::I32;
        break;
      case 'd':
      case 'A':
        right = t == Type::I64;
        break;
      case 'q':
        right = t == Type::I128;
        break;
      default:
        break;
    }
    if (!right) return "an operand has the wrong type";
  }
  return nullptr;
}

const char* result_error(const Inst& inst) {
  const bool stores = inst.op == Op::Store || inst.op == Op::SetState;
  switch (info(inst.op).signature.back()) {
    case 'T':
      return inst.type == Type::None ? "has no type" : nullptr;
    case 'b':
      return inst.type != Type::I1 ? "the result must be i1" : nullptr;
    case 'w':
      return inst.type != Type::I32 ? "the result must be i32" : nullptr;
    case 'd':
      return inst.type != Type::I64 ? "the result must be i64" : nullptr;
    case 'q':
      return inst.type != Type::I128 ? "the result must be i128" : nullptr;
    case '-':
      return inst.type != Type::None && !stores ? "has a type but no result" : nullptr;
    default:
      return nullptr;
  }
}

const char* lanewise_error(const Inst& inst) {
  const bool compare = info(inst.op).signature[0] == 'L';
  const bool of_floats = inst.op == Op::FAbs || inst.op == Op::FNeg;
  if (is_vector(inst.type)) {
    if (is_bitwise(inst.op)) return nullptr;
    if (!is_lane(inst.elem)) return "elem is no lane type";
    if (of_floats && !is_float_lane(inst.elem)) return "elem must be f16, f32 or f64";
    return has_lanes_of(inst.op, bit_width(inst.elem)) ? nullptr : "does not exist for these lanes";
  }
  if (of_floats) return is_float(inst.type) && inst.elem == inst.type ? nullptr : "needs a float type";
  if (compare ? inst.type != Type::I1 : inst.elem != inst.type) return "elem does not fit the type";
  if (!is_int(inst.elem)) return "needs an int type";
  return has_lanes_of(inst.op, bit_width(inst.elem)) ? nullptr : "does not exist for this type";
}

bool only_binary(Op op) {
  switch (op) {
    case Op::FMulAdd:
    case Op::FMulSub:
    case Op::FNegMulAdd:
    case Op::FNegMulSub:
    case Op::FRecipEstimate:
    case Op::FRsqrtEstimate:
    case Op::FRecipExponent:
    case Op::FRecipStep:
    case Op::FRsqrtStep:
      return true;
    default:
      return false;
  }
}

const char* fp_error(const Inst& inst) {
  if (static_cast<unsigned>(inst.fp_mode().round) > static_cast<unsigned>(Round::ToOdd) ||
      static_cast<unsigned>(inst.fp_mode().denormal_report) > 2)
    return "no such FP mode";
  if (inst.op == Op::FWidenLo || inst.op == Op::FWidenHi)
    return is_vector(inst.type) && (inst.elem == Type::F16 || inst.elem == Type::F32)
               ? nullptr
               : "needs a vector of f16 or f32";
  if (inst.op == Op::FRoundInt && inst.fp_extra() != 0 && inst.fp_extra() != 32 && inst.fp_extra() != 64)
    return "extra must be 0, 32 or 64";
  if (is_vector(inst.type)) return is_float_lane(inst.elem) ? nullptr : "elem must be f16, f32 or f64";
  if (!is_float(inst.elem)) return "elem must be a float type";
  if (only_binary(inst.op) && inst.elem == Type::F80) return "does not exist for f80";
  if (info(inst.op).signature[0] == 'L') return inst.type == Type::I1 ? nullptr : "the result must be i1";
  return inst.elem == inst.type ? nullptr : "elem does not fit the type";
}

/// Ops of kind Vec whose lanes are what the op says.
bool ignores_elem(Op op) {
  return op == Op::ByteExtract || op == Op::TableLookup || (op >= Op::ClMul && op <= Op::Sha512Schedule1);
}
bool needs_128(Op op) {
  return op == Op::ClMul || op == Op::Shuffle32 || op == Op::SlidingAbsDiff || op == Op::LeastLane ||
         op == Op::MatMulS || op == Op::MatMulU || op == Op::MatMulUS || op == Op::BfMatMul ||
         (op >= Op::AesSubShift && op <= Op::Sha512Schedule1);
}

const char* whole_error(const Inst& inst) {
  if (!is_vector(inst.type)) return "needs a vector type";
  if (needs_128(inst.op) && inst.type == Type::V64) return "needs v128";
  if (inst.op == Op::ByteExtract)
    return inst.imm <= byte_size(inst.type) ? nullptr : "imm is beyond the vector";
  if (inst.op == Op::ClMul) return inst.imm <= 3 ? nullptr : "imm must be 0..3";
  if (ignores_elem(inst.op)) return nullptr;
  if (!is_lane(inst.elem)) return "elem is no lane type";
  const unsigned lane = bit_width(inst.elem);
  if (2 * lane > bit_width(inst.type)) return "the vector has only one lane";
  if (inst.op == Op::ReverseIn) {
    const bool fits = inst.imm > lane && inst.imm <= bit_width(inst.type) && (inst.imm & (inst.imm - 1)) == 0;
    return fits ? nullptr : "imm is no container of lanes";
  }
  const bool narrows = inst.op == Op::NarrowPairSatS || inst.op == Op::NarrowPairSatSU;
  if (narrows) return lane >= 16 ? nullptr : "elem must be at least i16";
  const bool widens = inst.op >= Op::WidenLoS && inst.op <= Op::MulEvenU;
  return widens && lane > 32 ? "elem must be at most i32" : nullptr;
}

const char* conversion_error(const Inst& inst, Type from) {
  const Type to = inst.type;
  switch (inst.op) {
    case Op::ZExt:
    case Op::SExt:
      if (!is_int(from) || !is_int(to) || bit_width(from) >= bit_width(to)) return "must widen an int";
      break;
    case Op::Trunc:
      if (!is_int(from) || !is_int(to) || bit_width(from) <= bit_width(to)) return "must narrow an int";
      break;
    case Op::Bitcast:
      if (bit_width(from) != bit_width(to)) return "must keep the width";
      break;
    default:  // Resize
      if (!is_vector(from) || !is_vector(to)) return "needs vectors";
      break;
  }
  return inst.elem == from ? nullptr : "elem must be the operand's type";
}

const char* vector_special_error(const Inst& inst, const Type* operands) {
  switch (inst.op) {
    case Op::Splat:
    case Op::VecFromScalar:
    case Op::InsertLane:
      return has_lane(inst.type, inst.elem, inst.op == Op::InsertLane ? inst.imm : 0) ? nullptr
                                                                                      : "no such lane";
    case Op::ExtractLane:
      if (inst.type != inst.elem) return "elem must be the type";
      return has_lane(operands[0], inst.elem, inst.imm) ? nullptr : "no such lane";
    case Op::Concat:
      return is_vector(operands[0]) && operands[0] == operands[1] && twice(operands[0]) == inst.type
                 ? nullptr
                 : "needs two halves of the type";
    case Op::HalfHi:
      return is_vector(operands[0]) && half_of(operands[0]) == inst.type && inst.type != Type::None
                 ? nullptr
                 : "needs a vector of twice the type";
    case Op::AnyBit:
      return is_vector(operands[0]) ? nullptr : "needs a vector";
    case Op::SignBits:
      return is_vector(operands[0]) && is_lane(inst.elem) ? nullptr : "needs a vector and a lane type";
    case Op::Narrow:
    case Op::NarrowSatS:
    case Op::NarrowSatU:
    case Op::NarrowSatSU:
      if (!is_vector(inst.type) || operands[0] != twice(inst.type)) return "needs a vector of twice the type";
      return is_lane(inst.elem) && bit_width(inst.elem) >= 16 ? nullptr : "elem must be i16, i32 or i64";
    default:  // ReduceAdd..
      if (!is_vector(operands[0]) || inst.type != inst.elem) return "needs a vector and its lane type";
      return is_int(inst.elem) && is_lane(inst.elem) ? nullptr : "elem must be an int lane";
  }
}

const char* fp_special_error(const Inst& inst, const Type* operands) {
  const Type from = operands[0];
  switch (inst.op) {
    case Op::FCompare:
      return inst.type == Type::I8 && is_float(inst.elem) ? nullptr : "needs floats and gives i8";
    case Op::FToIntS:
    case Op::FToIntU:
      if ((inst.fp_extra() & ~kFpIndefinite) > 64) return "too many fraction bits";
      if (is_vector(inst.type))
        return from == inst.type && is_float_lane(inst.elem) ? nullptr : "needs float lanes";
      return is_float(from) && from == inst.elem && is_int(inst.type) && is_lane(inst.type)
                 ? nullptr
                 : "needs a float and gives an int";
    case Op::FToIntModular:
      return from == Type::F64 && inst.elem == from && inst.type == Type::I32 ? nullptr
                                                                              : "needs f64 and gives i32";
    case Op::FFromIntS:
    case Op::FFromIntU:
      if (inst.fp_extra() > 64) return "too many fraction bits";
      if (is_vector(inst.type))
        return from == inst.type && is_float_lane(inst.elem) ? nullptr : "needs float lanes";
      return is_float(inst.type) && inst.elem == inst.type && is_int(from) && is_lane(from)
                 ? nullptr
                 : "needs an int and gives a float";
    case Op::FConvert:
      return is_float(from) && from == inst.elem && is_float(inst.type) && from != inst.type
                 ? nullptr
                 : "needs two float types";
    case Op::FFunction:
      return inst.type == Type::F80 && inst.elem == Type::F80 &&
                     inst.fp_extra() <= static_cast<uint32_t>(F80Function::Scale)
                 ? nullptr
                 : "needs f80 and a function of it";
    case Op::FToBf16:
      return from == Type::F32 && inst.elem == from && inst.type == Type::I16 ? nullptr
                                                                              : "needs f32 and gives i16";
    default:  // FNarrow, FNarrowBf16
      if (!is_vector(inst.type) || from != twice(inst.type)) return "needs a vector of twice the type";
      if (inst.op == Op::FNarrowBf16) return inst.elem == Type::F32 ? nullptr : "elem must be f32";
      return inst.elem == Type::F32 || inst.elem == Type::F64 ? nullptr : "elem must be f32 or f64";
  }
}

const char* memory_error(const Inst& inst, const Type* operands) {
  const MemInfo m = MemInfo::unpack(inst.aux);
  constexpr uint8_t kSizes[] = {1, 2, 4, 8, 10, 16, 32};
  if (std::find(std::begin(kSizes), std::end(kSizes), m.size) == std::end(kSizes))
    return "no such access size";
  if (static_cast<unsigned>(m.align) > static_cast<unsigned>(Align::Within16))
    return "no such alignment rule";
  const Type type = inst.op == Op::StoreExclusive ? operands[1] : inst.type;
  if (type == Type::I1 || type == Type::None) return "no such access type";
  if (m.size > byte_size(type)) return "the access is wider than its type";
  if (m.size == 10 && type != Type::F80) return "10 bytes are only for f80";
  if (!is_int(type) && !is_vector(type) && m.size != byte_size(type)) return "a float must be accessed whole";
  if (m.sign && (!is_int(type) || inst.op != Op::Load)) return "only loads of ints extend the sign";
  const bool atomic = inst.op >= Op::AtomicAdd && inst.op <= Op::CompareSwap;
  if (atomic && !is_int(type)) return "atomics work on ints";
  const bool exclusive = inst.op == Op::LoadExclusive || inst.op == Op::StoreExclusive;
  if ((atomic || exclusive) && byte_size(type) == 16 && m.size != 16)
    return "a 128-bit atomic or exclusive accesses all of it";
  if (exclusive && !is_int(type) && type != Type::V128) return "exclusives work on ints and v128";
  return nullptr;
}

const char* call_error(const Inst& inst, const Type* operands, HelperTable helpers) {
  const unsigned count = arg_count(inst);
  for (unsigned i = 0; i < count; ++i)
    if (!is_int(operands[i]) || operands[i] == Type::I128) return "helpers take ints of at most 64 bits";
  if (inst.type != Type::None && (!is_int(inst.type) || inst.type == Type::I128))
    return "helpers give ints of at most 64 bits";
  if (inst.aux >= helpers.size()) return "no such helper";
  const HelperInfo& helper = helpers[inst.aux];
  if (helper.arg_count != count) return "wrong number of arguments for the helper";
  if (helper.result != inst.type) return "the helper gives another type";
  return nullptr;
}

const char* special_error(const Inst& inst, const Type* operands, HelperTable helpers) {
  switch (inst.op) {
    case Op::Const:
      if (inst.type == Type::V256) return "there are no v256 constants";
      if (bit_width(inst.type) < 64 && inst.imm >> bit_width(inst.type) != 0)
        return "imm is wider than its type";
      if (inst.type == Type::F80 && inst.high() >> 16 != 0) return "imm is wider than its type";
      return bit_width(inst.type) <= 64 && inst.high() != 0 ? "imm is wider than its type" : nullptr;
    case Op::AddWithCarry:
    case Op::SubWithBorrow:
    case Op::CarryOfAdd:
    case Op::OverflowOfAdd:
    case Op::OverflowOfSub:
      if (!is_int(inst.elem) || inst.elem == Type::I1) return "needs ints";
      return (inst.op == Op::AddWithCarry || inst.op == Op::SubWithBorrow) && inst.elem != inst.type
                 ? "elem does not fit the type"
                 : nullptr;
    case Op::StatusOfAdd:
    case Op::StatusOfSub:
    case Op::StatusOfValue:
    case Op::StatusOfShift:
    case Op::StatusOfStep:
      if (inst.op == Op::StatusOfShift ? !eval::is_shift_aux(inst.aux) : inst.aux >= 2)
        return "aux says no way";
      if (!is_int(inst.elem) || inst.elem == Type::I1 || inst.elem == Type::I128)
        return "needs ints of 8 to 64 bits";
      return inst.type == Type::I16 ? nullptr : "a status word is an i16";
    case Op::StatusOfOrder:
      if (inst.aux >= 2) return "aux says no way";
      return inst.elem == Type::I8 && inst.type == Type::I16 ? nullptr
                                                             : "orders are i8, a status word is an i16";
    case Op::DivWideU:
    case Op::RemWideU:
    case Op::DivWideS:
    case Op::RemWideS:
      if (!is_int(inst.type) || inst.type == Type::I1 || inst.type == Type::I128)
        return "needs ints of 8 to 64 bits";
      return inst.elem != inst.type ? "elem does not fit the type" : nullptr;
    case Op::ZExt:
    case Op::SExt:
    case Op::Trunc:
    case Op::Bitcast:
    case Op::Resize:
      return conversion_error(inst, operands[0]);
    case Op::Crc32: {
      const unsigned bytes = inst.aux & 255;
      return inst.aux >> 9 == 0 && bytes >= 1 && bytes <= 8 ? nullptr : "no such CRC";
    }
    case Op::Splat:
    case Op::VecFromScalar:
    case Op::InsertLane:
    case Op::ExtractLane:
    case Op::Concat:
    case Op::HalfHi:
    case Op::AnyBit:
    case Op::SignBits:
    case Op::Narrow:
    case Op::NarrowSatS:
    case Op::NarrowSatU:
    case Op::NarrowSatSU:
    case Op::ReduceAdd:
    case Op::ReduceMinS:
    case Op::ReduceMaxS:
    case Op::ReduceMinU:
    case Op::ReduceMaxU:
      return vector_special_error(inst, operands);
    case Op::FCompare:
    case Op::FToIntS:
    case Op::FToIntU:
    case Op::FToIntModular:
    case Op::FFromIntS:
    case Op::FFromIntU:
    case Op::FConvert:
    case Op::FFunction:
    case Op::FToBf16:
    case Op::FNarrow:
    case Op::FNarrowBf16:
      return fp_special_error(inst, operands);
    case Op::SetState:
      return inst.type == Type::None ? "has no type" : nullptr;
    case Op::CallHelper:
      return call_error(inst, operands, helpers);
    case Op::Fence:
      return inst.aux >= 1 && inst.aux <= 3 ? nullptr : "no such barrier";
    case Op::RaiseIf:
    case Op::Raise:
      return inst.aux < kExitKindCount ? nullptr : "no such exit kind";
    case Op::Jump:
    case Op::Branch:
    case Op::JumpIndirect:
      return inst.aux <= static_cast<uint32_t>(JumpHint::Return) ? nullptr : "no such jump hint";
    default:
      break;
  }
  if (info(inst.op).effects & Faults) return memory_error(inst, operands);
  return nullptr;
}

}  // namespace

const char* type_error(const Inst& inst, const Type* operands, HelperTable helpers) {
  if (inst.op != Op::CallHelper)
    if (const char* error = signature_error(inst, operands)) return error;
  if (const char* error = result_error(inst)) return error;
  switch (info(inst.op).kind) {
    case OpKind::Lane1:
    case OpKind::Lane2:
    case OpKind::Lane3:
      return lanewise_error(inst);
    case OpKind::Fp1:
    case OpKind::Fp2:
    case OpKind::Fp3:
      return fp_error(inst);
    case OpKind::Vec1:
    case OpKind::Vec2:
    case OpKind::Vec3:
      return whole_error(inst);
    case OpKind::Special:
      break;
  }
  return special_error(inst, operands, helpers);
}

}  // namespace lyrebird::ir
