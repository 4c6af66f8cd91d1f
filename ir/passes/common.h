// SPDX-License-Identifier: Apache-2.0
/// A hash table of the pure instructions seen so far; private to ir/passes.
#pragma once

#include <bit>
#include <cstring>
#include <vector>

#include "ir/block.h"

namespace lyrebird::ir::passes {

class SeenInsts {
 public:
  /// Forgets everything; the table gets room for `count` instructions.
  void start(size_t count) {
    const size_t wanted = std::bit_ceil(2 * count + 2);
    if (slots_.size() < wanted) slots_.assign(wanted, {});
    mask_ = std::bit_ceil(2 * count + 2) - 1;
    if (++epoch_ == 0) {
      slots_.assign(slots_.size(), {});
      epoch_ = 1;
    }
  }

  /// An earlier instruction that is bit for bit the same, or `id`, which is remembered.
  ValueId find_or_add(const Block& block, ValueId id) {
    const Inst& inst = block.insts[id];
    for (size_t i = hash(inst) & mask_;; i = (i + 1) & mask_) {
      Slot& slot = slots_[i];
      if (slot.epoch != epoch_) {
        slot = {epoch_, id};
        return id;
      }
      if (same(block.insts[slot.id], inst)) return slot.id;
    }
  }

 private:
  struct Slot {
    uint32_t epoch = 0;
    ValueId id = 0;
  };
  static bool same(const Inst& a, const Inst& b) {
    return a.op == b.op && a.type == b.type && a.elem == b.elem && a.aux == b.aux && a.imm == b.imm &&
           std::memcmp(a.args, b.args, sizeof a.args) == 0;
  }
  static size_t hash(const Inst& inst) {
    const uint64_t head = static_cast<uint64_t>(inst.op) | uint64_t{static_cast<uint8_t>(inst.type)} << 16 |
                          uint64_t{static_cast<uint8_t>(inst.elem)} << 24 | uint64_t{inst.aux} << 32;
    uint64_t h = head * 0x9e3779b97f4a7c15 ^ inst.imm;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9 ^ (inst.args[0] | uint64_t{inst.args[1]} << 32);
    h = (h ^ h >> 32) * 0x94d049bb133111eb ^ (inst.args[2] | uint64_t{inst.args[3]} << 32);
    h *= 0x9e3779b97f4a7c15;
    return h >> 32;
  }

  std::vector<Slot> slots_;
  size_t mask_ = 0;
  uint32_t epoch_ = 0;
};

}  // namespace lyrebird::ir::passes
