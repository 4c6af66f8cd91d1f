// SPDX-License-Identifier: Apache-2.0
/// Random blocks that keep the verifier's rules: every op, every type it exists
/// for. For tests of the text form, the passes and the executors.
#pragma once

#include <cstdint>
#include <optional>

#include "ir/builder.h"

namespace lyrebird::ir::test {

/// SplitMix64: small, and the same everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(next() % limit); }
  bool one_in(uint32_t n) { return below(n) == 0; }
  /// Often a number at an edge.
  uint64_t number();

 private:
  uint64_t state_;
};

/// A random instruction of an op whose types are right (type_error finds nothing),
/// without operand values: `operands` gets their types. Nothing for ops that have
/// no value form here (CallHelper, state, memory and control ops).
std::optional<Inst> random_inst(Random& random, Op op, Type* operands);

/// A small state: r0..r7 I64, v0..v3 V128, truths f0, f1 and numbers f2, f3 I8, after the CpuHeader.
const StateLayout& test_layout();
/// Two helpers: a pure one of two arguments, and one with every effect.
HelperTable test_helpers();

struct RandomBlockOptions {
  unsigned size = 40;  ///< about as many instructions
  uint64_t pc = 0x1000;
  bool memory = true;      ///< loads, stores, atomics
  bool calls = true;       ///< CallHelper
  bool side_exits = true;  ///< ExitIf, RaiseIf
  bool floats = true;
  /// If not 0: addresses are arena + a value below arena_size (a power of two).
  uint64_t arena = 0;
  uint32_t arena_size = 0;
};
Block random_block(Random& random, const RandomBlockOptions& options = {});

}  // namespace lyrebird::ir::test
