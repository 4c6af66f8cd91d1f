// SPDX-License-Identifier: Apache-2.0
// Integer ops, lane by lane: the same code for scalars and vectors.
#include <llvm/IR/IntrinsicsX86.h>

#include <bit>

#include "ir/eval_scalar.h"
#include "ir/typing.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using ir::Op;
using ir::Type;
using llvm::CmpInst;
namespace I = llvm::Intrinsic;

namespace {

bool is_shift_like(Op op) { return op == Op::Shl || op == Op::ShrU || op == Op::ShrS; }

CmpInst::Predicate predicate_of(Op op) {
  switch (op) {
    case Op::CmpEq:
      return CmpInst::ICMP_EQ;
    case Op::CmpLtS:
      return CmpInst::ICMP_SLT;
    case Op::CmpLeS:
      return CmpInst::ICMP_SLE;
    case Op::CmpLtU:
      return CmpInst::ICMP_ULT;
    case Op::CmpLeU:
      return CmpInst::ICMP_ULE;
    default:
      return CmpInst::ICMP_NE;
  }
}

}  // namespace

/// a shifted by b, where b may be the width or more.
Lowering::Value* Lowering::lower_shift(const ir::Inst& inst, Value* a, Value* b) {
  LType* const type = a->getType();
  const unsigned width = type->getScalarSizeInBits();
  Value* const limit = imm(type, width);
  if (inst.op == Op::ShrS) {
    Value* const most = imm(type, width - 1);
    return b_.CreateAShr(a, b_.CreateSelect(b_.CreateICmpULT(b, limit), b, most));
  }
  Value* const shifted = inst.op == Op::Shl ? b_.CreateShl(a, b) : b_.CreateLShr(a, b);
  return b_.CreateSelect(b_.CreateICmpULT(b, limit), shifted, imm(type, 0));
}

/// Halving and rounding.
Lowering::Value* Lowering::lower_rounding(const ir::Inst& inst, Value* a, Value* b) {
  LType* const type = a->getType();
  const unsigned width = type->getScalarSizeInBits();
  Value* const one = imm(type, 1);
  switch (inst.op) {
    case Op::HalveAddU:
      return b_.CreateAdd(b_.CreateAnd(a, b), b_.CreateLShr(b_.CreateXor(a, b), one));
    case Op::HalveAddS:
      return b_.CreateAdd(b_.CreateAnd(a, b), b_.CreateAShr(b_.CreateXor(a, b), one));
    case Op::RoundHalveAddS:
      return b_.CreateSub(b_.CreateOr(a, b), b_.CreateAShr(b_.CreateXor(a, b), one));
    case Op::RoundHalveAddU: {
      if (width > 16) return b_.CreateSub(b_.CreateOr(a, b), b_.CreateLShr(b_.CreateXor(a, b), one));
      // The form that becomes PAVG.
      LType* const wide = type->getExtendedType();
      Value* const sum =
          b_.CreateAdd(b_.CreateAdd(b_.CreateZExt(a, wide), b_.CreateZExt(b, wide)), imm(wide, 1));
      return b_.CreateTrunc(b_.CreateLShr(sum, imm(wide, 1)), type);
    }
    case Op::HalveSubU:
    case Op::HalveSubS: {
      // a - b = (a ^ b) - 2 * (~a & b)
      Value* const half = inst.op == Op::HalveSubU ? b_.CreateLShr(b_.CreateXor(a, b), one)
                                                   : b_.CreateAShr(b_.CreateXor(a, b), one);
      return b_.CreateSub(half, b_.CreateAnd(b_.CreateNot(a), b));
    }
    case Op::RoundShrU:
    case Op::RoundShrS: {
      // 1 to n, or the handler knows.
      const auto* const constant = llvm::dyn_cast<llvm::Constant>(b);
      const auto* const by = llvm::dyn_cast_or_null<llvm::ConstantInt>(
          constant && type->isVectorTy() ? constant->getSplatValue() : constant);
      if (!by || by->getValue().ult(1) || by->getValue().ugt(width)) return nullptr;
      Value* const limit = imm(type, width);
      Value* const before = b_.CreateSub(b, one);
      Value* const inside = b_.CreateICmpULT(b, limit);
      Value* result;
      if (inst.op == Op::RoundShrU) {
        result = b_.CreateSelect(inside, b_.CreateLShr(a, b), imm(type, 0));
        return b_.CreateAdd(result, b_.CreateAnd(b_.CreateLShr(a, before), one));
      }
      result = b_.CreateAShr(a, b_.CreateSelect(inside, b, imm(type, width - 1)));
      return b_.CreateAdd(result, b_.CreateAnd(b_.CreateAShr(a, before), one));
    }
    default:
      return nullptr;
  }
}

