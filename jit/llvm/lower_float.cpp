// SPDX-License-Identifier: Apache-2.0
// Floating point, as in jit/baseline/emit_float.cpp: the host's instruction where its rules are the
// guest's, its exception flags collect in MXCSR, and results that it may have wrong go to the
// interpreter's handler. Strict intrinsics: LLVM may not fold, drop or invent what raises a flag.
#include <llvm/IR/MDBuilder.h>

#include <limits>

#include "jit/host_float.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using ir::FpMode;
using ir::Op;
using ir::Round;
using ir::Type;
namespace I = llvm::Intrinsic;

namespace {

/// The host in its default state does what the mode says, but for the rounding and `no_inexact`.
bool is_plain(const FpMode& mode) {
  return !mode.flush_inputs && !mode.flush_outputs && !mode.no_flags && mode.tiny_before_rounding &&
         mode.denormal_report == ir::DenormalReport::Never;
}

}  // namespace

Lowering::Value* Lowering::strict(I::ID id, std::initializer_list<LType*> types,
                                  std::initializer_list<Value*> args, bool rounding) {
  std::vector<Value*> all(args);
  const auto text = [&](const char* s) {
    return llvm::MetadataAsValue::get(context_, llvm::MDString::get(context_, s));
  };
  if (rounding) all.push_back(text("round.tonearest"));
  all.push_back(text("fpexcept.strict"));
  llvm::CallInst* const made = b_.CreateIntrinsic(id, types, all);
  made->addFnAttr(llvm::Attribute::StrictFP);
  return made;
}

Lowering::Value* Lowering::strict_compare(I::ID id, Value* a, Value* b, const char* predicate) {
  const auto text = [&](const char* s) {
    return llvm::MetadataAsValue::get(context_, llvm::MDString::get(context_, s));
  };
  llvm::CallInst* const made =
      b_.CreateIntrinsic(id, {a->getType()}, {a, b, text(predicate), text("fpexcept.strict")});
  made->addFnAttr(llvm::Attribute::StrictFP);
  return made;
}

Lowering::Value* Lowering::lower_float(const ir::Inst& inst) {
  if (!(ir::info(inst.op).effects & ir::FpFlags)) return nullptr;
  // Else the host would collect too many reports of subnormal operands.
  if (target_.layout->sse_floats) return lower_float_native(inst);
  if (!is_plain(inst.fp_mode())) return nullptr;
  switch (inst.op) {
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
    case Op::FMulAdd:
      return lower_float_arithmetic(inst);
    case Op::FCompare:
    case Op::FCmpEq:
    case Op::FCmpLt:
    case Op::FCmpLe:
    case Op::FCmpUnord:
      return lower_float_compare(inst);
    case Op::FToIntS:
    case Op::FToIntU:
    case Op::FFromIntS:
    case Op::FFromIntU:
    case Op::FConvert:
      return lower_float_convert(inst);
    case Op::FRoundInt:
      return lower_float_round(inst);
    default:
      return nullptr;
  }
}

/// `result`, or the handler's if a lane of it is a NaN, or the smallest normal number, to which
/// rounding may have lifted a tiny one (the host looks for tininess after rounding).
Lowering::Value* Lowering::checked(const ir::Inst& inst, Value* result, Type elem, Check check) {
  LType* const type = result->getType();
  const bool vector = type->isVectorTy();
  Value* bad = nullptr;
  if (check == Check::NanOrTiny) {
    // One comparison tells both.
    const double least =
        elem == Type::F64 ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
    bad = b_.CreateFCmpUEQ(call(llvm::Intrinsic::fabs, {type}, {result}), llvm::ConstantFP::get(type, least));
  } else {
    bad = b_.CreateFCmpUNO(result, result);
  }
  if (vector) {
    const unsigned lanes = llvm::cast<llvm::FixedVectorType>(type)->getNumElements();
    Value* const mask = b_.CreateBitCast(bad, int_type(lanes));
    bad = b_.CreateICmpNE(mask, imm(int_type(lanes), 0));
  }
  Block* const before = b_.GetInsertBlock();
  Block* const cold = new_block("float");
  Block* const done = new_block("number");
  branch_cold(bad, cold, done);
  b_.SetInsertPoint(cold);
  Value* const slow = b_.CreateBitCast(call_value_record(inst), type);
  Block* const end = b_.GetInsertBlock();
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  llvm::PHINode* const phi = b_.CreatePHI(type, 2);
  phi->addIncoming(result, before);
  phi->addIncoming(slow, end);
  return phi;
}

