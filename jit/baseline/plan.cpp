// SPDX-License-Identifier: Apache-2.0
// Values: which are views of others, which are made where they are used.
#include "jit/baseline/plan.h"

#include <algorithm>

#include "ir/cpu_header.h"
#include "jit/baseline/plan_ops.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

bool is_memory_access(Op op) {
  return op == Op::Load || op == Op::Store || op == Op::LoadExclusive || op == Op::StoreExclusive ||
         (op >= Op::AtomicAdd && op <= Op::CompareSwap);
}

bool is_narrow(const ir::Block& block, const Inst& inst) {
  if ((inst.type != Type::I8 && inst.type != Type::I16) || inst.elem != inst.type) return false;
  if (!is_shift(inst.op)) return changes_operand(inst.op);
  const Inst& by = block.insts[inst.args[1]];
  return by.op == Op::Const && (inst.op == Op::RotR || by.imm < ir::bit_width(inst.type));
}

Plan::Plan() : known_at_(kTracked) {}

void Plan::make(const ir::Block& block, ir::HelperTable helpers, const Pins& pins) {
  block_ = &block;
  insts_ = block.insts.data();
  helpers_ = helpers;
  pins_ = &pins;
  if (values_.size() < block.insts.size()) values_.resize(2 * block.insts.size());
  flag_makers_.clear();
  stops_.clear();
  find_views();
  find_only_flags();
  find_fused();
  find_uses();
  hoist();
}

// --- what the state is known to hold

/// Values that share bytes with these are known no more.
void Plan::forget(uint32_t offset, uint32_t size) {
  const auto from = [&](uint32_t before) { return offset > before ? offset - before : 0; };
  const auto take_out = [&](Bytes& set, uint32_t before) {
    const uint32_t start = from(before);
    set.members(start, offset + size - start, [&](uint32_t at) {
      if (at + ir::byte_size(insts_[known_at_[at]].type) > offset) set.reset(at, 1);
    });
  };
  if (!small_.empty()) take_out(small_, 7);
  if (!large_.empty()) take_out(large_, kLargest - 1);
}

void Plan::note(uint32_t offset, ValueId value) {
  const uint32_t size = ir::byte_size(insts_[value].type);
  if (offset < sizeof(ir::CpuHeader) || offset >= kTracked) return;
  forget(offset, std::min(size, kTracked - offset));
  if (offset + size > kTracked) return;
  (size <= 8 ? small_ : large_).set(offset, 1);
  known_at_[offset] = value;
}

/// Makes the GetState a view of what the block read or wrote there before.
bool Plan::forward(ValueId id) {
  const Inst& inst = insts_[id];
  const auto offset = static_cast<uint32_t>(inst.imm);
  if (offset >= kTracked ||
      ((small_.empty() || !small_.has(offset)) && (large_.empty() || !large_.has(offset))))
    return false;
  const ValueId known = known_at_[offset];
  const Type type = insts_[known].type;
  const ValueClass cls = class_of(inst.type);
  if (class_of(type) != cls || (cls == ValueClass::Memory && inst.type != Type::F80)) return false;
  if (type == inst.type) {
    values_[id].root = values_[known].root;
    values_[id].clean = values_[known].clean;
    return true;
  }
  // An I1 is exactly 0 or 1, whatever the state says.
  if (inst.type == Type::I1 || values_[values_[known].root].lazy) return false;
  if (ir::byte_size(inst.type) > ir::byte_size(type)) return false;
  if (cls == ValueClass::Xmm && inst.type == Type::V128) return false;
  values_[id].root = values_[known].root;
  values_[id].clean = inst.type == Type::I8 && type == Type::I1 && values_[known].clean;
  return true;
}

