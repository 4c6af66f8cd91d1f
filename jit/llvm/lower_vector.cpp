// SPDX-License-Identifier: Apache-2.0
// Vectors: lanes moved, widened, narrowed, reduced; products and cryptography that the host has.
#include <llvm/IR/IntrinsicsX86.h>

#include <numeric>

#include "jit/host_float.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using ir::Op;
using ir::Type;
namespace I = llvm::Intrinsic;

namespace {
using Order = std::vector<int>;
}

Lowering::Value* Lowering::lower_vector(const ir::Inst& inst) {
  const Type type = inst.type, elem = inst.elem;
  switch (inst.op) {
    case Op::Splat:
    case Op::VecFromScalar:
    case Op::InsertLane: {
      if (elem == Type::F80) return nullptr;
      // Floats as such: as integers LLVM takes them to general registers and back.
      const bool floats = is_host_float(elem);
      Value* const from = arg(inst, inst.op == Op::InsertLane ? 1 : 0);
      Value* const scalar = floats ? from : lanes(from, elem, elem);
      LType* const ints = lanes_type(type, elem);
      auto* const as =
          llvm::cast<llvm::FixedVectorType>(floats ? ints->getWithNewType(scalar->getType()) : ints);
      if (inst.op == Op::Splat) return whole(b_.CreateVectorSplat(as->getNumElements(), scalar), type);
      Value* const to =
          inst.op == Op::InsertLane ? b_.CreateBitCast(arg(inst, 0), as) : llvm::Constant::getNullValue(as);
      return whole(b_.CreateInsertElement(to, scalar, inst.op == Op::InsertLane ? inst.imm : 0), type);
    }
    case Op::ExtractLane: {
      if (elem == Type::F80) return nullptr;
      const Type from = ir_type(inst.args[0]);
      Value* const all =
          is_host_float(elem) ? float_lanes(arg(inst, 0), from, elem) : lanes(arg(inst, 0), from, elem);
      return whole(b_.CreateExtractElement(all, inst.imm), type);
    }
    case Op::AnyBit: {
      const Type from = ir_type(inst.args[0]);
      LType* const bits = int_type(ir::bit_width(from));
      return b_.CreateICmpNE(b_.CreateBitCast(arg(inst, 0), bits), imm(bits, 0));
    }
    case Op::ReduceAdd:
    case Op::ReduceMinS:
    case Op::ReduceMaxS:
    case Op::ReduceMinU:
    case Op::ReduceMaxU: {
      if (ir::is_float(elem) || elem == Type::I128) return nullptr;
      Value* const a = lanes(arg(inst, 0), ir_type(inst.args[0]), elem);
      const I::ID id = inst.op == Op::ReduceAdd    ? I::vector_reduce_add
                       : inst.op == Op::ReduceMinS ? I::vector_reduce_smin
                       : inst.op == Op::ReduceMaxS ? I::vector_reduce_smax
                       : inst.op == Op::ReduceMinU ? I::vector_reduce_umin
                                                   : I::vector_reduce_umax;
      return call(id, {a->getType()}, {a});
    }
    case Op::Narrow:
    case Op::NarrowSatS:
    case Op::NarrowSatU:
    case Op::NarrowSatSU:
      return lower_narrow(inst);
    default:
      break;
  }
  if (Value* const v = lower_shuffle(inst)) return v;
  return lower_product_vector(inst);
}

Lowering::Value* Lowering::lower_narrow(const ir::Inst& inst) {
  if (ir::is_float(inst.elem) || inst.elem == Type::I128) return nullptr;
  Value* a = lanes(arg(inst, 0), ir_type(inst.args[0]), inst.elem);
  LType* const wide = a->getType();
  const unsigned half = ir::bit_width(inst.elem) / 2;
  LType* const narrow = wide->getWithNewBitWidth(half);
  const auto most = [&](const llvm::APInt& v) { return llvm::ConstantInt::get(wide, v.zext(2 * half)); };
  const auto least = [&](const llvm::APInt& v) { return llvm::ConstantInt::get(wide, v.sext(2 * half)); };
  if (inst.op == Op::NarrowSatS) {
    a = call(I::smin, {wide}, {a, most(llvm::APInt::getSignedMaxValue(half))});
    a = call(I::smax, {wide}, {a, least(llvm::APInt::getSignedMinValue(half))});
  } else if (inst.op == Op::NarrowSatU) {
    a = call(I::umin, {wide}, {a, most(llvm::APInt::getMaxValue(half))});
  } else if (inst.op == Op::NarrowSatSU) {
    a = call(I::smax, {wide}, {a, imm(wide, 0)});
    a = call(I::smin, {wide}, {a, most(llvm::APInt::getMaxValue(half))});
  }
  return whole(b_.CreateTrunc(a, narrow), inst.type);
}

