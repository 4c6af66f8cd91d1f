// SPDX-License-Identifier: Apache-2.0
// Values that are made in the pinned register that they end in.
#include <algorithm>

#include "jit/baseline/plan_ops.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {
bool is_two_operand(const Inst& inst) {
  return changes_operand(inst.op) && is_word(inst.type) && inst.elem == inst.type;
}
}  // namespace

/// Whether the value is arithmetic on what the field has, so that the host's instruction can change the low
/// part of its register.
bool Plan::changes_low_part(ValueId value, const Inst& write, uint32_t last_set) const {
  const Inst& maker = insts_[value];
  if (maker.type != write.type || !is_narrow(*block_, maker) || maker.op == Op::Mul) return false;
  const ValueId from = values_[maker.args[0]].root;
  const Inst& read = insts_[from];
  return read.op == Op::GetState && read.imm == write.imm && is_number(read.type) && last_set <= from;
}

/// Lets what an instruction of two operands changes, and nobody wants afterwards, be made in the result's
/// register, too.
void Plan::hoist_operand(ValueId result, const PinState& state, uint32_t last_barrier) {
  const Inst& maker = insts_[result];
  if (!is_two_operand(maker)) return;
  for (unsigned k = 0; k < 2 && (k == 0 || commutes(maker.op)); ++k) {
    const ValueId id = values_[maker.args[k]].root;
    const Inst& inst = insts_[id];
    ValuePlan& v = values_[id];
    if (!is_two_operand(inst) || inst.type != maker.type || v.last_use != result || !v.needed || v.lazy ||
        v.only_flags || v.maker != 0 || v.pinned != kNoReg || last_barrier > id + 1 || !state.is_free(id))
      continue;
    v.pinned = values_[result].pinned;
    return hoist_operand(id, state, last_barrier);
  }
}

void Plan::hoist() {
  if (pins_->pins.empty()) return;
  PinState states[16];
  uint32_t last_barrier = 0;  // index + 1
  const Inst* const insts = insts_;
  for (size_t next = stops_.size(); next-- > 0;) {
    const ValueId i = stops_[next];
    const Inst& inst = insts[i];
    if (inst.op != Op::GetState && inst.op != Op::SetState) {
      last_barrier = i + 1;
      continue;
    }
    const Pin* const pin = pins_->at(static_cast<uint32_t>(inst.imm));
    PinState& state = states[pin->reg];
    if (inst.op == Op::GetState) {
      state.last_get = i + 1;
      state.alias_end = std::max(state.alias_end, values_[i].last_use);
      continue;
    }
    const ValueId root = values_[inst.args[0]].root;
    ValuePlan& r = values_[root];
    const Inst& maker = insts[root];
    const bool whole = inst.type == Type::I64 && values_[inst.args[0]].clean && r.clean;
    const bool fits = inst.imm == pin->offset && (whole || changes_low_part(root, inst, state.last_set)) &&
                      !r.lazy && class_of(maker.type) == ValueClass::Gpr;
    const bool made = maker.op != Op::Const && maker.op != Op::GetState && maker.op != Op::CallHelper &&
                      r.needed && r.pinned == kNoReg;
    if (fits && made && last_barrier <= root + 1 && state.is_free(root)) {
      r.pinned = pin->reg;
      hoist_operand(root, state, last_barrier);
      values_[i].skipped = true;
      state.alias_end = r.last_use;
    } else {
      state.alias_end = 0;
    }
    state.last_set = i + 1;
  }
}

}  // namespace lyrebird::jit::baseline
