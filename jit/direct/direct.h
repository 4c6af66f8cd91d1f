// SPDX-License-Identifier: Apache-2.0
/// Guest code as host code of the same ISA: what a translator (accel/direct) gives the engine.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/cpu_header.h"
#include "jit/code_plan.h"
#include "jit/direct/area.h"

namespace lyrebird::jit::direct {

/// In FaultPlan::f80: the register that the host's instruction had replaced, plus 1, and whether its value is
/// in Area::gpr and not in Area::spill.
inline constexpr uint32_t kFaultRegister = 0x1f, kFaultInGpr = 0x20;

/// What to write where once it is known where the code lies: a rel32 to an address.
struct Relocation {
  uint32_t offset;  ///< of the rel32
  uint32_t end;     ///< of the instruction
  uint64_t target;
};

/// A block. Its code begins with kCodeHeader bytes that are the engine's.
struct Code {
  static constexpr uint32_t kRoom = 16384;
  static constexpr unsigned kMostExits = 8;
  ir::BlockKey key;
  uint32_t guest_size = 0, guest_count = 0;
  uint32_t size = 0;
  uint8_t bytes[kRoom];
  /// Where jumps from higher addresses go, which look at Area::poll, and where others do. Area::table leads to
  /// kCodeHeader.
  uint32_t poll = 0, main = 0;
  uint32_t hot = 0;  ///< where the stubs begin
  std::vector<ExitPlan> exits;
  std::vector<FaultPlan> faults;
  std::vector<Relocation> relocations;
  bool near(uint64_t address) const { return address - near_from < near_to - near_from; }
  uint64_t near_from = 0, near_to = 0;  ///< in: addresses that rel32 reach from wherever the code lies
};

/// The guest's side: its state, and the registers in the Area.
class Guest {
 public:
  virtual ~Guest() = default;
  virtual void load(const ir::CpuHeader& cpu, Area& area) const = 0;
  virtual void store(ir::CpuHeader& cpu, Area& area) const = 0;
};

}  // namespace lyrebird::jit::direct
