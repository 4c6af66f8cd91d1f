// SPDX-License-Identifier: Apache-2.0
/// The code around generated code: the way in and out, and thunks to C++.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/cpu_header.h"
#include "jit/baseline/plan.h"
#include "jit/interp/code.h"

namespace lyrebird::jit::baseline {

/// What the way in copies into the frame, as frame.h lays it out from kFrameExit on.
struct RuntimeTable {
  const void* exit = nullptr;
  const void* lookup = nullptr;
  const void* record = nullptr;
  const void* thunks[3] = {};
  const void* region_thunks[2] = {};
  const void* memory = nullptr;
};

/// Which exit of which block was taken.
struct Leave {
  uint64_t owner;
  uint64_t exit;
};

// The word that code starts with: its BaselineBlock*, or which block of which image it is.
constexpr uint64_t image_owner(uint32_t image, uint32_t number) {
  return uint64_t{image} << 32 | uint64_t{number} << 1 | 1;
}

/// In code that is kept: a pointer into this program, as a distance from its start.
inline constexpr uint64_t kDistance = uint64_t{1} << 63;
using Enter = Leave (*)(const void* code, ir::CpuHeader* cpu, ThreadContext* thread,
                        const RuntimeTable* table);

/// Ends a record that generated code calls: goes back to it.
interp::Handler return_handler();
/// RuntimeTable::record. The record's handlers may be kDistance.
void run_record(const interp::Code* code, uint8_t* frame, uint8_t* state, ThreadContext* thread);

/// Behind the memory thunk: what the cold path of an access in system mode calls. Operands and result are in
/// kFrameScratch, the access in kFrameAccess. True: ThreadContext::stop says why the block is left.
bool access_memory(uint64_t pc, uint8_t* frame, uint8_t* state, ThreadContext* thread);

/// Position-independent code of all these, and where in it they start.
struct RuntimeCode {
  std::vector<uint8_t> bytes;
  uint32_t enter = 0, exit = 0, lookup = 0, thunks[3] = {}, region_thunks[2] = {}, memory = 0;
};
/// `denormals`: StateLayout::sse_floats; `traps`: BaselineOptions::fp_traps; `mode_tags`: keys of
/// the jump cache have them.
RuntimeCode make_runtime(const Pins& pins, bool avx, bool denormals, bool traps, bool mode_tags);

/// The host's flags as an IR status word: what LAHF and SETO give.
constexpr uint16_t status_of_rflags(uint64_t flags) {
  return static_cast<uint16_t>((flags & 0xd5) << 8 | 0x200 | (flags >> 11 & 1));
}
constexpr uint64_t rflags_of_status(uint16_t status) { return status >> 8 | uint64_t{status & 1u} << 11; }
/// Writes the guest's flags from the host's; `sum`: FlagsAt::HostSum.
void put_flags(uint8_t* state, const Pins& pins, uint64_t rflags, bool sum);
/// Puts behind a region's code an entry for who comes with the guest's flags in the host's; gives its size.
uint32_t append_flags_entry(std::vector<uint8_t>& code, uint32_t entry, const Pins& pins);

/// MXCSR's exception flags as ir::FpFlag bits.
constexpr uint32_t flags_of_mxcsr(uint32_t mxcsr, bool denormals) {
  return (mxcsr & 1) | (mxcsr >> 1 & 0x1e) | (denormals ? (mxcsr & 2) << 4 : 0);
}

}  // namespace lyrebird::jit::baseline
