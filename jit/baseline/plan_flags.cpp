// SPDX-License-Identifier: Apache-2.0
// What the plan knows of the guest's flags: which arithmetic of the block leaves them in the host's.
#include <algorithm>

#include "ir/eval_scalar.h"
#include "jit/baseline/plan_ops.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

/// Whether that is the last of four writes of flags, one after the other.
bool Plan::ends_four_flags(ValueId id) const {
  if (!pins_->four_flags() || id < 3) return false;
  for (uint32_t k = 0; k < 4; ++k) {
    const Inst& inst = block_->insts[id - 3 + k];
    if (inst.op != Op::SetState || inst.imm != pins_->status + k || ir::byte_size(inst.type) != 1)
      return false;
  }
  return true;
}

/// Whether they are the four flags of that sum, difference or And.
bool Plan::are_four_flags(const Inst* const (&flags)[4], ValueId m) const {
  const Inst& maker = block_->insts[m];
  if (!is_word(maker.type) || values_[m].root != m) return false;
  const auto is_zero = [&](ValueId id) { return is_const(id) && block_->insts[id].imm == 0; };
  for (const Inst* const flag : flags)
    if (flag->op != Op::Const && flag->elem != maker.type) return false;
  const auto of_result = [&](const Inst& compare, Op op) {
    return compare.op == op && values_[compare.args[0]].root == m && is_zero(compare.args[1]);
  };
  const auto of_operands = [&](const Inst& compare, Op op, unsigned a) {
    return compare.op == op && same(compare.args[0], maker.args[a]) &&
           same(compare.args[1], maker.args[1 - a]);
  };
  const Inst &zero = *flags[1], &carry = *flags[2], &overflow = *flags[3];
  if (!of_result(*flags[0], Op::CmpLtS)) return false;
  const bool is_result = of_result(zero, Op::CmpEq);
  switch (maker.op) {
    case Op::Sub:
      return (is_result || of_operands(zero, Op::CmpEq, 0) || of_operands(zero, Op::CmpEq, 1)) &&
             of_operands(carry, Op::CmpLeU, 1) && of_operands(overflow, Op::OverflowOfSub, 0);
    case Op::Add:
      return is_result && carry.op == Op::CmpLtU && values_[carry.args[0]].root == m &&
             (same(carry.args[1], maker.args[0]) || same(carry.args[1], maker.args[1])) &&
             of_operands(overflow, Op::OverflowOfAdd, 0) && is_zero(overflow.args[2]);
    case Op::And:
      return is_result && carry.op == Op::Const && carry.imm == 0 && overflow.op == Op::Const &&
             overflow.imm == 0;
    default:
      return false;
  }
}

/// The arithmetic whose host flags they are and which are still there then.
ValueId Plan::four_flags_maker(ValueId first) const {
  const Inst* const insts = block_->insts.data();
  ValueId m = first;
  do {
    if (m-- == 0) return kNoValue;
  } while (insts[m].op == Op::Const || values_[m].lazy);
  const Inst* flags[4];
  for (unsigned k = 0; k < 4; ++k) flags[k] = &insts[values_[insts[first + k].args[0]].root];
  return are_four_flags(flags, m) ? m : kNoValue;
}

/// The sum or difference whose flags they are if a condition holds; they are constants if not.
ValueId Plan::four_flags_choice(ValueId first) const {
  const Inst* const insts = block_->insts.data();
  const Inst* flags[4];
  ValueId go = kNoValue;
  for (unsigned k = 0; k < 4; ++k) {
    const ValueId id = values_[insts[first + k].args[0]].root;
    const Inst& choice = insts[id];
    if (choice.op != Op::Select || !values_[id].lazy) return kNoValue;
    if (k != 0 && values_[choice.args[0]].root != go) return kNoValue;
    go = values_[choice.args[0]].root;
    flags[k] = &insts[values_[choice.args[1]].root];
  }
  const ValueId maker = values_[flags[0]->args[0]].root;
  if (insts[maker].op == Op::And || !are_four_flags(flags, maker)) return kNoValue;
  // The host has no arithmetic with these flags: zero with a sign, or with an overflow but no carry.
  const auto otherwise = [&](unsigned k) {
    return insts[insts[values_[insts[first + k].args[0]].root].args[2]].imm != 0;
  };
  const bool carry = otherwise(2) == (insts[maker].op == Op::Add);
  if (otherwise(1) && (otherwise(0) || (otherwise(3) && !carry))) return kNoValue;
  return maker;
}

/// (from the end) A SetState that writes flags of the guest.
void Plan::write_status(ValueId id) {
  const Inst& inst = block_->insts[id];
  ValuePlan& v = values_[id];
  const bool last = ends_four_flags(id);
  if (last || !pins_->four_flags()) {
    v.last_use = four_flags_use_ = status_dead_ ? std::max(status_fault_, status_exit_) : ~0u;
    v.last_exit = four_flags_exit_ = status_exit_;
    status_dead_ = last || (inst.imm == pins_->status && ir::byte_size(inst.type) == 2);
    status_fault_ = status_exit_ = 0;
  }
  if (last) {
    // Its three neighbours are met next.
    four_flags_end_ = id;
    ValueId maker = four_flags_maker(id - 3);
    four_flags_choice_ = false;
    if (maker != kNoValue) {
      values_[maker].flags_used = true;
    } else {
      maker = four_flags_choice(id - 3);
      four_flags_choice_ = maker != kNoValue;
    }
    four_flags_maker_ = maker == kNoValue ? 0 : maker + 1;
  } else if (id + 3 == four_flags_end_ && !values_[id + 1].skipped && !values_[id + 2].skipped) {
    v.four_flags = true;
    v.last_use = four_flags_use_;
    v.last_exit = four_flags_exit_;
    v.maker = four_flags_maker_;
    v.choice = four_flags_choice_;
  } else if (id + 3 < four_flags_end_) {
    four_flags_maker_ = 0;
  }
}