Lowering::Value* Lowering::lower_product(const ir::Inst& inst, Value* a, Value* b) {
  LType* const type = a->getType();
  const unsigned width = type->getScalarSizeInBits();
  if (width > 64 || (width == 64 && type->isVectorTy())) return nullptr;
  LType* const wide = type->getExtendedType();
  switch (inst.op) {
    case Op::MulHiS:
    case Op::MulHiU: {
      const bool is_signed = inst.op == Op::MulHiS;
      Value* const x = is_signed ? b_.CreateSExt(a, wide) : b_.CreateZExt(a, wide);
      Value* const y = is_signed ? b_.CreateSExt(b, wide) : b_.CreateZExt(b, wide);
      return b_.CreateTrunc(b_.CreateLShr(b_.CreateMul(x, y), imm(wide, width)), type);
    }
    case Op::MulDoubleHiSat:
    case Op::RoundMulDoubleHiSat: {
      Value* p = b_.CreateMul(b_.CreateSExt(a, wide), b_.CreateSExt(b, wide));
      if (inst.op == Op::RoundMulDoubleHiSat) p = b_.CreateAdd(p, imm(wide, uint64_t{1} << (width - 2)));
      p = b_.CreateAShr(p, imm(wide, width - 1));
      const uint64_t most = (uint64_t{1} << (width - 1)) - 1;
      return b_.CreateTrunc(call(I::smin, {wide}, {p, imm(wide, most)}), type);
    }
    default:
      return nullptr;
  }
}

