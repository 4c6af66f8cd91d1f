// SPDX-License-Identifier: Apache-2.0
// The second pass, from the end: what is needed, and for how long.
#include <algorithm>

#include "ir/cpu_header.h"
#include "jit/baseline/plan_ops.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {
constexpr uint16_t kBarrier = ir::Faults | ir::Exits | ir::Terminal;
}

inline void Plan::use(ValueId value, uint32_t at) {
  const ValueId id = values_[value].root;
  ValuePlan& root = values_[id];
  root.needed = true;
  root.last_use = std::max(root.last_use, at);
  if (root.lazy) return use_lazy(id, at);
  // It may have to be made again.
  if (root.only_flags) use_operands(insts_[id], at);
}

void Plan::use_lazy(ValueId id, uint32_t at) {
  ValuePlan& v = values_[id];
  const Inst& inst = insts_[id];
  if (v.maker != 0 && values_[v.maker - 1].only_flags) v.maker = 0;
  if (v.maker != 0) {
    values_[v.maker - 1].flags_used = true;
    return use(v.maker - 1, at);
  }
  if (inst.op != Op::Not && inst.op != Op::Select) mark_flags(inst);
  for (unsigned k = 0, n = value_args(inst); k < n; ++k) use(inst.args[k], at);
}

void Plan::use_operands(const Inst& inst, uint32_t at) {
  for (unsigned k = 0; k < 2; ++k) use(inst.args[k], at);
}

void Plan::use_address(ValueId value, uint32_t at) { use_parts(address(value), at); }

void Plan::use_parts(const Address& address, uint32_t at) {
  use(address.base, at);
  if (address.index != kNoValue) use(address.index, at);
}

[[gnu::always_inline]] inline void Plan::read_field(ValueId id) {
  const Inst& inst = insts_[id];
  const auto offset = static_cast<uint32_t>(inst.imm);
  if (!values_[id].needed || values_[id].root != id) return;
  if (pins_->is_status(offset, ir::byte_size(inst.type))) status_dead_ = false;
  if (offset < kTracked) {
    const uint32_t size = std::min(ir::byte_size(inst.type), kTracked - offset);
    dead_.reset(offset, size);
    dead_late_.reset(offset, size);
  }
  if (pins_->at(offset)) stops_.push_back(id);
}

[[gnu::always_inline]] inline void Plan::write_field(ValueId id) {
  const Inst& inst = insts_[id];
  ValuePlan& v = values_[id];
  constexpr uint32_t kMode = offsetof(ir::CpuHeader, mode);
  const auto offset = static_cast<uint32_t>(inst.imm);
  const uint32_t size = ir::byte_size(inst.type);
  if ((offset >= sizeof(ir::CpuHeader) || offset == kMode) && offset + size <= kTracked) {
    Bytes& dead = inst.aux == ir::kStateLate ? dead_late_ : dead_;
    if (dead.all(offset, size)) {
      v.skipped = true;
      return;
    }
    dead_.set(offset, size);
    dead_late_.set(offset, size);
  }
  if (pins_->at(offset)) stops_.push_back(id);
  v.needed = true;
  if (pins_->is_status(offset, size)) write_status(id);
  use(inst.args[0], id);
}

/// What it does to others; whether it has to be done.
[[gnu::always_inline]] inline bool Plan::has_effect(ValueId id) {
  const Inst& inst = insts_[id];
  ValuePlan& v = values_[id];
  const uint16_t effects = ir::effects(inst, helpers_);
  if (effects & (kBarrier | ir::ReadsState)) dead_.clear();
  if (effects & (ir::Exits | ir::Terminal | ir::ReadsState)) dead_late_.clear();
  if (inst.op == Op::ExitIf) {
    if (status_exit_ == 0) status_exit_ = id;
  } else if (effects & (ir::Exits | ir::Terminal | ir::ReadsState)) {
    status_dead_ = false;
  }
  if ((effects & ir::Faults) && status_fault_ == 0) status_fault_ = id;
  if (effects & kBarrier) stops_.push_back(id);
  const bool pure = (effects & ~(ir::Reads | ir::ReadsState)) == 0;
  if (pure && (!v.needed || v.root != id)) return false;
  v.needed = true;
  return true;
}

/// A status word that the arithmetic before it leaves in the host's flags.
[[gnu::always_inline]] inline bool Plan::use_maker(ValueId id) {
  const Inst& inst = insts_[id];
  const bool from_old = inst.op == Op::StatusOfShift || inst.op == Op::StatusOfStep;
  if (!from_old && inst.op != Op::StatusOfAdd && inst.op != Op::StatusOfSub) return false;
  const ValueId maker = status_maker(id);
  if (maker == kNoValue) return false;
  values_[id].maker = maker + 1;
  values_[maker].flags_used = true;
  use(maker, id);
  if (from_old) {
    values_[maker].maker = id + 1;
    use(inst.args[ir::arg_count(inst) - 1], id);
  }
  return true;
}

/// A Select of status words that a jump around a comparison makes (Plan::is_status_choice()).
inline bool Plan::use_choice(ValueId id) {
  const Inst& inst = insts_[id];
  if (inst.op != Op::Select || !is_status_choice(id)) return false;
  const ValueId status = values_[inst.args[1]].root;
  values_[id].choice = true;
  values_[id].maker = status + 1;
  use(inst.args[0], id);
  use_operands(insts_[status], id);
  return true;
}

[[gnu::always_inline]] inline void Plan::use_all(ValueId id) {
  const Inst& inst = insts_[id];
  ValuePlan& v = values_[id];
  const uint32_t used_at = v.fused != 0 ? v.fused : id;
  if ((v.sum = is_sum(id))) return use_parts(sum(id), used_at);
  unsigned first = 0;
  if (is_memory_access(inst.op)) {
    use_address(inst.args[0], used_at);
    first = 1;
  }
  for (unsigned k = first, n = value_args(inst); k < n; ++k)
    use(k == 1 && n == 2 ? shift_amount(inst) : inst.args[k], used_at);
}

void Plan::find_uses() {
  dead_.clear();
  dead_late_.clear();
  status_dead_ = false;
  status_fault_ = status_exit_ = 0;
  for (auto i = static_cast<ValueId>(block_->insts.size()); i-- > 0;) {
    switch (insts_[i].op) {
      case Op::Insn:
      case Op::Const:
        continue;
      case Op::GetState:
        read_field(i);
        continue;
      case Op::SetState:
        write_field(i);
        continue;
      default:
        // The uses of a lazy one are counted at its users.
        if (!values_[i].lazy && has_effect(i) && !use_maker(i) && !use_choice(i)) use_all(i);
    }
  }
}

}  // namespace lyrebird::jit::baseline
