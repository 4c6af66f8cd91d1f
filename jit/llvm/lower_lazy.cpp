// SPDX-License-Identifier: Apache-2.0
// Flags that are computed when somebody looks (lazy.h). Reads of them in the region use their homes
// like those of any field; stores and faults use the recipe, so that nothing but reads needs the homes.
#include "jit/llvm/lowering.h"

namespace lyrebird::jit::lowering {

using ir::Op;
using ir::Type;

void Lowering::make_lazy_homes() {
  if (lazy_.group().none()) return;
  recipe_ = b_.CreateAlloca(int_type(32));
  b_.CreateStore(b_.getInt32(0), recipe_);
  for (unsigned i = 0; i < kMaxLeaves; ++i) {
    leaves_.push_back(b_.CreateAlloca(int_type(64)));
    b_.CreateStore(llvm::PoisonValue::get(int_type(64)), leaves_.back());
  }
}

void Lowering::set_recipe(uint32_t recipe) {
  if (!recipe_) return;
  b_.CreateStore(b_.getInt32(recipe), recipe_);
  may_.reset();
  may_.set(recipe);
}

void Lowering::apply_event(const LazyEvent& event) {
  for (size_t i = 0; i < event.leaves.size(); ++i) {
    const Leaf& leaf = event.leaves[i];
    Value* v = nullptr;
    if (leaf.field >= 0) {
      llvm::AllocaInst* const home = homes_[static_cast<size_t>(leaf.field)];
      v = b_.CreateLoad(home->getAllocatedType(), home);
    } else {
      v = value(leaf.value);
    }
    b_.CreateStore(b_.CreateZExt(v, int_type(64)), leaves_[i]);
  }
  set_recipe(event.recipe);
}

/// Computes the flags and stores them.
void Lowering::store_recipe(const FlagRecipe& recipe) {
  ir::Block nodes;
  nodes.insts = recipe.nodes;
  const ir::Block* const block = block_;
  std::vector<Value*> values(nodes.insts.size());
  block_ = &nodes;
  values_.swap(values);
  for (ir::ValueId i = 0; i < nodes.insts.size(); ++i) {
    const ir::Inst& node = nodes.insts[i];
    if (node.op == Op::GetState)
      values_[i] = b_.CreateTrunc(b_.CreateLoad(int_type(64), leaves_[node.imm]), type_of(node.type));
    else if (node.op == Op::Const)
      values_[i] = constant(node);
    else if (Value* const special = lower_special(node))
      values_[i] = special;
    else
      values_[i] = lower_lanes(node);
    if (!values_[i]) {
      failed_ = true;
      break;
    }
  }
  for (const FlagRecipe::Result& field : recipe.fields) {
    if (failed_) break;
    LType* const type = int_type(8 * field.size);
    store_state(field.offset, field.size == 1 ? Type::I8 : Type::I16,
                b_.CreateZExt(values_[field.node], type));
  }
  values_.swap(values);
  block_ = block;
}

/// Stores the flags as the recipe in force has them; it stays in force.
void Lowering::store_lazy() {
  RecipeSet may = may_;
  const bool in_memory = may.test(0);
  may.reset(0);
  const auto& recipes = lazy_.recipes();
  if (may.count() == 1 && !in_memory) {
    for (size_t i = 1; i < recipes.size(); ++i)
      if (may.test(i)) store_recipe(recipes[i]);
    return;
  }
  if (may.none()) return;
  Block* const done = new_block("flags_stored");
  Value* const number = b_.CreateLoad(int_type(32), recipe_);
  for (size_t i = 1; i < recipes.size(); ++i) {
    if (!may.test(i)) continue;
    Block* const make = new_block("flags");
    Block* const other = new_block("other_flags");
    b_.CreateCondBr(b_.CreateICmpEQ(number, b_.getInt32(static_cast<uint32_t>(i))), make, other);
    b_.SetInsertPoint(make);
    store_recipe(recipes[i]);
    b_.CreateBr(done);
    b_.SetInsertPoint(other);
  }
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
}

std::vector<Lowering::Value*> Lowering::lazy_for_fault(FaultState& state) {
  RecipeSet may = may_;
  may.reset(0);
  if (may.none() || (dirty_ & lazy_.group()).none()) return {};
  state.lazy = true;
  const auto& recipes = lazy_.recipes();
  for (size_t i = 1; i < recipes.size(); ++i) {
    if (!may.test(i)) continue;
    for (const ir::Inst& node : recipes[i].nodes)
      if (node.op == Op::GetState) state.leaves = std::max(state.leaves, static_cast<unsigned>(node.imm) + 1);
  }
  std::vector<Value*> values{b_.CreateLoad(int_type(32), recipe_)};
  for (unsigned i = 0; i < state.leaves; ++i) values.push_back(b_.CreateLoad(int_type(64), leaves_[i]));
  return values;
}

}  // namespace lyrebird::jit::lowering
