// SPDX-License-Identifier: Apache-2.0
/// Evaluates one instruction on constants, by the templates of ir/eval.h. Slow
/// but complete: the folder and the tests use it, and the JITs are compared to it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "ir/block.h"

namespace lyrebird::ir {

/// A value: its bits, little endian, zeros above the type's width.
struct Constant {
  alignas(32) uint8_t b[32] = {};
  Type type = Type::None;

  static Constant of(Type type, uint64_t low, uint64_t high = 0);
  static Constant of_bytes(Type type, const void* from);
  uint64_t low() const { return word(0); }
  uint64_t high() const { return word(1); }
  uint64_t word(unsigned i) const {
    uint64_t v;
    std::memcpy(&v, b + 8 * i, 8);
    return v;
  }
  bool operator==(const Constant&) const = default;
};

/// The result of a pure or FP op whose types are right (ir/typing.h) on operands
/// `args`. FP ops start from *fp_flags and leave the flags after it there. False,
/// with *out untouched, for ops that have no such meaning (memory, state, control,
/// helpers) and for wrong types.
bool evaluate(const Inst& inst, std::span<const Constant> args, Constant* out, uint32_t* fp_flags);

}  // namespace lyrebird::ir
