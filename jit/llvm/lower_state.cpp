// SPDX-License-Identifier: Apache-2.0
// Guest state: fields in allocas, the rest in memory.
#include <algorithm>

#include "ir/cpu_header.h"
#include "jit/abi.h"
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using ir::Op;
using ir::Type;
using ir::ValueId;

/// The pinned fields, and those that the region names.
void Lowering::find_fields() {
  const ir::StateLayout& layout = *target_.layout;
  std::vector<const ir::StateField*> hot;
  for (const ir::StateField& field : layout.fields)
    if (field.hot && field.type == Type::I64) hot.push_back(&field);
  std::sort(hot.begin(), hot.end(), [](const auto* a, const auto* b) { return a->hot < b->hot; });
  if (hot.size() > std::size(abi::kPinned)) hot.resize(std::size(abi::kPinned));

  std::vector<bool> used(layout.size);
  for (const ir::Region::Part& part : region_->parts) {
    for (const ir::Inst& inst : part.block.insts) {
      if (inst.op != Op::GetState && inst.op != Op::SetState) continue;
      for (uint64_t at = inst.imm; at < inst.imm + ir::byte_size(inst.type) && at < layout.size; ++at)
        used[at] = true;
    }
  }
  for (const ir::StateField& field : layout.fields) {
    // The engine and the handlers write the header, too.
    if (field.offset < sizeof(ir::CpuHeader)) continue;
    // A 256-bit register's halves are hardly ever used as one; apart they need no moves.
    const bool halves = field.type == Type::V256;
    for (unsigned half = 0; half < (halves ? 2 : 1); ++half) {
      Field f{.offset = field.offset + 16 * half,
              .size = ir::byte_size(field.type),
              .type = field.type == Type::I1 ? Type::I8 : field.type};
      if (halves) f.size = ir::byte_size(f.type = Type::V128);
      for (size_t i = 0; i < hot.size(); ++i)
        if (hot[i] == &field) f.pin = static_cast<int>(i);
      const bool named =
          std::any_of(used.begin() + f.offset, used.begin() + f.offset + f.size, [](bool b) { return b; });
      if (f.pin >= 0 || (named && f.type != Type::F80)) fields_.push_back(f);
    }
  }
  if (fields_.size() > kMaxFields) failed_ = true;
  map_.make(fields_, layout.size);
}

Lowering::Value* Lowering::memory_at(uint32_t offset) {
  return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), state_, offset);
}

/// All but the pinned ones, whose memory is old.
void Lowering::load_fields() {
  for (size_t i = 0; i < fields_.size(); ++i)
    if (fields_[i].pin < 0)
      b_.CreateStore(
          b_.CreateAlignedLoad(homes_[i]->getAllocatedType(), memory_at(fields_[i].offset), llvm::Align(1)),
          homes_[i]);
}

void Lowering::store_fields(const FieldSet& set, bool pinned) {
  for (size_t i = 0; i < fields_.size(); ++i) {
    if (!set.test(i) || (!pinned && fields_[i].pin >= 0) || lazy_.group().test(i)) continue;
    Value* const v = b_.CreateLoad(homes_[i]->getAllocatedType(), homes_[i]);
    store_state(fields_[i].offset, fields_[i].type, v);
  }
  if ((set & lazy_.group()).any()) store_lazy();
}

void Lowering::flush() {
  store_fields(dirty_, true);
  dirty_.reset();
  set_recipe(0);
}

/// Puts in place what an access to the state touches otherwise than as one field.
void Lowering::flush_touched(const FieldMap::Hit& hit) {
  FieldSet touched = hit.overlap;
  if (splits_group(hit, lazy_.group())) touched |= lazy_.group();
  store_fields(dirty_ & touched, true);
  dirty_ &= ~touched;
  if (splits_group(hit, lazy_.group())) set_recipe(0);
}

/// `v` has the type's own LLVM type.
void Lowering::store_state(uint32_t offset, Type type, Value* v) {
  if (type == Type::I1) v = b_.CreateZExt(v, int_type(8));
  auto* const store = b_.CreateAlignedStore(v, memory_at(offset), llvm::Align(1), true);
  store->setMetadata(llvm::LLVMContext::MD_alias_scope, const_cast<llvm::MDNode*>(marks.state));
}

Lowering::Value* Lowering::load_state(uint32_t offset, Type type) {
  LType* const as = type == Type::I1 ? int_type(8) : type_of(type);
  auto* const load = b_.CreateAlignedLoad(as, memory_at(offset), llvm::Align(1), true);
  load->setMetadata(llvm::LLVMContext::MD_alias_scope, const_cast<llvm::MDNode*>(marks.state));
  return type == Type::I1 ? b_.CreateTrunc(load, int_type(1)) : load;
}

