// SPDX-License-Identifier: Apache-2.0
/// Constants that are guest addresses at a fixed distance from the block's pc. Code that is kept may be used
/// for the same guest code at another address, and needs to know them.
#pragma once

#include "ir/builder.h"

namespace lyrebird::ir {

/// Inst::aux of such a Const, which is I64. Passes may lose it: who relies on it runs none.
inline constexpr uint32_t kConstMoves = 1;

inline bool moves(const Inst& inst) {
  return inst.op == Op::Const && inst.type == Type::I64 && inst.aux == kConstMoves;
}

inline Value const_address(Builder& builder, uint64_t address) {
  const Value value = builder.Const(Type::I64, address);
  builder.block().insts[value.id].aux = kConstMoves;
  return value;
}

}  // namespace lyrebird::ir