Lowering::Value* Lowering::lower_lanes(const ir::Inst& inst) {
  const ir::OpKind kind = ir::info(inst.op).kind;
  if (kind != ir::OpKind::Lane1 && kind != ir::OpKind::Lane2 && kind != ir::OpKind::Lane3) return nullptr;
  const bool compare = inst.op >= Op::CmpEq && inst.op <= Op::CmpTest;
  const Type operand = ir_type(inst.args[0]);
  const Type elem = ir::is_vector(operand) && ir::is_bitwise(inst.op) ? Type::I8 : inst.elem;
  if (elem == Type::F80 || (ir::is_vector(operand) && elem == Type::I128)) return nullptr;
  if (ir::is_float(elem) && inst.op != Op::FAbs && inst.op != Op::FNeg) return nullptr;
  Value* args[3] = {};
  for (unsigned k = 0; k < ir::arg_count(inst); ++k) args[k] = lanes(arg(inst, k), operand, elem);
  Value *const a = args[0], *const b = args[1];
  LType* const type = a->getType();
  const unsigned width = type->getScalarSizeInBits();
  const auto done = [&](Value* v) { return v ? whole(v, inst.type) : nullptr; };
  if (compare) {
    Value* const result = inst.op == Op::CmpTest ? b_.CreateICmpNE(b_.CreateAnd(a, b), imm(type, 0))
                                                 : b_.CreateICmp(predicate_of(inst.op), a, b);
    return ir::is_vector(operand) ? done(b_.CreateSExt(result, type)) : result;
  }
  if (is_shift_like(inst.op)) return done(lower_shift(inst, a, b));
  switch (inst.op) {
    case Op::Add:
      return done(b_.CreateAdd(a, b));
    case Op::Sub:
      return done(b_.CreateSub(a, b));
    case Op::Mul:
      return done(b_.CreateMul(a, b));
    case Op::Neg:
      return done(b_.CreateNeg(a));
    case Op::Not:
      return done(b_.CreateNot(a));
    case Op::And:
      return done(b_.CreateAnd(a, b));
    case Op::Or:
      return done(b_.CreateOr(a, b));
    case Op::Xor:
      return done(b_.CreateXor(a, b));
    case Op::AndNot:
      return done(b_.CreateAnd(a, b_.CreateNot(b)));
    case Op::BitSelect:
      return done(b_.CreateOr(b_.CreateAnd(a, b), b_.CreateAnd(b_.CreateNot(a), args[2])));
    case Op::FAbs:
      return done(b_.CreateAnd(a, llvm::ConstantInt::get(type, llvm::APInt::getSignedMaxValue(width))));
    case Op::FNeg:
      return done(b_.CreateXor(a, llvm::ConstantInt::get(type, llvm::APInt::getSignMask(width))));
    case Op::Abs:
      return done(call(I::abs, {type}, {a, b_.getFalse()}));
    case Op::MinS:
      return done(call(I::smin, {type}, {a, b}));
    case Op::MaxS:
      return done(call(I::smax, {type}, {a, b}));
    case Op::MinU:
      return done(call(I::umin, {type}, {a, b}));
    case Op::MaxU:
      return done(call(I::umax, {type}, {a, b}));
    case Op::AbsDiffS:
      return done(b_.CreateSub(call(I::smax, {type}, {a, b}), call(I::smin, {type}, {a, b})));
    case Op::AbsDiffU:
      return done(b_.CreateSub(call(I::umax, {type}, {a, b}), call(I::umin, {type}, {a, b})));
    case Op::RotR:
      return done(call(I::fshr, {type}, {a, a, b}));
    case Op::FunnelShr:
      return done(call(I::fshr, {type}, {a, b, args[2]}));
    case Op::AddSatU:
      return done(call(I::uadd_sat, {type}, {a, b}));
    case Op::AddSatS:
      return done(call(I::sadd_sat, {type}, {a, b}));
    case Op::SubSatU:
      return done(call(I::usub_sat, {type}, {a, b}));
    case Op::SubSatS:
      return done(call(I::ssub_sat, {type}, {a, b}));
    case Op::Clz:
      return done(call(I::ctlz, {type}, {a, b_.getFalse()}));
    case Op::Cls: {
      Value* const changes = b_.CreateXor(a, b_.CreateAShr(a, imm(type, width - 1)));
      return done(b_.CreateSub(call(I::ctlz, {type}, {changes, b_.getFalse()}), imm(type, 1)));
    }
    case Op::Ctz:
      return done(call(I::cttz, {type}, {a, b_.getFalse()}));
    case Op::PopCount:
      return done(call(I::ctpop, {type}, {a}));
    case Op::BitReverse:
      return done(call(I::bitreverse, {type}, {a}));
    case Op::ByteReverse:
      return done(width == 8 ? a : call(I::bswap, {type}, {a}));
    case Op::DivU:
    case Op::DivS:
    case Op::RemU:
    case Op::RemS: {
      if (type->isVectorTy() || width > 64) return nullptr;
      const bool is_signed = inst.op == Op::DivS || inst.op == Op::RemS;
      Value* const zero = b_.CreateICmpEQ(b, imm(type, 0));
      Value* bad = zero;
      if (is_signed) {
        Value* const overflows =
            b_.CreateAnd(b_.CreateICmpEQ(b, llvm::ConstantInt::getAllOnesValue(type)),
                         b_.CreateICmpEQ(a, llvm::ConstantInt::get(type, llvm::APInt::getSignMask(width))));
        bad = b_.CreateOr(zero, overflows);
      }
      // By one instead: right for the quotient that overflows.
      Value* const by = b_.CreateSelect(bad, imm(type, 1), b);
      if (inst.op == Op::DivU || inst.op == Op::DivS) {
        Value* const q = is_signed ? b_.CreateSDiv(a, by) : b_.CreateUDiv(a, by);
        return b_.CreateSelect(zero, imm(type, 0), q);
      }
      return b_.CreateSelect(zero, a, is_signed ? b_.CreateSRem(a, by) : b_.CreateURem(a, by));
    }
    default:
      break;
  }
  if (Value* const v = lower_rounding(inst, a, b)) return done(v);
  return done(lower_product(inst, a, b));
}

/// The bits of a status word that a value alone says.
Lowering::Value* Lowering::value_status(Value* r) {
  LType *const type = r->getType(), *const byte = int_type(8);
  Value* const ones = call(I::ctpop, {byte}, {b_.CreateZExtOrTrunc(r, byte)});
  Value* sum = put_status(imm(int_type(16), ir::eval::kStatusOne),
                          b_.CreateNot(b_.CreateTrunc(ones, int_type(1))), ir::eval::kStatusParity);
  sum = put_status(sum, b_.CreateICmpEQ(r, imm(type, 0)), ir::eval::kStatusZero);
  return put_status(sum, b_.CreateICmpSLT(r, imm(type, 0)), ir::eval::kStatusSign);
}

