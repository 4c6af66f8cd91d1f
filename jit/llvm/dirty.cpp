// SPDX-License-Identifier: Apache-2.0
#include "jit/llvm/dirty.h"

#include "ir/cpu_header.h"

namespace lyrebird::jit::lowering {

using ir::Op;

void FieldMap::make(const std::vector<Field>& fields, uint32_t state_size) {
  by_byte_.assign(state_size, -1);
  for (size_t i = 0; i < fields.size(); ++i)
    for (uint32_t at = fields[i].offset; at < fields[i].offset + fields[i].size; ++at)
      by_byte_[at] = static_cast<int16_t>(i);
}

FieldMap::Hit FieldMap::find(uint32_t offset, uint32_t size) const {
  Hit hit;
  if (offset >= by_byte_.size() || offset + size > by_byte_.size()) return hit;
  bool one = by_byte_[offset] >= 0;
  for (uint32_t at = offset; at < offset + size; ++at) {
    if (by_byte_[at] >= 0) hit.overlap.set(static_cast<size_t>(by_byte_[at]));
    one = one && by_byte_[at] == by_byte_[offset];
  }
  if (one) hit.field = by_byte_[offset];
  return hit;
}

bool is_simple_access(const ir::Inst& inst) {
  if (inst.op != Op::Load && inst.op != Op::Store) return false;
  const auto info = ir::MemInfo::unpack(inst.aux & 0xffffff);
  if (info.big_endian || info.size == 10 || info.size > 16) return false;
  switch (inst.type) {
    case ir::Type::F32:
    case ir::Type::F64:
    case ir::Type::V64:
    case ir::Type::V128:
      return info.size == ir::byte_size(inst.type) && info.align == ir::Align::None;
    case ir::Type::I8:
    case ir::Type::I16:
    case ir::Type::I32:
    case ir::Type::I64:
      return info.size <= ir::byte_size(inst.type);
    default:
      return false;
  }
}

bool flushes(const ir::Inst& inst, bool places) {
  if (places && is_simple_access(inst)) return false;
  return inst.op == Op::Load || inst.op == Op::Store || inst.op == Op::LoadExclusive ||
         inst.op == Op::StoreExclusive || (inst.op >= Op::AtomicAdd && inst.op <= Op::CompareSwap) ||
         inst.op == Op::CallHelper;
}

void DirtyAnalysis::find_edges(const ir::Region& region, const FieldMap& map, const FieldSet& lazy,
                               bool places) {
  const size_t count = region.parts.size();
  edges_.clear();
  stored_.assign(count, {});
  passed_.assign(count, {});
  written_.assign(count, {});
  accesses_.assign(count, false);
  for (size_t i = 0; i < count; ++i) {
    FieldSet made, kept;
    kept.set();
    bool any_flush = false;
    FieldSet written;
    const auto go = [&](uint64_t pc) {
      // By pc alone: a mode that does not fit only makes the answer less sharp.
      for (size_t k = 0; k < count; ++k)
        if (region.parts[k].block.key.pc == pc) edges_.push_back({i, k, made, kept});
    };
    for (const ir::Inst& inst : region.parts[i].block.insts) {
      if (is_simple_access(inst)) accesses_[i] = true;
      if (flushes(inst, places)) {
        made.reset();
        kept.reset();
        if (!any_flush) stored_[i] = ~written;
        any_flush = true;
      }
      switch (inst.op) {
        case Op::GetState:
        case Op::SetState: {
          const auto hit = map.find(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type));
          if (hit.field >= 0) {
            if (inst.op == Op::SetState) {
              FieldSet set;
              set.set(static_cast<size_t>(hit.field));
              if ((set & lazy).any()) set = lazy;
              made |= set;
              written |= set;
            }
          } else {
            const FieldSet stored = (hit.overlap & lazy).any() ? hit.overlap | lazy : hit.overlap;
            made &= ~stored;
            kept &= ~stored;
          }
          break;
        }
        default:
          break;
      }
      for_each_target(region.parts[i], inst, go);
    }
    if (!any_flush) passed_[i] = ~written;
    written_[i] = written;
  }
}

/// The parts of the loop with that head, which is one of them in any case.
std::vector<bool> DirtyAnalysis::loop_of(size_t head, const ir::Region& region) const {
  const auto pc_of = [&](size_t part) { return region.parts[part].block.key.pc; };
  std::vector<bool> body(region.parts.size());
  std::vector<size_t> work;
  body[head] = true;
  for (const Edge& edge : edges_)
    if (edge.to == head && pc_of(edge.from) >= pc_of(head)) {
      if (!body[edge.from]) work.push_back(edge.from);
      body[edge.from] = true;
    }
  while (!work.empty()) {
    const size_t at = work.back();
    work.pop_back();
    for (const Edge& edge : edges_)
      if (edge.to == at && !body[edge.from]) {
        body[edge.from] = true;
        work.push_back(edge.from);
      }
  }
  return body;
}

/// What the loop would have to keep for its accesses although it does not change it.
FieldSet DirtyAnalysis::unchanged_in_loop(size_t head, const ir::Region& region) const {
  const auto pc_of = [&](size_t part) { return region.parts[part].block.key.pc; };
  bool loop = false;
  for (const Edge& edge : edges_) loop |= edge.to == head && pc_of(edge.from) >= pc_of(head);
  if (!loop) return {};
  const std::vector<bool> body = loop_of(head, region);
  FieldSet written;
  bool accesses = false;
  for (size_t i = 0; i < body.size(); ++i) {
    if (!body[i]) continue;
    written |= written_[i];
    accesses = accesses || accesses_[i];
  }
  return accesses ? ~written : FieldSet{};
}

/// What the loop stores of what comes into it at its head.
FieldSet DirtyAnalysis::stored_by_loop(size_t head, const ir::Region& region) const {
  const std::vector<bool> body = loop_of(head, region);
  std::vector<FieldSet> needs = stored_;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Edge& edge : edges_) {
      if (!body[edge.from] || !body[edge.to] || edge.to == head) continue;
      const FieldSet joined = needs[edge.from] | (passed_[edge.from] & needs[edge.to]);
      changed |= joined != needs[edge.from];
      needs[edge.from] = joined;
    }
  }
  return needs[head];
}

void DirtyAnalysis::run(const ir::Region& region, const FieldMap& map, const FieldSet& at_entry,
                        const FieldSet& lazy, bool places) {
  find_edges(region, map, lazy, places);
  const size_t count = region.parts.size();
  on_edge_.clear();
  for (size_t i = 0; i < count; ++i)
    on_edge_.push_back(places ? unchanged_in_loop(i, region) & ~lazy : stored_by_loop(i, region));
  in_.assign(count, {});
  in_[0] = at_entry & ~on_edge_[0];
  for (bool changed = true; changed;) {
    changed = false;
    for (const Edge& edge : edges_) {
      const FieldSet out = (edge.made | (in_[edge.from] & edge.kept)) & ~on_edge_[edge.to];
      const FieldSet joined = in_[edge.to] | out;
      changed |= joined != in_[edge.to];
      in_[edge.to] = joined;
    }
  }
}

}  // namespace lyrebird::jit::lowering
