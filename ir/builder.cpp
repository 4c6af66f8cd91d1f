// SPDX-License-Identifier: Apache-2.0
#include "ir/builder.h"

namespace lyrebird::ir {

Value Builder::Const(Type type, uint64_t low, uint64_t high) {
  const uint64_t imm = bit_width(type) < 64 ? low & low_mask(bit_width(type)) : low;
  const Value made = append(Op::Const, type, type, 0, imm, {});
  block_.insts.back().set_high(high);
  return made;
}

Value Builder::ConstSplat(Type type, Type elem, uint64_t lane) {
  uint64_t word = lane & low_mask(bit_width(elem));
  for (unsigned width = bit_width(elem); width < 64; width *= 2) word |= word << width;
  if (type == Type::V256) return Concat(Const(Type::V128, word, word), Const(Type::V128, word, word));
  return Const(type, word, type == Type::V64 ? 0 : word);
}

Value Builder::Concat(Value low, Value high) {
  const Type type = low.type == Type::V128 ? Type::V256 : Type::V128;
  return emit({.op = Op::Concat, .type = type, .elem = low.type}, {low, high});
}

void Builder::Branch(Value condition, uint64_t taken, uint64_t not_taken, JumpHint hint) {
  emit({.op = Op::Branch, .aux = static_cast<uint32_t>(hint), .imm = taken}, {condition});
  block_.insts.back().set_high(not_taken);
}

}  // namespace lyrebird::ir