/// Ops that only move lanes.
Lowering::Value* Lowering::lower_shuffle(const ir::Inst& inst) {
  const Type type = inst.type;
  if (!ir::is_vector(type)) return nullptr;
  const int bytes = static_cast<int>(ir::byte_size(type));
  const auto shuffle_bytes = [&](Value* a, Value* b, const Order& order) {
    return b ? b_.CreateShuffleVector(a, b, order) : b_.CreateShuffleVector(a, order);
  };
  switch (inst.op) {
    case Op::Resize: {
      const int from = static_cast<int>(ir::byte_size(ir_type(inst.args[0])));
      Order order(static_cast<size_t>(bytes));
      for (int i = 0; i < bytes; ++i) order[static_cast<size_t>(i)] = i < from ? i : from;
      Value* const a = arg(inst, 0);
      return shuffle_bytes(a, llvm::Constant::getNullValue(a->getType()), order);
    }
    case Op::Concat:
    case Op::HalfHi: {
      Order order(static_cast<size_t>(bytes));
      std::iota(order.begin(), order.end(), inst.op == Op::HalfHi ? bytes : 0);
      return shuffle_bytes(arg(inst, 0), inst.op == Op::Concat ? arg(inst, 1) : nullptr, order);
    }
    case Op::ByteExtract: {
      Order order(static_cast<size_t>(bytes));
      std::iota(order.begin(), order.end(), static_cast<int>(inst.imm));
      if (inst.imm > static_cast<uint64_t>(bytes)) return nullptr;
      return shuffle_bytes(arg(inst, 0), arg(inst, 1), order);
    }
    default:
      break;
  }
  if (inst.elem == Type::None || inst.elem == Type::I1 || ir::bit_width(inst.elem) > 64) return nullptr;
  const int width = static_cast<int>(ir::bit_width(inst.elem));
  const int n = 8 * bytes / width;
  Order order(static_cast<size_t>(n));
  const auto each = [&](auto f) {
    for (int i = 0; i < n; ++i) order[static_cast<size_t>(i)] = f(i);
    Value* const a = lanes(arg(inst, 0), type, inst.elem);
    Value* const b = ir::arg_count(inst) == 2 ? lanes(arg(inst, 1), type, inst.elem) : a;
    return whole(b_.CreateShuffleVector(a, b, order), type);
  };
  switch (inst.op) {
    case Op::ZipLo:
      return each([&](int i) { return i / 2 + (i & 1) * n; });
    case Op::ZipHi:
      return each([&](int i) { return n / 2 + i / 2 + (i & 1) * n; });
    case Op::UnzipEven:
      return each([&](int i) { return 2 * i; });
    case Op::UnzipOdd:
      return each([&](int i) { return 2 * i + 1; });
    case Op::TransposeEven:
      return each([&](int i) { return (i & ~1) + (i & 1) * n; });
    case Op::TransposeOdd:
      return each([&](int i) { return (i | 1) + (i & 1) * n; });
    case Op::ReverseIn: {
      const int step = static_cast<int>(inst.imm) / width;
      if (step < 1) return nullptr;
      return each([&](int i) { return i / step * step + step - 1 - i % step; });
    }
    case Op::WidenLoS:
    case Op::WidenLoU:
    case Op::WidenHiS:
    case Op::WidenHiU: {
      if (width > 32) return nullptr;
      const bool high = inst.op == Op::WidenHiS || inst.op == Op::WidenHiU;
      const bool is_signed = inst.op == Op::WidenLoS || inst.op == Op::WidenHiS;
      Order half(static_cast<size_t>(n / 2));
      std::iota(half.begin(), half.end(), high ? n / 2 : 0);
      Value* const a = b_.CreateShuffleVector(lanes(arg(inst, 0), type, inst.elem), half);
      LType* const wide = a->getType()->getExtendedType();
      return whole(is_signed ? b_.CreateSExt(a, wide) : b_.CreateZExt(a, wide), type);
    }
    default:
      return nullptr;
  }
}

Lowering::Value* Lowering::lower_product_vector(const ir::Inst& inst) {
  if (inst.type != Type::V128) return nullptr;
  LType* const words = llvm::FixedVectorType::get(int_type(64), 2);
  const auto as_words = [&](unsigned k) { return b_.CreateBitCast(arg(inst, k), words); };
  const auto zero = llvm::Constant::getNullValue(words);
  switch (inst.op) {
    case Op::TableLookup: {
      Value *const a = arg(inst, 0), *const b = arg(inst, 1);
      Value* const found = call(I::x86_ssse3_pshuf_b_128, {}, {a, b});
      return b_.CreateSelect(b_.CreateICmpULT(b, imm(b->getType(), 16)), found, arg(inst, 2));
    }
    case Op::ClMul:
      if (!target_.host.pclmul) return nullptr;
      return whole(call(I::x86_pclmulqdq, {},
                        {as_words(0), as_words(1),
                         b_.getInt8(static_cast<uint8_t>((inst.imm & 1) | (inst.imm >> 1 & 1) << 4))}),
                   inst.type);
    case Op::AesSubShift:
      if (!target_.host.aes) return nullptr;
      return whole(call(I::x86_aesni_aesenclast, {}, {as_words(0), zero}), inst.type);
    case Op::AesInvSubShift:
      if (!target_.host.aes) return nullptr;
      return whole(call(I::x86_aesni_aesdeclast, {}, {as_words(0), zero}), inst.type);
    case Op::AesMixColumns:
      if (!target_.host.aes) return nullptr;
      // Undoing what AESDECLAST did leaves the columns mixed.
      return whole(
          call(I::x86_aesni_aesenc, {}, {call(I::x86_aesni_aesdeclast, {}, {as_words(0), zero}), zero}),
          inst.type);
    case Op::AesInvMixColumns:
      if (!target_.host.aes) return nullptr;
      return whole(call(I::x86_aesni_aesimc, {}, {as_words(0)}), inst.type);
    default:
      return nullptr;
  }
}

}  // namespace lyrebird::jit::lowering