bool Plan::is_lazy(const Inst& inst) const {
  if (inst.type != Type::I1) return false;
  if (inst.op == Op::Not) return values_[values_[inst.args[0]].root].lazy;
  if (inst.op == Op::Select) {
    const ValueId chosen = values_[inst.args[1]].root;
    return is_const(inst.args[2]) && values_[values_[inst.args[0]].root].lazy && values_[chosen].lazy &&
           is_word(insts_[chosen].elem);
  }
  if (inst.op >= Op::CmpEq && inst.op <= Op::CmpTest)
    return class_of(inst.elem) == ValueClass::Gpr && inst.elem != Type::I1;
  const bool fits = is_word(inst.elem) || inst.elem == Type::I8 || inst.elem == Type::I16;
  if (inst.op == Op::OverflowOfSub) return fits;
  if (inst.op == Op::OverflowOfAdd || inst.op == Op::CarryOfAdd) {
    const Inst& carry = insts_[inst.args[2]];
    return fits && carry.op == Op::Const && carry.imm == 0;
  }
  return false;
}

/// Whether every way to make the value (a root) leaves zeros above it. What the host's scalar
/// instructions leave there is what their first operand has.
bool Plan::has_zeros_above(ValueId id) const {
  const Inst& inst = insts_[id];
  if (class_of(inst.type) != ValueClass::Xmm || inst.type == Type::V128) return false;
  const auto zeros = [&](unsigned k) {
    const ValueId root = values_[inst.args[k]].root;
    return values_[root].zeros_above && insts_[root].type == insts_[inst.args[k]].type;
  };
  if (inst.op == Op::GetState || inst.op == Op::Load || inst.op == Op::Narrow) return true;
  if (inst.type == Type::V64) return false;
  switch (inst.op) {
    case Op::Const:
    case Op::FAbs:
    case Op::FFromIntS:
    case Op::FFromIntU:
      return true;
    case Op::Bitcast:
      return class_of(insts_[inst.args[0]].type) == ValueClass::Gpr;
    case Op::FConvert:
      return inst.type == Type::F32 || zeros(0);
    case Op::FNeg:
    case Op::FAdd:
    case Op::FSub:
    case Op::FMul:
    case Op::FDiv:
    case Op::FSqrt:
    case Op::FRoundInt:
      return zeros(0);
    case Op::FMin:
    case Op::FMax:
    case Op::FMinNum:
    case Op::FMaxNum:
      return zeros(0) && zeros(1);
    case Op::FMulAdd:
      return zeros(2);
    default:
      return false;
  }
}

/// Whether the vector or scalar is what a register has that holds its operand.
bool Plan::is_vector_view(const Inst& inst) const {
  const Inst &of = insts_[inst.args[0]], &made = insts_[values_[inst.args[0]].root];
  if (made.op == Op::Const || class_of(inst.type) != ValueClass::Xmm) return false;
  const bool alone = values_[values_[inst.args[0]].root].zeros_above && made.type == of.type;
  switch (inst.op) {
    case Op::VecFromScalar:
      return alone;
    case Op::Resize:
      return (inst.type == Type::V128 && alone) || (inst.type == Type::V64 && of.type == Type::V128);
    case Op::ExtractLane:
      return inst.imm == 0 && class_of(of.type) == ValueClass::Xmm;
    default:
      return class_of(of.type) == ValueClass::Xmm;
  }
}

