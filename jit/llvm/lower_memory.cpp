// SPDX-License-Identifier: Apache-2.0
// Guest memory. All of the state is in place before an access; after a fault the engine runs the
// guest instruction again, in the interpreter. What a host access cannot do (unaligned under a
// rule, big endian, odd sizes) goes to the interpreter's handler.
#include <llvm/IR/MDBuilder.h>

#include "ir/cpu_header.h"
#include "jit/llvm/lowering.h"
#include "jit/thread_context.h"

namespace lyrebird::jit::lowering {

using ir::AddressRule;
using ir::Align;
using ir::MemInfo;
using ir::Op;
using ir::Order;
using ir::Type;
using ir::ValueId;

namespace {
bool is_word(Type type) { return type >= Type::I8 && type <= Type::I64; }
const char* suffix(unsigned bits) { return bits == 8 ? "b" : bits == 16 ? "w" : bits == 32 ? "l" : "q"; }
}  // namespace

/// The host's address of a guest address.
Lowering::Value* Lowering::guest_pointer(Value* address, const MemInfo& info) {
  switch (info.address) {
    case AddressRule::Low32:
      address = b_.CreateAnd(address, 0xffffffff);
      break;
    case AddressRule::Low16:
      address = b_.CreateAnd(address, 0xffff);
      break;
    case AddressRule::IgnoreTop:
      if (options_.strip_tags) address = b_.CreateAShr(b_.CreateShl(address, 8), 8);
      break;
    default:
      break;
  }
  if (!target_.zero_base) {
    Value* const base =
        b_.CreateAlignedLoad(int_type(64), memory_at(offsetof(ir::CpuHeader, memory_base)), llvm::Align(8));
    address = b_.CreateAdd(address, base);
  }
  return b_.CreateIntToPtr(address, llvm::PointerType::get(context_, 0));
}

/// Marks a volatile access as one of the current guest instruction.
void Lowering::mark(llvm::Instruction* access) {
  llvm::MDBuilder metadata(context_);
  llvm::MDNode* const scope = metadata.createAnonymousAliasScope(metadata.createAnonymousAliasScopeDomain());
  llvm::MDNode* const list = llvm::MDNode::get(context_, {scope});
  access->setMetadata(llvm::LLVMContext::MD_alias_scope, list);
  marks.accesses[list] = static_cast<uint32_t>(fault_pcs.size());
  fault_pcs.push_back(pc_);
}

void Lowering::mark_assembly(llvm::CallInst* made) {
  auto* const index = llvm::ConstantAsMetadata::get(b_.getInt64(fault_pcs.size()));
  made->setMetadata("srcloc", llvm::MDNode::get(context_, {index}));
  fault_pcs.push_back(pc_);
}

Lowering::Value* Lowering::load_guest(LType* type, Value* pointer) {
  const std::vector<Value*> state = state_for_fault();
  note_places(2 * fault_pcs.size(), state);
  auto* const load = b_.CreateAlignedLoad(type, pointer, llvm::Align(1), true);
  mark(load);
  note_places(2 * fault_pcs.size() - 1, state);
  return load;
}

void Lowering::store_guest(Value* v, Value* pointer) {
  const std::vector<Value*> state = state_for_fault();
  note_places(2 * fault_pcs.size(), state);
  mark(b_.CreateAlignedStore(v, pointer, llvm::Align(1), true));
  note_places(2 * fault_pcs.size() - 1, state);
}

/// The dirty fields, and in `marks` which they are for the next access.
std::vector<Lowering::Value*> Lowering::state_for_fault() {
  std::vector<Value*> values;
  FaultState& saved = marks.saved[static_cast<uint32_t>(fault_pcs.size())];
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (!dirty_.test(i) || lazy_.group().test(i)) continue;
    values.push_back(b_.CreateLoad(homes_[i]->getAllocatedType(), homes_[i]));
    saved.fields.push_back({.offset = fields_[i].offset, .size = fields_[i].size, .place = {}});
  }
  for (Value* const v : lazy_for_fault(saved)) values.push_back(v);
  return values;
}

