// SPDX-License-Identifier: Apache-2.0
/// The start of every guest's state struct: what executors need without knowing
/// the guest.
#pragma once

#include <atomic>
#include <cstdint>

namespace lyrebird::ir {

struct alignas(64) CpuHeader {
  uint64_t pc = 0;                        ///< guest address of the next instruction, valid outside of blocks
  uint32_t mode = 0;                      ///< the frontend's mode bits; with pc they are the block key
  uint32_t fp_flags = 0;                  ///< collected FpFlag bits
  std::atomic<uint32_t> exit_request{0};  ///< non-zero: leave at the next block boundary
  /// Non-zero: the engine looks at the map again at the next block boundary. Lies behind
  /// exit_request, so that generated code tests both at once.
  std::atomic<uint32_t> refresh_request{0};

  /// host address = memory_base + guest address (user mode).
  uint64_t memory_base = 0;

  /// Of the last fault: guest data address (with its tag), bytes of the access, ir::Access, and
  /// in user mode the host's signal (SIGSEGV, SIGBUS) and si_code.
  uint64_t fault_address = 0;
  uint32_t fault_size = 0;
  uint32_t fault_access = 0;
  int32_t fault_code = 0;
  int32_t fault_signal = 0;

  /// What LoadExclusive watches; size 0 is nothing.
  uint32_t exclusive_size = 0;
  uint64_t exclusive_address = 0;
  alignas(16) uint64_t exclusive_value[2] = {0, 0};
};

enum class Access : uint32_t { Read, Write, Fetch };

}  // namespace lyrebird::ir