/// The word with a bit of it, which is clear, as the truth says.
Lowering::Value* Lowering::put_status(Value* word, Value* truth, uint16_t bit) {
  return b_.CreateOr(word, b_.CreateShl(b_.CreateZExt(truth, word->getType()), std::countr_zero(bit)));
}

/// A status word, bit by bit.
Lowering::Value* Lowering::lower_status(const ir::Inst& inst) {
  using namespace ir::eval;
  LType* const word = int_type(16);
  Value* const a = arg(inst, 0);
  LType* const type = a->getType();
  if (inst.op == Op::StatusOfOrder && inst.aux != 0) {
    Value* const less = b_.CreateICmpEQ(a, imm(type, ir::kFpLess));
    Value* const unordered = b_.CreateICmpEQ(a, imm(type, ir::kFpUnordered));
    Value* sum = put_status(imm(word, kStatusOne), less, kStatusSign);
    sum = put_status(put_status(sum, less, kStatusCarry), unordered, kStatusParity);
    sum = put_status(sum, unordered, kStatusOverflow);
    return put_status(sum, b_.CreateICmpEQ(a, imm(type, ir::kFpEqual)), kStatusZero);
  }
  if (inst.op == Op::StatusOfOrder) {
    Value* sum = put_status(imm(word, kStatusOne), b_.CreateTrunc(a, int_type(1)), kStatusCarry);
    sum = put_status(sum, b_.CreateICmpEQ(a, imm(type, ir::kFpUnordered)), kStatusParity);
    return put_status(sum, b_.CreateICmpEQ(arg(inst, 1), imm(type, ir::kFpEqual)), kStatusZero);
  }
  if (inst.op == Op::StatusOfValue) return b_.CreateOr(value_status(a), imm(word, other_carry(inst.aux)));
  const bool step = inst.op == Op::StatusOfStep, add = step ? inst.aux == 0 : inst.op == Op::StatusOfAdd;
  Value* const b = step ? imm(type, 1) : arg(inst, 1);
  const I::ID id = add ? I::uadd_with_overflow : I::usub_with_overflow;
  Value* const first = call(id, {type}, {a, b});
  Value *r = b_.CreateExtractValue(first, 0), *carry = nullptr;
  if (!step) {
    Value* const second = call(id, {type}, {r, b_.CreateZExt(arg(inst, 2), type)});
    r = b_.CreateExtractValue(second, 0);
    carry = b_.CreateOr(b_.CreateExtractValue(first, 1), b_.CreateExtractValue(second, 1));
    if (other_carry(inst.aux)) carry = b_.CreateNot(carry);
  }
  Value* sum = value_status(r);
  sum = step ? b_.CreateOr(sum, b_.CreateAnd(arg(inst, 1), imm(word, kStatusCarry)))
             : put_status(sum, carry, kStatusCarry);
  Value* const differs = b_.CreateXor(a, b);
  sum = put_status(sum, b_.CreateICmpNE(b_.CreateAnd(b_.CreateXor(differs, r), imm(type, 16)), imm(type, 0)),
                   kStatusAdjust);
  // The signs of the operands are alike (unlike for a difference), that of the result is not a's.
  Value* const alike = add ? b_.CreateNot(differs) : differs;
  return put_status(sum, b_.CreateICmpSLT(b_.CreateAnd(alike, b_.CreateXor(a, r)), imm(type, 0)),
                    kStatusOverflow);
}

