// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/plan.h"

#include <algorithm>

#include "ir/const_address.h"
#include "ir/cpu_header.h"
#include "ir/eval_scalar.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

namespace {

constexpr uint16_t kBarrier = ir::Faults | ir::Exits | ir::Terminal;

unsigned value_args(const Inst& inst) { return inst.op == Op::Const ? 0 : ir::arg_count(inst); }
bool is_word(Type type) { return type == Type::I32 || type == Type::I64; }
/// Arithmetic by an instruction that changes its first operand.
bool is_two_operand(const Inst& inst) {
  switch (inst.op) {
    case Op::Add:
    case Op::Sub:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::Mul:
    case Op::Shl:
    case Op::ShrU:
    case Op::ShrS:
    case Op::RotR:
    case Op::Neg:
    case Op::Not:
      return is_word(inst.type) && inst.elem == inst.type;
    default:
      return false;
  }
}
bool commutes(Op op) {
  return op == Op::Add || op == Op::And || op == Op::Or || op == Op::Xor || op == Op::Mul;
}
/// What makes the value, but for zeros above it.
const Inst& extended(const ir::Block& block, const std::vector<ValuePlan>& values, ValueId id) {
  const Inst& inst = block.insts[values[id].root];
  return inst.op == Op::ZExt ? block.insts[values[inst.args[0]].root] : inst;
}
bool is_number(Type type) { return class_of(type) == ValueClass::Gpr && type != Type::I1; }

}  // namespace

bool is_memory_access(Op op) {
  return op == Op::Load || op == Op::Store || op == Op::LoadExclusive || op == Op::StoreExclusive ||
         (op >= Op::AtomicAdd && op <= Op::CompareSwap);
}

bool is_narrow(const ir::Block& block, const Inst& inst) {
  if ((inst.type != Type::I8 && inst.type != Type::I16) || inst.elem != inst.type) return false;
  switch (inst.op) {
    case Op::Add:
    case Op::Sub:
    case Op::And:
    case Op::Or:
    case Op::Xor:
    case Op::Mul:
    case Op::Neg:
    case Op::Not:
      return true;
    case Op::Shl:
    case Op::ShrU:
    case Op::ShrS: {
      const Inst& by = block.insts[inst.args[1]];
      return by.op == Op::Const && by.imm < ir::bit_width(inst.type);
    }
    case Op::RotR:
      return block.insts[inst.args[1]].op == Op::Const;
    default:
      return false;
  }
}

Plan::Plan() : known_at_(kTracked) {}

void Plan::make(const ir::Block& block, ir::HelperTable helpers, const Pins& pins) {
  block_ = &block;
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
      if (at + ir::byte_size(block_->insts[known_at_[at]].type) > offset) set.reset(at, 1);
    });
  };
  if (!small_.empty()) take_out(small_, 7);
  if (!large_.empty()) take_out(large_, kLargest - 1);
}

void Plan::note(uint32_t offset, ValueId value) {
  const uint32_t size = ir::byte_size(block_->insts[value].type);
  if (offset < sizeof(ir::CpuHeader) || offset >= kTracked) return;
  forget(offset, std::min(size, kTracked - offset));
  if (offset + size > kTracked) return;
  (size <= 8 ? small_ : large_).set(offset, 1);
  known_at_[offset] = value;
}

/// Makes the GetState a view of what the block read or wrote there before.
bool Plan::forward(ValueId id) {
  const Inst& inst = block_->insts[id];
  const auto offset = static_cast<uint32_t>(inst.imm);
  if (offset >= kTracked ||
      ((small_.empty() || !small_.has(offset)) && (large_.empty() || !large_.has(offset))))
    return false;
  const ValueId known = known_at_[offset];
  const Type type = block_->insts[known].type;
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
           is_word(block_->insts[chosen].elem);
  }
  if (inst.op >= Op::CmpEq && inst.op <= Op::CmpTest)
    return class_of(inst.elem) == ValueClass::Gpr && inst.elem != Type::I1;
  const bool fits = is_word(inst.elem) || inst.elem == Type::I8 || inst.elem == Type::I16;
  if (inst.op == Op::OverflowOfSub) return fits;
  if (inst.op == Op::OverflowOfAdd || inst.op == Op::CarryOfAdd) {
    const Inst& carry = block_->insts[inst.args[2]];
    return fits && carry.op == Op::Const && carry.imm == 0;
  }
  return false;
}

