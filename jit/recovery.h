// SPDX-License-Identifier: Apache-2.0
/// How the guest's state is put together after a fault in a region: the code keeps it in registers
/// and on the stack as it likes, and for each host instruction that may fault it is known where.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/fault_guard.h"
#include "ir/inst.h"

namespace lyrebird::jit {

/// Where a value is while the host is at one instruction.
struct HostPlace {
  enum class Kind : uint8_t {
    General,   ///< register `reg`
    HighByte,  ///< bits 15:8 of register `reg`
    Vector,    ///< register `reg`, 0 to 31
    Stack,     ///< at rsp + value
    Constant,  ///< value itself
  } kind = Kind::Constant;
  uint8_t reg = 0;
  int64_t value = 0;
};

/// `size` bytes of the state at `offset` are at `place`.
struct SavedField {
  uint32_t offset = 0;
  uint32_t size = 0;
  HostPlace place;
};

/// How fields that hold flags are made of a few values: nodes are pure instructions whose args are
/// numbers of earlier nodes; Const; and GetState for the leaf of number imm.
struct FlagRecipe {
  struct Result {
    uint32_t offset = 0, size = 0, node = 0;
    bool operator==(const Result&) const = default;
  };
  std::vector<ir::Inst> nodes;
  std::vector<Result> fields;
};

/// The state at the host instruction at `code` (from the start of the region's code): what is not
/// named is in memory.
struct RecoveryPoint {
  uint32_t code = 0;
  std::vector<SavedField> fields;
  HostPlace recipe;               ///< 4 bytes: number of the recipe for flags; 0: they are in memory
  std::vector<HostPlace> leaves;  ///< 8 bytes each, of which a recipe looks at those that its leaf has
};

/// Packs all points of a region. Recipe 0 is never looked at.
std::vector<uint8_t> pack_recovery(std::span<const FlagRecipe> recipes,
                                   std::span<const RecoveryPoint> points);

/// Writes the state as it was at the host instruction at `code`; false if `packed` does not know it.
/// `host`: where the fault came from; the stack there must still be what it was.
bool recover(std::span<const uint8_t> packed, uint32_t code, const FaultGuard::Registers& host,
             std::span<uint8_t> state);

}  // namespace lyrebird::jit
