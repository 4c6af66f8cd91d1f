// SPDX-License-Identifier: Apache-2.0
#include "jit/llvm/lazy.h"

#include <algorithm>
#include <optional>

namespace lyrebird::jit::lowering {

using ir::Inst;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

bool is_small_int(Type type) { return ir::is_int(type) && ir::bit_width(type) <= 64; }

bool is_flag_op(Op op) {
  switch (op) {
    case Op::CmpEq:
    case Op::CmpNe:
    case Op::CmpLtS:
    case Op::CmpLeS:
    case Op::CmpLtU:
    case Op::CmpLeU:
    case Op::CmpTest:
    case Op::CarryOfAdd:
    case Op::OverflowOfAdd:
    case Op::OverflowOfSub:
    case Op::StatusOfAdd:
    case Op::StatusOfSub:
    case Op::StatusOfValue:
    case Op::StatusOfOrder:
    case Op::StatusOfShift:
    case Op::StatusOfStep:
      return true;
    default:
      return false;
  }
}

/// What a recipe may do with its leaves.
bool is_cheap(const Inst& inst) {
  if (!is_small_int(inst.type)) return false;
  if (is_flag_op(inst.op)) return true;
  switch (inst.op) {
    case Op::Add:
    case Op::Sub:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::AndNot:
    case Op::Not:
    case Op::Neg:
    case Op::AddWithCarry:
    case Op::SubWithBorrow:
    case Op::Trunc:
    case Op::ZExt:
    case Op::SExt:
    case Op::Select:
      return true;
    default:
      return false;
  }
}

bool same(const FlagRecipe& x, const FlagRecipe& y) {
  if (x.nodes.size() != y.nodes.size() || x.fields != y.fields) return false;
  return std::equal(x.nodes.begin(), x.nodes.end(), y.nodes.begin(), [](const Inst& a, const Inst& b) {
    if (a.op != b.op || a.type != b.type || a.elem != b.elem || a.aux != b.aux || a.imm != b.imm)
      return false;
    return std::equal(a.args, a.args + ir::arg_count(a), b.args);
  });
}

}  // namespace

bool splits_group(const FieldMap::Hit& hit, const FieldSet& group) {
  return hit.field < 0 && (hit.overlap & group).any();
}

/// One recipe.
class LazyFlags::Builder {
 public:
  Builder(const ir::Block& block, const FieldMap& map, uint32_t end) : block_(block), map_(map), end_(end) {}

  /// The node that gives the value, or nothing.
  std::optional<uint32_t> build(ValueId id) {
    const Inst& inst = block_.insts[id];
    if (!is_small_int(inst.type) || recipe.nodes.size() >= kMostNodes) return std::nullopt;
    if (inst.op == Op::Const)
      return add({.op = Op::Const, .type = inst.type, .elem = inst.elem, .imm = inst.imm});
    if (is_kept(id)) return leaf({.value = id}, inst.type);
    if (inst.op == Op::GetState) {
      if (const auto inverse = undo(id)) return inverse;
      return leaf({.value = id}, inst.type);
    }
    if (!is_cheap(inst)) return leaf({.value = id}, inst.type);
    Inst node = inst;
    for (unsigned k = 0; k < ir::arg_count(inst); ++k) {
      if (!is_small_int(block_.insts[inst.args[k]].type)) return leaf({.value = id}, inst.type);
    }
    for (unsigned k = 0; k < ir::arg_count(inst); ++k) {
      const auto arg = build(inst.args[k]);
      if (!arg) return std::nullopt;
      node.args[k] = *arg;
    }
    return add(node);
  }

  std::optional<uint32_t> leaf(Leaf from, Type type) {
    for (size_t i = 0; i < leaves.size(); ++i)
      if (leaves[i].value == from.value && leaves[i].field == from.field) return node_of_[i];
    if (leaves.size() >= kMaxLeaves) return std::nullopt;
    leaves.push_back(from);
    node_of_.push_back(add({.op = Op::GetState, .type = type, .imm = leaves.size() - 1}));
    return node_of_.back();
  }

  FlagRecipe recipe;
  std::vector<Leaf> leaves;

 private:
  static constexpr size_t kMostNodes = 24;

