// SPDX-License-Identifier: Apache-2.0
// Jumps, inside the region and out of it. An exit jumps to where its slot says: a stub that leaves
// to C++, until the engine links it.
#include "ir/cpu_header.h"
#include "jit/abi.h"
#include "jit/llvm/lowering.h"
#include "jit/thread_context.h"

namespace lyrebird::jit::lowering {

using ir::ExitKind;
using ir::Op;

ExitPlan Lowering::exit_to(uint64_t pc) const {
  return {.kind = ExitPlan::Kind::Jump, .mode_known = mode_known_, .mode = mode_, .pc = pc};
}

/// Goes to `code` with the registers of jit/abi.h. Dirty fields that are not pinned are in place.
void Lowering::tail_call(Value* code) {
  std::vector<Value*> args;
  for (const uint8_t reg : abi::kArguments) {
    if (reg == abi::kState) {
      for (unsigned i = 0; i < std::size(abi::kArguments); ++i)
        if (abi::kArguments[i] == reg) args.push_back(function_->getArg(i));
      continue;
    }
    Value* v = llvm::PoisonValue::get(int_type(64));
    for (size_t i = 0; i < fields_.size(); ++i)
      if (fields_[i].pin >= 0 && abi::kPinned[fields_[i].pin] == reg)
        v = b_.CreateLoad(int_type(64), homes_[i]);
    args.push_back(v);
  }
  llvm::CallInst* const made = b_.CreateCall(function_type_, code, args);
  made->setCallingConv(llvm::CallingConv::PreserveNone);
  made->setTailCallKind(llvm::CallInst::TCK_MustTail);
  made->addFnAttr(llvm::Attribute::StrictFP);
  b_.CreateRetVoid();
}

void Lowering::leave(const ExitPlan& plan) {
  store_fields(dirty_, false);
  LType* const pointer = llvm::PointerType::get(context_, 0);
  auto* const slot =
      new llvm::GlobalVariable(module_, pointer, false, llvm::GlobalValue::ExternalLinkage,
                               llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(pointer)),
                               kSlotPrefix + std::to_string(exits.size()));
  slot->setVisibility(llvm::GlobalValue::HiddenVisibility);
  slot->setDSOLocal(true);
  slot->setAlignment(llvm::Align(8));
  slot->setSection(".slots");
  exits.push_back(plan);
  auto* const code = b_.CreateAlignedLoad(pointer, slot, llvm::Align(8), true);
  code->setMetadata(llvm::LLVMContext::MD_alias_scope, const_cast<llvm::MDNode*>(marks.state));
  tail_call(code);
}

/// Goes on to `go_on`, the start of the block at pc, unless somebody wants the guest to stop.
void Lowering::check_requests(uint64_t pc, Block* go_on) {
  Block* const stop = new_block("request");
  // exit_request and the engine's own request behind it, at once.
  Value* const requests = load_state(offsetof(ir::CpuHeader, exit_request), ir::Type::I64);
  branch_cold(b_.CreateICmpNE(requests, b_.getInt64(0)), stop, go_on);
  b_.SetInsertPoint(stop);
  leave({.kind = ExitPlan::Kind::Entry, .mode = mode_, .pc = pc});
}

void Lowering::store_on_edge(size_t to) {
  store_fields(dirty_ & dirty_analysis_.on_edge(to), true);
  dirty_ &= ~dirty_analysis_.on_edge(to);
}

Lowering::Block* Lowering::target(uint64_t pc) {
  const int inside = mode_known_ ? region_->find({pc, mode_}) : -1;
  const auto part = static_cast<size_t>(inside);
  if (inside >= 0 && pc > block_->key.pc && (dirty_ & dirty_analysis_.on_edge(part)).none())
    return starts_[part];
  const FieldSet dirty = dirty_;
  const RecipeSet may = may_;
  const llvm::IRBuilderBase::InsertPointGuard guard(b_);
  Block* const edge = new_block(inside >= 0 ? "back" : "exit");
  b_.SetInsertPoint(edge);
  if (inside >= 0) {
    store_on_edge(part);
    if (pc > block_->key.pc)
      b_.CreateBr(starts_[part]);
    else
      check_requests(pc, starts_[part]);
  } else {
    leave(exit_to(pc));
  }
  dirty_ = dirty;
  may_ = may;
  return edge;
}