/// A compare whose flags the arithmetic before it leaves behind.
void Plan::mark_flags(const Inst& compare) {
  const ValueId a = values_[compare.args[0]].root;
  const Inst& maker = block_->insts[a];
  if ((maker.op == Op::Add || maker.op == Op::Sub || maker.op == Op::And) && is_word(maker.type))
    values_[a].flags_used = true;
}

/// Whether the arithmetic leaves the flags of that status word, if the old one is in the host's flags before.
bool Plan::makes_status(const Inst& inst, const Inst& status) const {
  const auto is = [&](ValueId id, uint64_t value) { return is_const(id) && block_->insts[id].imm == value; };
  if (inst.type != status.elem || ir::arg_count(inst) < 2 ||
      values_[inst.args[0]].root != values_[status.args[0]].root)
    return false;
  const uint32_t way = ir::eval::shift_way(status.aux);
  switch (status.op) {
    case Op::StatusOfAdd:
    case Op::StatusOfSub: {
      if (!same(inst.args[1], status.args[1])) return false;
      const bool add = status.op == Op::StatusOfAdd;
      if (inst.op == (add ? Op::Add : Op::Sub)) return is(status.args[2], 0);
      return inst.op == (add ? Op::AddWithCarry : Op::SubWithBorrow) && same(inst.args[2], status.args[2]);
    }
    case Op::StatusOfStep:
      return inst.op == (way == 0 ? Op::Add : Op::Sub) && is(inst.args[1], 1);
    default: {
      constexpr Op kShifts[] = {Op::Shl, Op::ShrU, Op::ShrS, Op::RotR, Op::RotR};
      const unsigned width = ir::bit_width(inst.type);
      const Inst& by = block_->insts[status.args[1]];
      const auto amount = by.op == Op::Const ? std::optional(by.imm) : std::nullopt;
      if (!pins_->shifts_alike(status, amount) || inst.op != kShifts[way]) return false;
      if (way == ir::eval::kTurnLeft)
        return by.op == Op::Const && by.imm != 0 && by.imm < width && is(inst.args[1], width - by.imm);
      if (by.op == Op::Const) return by.imm != 0 && by.imm < width && is(inst.args[1], by.imm);
      // The host takes an amount modulo the width.
      return same(inst.args[1], status.args[1]) && is_below(status.args[1], width);
    }
  }
}

/// The arithmetic whose host flags are still there at the StatusOf it: nothing but writes of it
/// to the state lies between. What it is made of need not be kept, then.
ValueId Plan::status_maker(ValueId id) const {
  const Inst& status = block_->insts[id];
  constexpr ValueId kNear = 8;
  for (ValueId i = id; i-- > 0 && id - i <= kNear;) {
    const Inst& inst = block_->insts[i];
    if (inst.op == Op::Const) continue;
    if (values_[i].root == i && makes_status(inst, status)) return values_[i].only_flags ? kNoValue : i;
    const ValueId of = inst.op == Op::ZExt || inst.op == Op::SetState ? inst.args[0] : kNoValue;
    if (of == kNoValue || !is_number(inst.type) || !is_number(block_->insts[of].type) || values_[of].lazy ||
        !makes_status(block_->insts[values_[of].root], status))
      return kNoValue;
  }
  return kNoValue;
}

void Plan::count_flag_use(ValueId operand) {
  const ValueId root = values_[operand].root;
  if (values_[root].flag_uses++ == 0) flag_makers_.push_back(root);
}

/// Notes a compare that host flags may answer which its operand's maker leaves behind.
void Plan::count_flag_uses(const Inst& inst, const ValuePlan& v) {
  const Inst* const insts = block_->insts.data();
  // Comparisons of floats are counted below.
  if ((inst.op == Op::CmpLtS || inst.op == Op::CmpEq || inst.op == Op::CmpNe) && is_const(inst.args[1]) &&
      insts[inst.args[1]].imm == 0 && insts[values_[inst.args[0]].root].op != Op::FCompare)
    count_flag_use(inst.args[0]);
  if (v.lazy && inst.elem == Type::I8 && inst.op != Op::Not)
    for (unsigned k = 0; k < 2; ++k)
      if (insts[values_[inst.args[k]].root].op == Op::FCompare && is_const(inst.args[1 - k]))
        count_flag_use(inst.args[k]);
}

/// Subtractions, ands and comparisons of floats of which nothing but host flags is wanted.
void Plan::find_only_flags() {
  for (const ValueId i : flag_makers_) {
    const Inst& inst = block_->insts[i];
    const bool maker = ((inst.op == Op::Sub || inst.op == Op::And) && is_number(inst.type)) ||
                       (inst.op == Op::FCompare && class_of(inst.elem) == ValueClass::Xmm);
    values_[i].only_flags = maker && values_[i].uses == values_[i].flag_uses;
  }
}

}  // namespace lyrebird::jit::baseline
