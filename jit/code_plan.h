// SPDX-License-Identifier: Apache-2.0
/// What comes with generated code of either tier: its exits, where it may fault, what it calls.
/// Offsets are from the start of the code, which begins with kCodeHeader bytes that are the engine's.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/block.h"
#include "jit/recovery.h"

namespace lyrebird::jit {

/// Code starts with a pointer to the block it belongs to; the entry is behind it.
inline constexpr uint32_t kCodeHeader = 16;

/// Where the guest's flags are (baseline::Pins::status).
enum class FlagsAt : uint8_t {
  State,
  Host,         ///< in the host's flags
  HostSum,      ///< (Pins::other_carry) there, but for the carry, which is the other one
  HostIfNoRcx,  ///< (faults) there if rcx is 0, in the state if not
};

/// A way out.
struct ExitPlan {
  enum class Kind : uint8_t { Jump, Indirect, Raise, Stopped, Entry } kind = Kind::Jump;
  bool mode_known = true;
  uint32_t mode = 0;
  uint64_t pc = 0;  ///< (not Indirect, Stopped)
  ir::ExitKind raise = ir::ExitKind::None;
  uint64_t detail = 0;
  /// Offset of what takes the exit to its stub until it is linked, 0: never linked. Baseline: the rel32 of
  /// a jump. Region: a pointer to jump to.
  uint32_t patch = 0;
  uint32_t stub = 0;  ///< offset of the stub
  /// If not in the state, linked to where a block expects them like that. The stub stores them.
  FlagsAt flags = FlagsAt::State;
  /// The block may have asked for something itself: where it goes the request has to be seen.
  bool asks = false;
};

struct FaultPlan {
  uint32_t offset;  ///< of the host instruction that may fault
  uint32_t guest;   ///< offset of the guest instruction from the block's pc, modulo 2^32, signed
  /// Fields of F80 that are on the host's x87 and not in the state: 4 bits for each (Pins::f80), 0 or
  /// the depth there plus 1.
  uint32_t f80 = 0;
  FlagsAt flags = FlagsAt::State;
  bool plain = false;  ///< the guest's access is a Load or a Store, and the host's is the same
};

/// Host instructions that may raise a floating point exception, and where they go on then.
struct TrapPlan {
  uint32_t offset, size;
  uint32_t target;
};

/// Room in the code for a record of the interpreter (jit/interp/code.h) that the code calls. The
/// engine puts it there: the handler, and what it needs, are addresses of this process.
struct RecordPlan {
  enum class Kind : uint8_t { Value, Memory, Helper } kind = Kind::Value;
  uint32_t offset = 0;  ///< of room for kRecordSize bytes, 32-byte aligned
  ir::Inst inst;        ///< its args mean nothing
  ir::Type operand = ir::Type::None;
  uint64_t pc = 0;  ///< (Memory, Helper) of the guest instruction
};
inline constexpr uint32_t kRecordSize = 96;

/// Position-independent code of a region.
struct RegionCode {
  std::vector<uint8_t> bytes;
  uint32_t entry = 0;
  std::vector<ExitPlan> exits;
  std::vector<FaultPlan> faults;
  std::vector<RecordPlan> records;
  std::vector<FlagRecipe> recipes;
  std::vector<RecoveryPoint> recovery;  ///< where the state is at faults, if not in memory
};

}  // namespace lyrebird::jit