ExitPlan Lowering::raise_plan(const ir::Inst& inst) const {
  const auto kind = static_cast<ExitKind>(inst.aux);
  const bool after = ir::pc_is_after(kind);
  return {.kind = ExitPlan::Kind::Raise, .pc = after ? after_ : pc_, .raise = kind, .detail = inst.imm};
}

void Lowering::lower_control(const ir::Inst& inst) {
  switch (inst.op) {
    case Op::Jump:
      b_.CreateBr(target(inst.imm));
      return;
    case Op::Branch: {
      Block* const taken = target(inst.imm);
      b_.CreateCondBr(arg(inst, 0), taken, target(inst.high()));
      return;
    }
    case Op::ExitIf: {
      Block* const on = new_block("on");
      b_.CreateCondBr(arg(inst, 0), target(inst.imm), on);
      b_.SetInsertPoint(on);
      return;
    }
    case Op::RaiseIf: {
      Block* const raise = new_block("raise");
      Block* const on = new_block("on");
      branch_cold(arg(inst, 0), raise, on);
      b_.SetInsertPoint(raise);
      leave(raise_plan(inst));
      b_.SetInsertPoint(on);
      return;
    }
    case Op::Raise:
      leave(raise_plan(inst));
      return;
    default:
      lower_jump_indirect(inst);
  }
}

/// Blocks of the region that are expected, then the thread's jump cache (jump_cache_index()).
void Lowering::lower_jump_indirect(const ir::Inst& inst) {
  Value* const pc = arg(inst, 0);
  if (mode_known_) {
    for (const uint64_t guess : region_->parts[part_].guesses) {
      if (region_->find({guess, mode_}) < 0) continue;
      Block* const on = new_block("other");
      b_.CreateCondBr(b_.CreateICmpEQ(pc, b_.getInt64(guess)), target(guess), on);
      b_.SetInsertPoint(on);
    }
  }
  static_assert(sizeof(JumpCacheEntry) == 16);
  LType* const pointer = llvm::PointerType::get(context_, 0);
  Value* const cache =
      b_.CreateIntToPtr(load_state(offsetof(ir::CpuHeader, jump_cache), ir::Type::I64), pointer);
  // The index times 4.
  Value* const index = b_.CreateAnd(pc, ((1u << kJumpCacheBits) - 1) << 2);
  Value* const entry = b_.CreateInBoundsGEP(b_.getInt8Ty(), cache, b_.CreateShl(index, 2));
  const auto load = [&](Value* from, size_t offset, unsigned bits) {
    return b_.CreateAlignedLoad(int_type(bits), b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), from, offset),
                                llvm::Align(bits / 8));
  };
  Block* const hit = new_block("hit");
  Block* const miss = new_block("miss");
  Value* const mode =
      mode_known_ ? b_.getInt32(mode_) : load_state(offsetof(ir::CpuHeader, mode), ir::Type::I32);
  const auto mode_tag = target_.layout->mode_tag;
  if (mode_tag && !mode_known_) {  // most likely what it was
    Block* const same_mode = new_block("same_mode");
    branch_cold(b_.CreateICmpNE(mode, b_.getInt32(mode_)), miss, same_mode);
    b_.SetInsertPoint(same_mode);
  }
  const uint32_t tag = mode_tag ? mode_tag(mode_) : 0;
  Value* const key = b_.CreateAdd(pc, b_.getInt64(uint64_t{tag} << 2));
  Value* const its_key = load(entry, offsetof(JumpCacheEntry, key), 64);
  if (mode_tag && tag != ir::kOtherMode) {
    branch_cold(b_.CreateICmpNE(its_key, key), miss, hit);
  } else {
    Block* const same_pc = new_block("same_pc");
    branch_cold(b_.CreateICmpNE(its_key, key), miss, same_pc);
    b_.SetInsertPoint(same_pc);
    Value* const its_mode = load(b_.CreateInBoundsGEP(b_.getInt8Ty(), cache, index), JumpCache::kModes, 32);
    branch_cold(b_.CreateICmpNE(its_mode, mode), miss, hit);
  }
  b_.SetInsertPoint(hit);
  store_fields(dirty_, false);
  tail_call(b_.CreateIntToPtr(load(entry, offsetof(JumpCacheEntry, entry), 64), pointer));
  b_.SetInsertPoint(miss);
  store_state(offsetof(ir::CpuHeader, pc), ir::Type::I64, pc);
  leave({.kind = ExitPlan::Kind::Indirect});
}

}  // namespace lyrebird::jit::lowering
