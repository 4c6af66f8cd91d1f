// SPDX-License-Identifier: Apache-2.0
/// How a handler goes to another block.
#pragma once

#include "jit/interp/code.h"

namespace lyrebird::jit::interp {

/// The first record of the block for (pc, cpu.mode) if this thread has it at hand and may go on;
/// else nullptr, and the dispatcher looks further.
inline const Code* block_at_hand(uint64_t pc, unsigned index, const uint8_t* state, ThreadContext* thread) {
  const auto* const cpu = reinterpret_cast<const ir::CpuHeader*>(state);
  const void* const entry = thread->jump_cache->find(*cpu, pc, index);
  const bool quiet = cpu->exit_request.load(std::memory_order_relaxed) == 0 &&
                     thread->map_generation->load(std::memory_order_relaxed) == thread->generation;
  return quiet ? static_cast<const Code*>(entry) : nullptr;
}

/// Goes on at the block, or back to the dispatcher with cpu.pc set.
#define LYREBIRD_LEAVE_FOR(target_pc, index)                              \
  const uint64_t target = target_pc;                                      \
  const Code* const next = block_at_hand(target, index, state, thread);   \
  if (next) [[likely]]                                                    \
    [[clang::musttail]] return next->handler(next, frame, state, thread); \
  reinterpret_cast<ir::CpuHeader*>(state)->pc = target;                   \
  return

}  // namespace lyrebird::jit::interp
