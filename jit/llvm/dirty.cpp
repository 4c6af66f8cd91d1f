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

bool flushes(const ir::Inst& inst) {
  return inst.op == Op::Load || inst.op == Op::Store || inst.op == Op::LoadExclusive ||
         inst.op == Op::StoreExclusive || (inst.op >= Op::AtomicAdd && inst.op <= Op::CompareSwap) ||
         inst.op == Op::CallHelper;
}

void DirtyAnalysis::run(const ir::Region& region, const FieldMap& map, const FieldSet& at_entry) {
  struct Edge {
    size_t from, to;
    FieldSet made, kept;  ///< what is dirty there: made, and of what was at the block's start, kept
  };
  std::vector<Edge> edges;
  const size_t count = region.parts.size();
  for (size_t i = 0; i < count; ++i) {
    FieldSet made, kept;
    kept.set();
    const auto go = [&](uint64_t pc) {
      // By pc alone: a mode that does not fit only makes the answer less sharp.
      for (size_t k = 0; k < count; ++k)
        if (region.parts[k].block.key.pc == pc) edges.push_back({i, k, made, kept});
    };
    for (const ir::Inst& inst : region.parts[i].block.insts) {
      if (flushes(inst)) {
        made.reset();
        kept.reset();
      }
      switch (inst.op) {
        case Op::GetState:
        case Op::SetState: {
          const auto hit = map.find(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type));
          if (hit.field >= 0) {
            if (inst.op == Op::SetState) made.set(static_cast<size_t>(hit.field));
          } else {
            made &= ~hit.overlap;
            kept &= ~hit.overlap;
          }
          break;
        }
        case Op::Branch:
          go(inst.imm);
          go(inst.high());
          break;
        case Op::Jump:
        case Op::ExitIf:
          go(inst.imm);
          break;
        case Op::JumpIndirect:
          for (const uint64_t pc : region.parts[i].guesses) go(pc);
          break;
        default:
          break;
      }
    }
  }
  in_.assign(count, {});
  in_[0] = at_entry;
  for (bool changed = true; changed;) {
    changed = false;
    for (const Edge& edge : edges) {
      const FieldSet joined = in_[edge.to] | edge.made | (in_[edge.from] & edge.kept);
      changed |= joined != in_[edge.to];
      in_[edge.to] = joined;
    }
  }
}

}  // namespace lyrebird::jit::lowering