Lowering::Value* Lowering::lower_float_arithmetic(const ir::Inst& inst) {
  const Type elem = inst.elem;
  const FpMode mode = inst.fp_mode();
  if (!is_host_float(elem) || mode.round != Round::NearestEven || mode.no_inexact) return nullptr;
  if (inst.type != elem && inst.type != Type::V64 && inst.type != Type::V128) return nullptr;
  if (inst.op == Op::FMulAdd && !target_.host.fma) return nullptr;
  Value* args[3] = {};
  for (unsigned k = 0; k < ir::arg_count(inst); ++k) args[k] = float_lanes(arg(inst, k), inst.type, elem);
  // What lies above a V64 must not raise anything: both halves are it.
  const bool twice = inst.type == Type::V64;
  if (twice) {
    const int n = elem == Type::F64 ? 1 : 2;
    std::vector<int> order;
    for (int i = 0; i < 2 * n; ++i) order.push_back(i % n);
    for (Value*& a : args)
      if (a) a = b_.CreateShuffleVector(a, order);
  }
  LType* const type = args[0]->getType();
  Check check = Check::NanOrTiny;
  Value* result = nullptr;
  switch (inst.op) {
    case Op::FAdd:
      // A tiny sum is exact.
      result = strict(I::experimental_constrained_fadd, {type}, {args[0], args[1]}, true);
      check = Check::Nan;
      break;
    case Op::FSub:
      result = strict(I::experimental_constrained_fsub, {type}, {args[0], args[1]}, true);
      check = Check::Nan;
      break;
    case Op::FMul:
      result = strict(I::experimental_constrained_fmul, {type}, {args[0], args[1]}, true);
      break;
    case Op::FDiv:
      result = strict(I::experimental_constrained_fdiv, {type}, {args[0], args[1]}, true);
      break;
    case Op::FSqrt:
      result = strict(I::experimental_constrained_sqrt, {type}, {args[0]}, true);
      check = Check::Nan;
      break;
    default:
      result = strict(I::experimental_constrained_fma, {type}, {args[0], args[1], args[2]}, true);
  }
  if (twice) {
    const int n = elem == Type::F64 ? 1 : 2;
    std::vector<int> order;
    for (int i = 0; i < n; ++i) order.push_back(i);
    result = b_.CreateShuffleVector(result, order);
  }
  return whole(checked(inst, result, elem, check), inst.type);
}

Lowering::Value* Lowering::lower_float_compare(const ir::Inst& inst) {
  const Type elem = inst.elem;
  if (!is_host_float(elem)) return nullptr;
  constexpr I::ID kQuiet = I::experimental_constrained_fcmp, kSignal = I::experimental_constrained_fcmps;
  if (inst.op == Op::FCompare) {
    Value *const a = arg(inst, 0), *const b = arg(inst, 1);
    const I::ID id = inst.fp_extra() & 1 ? kSignal : kQuiet;
    LType* const byte = int_type(8);
    // Each is true of an unordered pair as well, if that is not to give 0.
    const char* const predicate = inst.fp_extra() & 2 ? "olt" : "ult";
    Value* const less = b_.CreateZExt(strict_compare(id, a, b, predicate), byte);
    Value* const greater = b_.CreateZExt(strict_compare(id, b, a, predicate), byte);
    return b_.CreateOr(less, b_.CreateShl(greater, 1));
  }
  const bool scalar = inst.type == Type::I1;
  if (!scalar && inst.type != Type::V128) return nullptr;
  const Type operand = ir_type(inst.args[0]);
  Value *const a = float_lanes(arg(inst, 0), operand, elem), *const b =
                                                                 float_lanes(arg(inst, 1), operand, elem);
  Value* const result = inst.op == Op::FCmpEq   ? strict_compare(kQuiet, a, b, "oeq")
                        : inst.op == Op::FCmpLt ? strict_compare(kSignal, a, b, "olt")
                        : inst.op == Op::FCmpLe ? strict_compare(kSignal, a, b, "ole")
                                                : strict_compare(kQuiet, a, b, "uno");
  if (scalar) return result;
  return whole(b_.CreateSExt(result, lanes_type(inst.type, elem)), inst.type);
}

