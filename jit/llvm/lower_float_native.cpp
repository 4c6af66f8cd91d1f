// SPDX-License-Identifier: Apache-2.0
// Floating point of guests whose rules are the host's own (StateLayout::sse_floats): one host
// instruction, whose result and flags are right as they are. Written as assembly, because LLVM would
// exchange the operands of a sum, which decide what NaN comes out.
#include "jit/host_float.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using ir::FpMode;
using ir::Op;
using ir::Round;
using ir::Type;

namespace {

const char* name_of(Op op) {
  switch (op) {
    case Op::FAdd:
      return "vadd";
    case Op::FSub:
      return "vsub";
    case Op::FMul:
      return "vmul";
    case Op::FDiv:
      return "vdiv";
    case Op::FMinSecond:
      return "vmin";
    case Op::FMaxSecond:
      return "vmax";
    case Op::FMulAdd:
      return "vfmadd231";
    case Op::FMulSub:
      return "vfmsub231";
    case Op::FNegMulAdd:
      return "vfnmadd231";
    case Op::FNegMulSub:
      return "vfnmsub231";
    default:
      return nullptr;
  }
}

}  // namespace

/// One instruction that leaves its flags in MXCSR.
Lowering::Value* Lowering::float_assembly(const std::string& text, const char* constraints, LType* type,
                                          std::vector<Value*> args) {
  std::vector<LType*> types;
  for (const Value* v : args) types.push_back(v->getType());
  auto* const function = llvm::FunctionType::get(type, types, false);
  llvm::CallInst* const made = b_.CreateCall(
      llvm::InlineAsm::get(function, text, constraints, true, false, llvm::InlineAsm::AD_ATT), args);
  // MXCSR is nobody's memory.
  made->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
  made->addFnAttr(llvm::Attribute::NoUnwind);
  made->addFnAttr(llvm::Attribute::StrictFP);
  return made;
}

Lowering::Value* Lowering::lower_float_native(const ir::Inst& inst) {
  const FpMode mode = inst.fp_mode();
  if (!is_sse(mode) || !target_.host.avx) return nullptr;
  const bool nearest = mode.round == Round::NearestEven && !mode.no_inexact;
  switch (inst.op) {
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
    case Op::FMinSecond:
    case Op::FMaxSecond:
    case Op::FMulAdd:
    case Op::FMulSub:
    case Op::FNegMulAdd:
    case Op::FNegMulSub:
      return nearest && reports(mode) && is_host_float(inst.elem) ? native_arithmetic(inst) : nullptr;
    case Op::FCompare:
    case Op::FCmpEq:
    case Op::FCmpLt:
    case Op::FCmpLe:
    case Op::FCmpUnord:
      return reports(mode) ? lower_float_compare(inst) : nullptr;
    case Op::FToIntS:
    case Op::FFromIntS:
    case Op::FConvert:
    case Op::FWidenLo:
      return native_convert(inst, nearest);
    default:
      return nullptr;
  }
}

Lowering::Value* Lowering::native_arithmetic(const ir::Inst& inst) {
  const Type elem = inst.elem;
  if (inst.type != Type::V128 && inst.type != elem) return nullptr;
  const bool packed = inst.type == Type::V128;
  const std::string form = std::string(packed ? "p" : "s") + (elem == Type::F64 ? "d" : "s");
  std::vector<Value*> args;
  for (unsigned k = 0; k < ir::arg_count(inst); ++k)
    args.push_back(float_lanes(arg(inst, k), inst.type, elem));
  LType* const type = args[0]->getType();
  Value* result = nullptr;
  if (inst.op == Op::FSqrt) {
    result = float_assembly("vsqrt" + form + (packed ? " $1, $0" : " $1, $1, $0"), "=x,x", type, args);
  } else if (args.size() == 2) {
    result = float_assembly(name_of(inst.op) + form + " $2, $1, $0", "=x,x,x", type, args);
  } else {
    if (!target_.host.fma) return nullptr;
    result = float_assembly(name_of(inst.op) + form + " $2, $1, $0", "=x,x,x,0", type, args);
  }
  return whole(result, inst.type);
}

Lowering::Value* Lowering::native_convert(const ir::Inst& inst, bool nearest) {
  const FpMode mode = inst.fp_mode();
  const Type from = ir_type(inst.args[0]), to = inst.type;
  Value* const a = arg(inst, 0);
  switch (inst.op) {
    case Op::FToIntS: {
      const bool cut = mode.round == Round::TowardZero;
      if (!is_silent(mode) || mode.no_inexact || inst.fp_extra() != ir::kFpIndefinite) return nullptr;
      if ((!cut && mode.round != Round::NearestEven) || !is_host_float(from)) return nullptr;
      if (to != Type::I32 && to != Type::I64) return nullptr;
      return float_assembly(
          std::string(cut ? "vcvtts" : "vcvts") + (from == Type::F64 ? "d2si $1, $0" : "s2si $1, $0"), "=r,x",
          type_of(to), {a});
    }
    case Op::FFromIntS: {
      if (!nearest || inst.fp_extra() != 0 || !is_host_float(to)) return nullptr;
      if (from != Type::I32 && from != Type::I64) return nullptr;
      LType* const type = type_of(to);
      return float_assembly(std::string(to == Type::F64 ? "vcvtsi2sd" : "vcvtsi2ss") +
                                (from == Type::I64 ? "q" : "l") + " $1, $2, $0",
                            "=x,r,x", type, {a, llvm::ConstantFP::get(type, 0.0)});
    }
    case Op::FConvert:
      if (!is_host_float(from) || !is_host_float(to) || !nearest || !reports(mode) || from == to)
        return nullptr;
      return float_assembly(to == Type::F64 ? "vcvtss2sd $1, $1, $0" : "vcvtsd2ss $1, $1, $0", "=x,x",
                            type_of(to), {a});
    case Op::FWidenLo:
      if (to != Type::V128 || inst.elem != Type::F32 || !reports(mode) || !ir::is_vector(from))
        return nullptr;
      return float_assembly("vcvtps2pd $1, $0", "=x,x", type_of(to),
                            {from == Type::V64 ? b_.CreateBitCast(a, LType::getDoubleTy(context_)) : a});
    default:
      return nullptr;
  }
}

}  // namespace lyrebird::jit::lowering
