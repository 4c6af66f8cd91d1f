// SPDX-License-Identifier: Apache-2.0
/// What a virtual x86 processor has beside the registers that code reads and writes: what waits to be
/// delivered, the local APIC, model-specific registers, parts of the extended state that no instruction
/// of ours touches (SDM volume 3, chapters 6, 9, 11, 13). User mode has none of it.
#pragma once

#include <cstdint>
#include <vector>

#include "frontend/x86/x86_state.h"

namespace lyrebird::x86 {

/// Where a processor is between reset and running (SDM volume 3, 9.4).
enum class Activity : uint8_t { Running, WaitForInit, InitReceived, SipiReceived, Halted };

/// Exceptions and interrupts on their way: chosen but not delivered yet. "Injected": delivery has begun,
/// it comes before the next instruction whatever EFLAGS.IF says.
struct PendingEvents {
  bool exception_pending = false, exception_injected = false;
  bool exception_has_code = false, exception_has_payload = false;
  uint8_t exception_vector = 0;
  uint32_t exception_code = 0;
  uint64_t exception_payload = 0;  ///< what goes to CR2 or DR6 at delivery

  bool interrupt_injected = false, interrupt_soft = false;
  uint8_t interrupt_vector = 0;
  bool sti_shadow = false, mov_ss_shadow = false;  ///< interrupts are held for one instruction

  bool nmi_pending = false, nmi_injected = false, nmi_masked = false;
  bool smm = false, smi_pending = false, smm_inside_nmi = false, init_latched = false;
  bool triple_fault = false;
  uint32_t sipi_vector = 0;
};

struct Msr {
  uint32_t index = 0;
  uint64_t value = 0;
};

struct X86SystemState {
  X86State cpu;  ///< first, so that a CpuHeader of this guest is one of these

  PendingEvents events;
  Activity activity = Activity::Running;
  bool pdptrs_valid = false;
  uint64_t pdptr[4] = {};  ///< PAE paging keeps them since the last load of CR3
  uint64_t tsc = 0;

  /// Those without a field above or in X86State, sorted by index.
  std::vector<Msr> msrs;

  /// What reset() puts into msrs and lapic, given by who runs the processor.
  std::vector<Msr> reset_msrs;
  std::vector<uint8_t> reset_lapic;

  /// The local APIC's page of registers (SDM volume 3, table 11-1); empty if it lives elsewhere.
  std::vector<uint8_t> lapic;

  /// The XSAVE area (standard format) from its byte 832 on: what comes behind AVX, with the bits of
  /// XSTATE_BV that say what of it is in use.
  uint64_t xsave_rest_parts = 0;
  std::vector<uint8_t> xsave_rest;
};

inline X86SystemState& system_state_of(ir::CpuHeader& header) {
  return reinterpret_cast<X86SystemState&>(header);
}

/// Bits of CpuHeader::interrupt_lines.
enum InterruptLine : uint32_t { kInterruptIntr = 1, kInterruptNmi = 2 };

inline constexpr uint32_t kMsrTsc = 0x10, kMsrApicBase = 0x1b;

/// The field of X86State that an MSR is kept in, nullptr if there is none.
uint64_t* msr_field(X86State& state, uint32_t index);
/// As the last write or the processor's reset left it; 0 for one that isn't kept at all.
uint64_t msr_value(const X86SystemState& state, uint32_t index);
void set_msr_value(X86SystemState& state, uint32_t index, uint64_t value);

/// Power-up and INIT (SDM volume 3, table 9-1): real mode at ffff:fff0. `bootstrap`: the processor that
/// starts; the others wait for INIT and SIPI.
void reset(X86SystemState& state, bool bootstrap);

}  // namespace lyrebird::x86
