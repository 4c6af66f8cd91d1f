// SPDX-License-Identifier: Apache-2.0
/// What GicV2 and GicV3 do alike: a bit for each interrupt that could be taken (SGIs and PPIs in a word of
/// the CPU's, SPIs in shared ones), and the beginning of their state. Only for gicv2.cpp and gicv3*.cpp.
#pragma once

#include <cstdint>

#include "system/state_stream.h"

namespace lyrebird::devices {

/// Interrupts below this are a CPU's own.
inline constexpr unsigned kOwnInterrupts = 32;

/// Sets or clears the interrupt's bit.
template <typename Irq, typename Words>
void note_candidate(const Irq& irq, unsigned id, uint64_t& own, Words& shared) {
  const bool now = irq.enabled && irq.pending() && !irq.active;
  uint64_t& word = id < kOwnInterrupts ? own : shared[(id - kOwnInterrupts) / 64];
  const uint64_t bit = uint64_t{1} << (id < kOwnInterrupts ? id : (id - kOwnInterrupts) % 64);
  word = now ? word | bit : word & ~bit;
}

/// Calls refresh(cpu, id) for every interrupt there is.
template <typename Refresh>
void for_each_interrupt(size_t cpus, unsigned count, Refresh refresh) {
  for (unsigned cpu = 0; cpu < cpus; ++cpu)
    for (unsigned id = 0; id < kOwnInterrupts; ++id) refresh(cpu, id);
  for (unsigned id = kOwnInterrupts; id < count; ++id) refresh(0u, id);
}

/// False: the state is of another machine, or broken; the reader says so.
inline bool begin_gic_state(system::StateReader& from, const char* name, unsigned count, size_t cpus) {
  uint32_t interrupts, processors;
  from.begin(name, 1);
  from.field("interrupts", interrupts);
  from.field("cpus", processors);
  if (from.ok() && (interrupts != count || processors != cpus))
    from.fail("the machine has other CPUs or interrupts");
  return from.ok();
}

}  // namespace lyrebird::devices