/// Whether every way to make the value (a root) leaves zeros above it. What the host's scalar
/// instructions leave there is what their first operand has.
bool Plan::has_zeros_above(ValueId id) const {
  const Inst& inst = block_->insts[id];
  if (class_of(inst.type) != ValueClass::Xmm || inst.type == Type::V128) return false;
  const auto zeros = [&](unsigned k) {
    const ValueId root = values_[inst.args[k]].root;
    return values_[root].zeros_above && block_->insts[root].type == block_->insts[inst.args[k]].type;
  };
  if (inst.op == Op::GetState || inst.op == Op::Load) return true;
  if (inst.type == Type::V64) return false;
  switch (inst.op) {
    case Op::Const:
    case Op::FAbs:
    case Op::FFromIntS:
    case Op::FFromIntU:
      return true;
    case Op::Bitcast:
      return class_of(block_->insts[inst.args[0]].type) == ValueClass::Gpr;
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

void Plan::find_views() {
  small_.clear();
  large_.clear();
  const Inst* const insts = block_->insts.data();
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
        v.zeros_above = has_zeros_above(i);
        continue;
      case Op::GetState: {
        const auto offset = static_cast<uint32_t>(inst.imm);
        if (pins_->at(offset)) {
          v.clean = inst.type == Type::I64;
          v.zeros_above = has_zeros_above(i);
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
      case Op::VecFromScalar: {
        const ValueId a = inst.args[0], r = values_[a].root;
        if (class_of(inst.type) == ValueClass::Xmm && values_[r].zeros_above &&
            insts[r].type == insts[a].type && insts[r].op != Op::Const)
          view(a, true);
        break;
      }
      case Op::Resize: {
        const ValueId a = inst.args[0], r = values_[a].root;
        if (inst.type == Type::V128 && values_[r].zeros_above && insts[r].type == insts[a].type &&
            insts[r].op != Op::Const)
          view(a, true);
        if (inst.type == Type::V64 && insts[a].type == Type::V128 && insts[values_[a].root].op != Op::Const)
          view(a, true);
        break;
      }
      case Op::Bitcast: {
        const ValueId a = inst.args[0];
        if (class_of(inst.type) == ValueClass::Xmm && class_of(insts[a].type) == ValueClass::Xmm &&
            insts[values_[a].root].op != Op::Const)
          view(a, true);
        break;
      }
      case Op::ExtractLane: {
        const ValueId a = inst.args[0];
        if (inst.imm == 0 && class_of(inst.type) == ValueClass::Xmm &&
            class_of(insts[a].type) == ValueClass::Xmm && insts[values_[a].root].op != Op::Const)
          view(a, true);
        break;
      }
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

// --- uses, from the end

/// The difference just before that compares the same: whoever goes on with it need not keep what it is made
/// of.
ValueId Plan::difference_before(ValueId id) const {
  const Inst& compare = block_->insts[id];
  if ((compare.op != Op::CmpEq && compare.op != Op::CmpNe) || !is_word(compare.elem)) return kNoValue;
  const ValueId a = values_[compare.args[0]].root, b = values_[compare.args[1]].root;
  constexpr ValueId kNear = 16;
  for (ValueId i = id; i-- > 0 && id - i <= kNear;) {
    const Inst& inst = block_->insts[i];
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
  const Inst &x = block_->insts[a], &y = block_->insts[b];
  return a == b || (x.op == Op::Const && y.op == Op::Const && x.type == y.type && x.imm == y.imm);
}

// --- four flags

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

ValueId Plan::shift_amount(const Inst& shift) const {
  const ValueId by = shift.args[1];
  const bool is_shift =
      shift.op == Op::Shl || shift.op == Op::ShrU || shift.op == Op::ShrS || shift.op == Op::RotR;
  if (!is_shift || !is_word(shift.type) || shift.elem != shift.type) return by;
  const Inst& mask = extended(*block_, values_, by);
  if (mask.op != Op::And || class_of(mask.type) != ValueClass::Gpr || mask.type == Type::I1) return by;
  for (unsigned k = 0; k < 2; ++k)
    if (is_const(mask.args[k]) && block_->insts[mask.args[k]].imm == ir::bit_width(shift.type) - 1 &&
        !is_const(values_[mask.args[1 - k]].root))  // an immediate operand is not taken modulo the width
      return mask.args[1 - k];
  return by;
}

bool Plan::is_below(ValueId id, uint64_t limit) const {
  const Inst& inst = extended(*block_, values_, id);
  if (inst.op != Op::And) return false;
  for (const ValueId arg : {inst.args[0], inst.args[1]})
    if (is_const(arg) && block_->insts[arg].imm < limit) return true;
  return false;
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

inline void Plan::use(ValueId value, uint32_t at) {
  const ValueId id = values_[value].root;
  ValuePlan& root = values_[id];
  root.needed = true;
  root.last_use = std::max(root.last_use, at);
  if (root.lazy) return use_lazy(id, at);
  // It may have to be made again.
  if (root.only_flags) use_operands(block_->insts[id], at);
}

void Plan::use_lazy(ValueId id, uint32_t at) {
  ValuePlan& v = values_[id];
  const Inst& inst = block_->insts[id];
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

void Plan::use_address(ValueId value, uint32_t at) { use_parts(address(value), at); }

void Plan::use_parts(const Address& address, uint32_t at) {
  use(address.base, at);
  if (address.index != kNoValue) use(address.index, at);
}

/// Whether one LEA does the work of several instructions.
bool Plan::is_sum(ValueId add) const {
  const Inst& inst = block_->insts[add];
  const ValuePlan& v = values_[add];
  if (inst.op != Op::Add || !is_word(inst.type) || v.flags_used || v.maker != 0) return false;
  const Address a = sum(add);
  return a.index != kNoValue && (a.shift != 0 || a.displacement != 0);
}

Address Plan::sum(ValueId add) const {
  Address a{.base = add, .cut = block_->insts[add].type == Type::I32};
  fold_displacement(a);
  fold_index(a);
  return a;
}

Address Plan::address(ValueId value) const {
  Address a{.base = value};
  const Inst& whole = block_->insts[value];
  if (whole.op == Op::ZExt && whole.elem == Type::I32) {
    const ValueId low = whole.args[0];
    if (block_->insts[low].op == Op::Add || !values_[low].clean) a = {.base = low, .cut = true};
  }
  fold_displacement(a);
  fold_index(a);
  return a;
}

/// The sum, of the address's width, that the base is, or nullptr.
const Inst* Plan::add_of(const Address& a) const {
  const Inst& inst = block_->insts[a.base];
  return inst.op == Op::Add && inst.type == (a.cut ? Type::I32 : Type::I64) ? &inst : nullptr;
}

void Plan::fold_displacement(Address& a) const {
  while (const Inst* add = add_of(a)) {
    const Inst& constant = block_->insts[add->args[1]];
    if (constant.op != Op::Const || ir::moves(constant)) break;
    // 32 bits wrap as the address does.
    const auto part = a.cut ? static_cast<int32_t>(constant.imm) : static_cast<int64_t>(constant.imm);
    const int64_t sum = a.cut ? static_cast<int32_t>(part + a.displacement) : part + a.displacement;
    if (part != static_cast<int32_t>(part) || sum != static_cast<int32_t>(sum)) break;
    a.displacement = static_cast<int32_t>(sum);
    a.base = add->args[0];
  }
}

void Plan::fold_index(Address& a) const {
  const Inst* const add = add_of(a);
  if (!add || is_const(add->args[0]) || is_const(add->args[1])) return;
  a.base = add->args[0];
  a.index = add->args[1];
  const Inst& shift = block_->insts[a.index];
  if (shift.op == Op::Shl && is_const(shift.args[1]) && block_->insts[shift.args[1]].imm <= 3 &&
      !is_const(shift.args[0])) {
    a.index = shift.args[0];
    a.shift = static_cast<uint8_t>(block_->insts[shift.args[1]].imm);
  }
}

/// Conversions between F80 and memory are one host instruction: what loads is done with the conversion
/// (or, if that is raw, with the arithmetic), what converts with the store.
void Plan::find_fused() {
  if (pins_->f80.empty()) return;
  const auto count = static_cast<ValueId>(block_->insts.size());
  const auto plain = [](const Inst& inst) {
    const auto info = ir::MemInfo::unpack(inst.aux & 0xffffff);
    return !info.big_endian && info.align == ir::Align::None && !info.sign;
  };
  for (ValueId i = 1; i < count; ++i) {
    const Inst& inst = block_->insts[i];
    if (inst.op == Op::Store) {
      const ValueId value = inst.args[1];
      const Inst& maker = block_->insts[value];
      // The same conversion follows, for its flags.
      ir::FpMode mode = maker.fp_mode();
      if ((maker.op != Op::FConvert && maker.op != Op::FToIntS) || maker.elem != Type::F80 ||
          !mode.no_flags || value + 1 != i || i + 1 == count || values_[value].uses != 1 ||
          values_[i + 1].uses != 0)
        continue;
      mode.no_flags = false;
      const Inst& again = block_->insts[i + 1];
      if (again.op != maker.op || again.type != maker.type || again.elem != maker.elem ||
          again.args[0] != maker.args[0] ||
          again.aux != (mode.pack() | maker.fp_extra() << ir::kFpModeBits) || !plain(inst) ||
          ir::MemInfo::unpack(inst.aux & 0xffffff).size != ir::byte_size(maker.type) ||
          !is_native_f80_store(again))
        continue;
      values_[value].fused = values_[i + 1].fused = i;
      continue;
    }
    if (inst.type != Type::F80 || (inst.op != Op::FConvert && inst.op != Op::FFromIntS)) continue;
    const ValueId from = inst.args[0];
    const Inst& load = block_->insts[from];
    uint32_t with = i;
    if (inst.op == Op::FConvert && (inst.fp_extra() & ir::kFpRaw)) {
      if (values_[i].uses != 1) continue;
      with = i + 1;
      while (with < count && block_->insts[with].op == Op::GetState) ++with;
      if (with == count) continue;
      const Inst& user = block_->insts[with];
      const bool arithmetic = user.op == Op::FAdd || user.op == Op::FSub || user.op == Op::FMul ||
                              user.op == Op::FDiv || (user.op == Op::FCompare && user.args[1] == i);
      if (!arithmetic || user.elem != Type::F80 || (user.args[0] != i && user.args[1] != i)) continue;
      values_[i].fused = with;
    }
    if (load.op == Op::Load && from + 1 == i && values_[from].root == from && values_[from].uses == 1 &&
        plain(load) && ir::MemInfo::unpack(load.aux & 0xffffff).size == ir::byte_size(load.type) &&
        load.type != Type::I8)
      values_[from].fused = with;
  }
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

void Plan::find_uses() {
  const Inst* const insts = block_->insts.data();
  constexpr uint32_t kMode = offsetof(ir::CpuHeader, mode);
  dead_.clear();
  dead_late_.clear();
  status_dead_ = false;
  status_fault_ = status_exit_ = 0;
  four_flags_end_ = four_flags_maker_ = 0;
  for (auto i = static_cast<ValueId>(block_->insts.size()); i-- > 0;) {
    const Inst& inst = insts[i];
    ValuePlan& v = values_[i];
    switch (inst.op) {
      case Op::Insn:
      case Op::Const:
        continue;
      case Op::GetState: {
        const auto offset = static_cast<uint32_t>(inst.imm);
        if (!v.needed || v.root != i) continue;
        if (pins_->is_status(offset, ir::byte_size(inst.type))) status_dead_ = false;
        if (offset < kTracked) {
          const uint32_t size = std::min(ir::byte_size(inst.type), kTracked - offset);
          dead_.reset(offset, size);
          dead_late_.reset(offset, size);
        }
        if (pins_->at(offset)) stops_.push_back(i);
        continue;
      }
      case Op::SetState: {
        const auto offset = static_cast<uint32_t>(inst.imm);
        const uint32_t size = ir::byte_size(inst.type);
        if ((offset >= sizeof(ir::CpuHeader) || offset == kMode) && offset + size <= kTracked) {
          Bytes& dead = inst.aux == ir::kStateLate ? dead_late_ : dead_;
          if (dead.all(offset, size)) {
            v.skipped = true;
            continue;
          }
          dead_.set(offset, size);
          dead_late_.set(offset, size);
        }
        if (pins_->at(offset)) stops_.push_back(i);
        v.needed = true;
        if (pins_->is_status(offset, size)) write_status(i);
        if (four_flags_maker_ == 0 || i + 3 < four_flags_end_) {
          use(inst.args[0], i);
        } else if (!four_flags_choice_) {
          use(four_flags_maker_ - 1, i);
        } else {
          use(insts[values_[inst.args[0]].root].args[0], i);
          for (unsigned k = 0; k < 2; ++k) use(insts[four_flags_maker_ - 1].args[k], i);
        }
        continue;
      }
      default:
        break;
    }
    if (v.lazy) continue;  // its uses were counted at its users
    const uint16_t effects = ir::effects(inst, helpers_);
    if (effects & (kBarrier | ir::ReadsState)) dead_.clear();
    if (effects & (ir::Exits | ir::Terminal | ir::ReadsState)) dead_late_.clear();
    if (inst.op == Op::ExitIf) {
      if (status_exit_ == 0) status_exit_ = i;
    } else if (effects & (ir::Exits | ir::Terminal | ir::ReadsState)) {
      status_dead_ = false;
    }
    if ((effects & ir::Faults) && status_fault_ == 0) status_fault_ = i;
    if (effects & kBarrier) stops_.push_back(i);
    const bool pure = (effects & ~(ir::Reads | ir::ReadsState)) == 0;
    if (pure && (!v.needed || v.root != i)) continue;
    v.needed = true;
    const bool from_old = inst.op == Op::StatusOfShift || inst.op == Op::StatusOfStep;
    if (from_old || inst.op == Op::StatusOfAdd || inst.op == Op::StatusOfSub) {
      if (const ValueId maker = status_maker(i); maker != kNoValue) {
        v.maker = maker + 1;
        values_[maker].flags_used = true;
        use(maker, i);
        if (from_old) {
          values_[maker].maker = i + 1;
          use(inst.args[ir::arg_count(inst) - 1], i);
        }
        continue;
      }
    }
    const uint32_t used_at = v.fused != 0 ? v.fused : i;
    if ((v.sum = is_sum(i))) {
      use_parts(sum(i), used_at);
      continue;
    }
    unsigned first = 0;
    if (is_memory_access(inst.op)) {
      use_address(inst.args[0], used_at);
      first = 1;
    }
    for (unsigned k = first, n = value_args(inst); k < n; ++k)
      use(k == 1 && n == 2 ? shift_amount(inst) : inst.args[k], used_at);
  }
}

// --- values made in the register that they end in

/// Whether the value is arithmetic on what the field has, so that the host's instruction can change the low
/// part of its register.
bool Plan::changes_low_part(ValueId value, const Inst& write, uint32_t last_set) const {
  const Inst& maker = block_->insts[value];
  if (maker.type != write.type || !is_narrow(*block_, maker) || maker.op == Op::Mul) return false;
  const ValueId from = values_[maker.args[0]].root;
  const Inst& read = block_->insts[from];
  return read.op == Op::GetState && read.imm == write.imm && is_number(read.type) && last_set <= from;
}

/// Lets what an instruction of two operands changes, and nobody wants afterwards, be made in the result's
/// register, too.
void Plan::hoist_operand(ValueId result, const PinState& state, uint32_t last_barrier) {
  const Inst& maker = block_->insts[result];
  if (!is_two_operand(maker)) return;
  for (unsigned k = 0; k < 2 && (k == 0 || commutes(maker.op)); ++k) {
    const ValueId id = values_[maker.args[k]].root;
    const Inst& inst = block_->insts[id];
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
  const Inst* const insts = block_->insts.data();
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