/// What the last step of a shift leaves; of a count of 0 nothing but the old word is chosen.
Lowering::Value* Lowering::lower_shift_status(const ir::Inst& inst) {
  using namespace ir::eval;
  const uint32_t way = shift_way(inst.aux);
  Value* const a = arg(inst, 0);
  Value* const old =
      b_.CreateOr(b_.CreateAnd(arg(inst, 2), imm(int_type(16), kStatusFlags)), imm(int_type(16), kStatusOne));
  LType* const type = a->getType();
  const unsigned width = type->getIntegerBitWidth();
  Value* const n = b_.CreateAnd(arg(inst, 1), imm(type, width == 64 ? 63 : 31));
  Value* const less = b_.CreateSub(n, imm(type, 1));
  // All counts less one are below 32.
  LType* const wide = width < 32 ? int_type(32) : type;
  Value *const by = b_.CreateZExt(less, wide), *const one = imm(type, 1);
  const I::ID turn = way == kTurnLeft ? I::fshl : I::fshr;
  const auto step = [&](Value* v) -> Value* {
    if (way >= kTurnLeft) return call(turn, {type}, {v, v, one});
    return way == kShiftLeft    ? b_.CreateShl(v, one)
           : way == kShiftRight ? b_.CreateLShr(v, one)
                                : b_.CreateAShr(v, one);
  };
  Value* before = nullptr;
  switch (way) {
    case kShiftLeft:
      before = b_.CreateTrunc(b_.CreateShl(b_.CreateZExt(a, wide), by), type);
      break;
    case kShiftRight:
      before = b_.CreateTrunc(b_.CreateLShr(b_.CreateZExt(a, wide), by), type);
      break;
    case kShiftRightSigned:
      before = b_.CreateTrunc(b_.CreateAShr(b_.CreateSExt(a, wide), by), type);
      break;
    default:
      before = call(turn, {type}, {a, a, less});
      break;
  }
  Value* const r = step(before);
  const bool first = (inst.aux & kFirstStep) != 0;
  const bool left = way == kShiftLeft || way == kTurnLeft;
  LType* const word = int_type(16);
  Value* const carry = left ? b_.CreateICmpSLT(before, imm(type, 0)) : b_.CreateTrunc(before, int_type(1));
  Value* sum = way >= kTurnLeft
                   ? b_.CreateAnd(old, imm(word, static_cast<uint16_t>(~(kStatusCarry | kStatusOverflow))))
                   : b_.CreateOr(value_status(r), imm(word, first ? 0 : kStatusAdjust));
  sum = put_status(sum, carry, kStatusCarry);
  if (inst.aux & kOldOverflow)
    return b_.CreateSelect(b_.CreateICmpNE(n, imm(type, 0)),
                           b_.CreateOr(sum, b_.CreateAnd(old, imm(word, kStatusOverflow))), old);
  Value* const change = first ? b_.CreateXor(a, step(a)) : b_.CreateXor(before, r);
  sum = put_status(sum, b_.CreateICmpSLT(change, imm(type, 0)), kStatusOverflow);
  return b_.CreateSelect(b_.CreateICmpNE(n, imm(type, 0)), sum, old);
}

/// The upper half is nearly always the sign of the lower one, or zero: a division of the lower half. What
/// else there is goes to the handler.
Lowering::Value* Lowering::lower_wide_division(const ir::Inst& inst) {
  const bool is_signed = inst.op == Op::DivWideS || inst.op == Op::RemWideS;
  const bool quotient = inst.op == Op::DivWideS || inst.op == Op::DivWideU;
  Value *const low = arg(inst, 0), *const high = arg(inst, 1), *const by = arg(inst, 2);
  LType* const type = low->getType();
  const unsigned width = type->getScalarSizeInBits();
  if (type->isVectorTy() || width > 64) return nullptr;
  Value* const expected = is_signed ? b_.CreateAShr(low, imm(type, width - 1)) : imm(type, 0);
  Value* bad = b_.CreateOr(b_.CreateICmpNE(high, expected), b_.CreateICmpEQ(by, imm(type, 0)));
  if (is_signed) bad = b_.CreateOr(bad, b_.CreateICmpEQ(by, llvm::ConstantInt::getAllOnesValue(type)));
  // Computed in any case, so that quotient and remainder share it.
  Value* const safe = b_.CreateSelect(bad, imm(type, 1), by);
  Value* const q = is_signed ? b_.CreateSDiv(low, safe) : b_.CreateUDiv(low, safe);
  Value* const result = quotient ? q : b_.CreateSub(low, b_.CreateMul(q, safe));
  Block* const before = b_.GetInsertBlock();
  Block* const cold = new_block("wide");
  Block* const done = new_block("divided");
  branch_cold(bad, cold, done);
  b_.SetInsertPoint(cold);
  Value* const slow_result = call_value_record(inst);
  Block* const end = b_.GetInsertBlock();
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  llvm::PHINode* const phi = b_.CreatePHI(type, 2);
  phi->addIncoming(result, before);
  phi->addIncoming(slow_result, end);
  return phi;
}

