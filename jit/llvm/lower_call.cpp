// SPDX-License-Identifier: Apache-2.0
// Whatever has no code of its own: the interpreter's handler for the op is called on a record
// behind the code (RecordPlan), with operands and result in the frame.
#include "ir/cpu_header.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using baseline::kFrameSaveXmm;
using baseline::kFrameScratch;
using baseline::RegionThunk;
using ir::Op;
using ir::Type;
using ir::ValueId;

Lowering::Value* Lowering::frame_at(uint32_t offset) {
  return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), frame_, offset);
}

Lowering::Value* Lowering::record(RecordPlan plan) {
  auto* const type = llvm::ArrayType::get(int_type(8), kRecordSize);
  auto* const room = new llvm::GlobalVariable(module_, type, false, llvm::GlobalValue::ExternalLinkage,
                                              llvm::ConstantAggregateZero::get(type),
                                              kRecordPrefix + std::to_string(records.size()));
  room->setVisibility(llvm::GlobalValue::HiddenVisibility);
  room->setDSOLocal(true);
  room->setAlignment(llvm::Align(32));
  room->setSection(".records");
  records.push_back(plan);
  return room;
}

/// As jit/interp/code.h wants it.
void Lowering::put_operand(unsigned k, Value* v, Type type) {
  const uint32_t at = k < 3 ? kFrameScratch + 32 * k : kFrameSaveXmm;
  if (type == Type::I1)
    v = b_.CreateZExt(v, int_type(8));
  else if (ir::is_int(type) && ir::bit_width(type) > 8 && ir::bit_width(type) < 64)
    v = b_.CreateZExt(v, int_type(64));
  b_.CreateAlignedStore(v, frame_at(at), llvm::Align(8));
}

Lowering::Value* Lowering::get_result(Type type) {
  Value* const at = frame_at(kFrameScratch + 96);
  if (type != Type::I1) return b_.CreateAlignedLoad(type_of(type), at, llvm::Align(8));
  return b_.CreateTrunc(b_.CreateAlignedLoad(int_type(8), at, llvm::Align(8)), int_type(1));
}

void Lowering::call_thunk(Value* record, RegionThunk thunk) {
  LType* const pointer = llvm::PointerType::get(context_, 0);
  auto* const type = llvm::FunctionType::get(LType::getVoidTy(context_), {pointer, pointer, pointer}, false);
  Value* const code = b_.CreateAlignedLoad(
      pointer, frame_at(baseline::kFrameRegionThunks + 8 * static_cast<uint32_t>(thunk)), llvm::Align(8));
  llvm::CallInst* const made = b_.CreateCall(type, code, {record, frame_, state_});
  made->setCallingConv(llvm::CallingConv::PreserveAll);
  made->addFnAttr(llvm::Attribute::NoUnwind);
  made->addFnAttr(llvm::Attribute::StrictFP);
}

Lowering::Value* Lowering::call_value_record(const ir::Inst& inst) {
  if (inst.op == Op::Fence || inst.op == Op::ClearExclusive) {
    failed_ = true;
    return nullptr;
  }
  const unsigned count = ir::arg_count(inst);
  for (unsigned k = 0; k < count; ++k) put_operand(k, arg(inst, k), ir_type(inst.args[k]));
  const bool floats =
      (ir::info(inst.op).effects & ir::FpFlags) || inst.op == Op::GetFpFlags || inst.op == Op::SetFpFlags;
  Value* const room = record(
      {.kind = RecordPlan::Kind::Value, .inst = inst, .operand = count ? ir_type(inst.args[0]) : Type::None});
  call_thunk(room, floats ? RegionThunk::Float : RegionThunk::Int);
  return inst.type == Type::None || inst.op == Op::SetFpFlags ? nullptr : get_result(inst.type);
}

void Lowering::lower_helper(ValueId id, const ir::Inst& inst) {
  const uint16_t effects = ir::effects(inst, target_.helpers);
  flush();
  for (unsigned k = 0; k < ir::arg_count(inst); ++k) put_operand(k, arg(inst, k), ir_type(inst.args[k]));
  call_thunk(record({.kind = RecordPlan::Kind::Helper, .inst = inst, .pc = pc_}), RegionThunk::Float);
  if (effects & ir::WritesState) {
    for (size_t i = 0; i < fields_.size(); ++i)
      b_.CreateStore(
          b_.CreateAlignedLoad(homes_[i]->getAllocatedType(), memory_at(fields_[i].offset), llvm::Align(1)),
          homes_[i]);
    mode_known_ = false;
  }
  if (inst.type != Type::None) values_[id] = get_result(inst.type);
}

}  // namespace lyrebird::jit::lowering