void Plan::find_views() {
  converts_ = false;
  small_.clear();
  large_.clear();
  const Inst* const insts = insts_;
  const auto count = static_cast<ValueId>(block_->insts.size());
  for (ValueId i = 0; i < count; ++i) {
    const Inst& inst = insts[i];
    ValuePlan& v = values_[i];
    v = {.root = i};
    const auto view = [&](ValueId of, bool clean) {
      v.root = values_[of].root;
      v.clean = clean;
    };
    switch (inst.op) {
      case Op::Insn:
        continue;
      case Op::Const:
        v.zeros_above = class_of(inst.type) == ValueClass::Xmm && has_zeros_above(i);
        continue;
      case Op::GetState: {
        const auto offset = static_cast<uint32_t>(inst.imm);
        if (pins_->at(offset)) {
          v.clean = inst.type == Type::I64;
          v.zeros_above = class_of(inst.type) == ValueClass::Xmm && has_zeros_above(i);
          continue;
        }
        if (!forward(i)) {
          v.root = i;
          note(offset, i);
        }
        break;
      }
      case Op::SetState: {
        const auto offset = static_cast<uint32_t>(inst.imm);
        if (!pins_->at(offset)) note(offset, inst.args[0]);
        ++values_[values_[inst.args[0]].root].uses;
        continue;
      }
      case Op::CallHelper:
        if (ir::effects(inst, helpers_) & ir::WritesState) {
          small_.clear();
          large_.clear();
        }
        break;
      case Op::ZExt: {
        const ValueId a = inst.args[0];
        if (inst.type != Type::I128 && values_[a].clean && !values_[values_[a].root].lazy &&
            insts[values_[a].root].op != Op::Const)
          view(a, true);
        break;
      }
      case Op::Trunc: {
        const ValueId a = inst.args[0];
        if (inst.type != Type::I1 && class_of(insts[a].type) == ValueClass::Gpr &&
            insts[values_[a].root].op != Op::Const)
          view(a, false);
        break;
      }
      case Op::VecFromScalar:
      case Op::Resize:
      case Op::Bitcast:
      case Op::ExtractLane:
        if (is_vector_view(inst)) view(inst.args[0], true);
        break;
      case Op::StatusOfAdd:
      case Op::StatusOfSub:
      case Op::StatusOfValue:
      case Op::StatusOfOrder:
      case Op::StatusOfShift:
      case Op::StatusOfStep:
        v.clean = false;
        if (inst.op == Op::StatusOfValue || inst.op == Op::StatusOfOrder)
          for (unsigned k = 0; k < value_args(inst); ++k) count_flag_use(inst.args[k]);
        break;
      case Op::FConvert:
      case Op::FToIntS:
      case Op::FFromIntS:
        converts_ = true;
        [[fallthrough]];
      default:
        if (is_narrow(*block_, inst)) {
          v.clean = inst.op != Op::Mul && values_[inst.args[0]].clean;
          break;
        }
        v.lazy = is_lazy(inst);
        if (v.lazy)
          if (const ValueId difference = difference_before(i); difference != kNoValue)
            v.maker = difference + 1;
        break;
    }
    if (insts[v.root].op == Op::Const && v.root != i && insts[v.root].type != inst.type) v.root = i;
    if (v.root == i && class_of(inst.type) == ValueClass::Xmm) v.zeros_above = has_zeros_above(i);
    for (unsigned k = 0, n = value_args(inst); k < n; ++k) ++values_[values_[inst.args[k]].root].uses;
    if (v.lazy) count_flag_uses(inst, v);
  }
}

/// The difference just before that compares the same: whoever goes on with it need not keep what it is made
/// of.
ValueId Plan::difference_before(ValueId id) const {
  const Inst& compare = insts_[id];
  if ((compare.op != Op::CmpEq && compare.op != Op::CmpNe) || !is_word(compare.elem)) return kNoValue;
  const ValueId a = values_[compare.args[0]].root, b = values_[compare.args[1]].root;
  constexpr ValueId kNear = 16;
  for (ValueId i = id; i-- > 0 && id - i <= kNear;) {
    const Inst& inst = insts_[i];
    if (inst.op == Op::Sub && inst.type == compare.elem &&
        ((same(inst.args[0], a) && same(inst.args[1], b)) ||
         (same(inst.args[0], b) && same(inst.args[1], a))))
      return i;
  }
  return kNoValue;
}

bool Plan::same(ValueId a, ValueId b) const {
  a = values_[a].root;
  b = values_[b].root;
  const Inst &x = insts_[a], &y = insts_[b];
  return a == b || (x.op == Op::Const && y.op == Op::Const && x.type == y.type && x.imm == y.imm);
}

}  // namespace lyrebird::jit::baseline
