// SPDX-License-Identifier: Apache-2.0
/// The state of an AArch64 vCPU in a machine: that of user mode and the system registers.
///
/// SP is banked: `sp` is the current one, the others are in regs (SP_EL0 .. SP_EL3); whoever changes the
/// exception level or SPSel goes through set_el_and_sp(). header.mode follows from the rest by update_mode().
#pragma once

#include <cstddef>
#include <cstdint>

#include "frontend/arm/a64_state.h"
#include "frontend/arm/cpu_model.h"
#include "frontend/arm/system/services.h"
#include "frontend/arm/system/system_mode.h"

namespace lyrebird::arm {

enum class SysReg : uint16_t {
#define SYSREG(name, op0, op1, crn, crm, op2, access, trap, kind, reset) name,
#include "frontend/arm/system/system_registers.inc"
#undef SYSREG
  Count
};
inline constexpr unsigned kSysRegCount = static_cast<unsigned>(SysReg::Count);

/// Which call a guest makes PSCI requests with. Where it is Hvc, there is no EL2 and the other way round.
enum class PsciConduit : uint8_t { None, Hvc, Smc };

/// What the vCPUs of a machine have in common, besides the model.
struct SystemConfig {
  const CpuModel* model = nullptr;
  bool el2 = false, el3 = false;
  /// -icount: a block takes its instructions from A64SystemState::instruction_budget when it begins, and
  /// stops (Interrupted) before that if nothing is left.
  bool count_instructions = false;
  bool gicv3 = false;  ///< the system register interface is there
  PsciConduit psci = PsciConduit::Hvc;
  uint64_t reset_address = 0;  ///< RVBAR: pc after reset, unless set_entry() says otherwise
  unsigned pa_bits = 48;       ///< ID_AA64MMFR0_EL1.PARange: 32, 36, 40, 42, 44, 48 or 52
};

/// The fault that translate_address() last found.
struct TranslationFault {
  uint8_t status = 0;              ///< fault status code: ESR_ELx.ISS[5:0]
  bool stage2 = false;             ///< goes to EL2
  bool stage1_walk = false;        ///< stage 2 fault on a stage 1 table
  bool cache_maintenance = false;  ///< of AT or a cache operation: CM
  bool write_of_table = false;     ///< hardware update of a descriptor was refused: WnR
  uint64_t address = 0;            ///< virtual
  uint64_t ipa = 0;                ///< of a stage 2 fault
};

/// Where the pages that hold translation tables are in the host's memory, as far as they are RAM.
struct TableCache {
  const system::AddressSpace* space = nullptr;
  uint64_t generation = 0;  ///< of the space, when this was found
  struct Entry {
    uint64_t page = ~uint64_t{0};  ///< physical address / 4096
    const uint8_t* host = nullptr;
  } entries[32];
};

struct A64SystemState : A64State {
  uint64_t regs[kSysRegCount] = {};

  // PSTATE besides NZCV, SSBS and BTYPE.
  uint8_t el = 1;
  uint8_t sp_sel = 1;
  uint8_t daif = 0xf;  ///< D = 8, A = 4, I = 2, F = 1: masked
  uint8_t pan = 0;
  uint8_t uao = 0;
  uint8_t dit = 0;
  uint8_t illegal = 0;             ///< PSTATE.IL
  uint8_t single_step = 0;         ///< PSTATE.SS
  uint8_t access_failed = 0;       ///< set by helpers: the access to a GIC register was undefined
  uint8_t wait_for_interrupt = 0;  ///< set by helpers: PSCI's CPU_SUSPEND
  uint8_t event = 0;               ///< the event register, as far as SEVL sets it
  uint8_t uses_bti = 0;            ///< code in a guarded page has been run: BTYPE is kept from now on
  uint64_t cycle_base = 0;         ///< counter() less the cycle counter, or the counter while it is stopped
  int64_t instruction_budget = 0;  ///< see SystemConfig::count_instructions
  uint64_t mpidr = 0;              ///< MPIDR_EL1 of the hardware
  TranslationFault fault;
  TableCache tables;  ///< not part of the machine's state

  const SystemConfig* config = nullptr;
  frontend::VcpuServices* vcpu = nullptr;
  BoardServices* board = nullptr;

