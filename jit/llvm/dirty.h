// SPDX-License-Identifier: Apache-2.0
/// Which fields of the guest's state are newer in registers than in memory, at the start of each block.
#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "ir/region.h"

namespace lyrebird::jit::lowering {

/// Calls go(pc) for each pc that the instruction, one of the part's, may lead to and the region may hold.
template <typename F>
void for_each_target(const ir::Region::Part& part, const ir::Inst& inst, F go) {
  switch (inst.op) {
    case ir::Op::Branch:
      go(inst.imm);
      go(inst.high());
      break;
    case ir::Op::Jump:
    case ir::Op::ExitIf:
      go(inst.imm);
      break;
    case ir::Op::JumpIndirect:
      for (const uint64_t pc : part.guesses) go(pc);
      break;
    default:
      break;
  }
}

/// A field of the state that lives in registers while a region runs.
struct Field {
  uint32_t offset = 0, size = 0;
  ir::Type type = ir::Type::None;
  int pin = -1;  ///< index in abi::kPinned, or -1
};
inline constexpr size_t kMaxFields = 192;
using FieldSet = std::bitset<kMaxFields>;

/// Finds the fields that an access to the state concerns.
class FieldMap {
 public:
  void make(const std::vector<Field>& fields, uint32_t state_size);
  struct Hit {
    int field = -1;    ///< the access lies within this one
    FieldSet overlap;  ///< else: all that it touches
  };
  Hit find(uint32_t offset, uint32_t size) const;

 private:
  std::vector<int16_t> by_byte_;  ///< -1: none
};

/// Loads and stores that are one host access, or the interpreter's handler where they break an alignment
/// rule.
bool is_simple_access(const ir::Inst& inst);
/// Memory ops and helpers, before which all of the state is put in place. `places`: simple accesses are
/// none of these, because it is known where the state is when they fault.
bool flushes(const ir::Inst& inst, bool places);

/// With `places`, nothing is stored before simple accesses; but what a loop does not change is
/// stored on the way into it, if it has any, so as not to take up a register in it.
///
/// Else, a block's start is a better place to store a dirty field than its first memory access if that
/// keeps the store out of a loop that does not change the field: jumps to a block store on the way
/// what the block stores anyway, or, at the head of a loop, what the loop does.
class DirtyAnalysis {
 public:
  void run(const ir::Region& region, const FieldMap& map, const FieldSet& at_entry, const FieldSet& lazy,
           bool places);
  /// Those that may be dirty at the start of a part.
  const FieldSet& at_start(size_t part) const { return in_[part]; }
  /// Those that a jump to a part must store, if they are dirty.
  const FieldSet& on_edge(size_t to) const { return on_edge_[to]; }

 private:
  struct Edge {
    size_t from, to;
    FieldSet made, kept;  ///< what is dirty there: made, and of what was at the block's start, kept
  };
  void find_edges(const ir::Region& region, const FieldMap& map, const FieldSet& lazy, bool places);
  std::vector<bool> loop_of(size_t head, const ir::Region& region) const;
  FieldSet stored_by_loop(size_t head, const ir::Region& region) const;
  FieldSet unchanged_in_loop(size_t head, const ir::Region& region) const;

  std::vector<Edge> edges_;
  std::vector<FieldSet> stored_;   ///< of each part: by its first access, unless written before
  std::vector<FieldSet> passed_;   ///< of each part: not written, and no access
  std::vector<FieldSet> written_;  ///< by each part
  std::vector<bool> accesses_;     ///< whether a part has a simple access
  std::vector<FieldSet> in_, on_edge_;
};

}  // namespace lyrebird::jit::lowering