/// Has the places of `values` noted where the code is now.
void Lowering::note_places(uint64_t id, const std::vector<Value*>& values) {
  if (values.empty()) return;
  std::vector<Value*> args{b_.getInt64(id), b_.getInt32(0)};
  args.insert(args.end(), values.begin(), values.end());
  llvm::CallInst* const made =
      b_.CreateCall(llvm::Intrinsic::getDeclaration(&module_, llvm::Intrinsic::experimental_stackmap), args);
  made->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
  made->addFnAttr(llvm::Attribute::NoUnwind);
  made->addFnAttr(llvm::Attribute::StrictFP);
}

/// Leaves if the handler has set ThreadContext::stop.
void Lowering::stop_if_asked() {
  LType* const pointer = llvm::PointerType::get(context_, 0);
  Value* const thread = b_.CreateAlignedLoad(pointer, frame_at(baseline::kFrameThread), llvm::Align(8));
  Value* const kind = b_.CreateAlignedLoad(
      int_type(32), b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), thread, kThreadStopKind), llvm::Align(4));
  Block* const stopped = new_block("stopped");
  Block* const on = new_block("on");
  branch_cold(b_.CreateICmpNE(kind, b_.getInt32(0)), stopped, on);
  b_.SetInsertPoint(stopped);
  leave({.kind = ExitPlan::Kind::Stopped});
  b_.SetInsertPoint(on);
}

/// The access by the interpreter's handler; the state is in place.
Lowering::Value* Lowering::memory_record(const ir::Inst& inst) {
  for (unsigned k = 0; k < ir::arg_count(inst); ++k) put_operand(k, arg(inst, k), ir_type(inst.args[k]));
  call_thunk(record({.kind = RecordPlan::Kind::Memory, .inst = inst, .pc = pc_}),
             baseline::RegionThunk::Float);
  stop_if_asked();
  return inst.op == Op::Store ? nullptr : get_result(inst.type);
}

/// fast(), or the handler if there is a rule for the address that it may break.
template <typename F>
Lowering::Value* Lowering::with_alignment(const ir::Inst& inst, const MemInfo& info, F fast) {
  if (info.align == Align::None || info.size == 1) return fast();
  Block* const cold = new_block("unaligned");
  Block* const hot = new_block("aligned");
  Block* const done = new_block("accessed");
  Value* const low = b_.CreateAnd(arg(inst, 0), info.size - 1u);
  branch_cold(b_.CreateICmpNE(low, b_.getInt64(0)), cold, hot);
  b_.SetInsertPoint(cold);
  store_fields(dirty_, true);
  Value* const slow_result = memory_record(inst);
  Block* const slow_end = b_.GetInsertBlock();
  b_.CreateBr(done);
  b_.SetInsertPoint(hot);
  Value* const result = fast();
  Block* const fast_end = b_.GetInsertBlock();
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  if (!result) return nullptr;
  llvm::PHINode* const phi = b_.CreatePHI(result->getType(), 2);
  phi->addIncoming(slow_result, slow_end);
  phi->addIncoming(result, fast_end);
  return phi;
}

bool Lowering::lower_memory(ValueId id, const ir::Inst& inst) {
  if (inst.op == Op::ClearExclusive) {
    store_state(offsetof(ir::CpuHeader, exclusive_size), Type::I32, b_.getInt32(0));
    return true;
  }
  if (inst.op == Op::Fence) {
    if (inst.aux == 3) b_.CreateFence(llvm::AtomicOrdering::SequentiallyConsistent);
    return true;
  }
  if (!flushes(inst, false)) return false;
  if (flushes(inst, places_)) flush();
  values_[id] = access(inst, MemInfo::unpack(inst.aux & 0xffffff));
  return true;
}

