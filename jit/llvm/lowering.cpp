// SPDX-License-Identifier: Apache-2.0
#include "jit/llvm/lowering.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/MDBuilder.h>

#include "jit/abi.h"

namespace lyrebird::jit::lowering {

using ir::Op;
using ir::Type;
using ir::ValueId;

Lowering::Lowering(llvm::Module& module, const RegionTarget& target, const RegionOptions& options,
                   bool places)
    : context_(module.getContext()),
      module_(module),
      target_(target),
      options_(options),
      places_(places),
      b_(context_, llvm::TargetFolder(module.getDataLayout())) {
  llvm::MDBuilder metadata(context_);
  llvm::MDNode* const domain = metadata.createAnonymousAliasScopeDomain();
  marks.state = llvm::MDNode::get(context_, {metadata.createAnonymousAliasScope(domain)});
}

bool Lowering::lower(const ir::Region& region) {
  region_ = &region;
  find_fields();
  if (failed_) return false;
  FieldSet pinned;
  for (size_t i = 0; i < fields_.size(); ++i)
    if (fields_[i].pin >= 0) pinned.set(i);
  lazy_.find(region, fields_, map_, target_.helpers, places_);
  dirty_analysis_.run(region, map_, pinned, lazy_.group(), places_);

  make_function();
  dirty_ = pinned;
  may_.set(0);
  for (size_t i = 0; i < region.parts.size(); ++i) starts_.push_back(new_block("part"));
  mode_ = region.parts.front().block.key.mode;
  mode_known_ = true;
  store_on_edge(0);
  check_requests(region.parts.front().block.key.pc, starts_.front());
  for (size_t i = 0; i < region.parts.size() && !failed_; ++i) lower_part(i);
  marks.count = static_cast<uint32_t>(fault_pcs.size());
  return !failed_;
}

void Lowering::make_function() {
  LType* const word = int_type(64);
  LType* const pointer = llvm::PointerType::get(context_, 0);
  std::vector<LType*> types;
  for (const uint8_t reg : abi::kArguments) types.push_back(reg == abi::kState ? pointer : word);
  function_type_ = llvm::FunctionType::get(LType::getVoidTy(context_), types, false);
  function_ =
      llvm::Function::Create(function_type_, llvm::GlobalValue::ExternalLinkage, kFunctionName, module_);
  function_->setCallingConv(llvm::CallingConv::PreserveNone);
  function_->addFnAttr(llvm::Attribute::NoUnwind);
  function_->addFnAttr(llvm::Attribute::StrictFP);
  function_->addFnAttr("prefer-vector-width", "128");
  function_->setVisibility(llvm::GlobalValue::HiddenVisibility);
  function_->setDSOLocal(true);

  b_.SetInsertPoint(Block::Create(context_, "entry", function_));
  const auto argument = [&](uint8_t reg) -> Value* {
    for (unsigned i = 0; i < std::size(abi::kArguments); ++i)
      if (abi::kArguments[i] == reg) return function_->getArg(i);
    return nullptr;
  };
  state_ = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), argument(abi::kState),
                                         static_cast<uint64_t>(-int64_t{abi::kStateBias}), "state");
  Value* const stack = b_.CreateIntrinsic(llvm::Intrinsic::addressofreturnaddress, {pointer}, {});
  frame_ = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), stack, abi::kFrame, "frame");
  for (const Field& field : fields_) homes_.push_back(b_.CreateAlloca(type_of(field.type)));
  for (size_t i = 0; i < fields_.size(); ++i)
    if (fields_[i].pin >= 0) b_.CreateStore(argument(abi::kPinned[fields_[i].pin]), homes_[i]);
  load_fields();
  make_lazy_homes();
}

