// SPDX-License-Identifier: Apache-2.0
/// How the host does an atomic read-modify-write.
#pragma once

#include <asmjit/x86.h>

#include <optional>

#include "ir/inst.h"
#include "jit/baseline/ids.h"

namespace lyrebird::jit::baseline {

/// What a CMPXCHG loop makes the new value with (and-not: with the other operand inverted); kIdNone:
/// one instruction does it, XADD or XCHG. Nothing: the op is none that the host has.
inline std::optional<asmjit::InstId> atomic_combiner(ir::Op op) {
  switch (op) {
    case ir::Op::AtomicAdd:
    case ir::Op::AtomicSwap:
      return hi::kIdNone;
    case ir::Op::AtomicAndNot:
      return hi::kIdAnd;
    case ir::Op::AtomicOr:
      return hi::kIdOr;
    case ir::Op::AtomicXor:
      return hi::kIdXor;
    default:
      return std::nullopt;
  }
}

}  // namespace lyrebird::jit::baseline
