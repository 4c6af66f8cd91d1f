// SPDX-License-Identifier: Apache-2.0
// What one host instruction does of several: sums in an address or an LEA, amounts of shifts.
#include "ir/const_address.h"
#include "jit/baseline/plan_ops.h"

namespace lyrebird::jit::baseline {

using ir::Inst;
using ir::kNoValue;
using ir::Op;
using ir::Type;
using ir::ValueId;

Address Plan::sum(ValueId add) const {
  Address a{.base = add, .cut = insts_[add].type == Type::I32};
  fold_displacement(a);
  fold_index(a);
  return a;
}

Address Plan::address(ValueId value) const {
  Address a{.base = value};
  const Inst& whole = insts_[value];
  if (whole.op == Op::ZExt && whole.elem == Type::I32) {
    const ValueId low = whole.args[0];
    if (insts_[low].op == Op::Add || !values_[low].clean) a = {.base = low, .cut = true};
  }
  fold_displacement(a);
  fold_index(a);
  return a;
}

/// Whether one LEA does the work of several instructions.
bool Plan::is_sum(ValueId add) const {
  const Inst& inst = insts_[add];
  const ValuePlan& v = values_[add];
  if (inst.op != Op::Add || !is_word(inst.type) || v.flags_used || v.maker != 0) return false;
  const Address a = sum(add);
  return a.index != kNoValue && (a.shift != 0 || a.displacement != 0);
}

/// The sum, of the address's width, that the base is, or nullptr.
const Inst* Plan::add_of(const Address& a) const {
  const Inst& inst = insts_[a.base];
  return inst.op == Op::Add && inst.type == (a.cut ? Type::I32 : Type::I64) ? &inst : nullptr;
}

void Plan::fold_displacement(Address& a) const {
  while (const Inst* add = add_of(a)) {
    const Inst& constant = insts_[add->args[1]];
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
  const Inst& shift = insts_[a.index];
  if (shift.op == Op::Shl && is_const(shift.args[1]) && insts_[shift.args[1]].imm <= 3 &&
      !is_const(shift.args[0])) {
    a.index = shift.args[0];
    a.shift = static_cast<uint8_t>(insts_[shift.args[1]].imm);
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
    if (is_const(mask.args[k]) && insts_[mask.args[k]].imm == ir::bit_width(shift.type) - 1 &&
        !is_const(values_[mask.args[1 - k]].root))  // an immediate operand is not taken modulo the width
      return mask.args[1 - k];
  return by;
}

bool Plan::is_below(ValueId id, uint64_t limit) const {
  const Inst& inst = extended(*block_, values_, id);
  if (inst.op != Op::And) return false;
  for (const ValueId arg : {inst.args[0], inst.args[1]})
    if (is_const(arg) && insts_[arg].imm < limit) return true;
  return false;
}

}  // namespace lyrebird::jit::baseline