/// Carries, conversions, choice.
Lowering::Value* Lowering::lower_special(const ir::Inst& inst) {
  const auto wide_sum = [&](bool is_signed) {
    LType* const type = arg(inst, 0)->getType();
    LType* const wide = int_type(type->getIntegerBitWidth() + 2);
    const auto extend = [&](Value* v) { return is_signed ? b_.CreateSExt(v, wide) : b_.CreateZExt(v, wide); };
    return b_.CreateAdd(b_.CreateAdd(extend(arg(inst, 0)), extend(arg(inst, 1))),
                        b_.CreateZExt(arg(inst, 2), wide));
  };
  switch (inst.op) {
    case Op::Select:
      return b_.CreateSelect(arg(inst, 0), arg(inst, 1), arg(inst, 2));
    case Op::AddWithCarry:
      return b_.CreateAdd(b_.CreateAdd(arg(inst, 0), arg(inst, 1)),
                          b_.CreateZExt(arg(inst, 2), type_of(inst.type)));
    case Op::SubWithBorrow:
      return b_.CreateSub(b_.CreateSub(arg(inst, 0), arg(inst, 1)),
                          b_.CreateZExt(arg(inst, 2), type_of(inst.type)));
    case Op::CarryOfAdd: {
      LType* const type = arg(inst, 0)->getType();
      if (type->getIntegerBitWidth() > 64) {
        Value* const sum = wide_sum(false);
        const unsigned width = type->getIntegerBitWidth();
        return b_.CreateTrunc(b_.CreateLShr(sum, width), int_type(1));
      }
      Value* const first = call(I::uadd_with_overflow, {type}, {arg(inst, 0), arg(inst, 1)});
      Value* const second = call(I::uadd_with_overflow, {type},
                                 {b_.CreateExtractValue(first, 0), b_.CreateZExt(arg(inst, 2), type)});
      return b_.CreateOr(b_.CreateExtractValue(first, 1), b_.CreateExtractValue(second, 1));
    }
    case Op::OverflowOfAdd: {
      // The sum's sign differs from those of both operands.
      Value *const a = arg(inst, 0), *const b = arg(inst, 1);
      LType* const type = a->getType();
      Value* const sum = b_.CreateAdd(b_.CreateAdd(a, b), b_.CreateZExt(arg(inst, 2), type));
      return b_.CreateICmpSLT(b_.CreateAnd(b_.CreateXor(a, sum), b_.CreateXor(b, sum)), imm(type, 0));
    }
    case Op::OverflowOfSub:
      return b_.CreateExtractValue(
          call(I::ssub_with_overflow, {arg(inst, 0)->getType()}, {arg(inst, 0), arg(inst, 1)}), 1);
    case Op::StatusOfAdd:
    case Op::StatusOfSub:
    case Op::StatusOfValue:
    case Op::StatusOfOrder:
    case Op::StatusOfStep:
      return lower_status(inst);
    case Op::StatusOfShift:
      return lower_shift_status(inst);
    case Op::DivWideS:
    case Op::DivWideU:
    case Op::RemWideS:
    case Op::RemWideU:
      return lower_wide_division(inst);
    case Op::ZExt:
      return b_.CreateZExt(arg(inst, 0), type_of(inst.type));
    case Op::SExt:
      return b_.CreateSExt(arg(inst, 0), type_of(inst.type));
    case Op::Trunc:
      return b_.CreateTrunc(arg(inst, 0), type_of(inst.type));
    case Op::Bitcast:
      return whole(arg(inst, 0), inst.type);
    case Op::Pair64: {
      LType* const wide = int_type(128);
      return b_.CreateOr(b_.CreateZExt(arg(inst, 0), wide),
                         b_.CreateShl(b_.CreateZExt(arg(inst, 1), wide), 64));
    }
    case Op::Lo64:
      return b_.CreateTrunc(arg(inst, 0), int_type(64));
    case Op::Hi64:
      return b_.CreateTrunc(b_.CreateLShr(arg(inst, 0), 64), int_type(64));
    case Op::Crc32: {
      const unsigned bits = 8 * (inst.aux & 255);
      if (!(inst.aux & 256) || !target_.host.sse42 || !llvm::isPowerOf2_32(bits) || bits > 64) return nullptr;
      I::ID id = I::x86_sse42_crc32_32_8;
      if (bits == 16) id = I::x86_sse42_crc32_32_16;
      if (bits == 32) id = I::x86_sse42_crc32_32_32;
      if (bits == 64) id = I::x86_sse42_crc32_64_64;
      if (bits == 64)
        return b_.CreateTrunc(call(id, {}, {b_.CreateZExt(arg(inst, 0), int_type(64)), arg(inst, 1)}),
                              int_type(32));
      return call(id, {}, {arg(inst, 0), b_.CreateTrunc(arg(inst, 1), int_type(bits))});
    }
    default:
      return nullptr;
  }
}

}  // namespace lyrebird::jit::lowering