Lowering::Value* Lowering::access(const ir::Inst& inst, const MemInfo& info) {
  if (info.big_endian || info.size == 10 || info.size > 16) return memory_record(inst);
  if (inst.op == Op::Load || inst.op == Op::Store) {
    if (!is_simple_access(inst)) return memory_record(inst);
    const bool vector = !is_word(inst.type);
    // A V64 is moved as a double: in one piece, and from a vector register.
    LType* const type = inst.type == Type::V64 ? LType::getDoubleTy(context_)
                        : vector               ? type_of(inst.type)
                                               : int_type(8u * info.size);
    if (inst.op == Op::Load)
      return with_alignment(inst, info, [&]() -> Value* {
        Value* const v = load_guest(type, guest_pointer(arg(inst, 0), info));
        if (vector) return whole(v, inst.type);
        return info.sign ? b_.CreateSExt(v, type_of(inst.type)) : b_.CreateZExt(v, type_of(inst.type));
      });
    return with_alignment(inst, info, [&]() -> Value* {
      Value* v = arg(inst, 1);
      v = vector ? b_.CreateBitCast(v, type) : b_.CreateTrunc(v, type);
      store_guest(v, guest_pointer(arg(inst, 0), info));
      if (info.order == Order::SeqCst) b_.CreateFence(llvm::AtomicOrdering::SequentiallyConsistent);
      return nullptr;
    });
  }
  if (info.size > 8 || info.sign) return memory_record(inst);
  // What is watched is an address after its rule, compared as it is.
  const bool plain = target_.zero_base && !options_.strip_tags && info.address != AddressRule::Low32 &&
                     info.address != AddressRule::Low16;
  if (inst.op == Op::LoadExclusive) {
    if (!is_word(inst.type) || !plain) return memory_record(inst);
    return with_alignment(inst, info, [&]() -> Value* {
      Value* const v = load_guest(int_type(8u * info.size), guest_pointer(arg(inst, 0), info));
      Value* const wide = b_.CreateZExt(v, int_type(64));
      store_state(offsetof(ir::CpuHeader, exclusive_address), Type::I64, arg(inst, 0));
      store_state(offsetof(ir::CpuHeader, exclusive_size), Type::I32, b_.getInt32(info.size));
      store_state(offsetof(ir::CpuHeader, exclusive_value), Type::I64, wide);
      return b_.CreateZExtOrTrunc(v, type_of(inst.type));
    });
  }
  if (inst.op == Op::StoreExclusive) {
    if (!is_word(inst.elem) || !is_word(ir_type(inst.args[1])) || !plain) return memory_record(inst);
    return with_alignment(inst, info, [&] { return store_exclusive(inst, info); });
  }
  if (!is_word(inst.type)) return memory_record(inst);
  return with_alignment(inst, info, [&] { return atomic(inst, info); });
}

// --- locked instructions

namespace {
llvm::InlineAsm* assembly(llvm::FunctionType* type, const std::string& text, const char* constraints) {
  return llvm::InlineAsm::get(type, text, constraints, true, false, llvm::InlineAsm::AD_ATT);
}
}  // namespace

/// xadd or xchg: the old value.
Lowering::Value* Lowering::locked(const char* name, unsigned bits, Value* pointer, Value* v) {
  LType* const type = int_type(bits);
  auto* const function = llvm::FunctionType::get(type, {type, pointer->getType()}, false);
  llvm::CallInst* const made =
      b_.CreateCall(assembly(function, std::string(name) + suffix(bits) + " $0, ($2)",
                             "=&r,0,r,~{memory},~{dirflag},~{fpsr},~{flags}"),
                    {v, pointer});
  mark_assembly(made);
  return made;
}

/// The old value.
Lowering::Value* Lowering::locked_compare(unsigned bits, Value* pointer, Value* expected, Value* desired) {
  LType* const type = int_type(bits);
  auto* const function = llvm::FunctionType::get(type, {type, type, pointer->getType()}, false);
  llvm::CallInst* const made =
      b_.CreateCall(assembly(function, std::string("lock cmpxchg") + suffix(bits) + " $2, ($3)",
                             "={ax},0,r,r,~{memory},~{dirflag},~{fpsr},~{flags}"),
                    {expected, desired, pointer});
  mark_assembly(made);
  return made;
}