  uint32_t add(const Inst& node) {
    recipe.nodes.push_back(node);
    return static_cast<uint32_t>(recipe.nodes.size() - 1);
  }

  /// Whether some field holds the value, or the value widened.
  bool is_kept(ValueId id) const {
    for (uint32_t i = id + 1; i < end_; ++i) {
      const Inst& inst = block_.insts[i];
      if (inst.op == Op::SetState && inst.args[0] == id && ir::bit_width(inst.type) == 64) return true;
      if ((inst.op == Op::ZExt || inst.op == Op::SExt) && inst.args[0] == id && inst.type == Type::I64 &&
          is_kept(i))
        return true;
    }
    return false;
  }

  /// A value that was read and then replaced by its sum or difference with something: from the new value.
  std::optional<uint32_t> undo(ValueId id) {
    const Inst& old = block_.insts[id];
    const auto hit = map_.find(static_cast<uint32_t>(old.imm), ir::byte_size(old.type));
    bool replaced = false;
    for (uint32_t i = id + 1; i < end_; ++i) {
      const Inst& inst = block_.insts[i];
      if (inst.op != Op::SetState) continue;
      const auto there = map_.find(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type));
      replaced |= there.field >= 0 && there.field == hit.field;
    }
    if (!replaced) return std::nullopt;
    for (uint32_t i = id + 1; i < end_; ++i) {
      const Inst& inst = block_.insts[i];
      if ((inst.op != Op::Add && inst.op != Op::Sub) || inst.type != old.type || !is_kept(i)) continue;
      const bool first = inst.args[0] == id;
      if (!first && inst.args[1] != id) continue;
      const ValueId other = inst.args[first ? 1 : 0];
      const Inst& with = block_.insts[other];
      if (with.op != Op::Const && (with.op != Op::GetState || other == id)) continue;
      const auto sum = leaf({.value = i}, inst.type);
      const auto rest = with.op == Op::Const ? build(other) : leaf({.value = other}, with.type);
      if (!sum || !rest) return std::nullopt;
      Inst node{.op = Op::Sub, .type = old.type, .elem = old.type};
      if (inst.op == Op::Add) {
        node.args[0] = *sum;  // old = new - other
        node.args[1] = *rest;
      } else if (first) {
        node.op = Op::Add;  // old = new + other
        node.args[0] = *sum;
        node.args[1] = *rest;
      } else {
        node.args[0] = *rest;  // old = other - new
        node.args[1] = *sum;
      }
      return add(node);
    }
    return std::nullopt;
  }

  const ir::Block& block_;
  const FieldMap& map_;
  const uint32_t end_;
  std::vector<uint32_t> node_of_;  ///< of the leaves
};

void LazyFlags::find_group(const ir::Region& region, const FieldMap& map) {
  group_.reset();
  for (const ir::Region::Part& part : region.parts) {
    for (const Inst& inst : part.block.insts) {
      if (inst.op != Op::SetState || !is_flag_op(part.block.insts[inst.args[0]].op)) continue;
      const auto hit = map.find(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type));
      if (hit.field < 0) continue;
      const Field& field = (*fields_)[static_cast<size_t>(hit.field)];
      if (field.pin < 0 && field.size <= 2 && field.offset == inst.imm &&
          field.size == ir::byte_size(inst.type))
        group_.set(static_cast<size_t>(hit.field));
    }
  }
  if (group_.count() > kMaxLeaves) group_.reset();
}

uint32_t LazyFlags::number_of(FlagRecipe recipe) {
  for (size_t i = 1; i < recipes_.size(); ++i)
    if (same(recipes_[i], recipe)) return static_cast<uint32_t>(i);
  recipes_.push_back(std::move(recipe));
  return static_cast<uint32_t>(recipes_.size() - 1);
}