void Lowering::lower_part(size_t index) {
  part_ = index;
  block_ = &region_->parts[index].block;
  values_.assign(block_->insts.size(), nullptr);
  dirty_ = dirty_analysis_.at_start(index);
  may_ = lazy_.at_start(index);
  auto event = lazy_.events(index).begin();
  pc_ = after_ = block_->key.pc;
  mode_ = block_->key.mode;
  mode_known_ = true;
  b_.SetInsertPoint(starts_[index]);
  for (ValueId i = 0; i < block_->insts.size(); ++i) {
    const ir::Inst& inst = block_->insts[i];
    for (; event != lazy_.events(index).end() && event->at == i; ++event) apply_event(*event);
    switch (inst.op) {
      case Op::Insn:
        pc_ = inst.imm;
        after_ = pc_ + inst.aux;
        break;
      case Op::ForgetState:
        break;
      case Op::Const:
        values_[i] = constant(inst);
        break;
      case Op::GetState:
        lower_get_state(i, inst);
        break;
      case Op::SetState:
        lower_set_state(inst);
        break;
      case Op::CallHelper:
        lower_helper(i, inst);
        break;
      case Op::ExitIf:
      case Op::RaiseIf:
      case Op::Jump:
      case Op::Branch:
      case Op::JumpIndirect:
      case Op::Raise:
        lower_control(inst);
        break;
      default:
        if (lower_memory(i, inst)) break;
        values_[i] = lower_special(inst);
        if (!values_[i]) values_[i] = lower_vector(inst);
        if (!values_[i]) values_[i] = lower_float(inst);
        if (!values_[i]) values_[i] = lower_lanes(inst);
        if (values_[i]) break;
        values_[i] = call_value_record(inst);
        slow = ir::info(inst.op).name;
    }
    if (failed_) return;
  }
}

// --- types and values

Lowering::LType* Lowering::type_of(Type type) const {
  switch (type) {
    case Type::F32:
      return LType::getFloatTy(context_);
    case Type::F64:
      return LType::getDoubleTy(context_);
    case Type::V64:
    case Type::V128:
    case Type::V256:
      return llvm::FixedVectorType::get(int_type(8), ir::byte_size(type));
    default:
      return int_type(ir::bit_width(type));
  }
}

Lowering::LType* Lowering::lanes_type(Type type, Type elem) const {
  const unsigned width = ir::bit_width(elem);
  return llvm::FixedVectorType::get(int_type(width), ir::bit_width(type) / width);
}

Lowering::Value* Lowering::lanes(Value* v, Type type, Type elem) {
  if (!ir::is_vector(type))
    return ir::is_float(type) ? b_.CreateBitCast(v, int_type(ir::bit_width(type))) : v;
  return b_.CreateBitCast(v, lanes_type(type, elem));
}

Lowering::Value* Lowering::float_lanes(Value* v, Type type, Type elem) {
  if (!ir::is_vector(type)) return v;
  return b_.CreateBitCast(
      v, llvm::FixedVectorType::get(type_of(elem), ir::bit_width(type) / ir::bit_width(elem)));
}

Lowering::Value* Lowering::whole(Value* v, Type type) {
  LType* const to = type_of(type);
  return v->getType() == to ? v : b_.CreateBitCast(v, to);
}

Lowering::Value* Lowering::constant(const ir::Inst& inst) {
  const unsigned width = ir::bit_width(inst.type);
  const uint64_t words[] = {inst.imm, inst.high()};
  if (width > 128) {
    failed_ = true;
    return nullptr;
  }
  llvm::APInt bits(width, width > 64 ? llvm::ArrayRef(words, 2) : llvm::ArrayRef(words, 1));
  Value* const as_int = llvm::ConstantInt::get(context_, bits);
  if (ir::is_int(inst.type) || inst.type == Type::F16 || inst.type == Type::F80) return as_int;
  return b_.CreateBitCast(as_int, type_of(inst.type));
}

Lowering::Value* Lowering::imm(LType* type, uint64_t v) { return llvm::ConstantInt::get(type, v); }

Lowering::Value* Lowering::call(llvm::Intrinsic::ID id, std::initializer_list<LType*> types,
                                std::initializer_list<Value*> args) {
  return b_.CreateIntrinsic(id, types, args);
}

Lowering::Block* Lowering::new_block(const char* name) { return Block::Create(context_, name, function_); }

void Lowering::branch_cold(Value* condition, Block* cold, Block* hot) {
  b_.CreateCondBr(condition, cold, hot, llvm::MDBuilder(context_).createBranchWeights(1, 4000));
}

}  // namespace lyrebird::jit::lowering
