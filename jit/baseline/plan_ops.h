// SPDX-License-Identifier: Apache-2.0
/// What the parts of the plan ask of an instruction.
#pragma once

#include <vector>

#include "jit/baseline/plan.h"

namespace lyrebird::jit::baseline {

inline unsigned value_args(const ir::Inst& inst) {
  return inst.op == ir::Op::Const ? 0 : ir::arg_count(inst);
}
inline bool is_word(ir::Type type) { return type == ir::Type::I32 || type == ir::Type::I64; }
inline bool is_number(ir::Type type) { return class_of(type) == ValueClass::Gpr && type != ir::Type::I1; }
inline bool is_shift(ir::Op op) {
  return op == ir::Op::Shl || op == ir::Op::ShrU || op == ir::Op::ShrS || op == ir::Op::RotR;
}
inline bool commutes(ir::Op op) {
  using enum ir::Op;
  return op == Add || op == And || op == Or || op == Xor || op == Mul;
}
/// Arithmetic by an instruction that changes its first operand, if its type is one that the host has.
inline bool changes_operand(ir::Op op) {
  using enum ir::Op;
  return commutes(op) || is_shift(op) || op == Sub || op == Neg || op == Not;
}
/// What makes the value, but for zeros above it.
inline const ir::Inst& extended(const ir::Block& block, const std::vector<ValuePlan>& values,
                                ir::ValueId id) {
  const ir::Inst& inst = block.insts[values[id].root];
  return inst.op == ir::Op::ZExt ? block.insts[values[inst.args[0]].root] : inst;
}

}  // namespace lyrebird::jit::baseline
