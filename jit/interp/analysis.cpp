// SPDX-License-Identifier: Apache-2.0
#include "jit/interp/analysis.h"

#include <algorithm>

#include "jit/interp/code.h"
#include "jit/interp/select.h"

namespace lyrebird::jit::interp {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size) {
  return a < b + b_size && b < a + a_size;
}

bool is_conditional(Op op) { return op == Op::ExitIf || op == Op::Branch; }

bool has_address(Op op) {
  return op == Op::Load || op == Op::Store || op == Op::LoadExclusive || op == Op::StoreExclusive ||
         (op >= Op::AtomicAdd && op <= Op::CompareSwap);
}

unsigned value_args(const Inst& inst) { return inst.op == Op::Const ? 0 : ir::arg_count(inst); }

}  // namespace

Analysis::Analysis(const ir::Block& block, ir::HelperTable helpers)
    : block_(block),
      helpers_(helpers),
      values_(block.insts.size()),
      raw_uses_(block.insts.size()),
      hoisted_(block.insts.size()) {
  find_roots();
  find_needed();
  find_uses();
  hoist_set_states();
  keep_get_states_in_place();
}

void Analysis::find_roots() {
  for (ValueId i = 0; i < values_.size(); ++i) {
    const Inst& inst = block_.insts[i];
    ValueInfo& v = values_[i];
    v.root = i;
    const bool from_state = inst.op == Op::GetState;
    v.clean = static_cast<uint8_t>(from_state ? ir::byte_size(inst.type) : stored_bytes(inst.type));
    // Of a byte in the state only bit 0 is the truth value.
    if (from_state && inst.type == Type::I1) v.clean = 0;
    if (inst.op == Op::Const && v.clean < 8) v.clean = 8;

    const auto alias = [&](uint32_t delta, unsigned clean) {
      const ValueInfo& source = values_[inst.args[0]];
      v.root = source.root;
      v.delta = source.delta + delta;
      v.clean = static_cast<uint8_t>(clean);
    };
    const unsigned size = ir::byte_size(inst.type);
    switch (inst.op) {
      case Op::ZExt:
        if (inst.type != Type::I128 && values_[inst.args[0]].clean >= size)
          alias(0, values_[inst.args[0]].clean);
        break;
      case Op::Trunc:
        if (inst.type != Type::I1) alias(0, size);
        break;
      case Op::Bitcast:
        alias(0, size);
        break;
      case Op::Lo64:
        alias(0, 8);
        break;
      case Op::Hi64:
        alias(8, 8);
        break;
      case Op::HalfHi:
        alias(size, size);
        break;
      case Op::Resize:
        if (size <= ir::byte_size(block_.insts[inst.args[0]].type)) alias(0, size);
        break;
      case Op::ExtractLane:
        alias(static_cast<uint32_t>(inst.imm) * size, size);
        break;
      default:
        break;
    }
  }
}

bool Analysis::is_pure(const Inst& inst) const {
  return (ir::effects(inst, helpers_) & ~(ir::Reads | ir::ReadsState)) == 0 && inst.op != Op::Insn;
}

void Analysis::find_needed() {
  std::vector<bool> needed(values_.size());
  for (ValueId i = static_cast<ValueId>(values_.size()); i-- > 0;) {
    const Inst& inst = block_.insts[i];
    if (is_pure(inst) && !needed[i]) continue;
    for (unsigned k = 0; k < value_args(inst); ++k) {
      needed[inst.args[k]] = true;
      ++raw_uses_[inst.args[k]];
    }
  }
}

Condition Analysis::condition(ValueId exit) const {
  Condition c{block_.insts[exit].args[0], true, false};
  bool single = true;
  while (block_.insts[c.value].op == Op::Not) {
    single = single && raw_uses_[c.value] == 1;
    c.value = block_.insts[c.value].args[0];
    c.sense = !c.sense;
  }
  const Inst& inst = block_.insts[c.value];
  c.fused = single && raw_uses_[c.value] == 1 && inst.op >= Op::CmpEq && inst.op <= Op::CmpTest &&
            has_fast(inst.op, inst.elem) && is_conditional(block_.insts[exit].op);
  return c;
}

Address Analysis::address(ValueId value) const {
  Address a{value, 0};
  int64_t sum = 0;
  for (;;) {
    const Inst& inst = block_.insts[a.base];
    if (inst.op != Op::Add || !is_const(inst.args[1])) return a;
    const int64_t part = static_cast<int64_t>(block_.insts[inst.args[1]].imm);
    if (part != static_cast<int32_t>(part)) return a;
    sum += part;
    if (sum != static_cast<int32_t>(sum)) return a;
    a = {inst.args[0], static_cast<int32_t>(sum)};
  }
}

