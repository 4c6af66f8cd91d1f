// SPDX-License-Identifier: Apache-2.0
/// A translated stretch of guest code: single entry, many side exits, one terminal.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ir/inst.h"

namespace lyrebird::ir {

/// One field of a guest's state struct, as data: for printing, forwarding and the JITs' pinning.
struct StateField {
  std::string_view name;
  uint32_t offset;  ///< bytes from the start of the struct, which starts with CpuHeader
  Type type;
  /// 1 is the hottest of its type; 0: not hot. JITs keep the hottest I64 fields in host registers, and V128
  /// fields and the lower halves of V256 fields where the host has registers for them.
  uint8_t hot = 0;
};

/// Describes a guest's state. Fields are sorted by offset and do not overlap;
/// GetState/SetState may name a field, or an aligned part or whole of one.
struct StateLayout {
  std::span<const StateField> fields;
  uint32_t size = 0;  ///< bytes of the whole struct
  /// The guest's floating point is SSE's: kFpDenormal is collected for any operand that is subnormal
  /// (DenormalReport::WhenUsed), as an x86 host does by itself.
  bool sse_floats = false;
  /// The field "status" has the carry of differences as the IR has it (a borrow), and of sums and of values
  /// the other one (eval::kOtherCarry).
  bool other_carry = false;
  /// User mode: a number below kModeTags that no other mode has, or kOtherMode. Look-ups by pc and mode take
  /// less where it is known, and least where it is 0. nullptr: there are no such numbers.
  uint32_t (*mode_tag)(uint32_t mode) = nullptr;
};
inline constexpr uint32_t kModeTags = 512, kOtherMode = kModeTags;

/// Ints go in and out in 64-bit words; wider values pass through the state.
using HelperFn = uint64_t (*)(void* cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/// A frontend's own function, called by CallHelper. `effects` is what passes may assume.
struct HelperInfo {
  std::string_view name;
  HelperFn fn;
  uint8_t arg_count;
  Type result;  ///< None or an int type
  uint16_t effects;
};
using HelperTable = std::span<const HelperInfo>;

/// What names a block: where it starts, and the mode bits it was translated for.
struct BlockKey {
  uint64_t pc = 0;
  uint32_t mode = 0;
  bool operator==(const BlockKey&) const = default;
};

struct Block {
  BlockKey key;
  uint32_t guest_size = 0;   ///< bytes of guest code from key.pc on that were read
  uint32_t guest_count = 0;  ///< guest instructions
  std::vector<Inst> insts;   ///< SSA: a ValueId is an index into this
};

/// The effects of an instruction, with those of the helper for CallHelper and
/// without FpFlags where the mode raises none.
inline uint16_t effects(const Inst& inst, HelperTable helpers) {
  if (inst.op == Op::CallHelper) return helpers[inst.aux].effects;
  const uint16_t all = kOpEffects[static_cast<unsigned>(inst.op)];
  const bool quiet = (all & FpFlags) && inst.fp_mode().no_flags;
  return quiet ? all & ~FpFlags : all;
}

/// Number of value operands of an instruction (CallHelper: counts its arguments).
inline unsigned arg_count(const Inst& inst) {
  if (inst.op != Op::CallHelper) return kOpArgs[static_cast<unsigned>(inst.op)];
  unsigned n = 0;
  while (n < 4 && inst.args[n] != kNoValue) ++n;
  return n;
}

}  // namespace lyrebird::ir
