// SPDX-License-Identifier: Apache-2.0
/// Who wants to know what host code is where: logs, profilers, debuggers.
#pragma once

#include <cstdint>
#include <span>

#include "ir/block.h"

namespace lyrebird::jit {

/// Host code of one block or region.
struct HostCode {
  /// From `offset` on, code for the guest instruction at `pc`.
  struct Mark {
    uint32_t offset;
    uint64_t pc;
  };
  ir::BlockKey key;
  uint32_t guest_size = 0;
  const char* tier = "";  ///< the executor that made it
  const uint8_t* code = nullptr;
  uint32_t size = 0;      ///< bytes of instructions; data may follow
  uint32_t start = 0;     ///< offset of the first instruction
  uint32_t hot_size = 0;  ///< from `start`; what follows is out of line
  std::span<const Mark> marks;
};

/// Thread-safe. Called with locks held: must not call back.
class CodeObserver {
 public:
  virtual ~CodeObserver() = default;
  virtual void made(const HostCode& code) = 0;
  /// The memory at `code` will be used again.
  virtual void gone(const uint8_t* code) = 0;
};

}  // namespace lyrebird::jit
