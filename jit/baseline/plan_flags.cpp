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

namespace {

/// What StatusBytes there are for each word; `of` by its flags.
struct BytesOfStatus {
  struct Entry {
    bool known = false;
    StatusBytes bytes{};
  };
  Entry of[512];

  static constexpr size_t index(uint16_t word) { return size_t{word} >> 8 | (word & 1u) << 8; }
  static constexpr bool has_others(uint16_t word) { return (word & 0xfe) != 0; }

  constexpr explicit BytesOfStatus(bool other_carry) : of{} {
    // Enough for all flags that sums and differences can have, if parity is even for zero alone and nothing is
    // carried out of the lower half.
    constexpr uint8_t kBytes[] = {0, 1, 0x10, 0x20, 0x30, 0x40, 0x80, 0x90, 0xc0, 0xf0};
    for (const bool add : {false, true})
      for (const uint8_t a : kBytes)
        for (const uint8_t b : kBytes) {
          const uint16_t word = add ? ir::eval::StatusOfAdd(a, b, false, other_carry)
                                    : ir::eval::StatusOfSub(a, b, false, other_carry);
          Entry& entry = of[index(word)];
          if (!entry.known) entry = {true, {add, a, b}};
        }
  }
};
constexpr BytesOfStatus kBytesOfStatus[] = {BytesOfStatus(false), BytesOfStatus(true)};

}  // namespace

std::optional<StatusBytes> bytes_of_status(uint16_t word, bool other_carry) {
  const BytesOfStatus::Entry& entry = kBytesOfStatus[other_carry].of[BytesOfStatus::index(word)];
  if (!entry.known || BytesOfStatus::has_others(word)) return std::nullopt;
  return entry.bytes;
}

/// Whether the value is a status word of a sum or a difference if a condition holds, and one of a constant if
/// not, and goes to the state at once.
bool Plan::is_status_choice(ValueId id) const {
  const std::vector<Inst>& insts = block_->insts;
  const Inst& choice = insts[id];
  if (choice.type != Type::I16 || id + 1 >= insts.size() || !is_const(choice.args[2])) return false;
  const Inst &write = insts[id + 1], &status = insts[values_[choice.args[1]].root];
  if (write.op != Op::SetState || write.imm != pins_->status || write.args[0] != id) return false;
  if ((status.op != Op::StatusOfAdd && status.op != Op::StatusOfSub) || !is_word(status.elem)) return false;
  const Inst& carry = insts[status.args[2]];
  return carry.op == Op::Const && carry.imm == 0 &&
         bytes_of_status(static_cast<uint16_t>(insts[choice.args[2]].imm), status.aux != 0);
}

/// (from the end) A SetState that writes the guest's status word, or a part of it.
void Plan::write_status(ValueId id) {
  const Inst& inst = insts_[id];
  values_[id].last_use = status_dead_ ? std::max(status_fault_, status_exit_) : ~0u;
  status_dead_ = inst.imm == pins_->status && ir::byte_size(inst.type) == Pins::kStatusSize;
  status_fault_ = status_exit_ = 0;
}

/// A compare whose flags the arithmetic before it leaves behind.
void Plan::mark_flags(const Inst& compare) {
  const ValueId a = values_[compare.args[0]].root;
  const Inst& maker = insts_[a];
  if ((maker.op == Op::Add || maker.op == Op::Sub || maker.op == Op::And) && is_word(maker.type))
    values_[a].flags_used = true;
}

/// Whether the arithmetic leaves the flags of that status word, if the old one is in the host's flags before.
bool Plan::makes_status(const Inst& inst, const Inst& status) const {
  const auto is = [&](ValueId id, uint64_t value) { return is_const(id) && insts_[id].imm == value; };
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
      const Inst& by = insts_[status.args[1]];
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
  const Inst& status = insts_[id];
  constexpr ValueId kNear = 8;
  for (ValueId i = id; i-- > 0 && id - i <= kNear;) {
    const Inst& inst = insts_[i];
    if (inst.op == Op::Const) continue;
    if (values_[i].root == i && makes_status(inst, status)) return values_[i].only_flags ? kNoValue : i;
    const ValueId of = inst.op == Op::ZExt || inst.op == Op::SetState ? inst.args[0] : kNoValue;
    if (of == kNoValue || !is_number(inst.type) || !is_number(insts_[of].type) || values_[of].lazy ||
        !makes_status(insts_[values_[of].root], status))
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
  const Inst* const insts = insts_;
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
    const Inst& inst = insts_[i];
    const bool maker = ((inst.op == Op::Sub || inst.op == Op::And) && is_number(inst.type)) ||
                       (inst.op == Op::FCompare && class_of(inst.elem) == ValueClass::Xmm);
    values_[i].only_flags = maker && values_[i].uses == values_[i].flag_uses;
  }
}

}  // namespace lyrebird::jit::baseline