Lowering::Value* Lowering::atomic(const ir::Inst& inst, const MemInfo& info) {
  const unsigned bits = 8u * info.size;
  LType* const type = int_type(bits);
  Value* const pointer = guest_pointer(arg(inst, 0), info);
  Value* const operand = b_.CreateZExtOrTrunc(arg(inst, 1), type);
  const auto result = [&](Value* old) { return b_.CreateZExtOrTrunc(old, type_of(inst.type)); };
  switch (inst.op) {
    case Op::AtomicAdd:
      return result(locked("lock xadd", bits, pointer, operand));
    case Op::AtomicSwap:
      return result(locked("xchg", bits, pointer, operand));
    case Op::CompareSwap:
      return result(locked_compare(bits, pointer, operand, b_.CreateZExtOrTrunc(arg(inst, 2), type)));
    default:
      break;
  }
  Value* const first = load_guest(type, pointer);
  Block* const before = b_.GetInsertBlock();
  Block* const again = new_block("again");
  Block* const done = new_block("exchanged");
  b_.CreateBr(again);
  b_.SetInsertPoint(again);
  llvm::PHINode* const expected = b_.CreatePHI(type, 2);
  expected->addIncoming(first, before);
  const auto choose = [&](llvm::CmpInst::Predicate p) {
    return b_.CreateSelect(b_.CreateICmp(p, expected, operand), expected, operand);
  };
  Value* desired = nullptr;
  switch (inst.op) {
    case Op::AtomicAndNot:
      desired = b_.CreateAnd(expected, b_.CreateNot(operand));
      break;
    case Op::AtomicOr:
      desired = b_.CreateOr(expected, operand);
      break;
    case Op::AtomicXor:
      desired = b_.CreateXor(expected, operand);
      break;
    case Op::AtomicMinS:
      desired = choose(llvm::CmpInst::ICMP_SLT);
      break;
    case Op::AtomicMaxS:
      desired = choose(llvm::CmpInst::ICMP_SGT);
      break;
    case Op::AtomicMinU:
      desired = choose(llvm::CmpInst::ICMP_ULT);
      break;
    default:
      desired = choose(llvm::CmpInst::ICMP_UGT);
  }
  Value* const old = locked_compare(bits, pointer, expected, desired);
  expected->addIncoming(old, again);
  b_.CreateCondBr(b_.CreateICmpEQ(old, expected), done, again);
  b_.SetInsertPoint(done);
  return result(old);
}

Lowering::Value* Lowering::store_exclusive(const ir::Inst& inst, const MemInfo& info) {
  const unsigned bits = 8u * info.size;
  LType* const type = int_type(bits);
  Block* const watched = new_block("watched");
  Block* const done = new_block("stored");
  Value* const size = load_state(offsetof(ir::CpuHeader, exclusive_size), Type::I32);
  Value* const address = load_state(offsetof(ir::CpuHeader, exclusive_address), Type::I64);
  Value* const same =
      b_.CreateAnd(b_.CreateICmpEQ(size, b_.getInt32(info.size)), b_.CreateICmpEQ(address, arg(inst, 0)));
  Block* const before = b_.GetInsertBlock();
  b_.CreateCondBr(same, watched, done);
  b_.SetInsertPoint(watched);
  Value* const expected =
      b_.CreateTrunc(load_state(offsetof(ir::CpuHeader, exclusive_value), Type::I64), type);
  Value* const old = locked_compare(bits, guest_pointer(arg(inst, 0), info), expected,
                                    b_.CreateZExtOrTrunc(arg(inst, 1), type));
  Value* const changed = b_.CreateICmpNE(old, expected);
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
  llvm::PHINode* const failed = b_.CreatePHI(int_type(1), 2);
  failed->addIncoming(b_.getTrue(), before);
  failed->addIncoming(changed, watched);
  store_state(offsetof(ir::CpuHeader, exclusive_size), Type::I32, b_.getInt32(0));
  return failed;
}

}  // namespace lyrebird::jit::lowering