/// f(value) for every value that the instruction's record reads.
template <typename F>
void Analysis::for_each_operand(ValueId id, F f) const {
  const Inst& inst = block_.insts[id];
  unsigned first = 0;
  if (has_address(inst.op)) {
    f(address(inst.args[0]).base);
    first = 1;
  } else if (is_conditional(inst.op) || inst.op == Op::RaiseIf) {
    const Condition c = condition(id);
    if (c.fused) {
      f(block_.insts[c.value].args[0]);
      f(block_.insts[c.value].args[1]);
    } else {
      f(c.value);
    }
    first = 1;
  }
  for (unsigned k = first; k < value_args(inst); ++k) f(inst.args[k]);
}

void Analysis::find_uses() {
  for (ValueId i = static_cast<ValueId>(values_.size()); i-- > 0;) {
    const Inst& inst = block_.insts[i];
    if (inst.op == Op::Insn || values_[i].root != i) continue;
    if (is_pure(inst) && !values_[i].needed) continue;
    values_[i].needed = true;
    if (is_conditional(inst.op))
      if (const Condition c = condition(i); c.fused) values_[c.value].fused = true;
    for_each_operand(i, [&](ValueId operand) {
      ValueInfo& root = values_[values_[operand].root];
      root.needed = true;
      root.last_use = std::max(root.last_use, i);
    });
  }
}

void Analysis::hoist_set_states() {
  for (ValueId i = 0; i < values_.size(); ++i) {
    const Inst& inst = block_.insts[i];
    if (inst.op == Op::SetState) {
      const uint32_t size = ir::byte_size(inst.type);
      hoisted_[i] = try_hoist(i);
      const uint32_t position = hoisted_[i] ? values_[inst.args[0]].root : i;
      writes_.push_back({position, static_cast<uint32_t>(inst.imm), size});
    } else if (inst.op == Op::CallHelper && (ir::effects(inst, helpers_) & ir::WritesState)) {
      writes_.push_back({i, 0, ~uint32_t{0} / 2});
    }
  }
}

bool Analysis::try_hoist(ValueId set_state) {
  const Inst& set = block_.insts[set_state];
  const uint32_t offset = static_cast<uint32_t>(set.imm), size = ir::byte_size(set.type);
  const ValueInfo& value = values_[set.args[0]];
  ValueInfo& root = values_[value.root];
  const Inst& maker = block_.insts[value.root];
  if (value.delta != 0 || root.in_state || !root.needed || root.fused) return false;
  if (maker.op == Op::Const || maker.op == Op::GetState || maker.op == Op::CallHelper) return false;
  if (stored_bytes(maker.type) != size || value.clean < size) return false;
  if (offset < sizeof(ir::CpuHeader)) return false;

  constexpr uint16_t kBlocking = ir::Faults | ir::Exits | ir::Terminal;
  for (ValueId k = value.root + 1; k < set_state; ++k) {
    const Inst& between = block_.insts[k];
    if (between.op == Op::Insn) continue;
    const uint16_t effects = ir::effects(between, helpers_);
    if (effects & kBlocking) return false;
    if (between.op == Op::CallHelper && (effects & (ir::ReadsState | ir::WritesState))) return false;
    if (between.op == Op::GetState || between.op == Op::SetState)
      if (overlap(static_cast<uint32_t>(between.imm), ir::byte_size(between.type), offset, size))
        return false;
  }
  // Nobody else may live there when the value is born...
  for (ValueId k = 0; k < value.root; ++k) {
    const ValueInfo& other = values_[k];
    if (other.root != k || other.last_use <= value.root) continue;
    const Inst& inst = block_.insts[k];
    const bool there =
        inst.op == Op::GetState
            ? overlap(static_cast<uint32_t>(inst.imm), ir::byte_size(inst.type), offset, size)
            : other.in_state && overlap(other.state_offset, stored_bytes(inst.type), offset, size);
    if (there) return false;
  }
  // ...and nobody may move in while it lives.
  for (ValueId k = set_state + 1; k < root.last_use; ++k) {
    const Inst& after = block_.insts[k];
    if (after.op == Op::SetState &&
        overlap(static_cast<uint32_t>(after.imm), ir::byte_size(after.type), offset, size))
      return false;
    if (after.op == Op::CallHelper && (ir::effects(after, helpers_) & ir::WritesState)) return false;
  }
  root.in_state = true;
  root.state_offset = offset;
  return true;
}

void Analysis::keep_get_states_in_place() {
  for (ValueId i = 0; i < values_.size(); ++i) {
    const Inst& inst = block_.insts[i];
    ValueInfo& v = values_[i];
    if (inst.op != Op::GetState || !v.needed) continue;
    const uint32_t offset = static_cast<uint32_t>(inst.imm);
    if (offset < sizeof(ir::CpuHeader)) continue;  // pc, mode, flags: the engine writes them, too
    v.in_state = std::none_of(writes_.begin(), writes_.end(), [&](const Write& w) {
      return w.position > i && w.position < v.last_use &&
             overlap(w.offset, w.size, offset, ir::byte_size(inst.type));
    });
    v.state_offset = offset;
  }
}

}  // namespace lyrebird::jit::interp