Lowering::Value* Lowering::field_to_part(Value* field, const Field& f, uint32_t offset, Type type) {
  const unsigned size = ir::byte_size(type);
  if (f.type == type) return field;
  if (size == f.size && type != Type::I1) return b_.CreateBitCast(field, type_of(type));
  if (!ir::is_vector(f.type) || f.size % size != 0) {
    Value* v = b_.CreateBitCast(field, int_type(8 * f.size));
    if (offset) v = b_.CreateLShr(v, 8 * offset);
    if (type == Type::I1) return b_.CreateTrunc(v, int_type(1));
    return b_.CreateBitCast(b_.CreateTrunc(v, int_type(8 * size)), type_of(type));
  }
  if (ir::is_vector(type)) {
    std::vector<int> order(size);
    for (unsigned i = 0; i < size; ++i) order[i] = static_cast<int>(offset + i);
    return b_.CreateShuffleVector(field, order);
  }
  LType* const part = type == Type::I1 ? int_type(8) : type_of(type);
  Value* const split = b_.CreateBitCast(field, llvm::FixedVectorType::get(part, f.size / size));
  Value* const v = b_.CreateExtractElement(split, offset / size);
  return type == Type::I1 ? b_.CreateTrunc(v, int_type(1)) : v;
}

Lowering::Value* Lowering::part_to_field(Value* field, const Field& f, uint32_t offset, Type type,
                                         Value* part) {
  const unsigned size = ir::byte_size(type);
  if (type == Type::I1) {
    part = b_.CreateZExt(part, int_type(8));
    type = Type::I8;
  }
  if (f.type == type) return part;
  LType* const whole_type = type_of(f.type);
  if (size == f.size) return b_.CreateBitCast(part, whole_type);
  if (!ir::is_vector(f.type) || f.size % size != 0) {
    LType* const bits = int_type(8 * f.size);
    Value* const old = b_.CreateBitCast(field, bits);
    Value* const wide =
        b_.CreateShl(b_.CreateZExt(b_.CreateBitCast(part, int_type(8 * size)), bits), 8 * offset);
    const llvm::APInt mask = llvm::APInt::getBitsSet(8 * f.size, 8 * offset, 8 * (offset + size));
    return b_.CreateBitCast(b_.CreateOr(b_.CreateAnd(old, ~mask), wide), whole_type);
  }
  if (ir::is_vector(type)) {
    std::vector<int> widen(f.size), order(f.size);
    for (unsigned i = 0; i < f.size; ++i) {
      widen[i] = i < size ? static_cast<int>(i) : -1;
      order[i] = static_cast<int>(i >= offset && i < offset + size ? f.size + i - offset : i);
    }
    return b_.CreateShuffleVector(field, b_.CreateShuffleVector(part, widen), order);
  }
  Value* const split = b_.CreateBitCast(field, llvm::FixedVectorType::get(part->getType(), f.size / size));
  return b_.CreateBitCast(b_.CreateInsertElement(split, part, offset / size), whole_type);
}

void Lowering::lower_get_state(ValueId id, const ir::Inst& inst) {
  const auto offset = static_cast<uint32_t>(inst.imm);
  const auto hit = map_.find(offset, ir::byte_size(inst.type));
  if (hit.field >= 0) {
    const auto i = static_cast<size_t>(hit.field);
    Value* const field = b_.CreateLoad(homes_[i]->getAllocatedType(), homes_[i]);
    values_[id] = field_to_part(field, fields_[i], offset - fields_[i].offset, inst.type);
    return;
  }
  flush_touched(hit);
  values_[id] = load_state(offset, inst.type);
}

void Lowering::lower_set_state(const ir::Inst& inst) {
  const auto offset = static_cast<uint32_t>(inst.imm);
  const uint32_t size = ir::byte_size(inst.type);
  constexpr uint32_t kMode = offsetof(ir::CpuHeader, mode);
  if (offset < kMode + 4 && offset + size > kMode) {
    const ir::Inst& from = inst_of(inst.args[0]);
    mode_known_ = from.op == Op::Const && offset == kMode && size == 4;
    if (mode_known_) mode_ = static_cast<uint32_t>(from.imm);
  }
  const auto hit = map_.find(offset, size);
  if (hit.field >= 0) {
    const auto i = static_cast<size_t>(hit.field);
    Value* const field = b_.CreateLoad(homes_[i]->getAllocatedType(), homes_[i]);
    b_.CreateStore(part_to_field(field, fields_[i], offset - fields_[i].offset, inst.type, arg(inst, 0)),
                   homes_[i]);
    dirty_.set(i);
    if (lazy_.group().test(i)) dirty_ |= lazy_.group();
    return;
  }
  flush_touched(hit);
  store_state(offset, inst.type, arg(inst, 0));
  for (size_t i = 0; i < fields_.size(); ++i)
    if (hit.overlap.test(i))
      b_.CreateStore(
          b_.CreateAlignedLoad(homes_[i]->getAllocatedType(), memory_at(fields_[i].offset), llvm::Align(1)),
          homes_[i]);
}

}  // namespace lyrebird::jit::lowering