/// False if there are too many recipes, or somebody writes a part of a flag.
bool LazyFlags::find_events(const ir::Region& region, size_t part, const FieldMap& map,
                            ir::HelperTable helpers) {
  const ir::Block& block = region.parts[part].block;
  std::vector<ValueId> pending(fields_->size(), ir::kNoValue);
  bool any = false;
  const auto close = [&](uint32_t at) {
    if (!any) return;
    any = false;
    const auto make = [&](bool literal) -> bool {
      Builder builder(block, map, at);
      for (size_t f = 0; f < fields_->size(); ++f) {
        if (!group_.test(f)) continue;
        const Field& field = (*fields_)[f];
        std::optional<uint32_t> node;
        if (pending[f] == ir::kNoValue)
          node = builder.leaf({.field = static_cast<int>(f)}, field.type);
        else if (literal)
          node = builder.leaf({.value = pending[f]}, block.insts[pending[f]].type);
        else
          node = builder.build(pending[f]);
        if (!node) return false;
        builder.recipe.fields.push_back({.offset = field.offset, .size = field.size, .node = *node});
      }
      events_[part].push_back(
          {.at = at, .recipe = number_of(std::move(builder.recipe)), .leaves = std::move(builder.leaves)});
      return true;
    };
    if (!make(false)) make(true);
    std::fill(pending.begin(), pending.end(), ir::kNoValue);
  };
  for (uint32_t i = 0; i < block.insts.size(); ++i) {
    const Inst& inst = block.insts[i];
    if (inst.op == Op::SetState || inst.op == Op::GetState) {
      const auto hit = map.find(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type));
      if (splits_group(hit, group_)) {
        close(i);
        continue;
      }
      if (inst.op == Op::GetState || hit.field < 0 || !group_.test(static_cast<size_t>(hit.field))) continue;
      const Field& field = (*fields_)[static_cast<size_t>(hit.field)];
      if (field.offset != inst.imm || field.size != ir::byte_size(inst.type)) return false;
      pending[static_cast<size_t>(hit.field)] = inst.args[0];
      any = true;
      continue;
    }
    constexpr uint16_t kHarmless = ir::FpFlags;
    if (inst.op == Op::Insn || inst.op == Op::CallHelper || (ir::effects(inst, helpers) & ~kHarmless) != 0)
      close(i);
  }
  return recipes_.size() <= kMaxRecipes;
}

void LazyFlags::flow(const ir::Region& region, bool places, const FieldMap& map) {
  const size_t count = region.parts.size();
  struct Edge {
    size_t from, to;
    bool through;
    RecipeSet made;
  };
  std::vector<Edge> edges;
  for (size_t p = 0; p < count; ++p) {
    const ir::Block& block = region.parts[p].block;
    Edge now{.from = p, .to = 0, .through = true, .made = {}};
    size_t next = 0;
    const auto set = [&](uint32_t recipe) {
      now.through = false;
      now.made.reset();
      now.made.set(recipe);
    };
    const auto go = [&](uint64_t pc) {
      for (size_t k = 0; k < count; ++k) {
        if (region.parts[k].block.key.pc != pc) continue;
        now.to = k;
        edges.push_back(now);
      }
    };
    for (uint32_t i = 0; i < block.insts.size(); ++i) {
      const Inst& inst = block.insts[i];
      for (; next < events_[p].size() && events_[p][next].at == i; ++next) set(events_[p][next].recipe);
      if (flushes(inst, places)) set(0);
      if ((inst.op == Op::SetState || inst.op == Op::GetState) &&
          splits_group(map.find(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type)), group_))
        set(0);
      for_each_target(region.parts[p], inst, go);
    }
  }
  in_.assign(count, {});
  in_[0].set(0);
  for (bool changed = true; changed;) {
    changed = false;
    for (const Edge& edge : edges) {
      const RecipeSet joined = in_[edge.to] | (edge.through ? in_[edge.from] : edge.made);
      changed |= joined != in_[edge.to];
      in_[edge.to] = joined;
    }
  }
}

void LazyFlags::find(const ir::Region& region, const std::vector<Field>& fields, const FieldMap& map,
                     ir::HelperTable helpers, bool places) {
  fields_ = &fields;
  events_.assign(region.parts.size(), {});
  recipes_.assign(1, {});
  in_.assign(region.parts.size(), {});
  find_group(region, map);
  bool good = places && group_.any();
  for (size_t p = 0; good && p < region.parts.size(); ++p) good = find_events(region, p, map, helpers);
  if (good) {
    flow(region, places, map);
    return;
  }
  group_.reset();
  events_.assign(region.parts.size(), {});
  recipes_.assign(1, {});
}

}  // namespace lyrebird::jit::lowering
