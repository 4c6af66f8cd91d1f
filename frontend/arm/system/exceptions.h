// SPDX-License-Identifier: Apache-2.0
/// Taking exceptions and returning from them (DDI 0487, D1.3 and D1.4). All of it changes pc, mode and state;
/// the caller has made the state precise.
#pragma once

#include "frontend/arm/system/system_state.h"

namespace lyrebird::arm {

/// Exception classes, ESR_ELx.EC (D19.2.37).
enum class ExceptionClass : uint8_t {
  Unknown = 0x00,
  WfxTrap = 0x01,
  FpTrap = 0x07,
  PacTrap = 0x09,
  BranchTarget = 0x0d,
  IllegalState = 0x0e,
  Svc = 0x15,
  Hvc = 0x16,
  Smc = 0x17,
  SystemRegister = 0x18,
  InstructionAbort = 0x20,  ///< from a lower level; 0x21 from the same
  PcAlignment = 0x22,
  DataAbort = 0x24,  ///< 0x25
  SpAlignment = 0x26,
  SError = 0x2f,
  Breakpoint = 0x30,    ///< 0x31
  SoftwareStep = 0x32,  ///< 0x33
  Watchpoint = 0x34,    ///< 0x35
  Brk = 0x3c,
};

/// ESR_ELx; `iss2` none. The IL bit says that the instruction has 32 bits.
constexpr uint64_t make_esr(ExceptionClass ec, uint32_t iss, bool il = true) {
  return uint64_t{static_cast<uint8_t>(ec)} << 26 | uint64_t{il} << 25 | iss;
}

/// Offsets into the vector table, from the current level with SP_EL0; plus 0x200, 0x400.
enum class Vector : uint16_t { Sync = 0, Irq = 0x80, Fiq = 0x100, SError = 0x180 };

/// Where a synchronous exception at the current level goes that no control register sends elsewhere.
unsigned default_target(const A64SystemState& state);

/// A synchronous exception (AArch64.TakeException). `far` is left alone where it has no value.
void take_sync(A64SystemState& state, unsigned target_el, uint64_t esr, uint64_t return_address,
               const uint64_t* far = nullptr);
/// Interrupts and SError at the instruction that pc names.
void take_async(A64SystemState& state, unsigned target_el, Vector vector, uint64_t esr = 0);

/// An instruction that the exception level has not, or that was configured away: EC 0.
void take_undefined(A64SystemState& state, uint64_t pc);
/// SVC, HVC and SMC, with pc after the instruction. HVC and SMC may be PSCI calls, or undefined.
void take_svc(A64SystemState& state, uint32_t immediate, uint64_t next_pc);
void take_hvc(A64SystemState& state, uint32_t immediate, uint64_t next_pc);
void take_smc(A64SystemState& state, uint32_t immediate, uint64_t next_pc);

/// ERET to an address (ELR_ELx), with SPSR_ELx of the current level, which is not EL0.
void exception_return(A64SystemState& state, uint64_t to);

/// What an instruction that raised ExitKind::Undefined with this word gets: a trap, or undefined.
void take_refused(A64SystemState& state, uint32_t word, uint64_t pc);
/// A fault that translation or an access found; as A64SystemState::fault has it.
void take_abort(A64SystemState& state, ir::Access access, uint64_t pc);
/// Software step exception, before the instruction at pc.
void take_step(A64SystemState& state, uint64_t pc);
/// BRK.
void take_brk(A64SystemState& state, uint32_t comment, uint64_t pc);

/// The pending interrupt of highest priority that is not masked is taken; false: there is none.
bool take_pending(A64SystemState& state, uint32_t lines);
/// kLineHypervisor follows HCR_EL2.
void note_virtual_interrupts(A64SystemState& state);
/// A CPU in WFI goes on: something is pending, masked or not.
bool ends_wait(const A64SystemState& state, uint32_t lines);
/// ISR_EL1 (D19.2.65): what is pending for the current level.
uint64_t isr_value(const A64SystemState& state, uint32_t lines);

/// Detail of ExitKind::Undefined above the instruction's 32 bits.
inline constexpr uint64_t kStepDetail = uint64_t{1} << 32;
inline constexpr uint64_t kIllegalDetail = uint64_t{2} << 32;
inline constexpr uint64_t kSpAlignDetail = uint64_t{3} << 32;

}  // namespace lyrebird::arm