  uint64_t& reg(SysReg r) { return regs[static_cast<unsigned>(r)]; }
  uint64_t reg(SysReg r) const { return regs[static_cast<unsigned>(r)]; }
};

// PSTATE.DAIF as A64SystemState::daif has it.
inline constexpr uint8_t kDaifD = 8, kDaifA = 4, kDaifI = 2, kDaifF = 1;

/// Where lifted code finds the fields.
namespace state_offset {
// The struct has a base class, so that offsetof is only conditionally supported: it is here.
#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
#endif
inline constexpr uint32_t kRegs = offsetof(A64SystemState, regs), kEl = offsetof(A64SystemState, el),
                          kSpSel = offsetof(A64SystemState, sp_sel), kDaif = offsetof(A64SystemState, daif),
                          kPan = offsetof(A64SystemState, pan), kUao = offsetof(A64SystemState, uao),
                          kDit = offsetof(A64SystemState, dit), kIllegal = offsetof(A64SystemState, illegal),
                          kSingleStep = offsetof(A64SystemState, single_step),
                          kAccessFailed = offsetof(A64SystemState, access_failed),
                          kWaitForInterrupt = offsetof(A64SystemState, wait_for_interrupt),
                          kEvent = offsetof(A64SystemState, event),
                          kUsesBti = offsetof(A64SystemState, uses_bti),
                          kCycleBase = offsetof(A64SystemState, cycle_base),
                          kInstructionBudget = offsetof(A64SystemState, instruction_budget);
#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
}  // namespace state_offset

/// The state's fields as data: those of a64_layout() and the system registers by name.
const ir::StateLayout& a64_system_layout();

/// The state after a reset of the processor, at its highest exception level. Services and config must be set
/// and stay.
void reset_vcpu(A64SystemState& state, uint64_t mpidr);
/// Starts at `pc` in exception level `el`, MMU off, everything masked, x0 = argument, as boot loaders and
/// PSCI do it: what higher levels would have allowed the lower ones is allowed.
void set_entry(A64SystemState& state, uint64_t pc, unsigned el, uint64_t argument);
/// The highest exception level that is not secure state's: where PSCI starts a CPU.
unsigned entry_el(const SystemConfig& config);

/// Changes exception level and stack pointer selection; the caller calls update_mode() once all is changed.
void set_el_and_sp(A64SystemState& state, unsigned el, unsigned sp_sel);
/// Makes header.mode and pac_enabled from the rest of the state.
void update_mode(A64SystemState& state);
/// After fields were written from outside (a debugger, a snapshot): everything that follows from them, here,
/// in the accelerator and on the board.
void state_changed(A64SystemState& state);
/// PSTATE as SPSR_ELx has it.
uint64_t system_pstate(const A64SystemState& state);
/// PSTATE besides EL, SP, IL and SS from an SPSR value.
void set_system_pstate(A64SystemState& state, uint64_t spsr);

// --- what follows from several registers

/// EL2 is there and in use in the current security state.
bool el2_enabled(const A64SystemState& state);
/// SCR_EL3.NS; without EL3 the machine is non-secure. EL3 itself is secure.
bool is_secure(const A64SystemState& state);
/// HCR_EL2 as it works at EL1 and EL0: zero unless el2_enabled(); TGE implies what it implies.
uint64_t effective_hcr(const A64SystemState& state);
/// EL2 and EL0 share a translation regime (HCR_EL2.E2H, and for EL0 TGE).
bool in_host_regime(const A64SystemState& state);
/// SCTLR_ELx of the current translation regime.
uint64_t current_sctlr(const A64SystemState& state);
/// The level that FP and SIMD instructions trap to now; 0: they do not.
unsigned fp_trap_el(const A64SystemState& state);
/// Software step exceptions are enabled at the level (D2.12).
bool step_enabled(const A64SystemState& state, unsigned el, bool d_masked);

/// Register REG_EL1, REG_EL2 or REG_EL3 by level.
constexpr SysReg by_el(unsigned el, SysReg el1, SysReg el2, SysReg el3) {
  return el == 1 ? el1 : el == 2 ? el2 : el3;
}

}  // namespace lyrebird::arm