Lowering::Value* Lowering::lower_float_convert(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  const Type from = ir_type(inst.args[0]), to = inst.type;
  if (inst.op == Op::FConvert) {
    if (!is_host_float(from) || !is_host_float(to) || from == to || mode.round != Round::NearestEven ||
        mode.no_inexact)
      return nullptr;
    const bool widens = to == Type::F64;
    Value* const result =
        strict(widens ? I::experimental_constrained_fpext : I::experimental_constrained_fptrunc,
               {type_of(to), type_of(from)}, {arg(inst, 0)}, !widens);
    return checked(inst, result, to, widens ? Check::Nan : Check::NanOrTiny);
  }
  if (inst.fp_extra() != 0 || mode.no_inexact) return nullptr;
  const bool is_signed = inst.op == Op::FToIntS || inst.op == Op::FFromIntS;
  if (inst.op == Op::FToIntS || inst.op == Op::FToIntU) {
    if ((to != Type::I32 && to != Type::I64) || !is_host_float(from)) return nullptr;
    if (mode.round != Round::TowardZero || (!is_signed && !target_.host.avx512)) return nullptr;
    Value* const result =
        strict(is_signed ? I::experimental_constrained_fptosi : I::experimental_constrained_fptoui,
               {type_of(to), type_of(from)}, {arg(inst, 0)}, false);
    // The host's answer to what does not fit: only the most negative, or the largest. Frozen: LLVM calls
    // it undefined.
    Value* const frozen = b_.CreateFreeze(result);
    const unsigned width = ir::bit_width(to);
    const llvm::APInt answer = is_signed ? llvm::APInt::getSignMask(width) : llvm::APInt::getMaxValue(width);
    Block* const before = b_.GetInsertBlock();
    Block* const cold = new_block("out_of_range");
    Block* const done = new_block("converted");
    branch_cold(b_.CreateICmpEQ(frozen, llvm::ConstantInt::get(context_, answer)), cold, done);
    b_.SetInsertPoint(cold);
    Value* const slow = call_value_record(inst);
    b_.CreateBr(done);
    b_.SetInsertPoint(done);
    llvm::PHINode* const phi = b_.CreatePHI(type_of(to), 2);
    phi->addIncoming(frozen, before);
    phi->addIncoming(slow, cold);
    return phi;
  }
  if (mode.round != Round::NearestEven || !is_host_float(to)) return nullptr;
  if (from != Type::I32 && from != Type::I64) return nullptr;
  Value* a = arg(inst, 0);
  if (inst.op == Op::FFromIntU && from == Type::I64) {
    if (!target_.host.avx512) return nullptr;
    return strict(I::experimental_constrained_uitofp, {type_of(to), int_type(64)}, {a}, true);
  }
  if (inst.op == Op::FFromIntU) a = b_.CreateZExt(a, int_type(64));
  return strict(I::experimental_constrained_sitofp, {type_of(to), a->getType()}, {a}, true);
}

Lowering::Value* Lowering::lower_float_round(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  if (!is_host_float(inst.type) || inst.fp_extra() != 0) return nullptr;
  LType* const type = type_of(inst.type);
  Value* result = nullptr;
  if (!mode.no_inexact) {
    if (mode.round != Round::NearestEven) return nullptr;
    result = strict(I::experimental_constrained_rint, {type}, {arg(inst, 0)}, true);
  } else {
    const I::ID id = mode.round == Round::NearestEven      ? I::experimental_constrained_roundeven
                     : mode.round == Round::TowardNegative ? I::experimental_constrained_floor
                     : mode.round == Round::TowardPositive ? I::experimental_constrained_ceil
                     : mode.round == Round::TowardZero     ? I::experimental_constrained_trunc
                                                           : I::not_intrinsic;
    if (id == I::not_intrinsic) return nullptr;
    result = strict(id, {type}, {arg(inst, 0)}, false);
  }
  return checked(inst, result, inst.type, Check::Nan);
}

}  // namespace lyrebird::jit::lowering
