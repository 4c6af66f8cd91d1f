// SPDX-License-Identifier: Apache-2.0
#include "ir/passes.h"
#include "ir/passes/common.h"
#include "ir/passes/simplify.h"
#include "ir/passes/state.h"

namespace lyrebird::ir {

struct Optimiser::Scratch {
  std::vector<ValueId> same_as;  ///< forward: the value each value equals; at last: its new index
  std::vector<uint8_t> keep;     ///< Keep, and kUsed
  passes::KnownState known;
  passes::SeenInsts seen;
  passes::DeadBytes dead_bytes;
};

namespace {

enum Keep : uint8_t { kGone, kThere };

/// Everything but a value: cannot be removed although nobody uses it.
constexpr uint16_t kVisible = Writes | Faults | WritesState | FpFlags | Exits | Terminal;
/// All state must be in memory.
constexpr uint16_t kSeesState = Faults | Exits | Terminal;

class Walks {
 public:
  Walks(Block& block, const StateLayout& layout, HelperTable helpers, PassSet passes,
        std::vector<ValueId>& same_as, std::vector<uint8_t>& keep)
      : block_(block), layout_(layout), helpers_(helpers), passes_(passes), same_as_(same_as), keep_(keep) {}

  void forward(passes::KnownState& known, passes::SeenInsts& seen) {
    const size_t count = block_.insts.size();
    same_as_.resize(count);
    keep_.assign(count, kThere);
    known.start(layout_);
    seen.start(count);
    for (ValueId id = 0; id < block_.insts.size(); ++id) {
      use_replacements(id);
      ValueId value = id;
      Inst& inst = block_.insts[id];
      if (inst.op == Op::SetState) {
        if (passes_.forward && !known.write(block_, id)) keep_[id] = kGone;
      } else if (inst.op == Op::GetState) {
        if (passes_.forward) value = known.read(block_, id);
        if (value == id && inst.op != Op::GetState) value = reduce(id, seen);
      } else {
        value = reduce(id, seen);
        if (passes_.fold) side_exit(id);
      }
      same_as_[id] = value;
      if (inst.op == Op::CallHelper && (effects(inst, helpers_) & WritesState)) known.forget_all();
    }
  }

  void backward(passes::DeadBytes& dead_bytes) {
    dead_bytes.start(layout_);
    for (ValueId id = static_cast<ValueId>(block_.insts.size()); id-- > 0;) {
      const Inst& inst = block_.insts[id];
      if (keep_[id] == kGone) continue;
      const uint16_t effect = effects(inst, helpers_);
      if (inst.op == Op::SetState) {
        if (passes_.stores && !dead_bytes.written(inst.imm, byte_size(inst.type))) {
          keep_[id] = kGone;
          continue;
        }
      } else if (passes_.dead && !(effect & kVisible) && inst.op != Op::Insn && !used(id)) {
        keep_[id] = kGone;
        continue;
      } else if (inst.op == Op::GetState) {
        dead_bytes.seen(inst.imm, byte_size(inst.type));
      } else if ((effect & kSeesState) || (inst.op == Op::CallHelper && (effect & ReadsState))) {
        dead_bytes.all_seen();
      }
      for (unsigned i = 0, n = arg_count(inst); i < n; ++i) mark_used(inst.args[i]);
    }
  }

  void compact() {
    ValueId next = 0;
    for (ValueId id = 0; id < block_.insts.size(); ++id) {
      if ((keep_[id] & ~kUsed) == kGone) continue;
      Inst inst = block_.insts[id];
      for (unsigned i = 0, n = arg_count(inst); i < n; ++i) inst.args[i] = same_as_[inst.args[i]];
      same_as_[id] = next;
      block_.insts[next++] = inst;
    }
    block_.insts.resize(next);
  }

 private:
  static constexpr uint8_t kUsed = 0x80;
  bool used(ValueId id) const { return (keep_[id] & kUsed) != 0; }
  void mark_used(ValueId id) { keep_[id] |= kUsed; }

  void use_replacements(ValueId id) {
    Inst& inst = block_.insts[id];
    for (unsigned i = 0, n = arg_count(inst); i < n; ++i) inst.args[i] = same_as_[inst.args[i]];
  }

  ValueId reduce(ValueId id, passes::SeenInsts& seen) {
    ValueId value = id;
    if (passes_.fold) value = passes::simplify(block_, id);
    const Inst& inst = block_.insts[id];
    if (value == id && passes_.common && effects(inst, helpers_) == Pure && inst.op != Op::Insn)
      value = seen.find_or_add(block_, id);
    return value;
  }

  /// A side exit on a constant: never taken, it goes; always taken, the block ends with it.
  void side_exit(ValueId id) {
    Inst& inst = block_.insts[id];
    if (inst.op != Op::ExitIf && inst.op != Op::RaiseIf) return;
    const Inst& condition = block_.insts[inst.args[0]];
    if (condition.op != Op::Const) return;
    if (condition.imm == 0) {
      keep_[id] = kGone;
      return;
    }
    const bool exits = inst.op == Op::ExitIf;
    inst = {.op = exits ? Op::Jump : Op::Raise, .aux = exits ? 0 : inst.aux, .imm = inst.imm};
    block_.insts.resize(id + 1);
  }

  Block& block_;
  const StateLayout& layout_;
  const HelperTable helpers_;
  const PassSet passes_;
  std::vector<ValueId>& same_as_;
  std::vector<uint8_t>& keep_;
};

}  // namespace

Optimiser::Optimiser() : scratch_(std::make_unique<Scratch>()) {}
Optimiser::~Optimiser() = default;

void Optimiser::run(Block& block, const StateLayout& layout, HelperTable helpers, PassSet passes) {
  Scratch& s = *scratch_;
  Walks walks(block, layout, helpers, passes, s.same_as, s.keep);
  walks.forward(s.known, s.seen);
  walks.backward(s.dead_bytes);
  walks.compact();
}

void optimise(Block& block, const StateLayout& layout, HelperTable helpers) {
  thread_local Optimiser optimiser;
  optimiser.run(block, layout, helpers);
}

}  // namespace lyrebird::ir
