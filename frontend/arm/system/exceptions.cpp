// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/exceptions.h"

#include "base/bits.h"
#include "base/log.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/psci.h"
#include "frontend/arm/system/system_registers.h"

namespace lyrebird::arm {
namespace {

using enum SysReg;

constexpr SysReg elr(unsigned el) { return by_el(el, ELR_EL1, ELR_EL2, ELR_EL3); }
constexpr SysReg spsr_of(unsigned el) { return by_el(el, SPSR_EL1, SPSR_EL2, SPSR_EL3); }
constexpr SysReg esr_of(unsigned el) { return by_el(el, ESR_EL1, ESR_EL2, ESR_EL3); }
constexpr SysReg far_of(unsigned el) { return by_el(el, FAR_EL1, FAR_EL2, FAR_EL3); }
constexpr SysReg vbar(unsigned el) { return by_el(el, VBAR_EL1, VBAR_EL2, VBAR_EL3); }
constexpr SysReg sctlr_of(unsigned el) { return by_el(el, SCTLR_EL1, SCTLR_EL2, SCTLR_EL3); }

/// PSTATE.PAN is set on entry unless SCTLR_ELx.SPAN says otherwise (D8.4.1.2).
bool sets_pan(const A64SystemState& state, unsigned target) {
  if (!state.config->model->features.has(Feature::PAN) || target == 3) return false;
  if (target == 2) {
    const uint64_t host = hcr::kE2h | hcr::kTge;
    if ((state.reg(HCR_EL2) & host) != host) return false;
  }
  return !(state.reg(sctlr_of(target)) & sctlr::kSpan);
}

/// The common part of all exceptions: PSTATE to SPSR, the new PSTATE, the vector.
void enter(A64SystemState& state, unsigned target, Vector vector, uint64_t return_address) {
  unsigned offset = static_cast<unsigned>(vector);
  if (target > state.el) {
    offset += 0x400;
  } else if (state.sp_sel) {
    offset += 0x200;
  }
  state.reg(spsr_of(target)) = system_pstate(state);
  state.reg(elr(target)) = return_address;
  if (sets_pan(state, target)) state.pan = 1;
  state.uao = state.illegal = state.single_step = 0;
  state.daif = 0xf;
  state.header.mode &= ~kModeBtypeMask;
  const uint64_t control = state.reg(sctlr_of(target));
  if (state.config->model->features.has(Feature::SSBS)) state.ssbs = (control & sctlr::kDssbs) != 0;
  set_el_and_sp(state, target, 1);
  state.header.pc = state.reg(vbar(target)) + offset;
  update_mode(state);
}

void log_entry(const A64SystemState& state, const char* what, unsigned from, uint64_t from_pc,
               unsigned target) {
  if (!log_enabled(LogTopic::Int)) return;
  log(LogTopic::Int, "{} cpu {:x} EL{} -> EL{} pc {:#x} -> {:#x} spsr {:#x} esr {:#x} (ec {:#x}) far {:#x}\n",
      what, state.mpidr & 0xffffff, from, target, from_pc, state.header.pc, state.reg(spsr_of(target)),
      state.reg(esr_of(target)), state.reg(esr_of(target)) >> 26, state.reg(far_of(target)));
}

uint32_t ec_for(const A64SystemState& state, ExceptionClass ec, unsigned target) {
  return static_cast<uint32_t>(ec) + (state.el == target ? 1 : 0);
}

uint64_t make_esr_at(const A64SystemState& state, ExceptionClass lower, unsigned target, uint32_t iss,
                     bool il) {
  return make_esr(static_cast<ExceptionClass>(ec_for(state, lower, target)), iss, il);
}

/// The instruction that is stepped did not get done: it keeps PSTATE.SS (D2.12.5).
void not_stepped(A64SystemState& state) {
  if (state.header.mode & kModeStep) state.single_step = 1;
}

// --- what an access that was refused gets

uint32_t system_access_iss(uint32_t word) {
  const unsigned op0 = bits(word, 19, 2), op1 = bits(word, 16, 3), crn = bits(word, 12, 4),
                 crm = bits(word, 8, 4), op2 = bits(word, 5, 3), rt = bits(word, 0, 5),
                 read = bits(word, 21, 1);
  return op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | rt << 5 | crm << 1 | read;
}

/// External aborts (D1.3.6): SCR_EL3.EA, HCR_EL2.TEA.
unsigned abort_target(const A64SystemState& state, const TranslationFault& fault) {
  if (fault.stage2) return 2;
  const bool external = fault.status == kStatusExternal || (fault.status & 0x3c) == kStatusExternalWalk;
  if (external) {
    if (state.config->el3 && (state.reg(SCR_EL3) & scr::kEa)) return 3;
    if (state.el < 2 && (effective_hcr(state) & hcr::kTea)) return 2;
  }
  return default_target(state);
}

}  // namespace

unsigned default_target(const A64SystemState& state) {
  if (state.el >= 2) return state.el;
  return state.el == 0 && (effective_hcr(state) & hcr::kTge) ? 2 : 1;
}

void take_sync(A64SystemState& state, unsigned target_el, uint64_t esr, uint64_t return_address,
               const uint64_t* far) {
  const unsigned from = state.el;
  const uint64_t from_pc = return_address;
  state.reg(esr_of(target_el)) = esr;
  if (far) state.reg(far_of(target_el)) = *far;
  enter(state, target_el, Vector::Sync, return_address);
  log_entry(state, "sync", from, from_pc, target_el);
}

void take_async(A64SystemState& state, unsigned target_el, Vector vector, uint64_t esr) {
  const unsigned from = state.el;
  const uint64_t from_pc = state.header.pc;
  if (vector == Vector::SError) state.reg(esr_of(target_el)) = esr;
  enter(state, target_el, vector, from_pc);
  log_entry(state,
            vector == Vector::Irq   ? "irq"
            : vector == Vector::Fiq ? "fiq"
                                    : "serror",
            from, from_pc, target_el);
}

void take_undefined(A64SystemState& state, uint64_t pc) {
  not_stepped(state);
  take_sync(state, default_target(state), make_esr(ExceptionClass::Unknown, 0), pc);
}

void take_svc(A64SystemState& state, uint32_t immediate, uint64_t next_pc) {
  take_sync(state, default_target(state), make_esr(ExceptionClass::Svc, immediate), next_pc);
}

// AArch64.HVC: undefined at EL0, without EL2, with HCR_EL2.HCD or SCR_EL3.HCE = 0.
void take_hvc(A64SystemState& state, uint32_t immediate, uint64_t next_pc) {
  const SystemConfig& config = *state.config;
  if (config.psci == PsciConduit::Hvc && state.el == 1 && !config.el2) {
    state.header.pc = next_pc;
    return psci_call(state);
  }
  const bool disabled =
      config.el3 ? !(state.reg(SCR_EL3) & scr::kHce) : (state.reg(HCR_EL2) & hcr::kHcd) != 0;
  if (!config.el2 || state.el == 0 || disabled || (state.el == 1 && !el2_enabled(state)))
    return take_undefined(state, next_pc - 4);
  take_sync(state, state.el == 3 ? 3 : 2, make_esr(ExceptionClass::Hvc, immediate), next_pc);
}

// AArch64.CallSecureMonitor and CheckForSMCUndefOrTrap.
void take_smc(A64SystemState& state, uint32_t immediate, uint64_t next_pc) {
  const SystemConfig& config = *state.config;
  if (state.el == 0) return take_undefined(state, next_pc - 4);
  if (state.el == 1 && (effective_hcr(state) & hcr::kTsc)) {
    not_stepped(state);
    return take_sync(state, 2, make_esr(ExceptionClass::Smc, immediate), next_pc - 4);
  }
  if (config.psci == PsciConduit::Smc && state.el < 3) {
    state.header.pc = next_pc;
    return psci_call(state);
  }
  if (!config.el3 || (state.reg(SCR_EL3) & scr::kSmd)) return take_undefined(state, next_pc - 4);
  take_sync(state, 3, make_esr(ExceptionClass::Smc, immediate), next_pc);
}

void take_refused(A64SystemState& state, uint32_t word, uint64_t pc) {
  not_stepped(state);
  const RefusedBy refused = why_refused(state, word);
  switch (refused.reason) {
    case RefusedBy::Fp: {
      constexpr uint32_t kCondition = 1u << 24 | 0xe << 20;
      return take_sync(state, refused.target_el, make_esr(ExceptionClass::FpTrap, kCondition), pc);
    }
    case RefusedBy::SystemAccess:
      return take_sync(state, refused.target_el,
                       make_esr(ExceptionClass::SystemRegister, system_access_iss(word)), pc);
    case RefusedBy::WaitFor: {
      const uint32_t iss = 1u << 24 | 0xe << 20 | (word == kWfeWord ? 1 : 0);
      return take_sync(state, refused.target_el, make_esr(ExceptionClass::WfxTrap, iss), pc);
    }
    case RefusedBy::Nothing:
      return take_undefined(state, pc);
  }
}

void take_abort(A64SystemState& state, ir::Access access, uint64_t pc) {
  not_stepped(state);
  const TranslationFault fault = state.fault;
  const unsigned target = abort_target(state, fault);
  uint32_t iss = fault.status;
  if (fault.stage1_walk) iss |= 1u << 7;
  const bool fetch = access == ir::Access::Fetch;
  if (!fetch && (access == ir::Access::Write || fault.write_of_table)) iss |= 1u << 6;
  if (fault.cache_maintenance) iss |= 1u << 8 | 1u << 6;
  if (fault.stage2) {
    state.reg(HPFAR_EL2) = fault.ipa >> 12 << 4;
    if (!fetch && !fault.stage1_walk) iss |= access_syndrome(state, pc);
  }
  const ExceptionClass lower = fetch ? ExceptionClass::InstructionAbort : ExceptionClass::DataAbort;
  const bool valid_syndrome = bit(iss, 24);
  const uint64_t esr = make_esr_at(state, lower, target, iss, fetch || !fault.stage2 || valid_syndrome);
  take_sync(state, target, esr, pc, &fault.address);
}

void take_step(A64SystemState& state, uint64_t pc) {
  const bool to_el2 = state.el < 2 && el2_enabled(state) &&
                      ((state.reg(MDCR_EL2) & mdcr::kTde) || (state.reg(HCR_EL2) & hcr::kTge));
  const unsigned target = to_el2 || state.el == 2 ? 2 : 1;
  constexpr uint32_t kStatusDebug = 0x22;
  take_sync(state, target, make_esr_at(state, ExceptionClass::SoftwareStep, target, kStatusDebug, true), pc);
}

void take_brk(A64SystemState& state, uint32_t comment, uint64_t pc) {
  not_stepped(state);
  const bool to_el2 = state.el < 2 && el2_enabled(state) &&
                      ((state.reg(MDCR_EL2) & mdcr::kTde) || (state.reg(HCR_EL2) & hcr::kTge));
  const unsigned target = to_el2 ? 2 : state.el == 0 ? 1 : state.el;
  take_sync(state, target, make_esr(ExceptionClass::Brk, comment), pc);
}

// --- return (D1.4.4, AArch64.ExceptionReturn)

namespace {

/// IllegalExceptionReturn.
bool is_illegal_return(const A64SystemState& state, uint64_t value) {
  const SystemConfig& config = *state.config;
  if (value & spsr::kAarch32) return true;
  const unsigned target = bits(value, 2, 2);
  if (target > state.el || bit(value, 1) || (target == 0 && bit(value, 0))) return true;
  const bool non_secure = !config.el3 || (state.reg(SCR_EL3) & scr::kNs);
  if (target == 2 && (!config.el2 || !non_secure)) return true;
  if (target == 3 && !config.el3) return true;
  return target == 1 && el2_enabled(state) && (state.reg(HCR_EL2) & hcr::kTge);
}

/// DebugExceptionReturnSS: whether PSTATE.SS comes back.
bool returns_step(const A64SystemState& state, uint64_t value, unsigned target) {
  if (!(value & spsr::kSs)) return false;
  return !step_enabled(state, state.el, (state.daif & kDaifD) != 0) &&
         step_enabled(state, target, bit(value, 9));
}

}  // namespace

void exception_return(A64SystemState& state, uint64_t to) {
  const unsigned from = state.el;
  const uint64_t value = state.reg(spsr_of(from));
  state.header.exclusive_size = 0;
  const bool illegal = is_illegal_return(state, value);
  const unsigned target = illegal ? from : bits(value, 2, 2);
  const bool step = returns_step(state, value, target);
  const bool pan = state.pan, uao = state.uao;
  set_system_pstate(state, value);
  if (illegal) {
    state.pan = pan;
    state.uao = uao;
    state.illegal = 1;
  } else {
    state.illegal = (value & spsr::kIl) != 0;
    set_el_and_sp(state, target, bit(value, 0));
  }
  state.single_step = step;
  state.header.pc = to;
  update_mode(state);
  if (log_enabled(LogTopic::Int))
    log(LogTopic::Int, "eret cpu {:x} EL{} -> EL{} pc {:#x} spsr {:#x}{}\n", state.mpidr & 0xffffff, from,
        state.el, to, value, illegal ? " (illegal)" : "");
  if (state.vcpu) state.vcpu->recheck_interrupts();
}

// --- interrupts (D1.3.7)

namespace {

struct Interrupt {
  uint32_t line;
  uint8_t mask;  ///< in PSTATE.DAIF
  uint64_t scr_bit, hcr_bit;
  Vector vector;
};
constexpr Interrupt kPhysical[] = {
    {kLineSError, kDaifA, scr::kEa, hcr::kAmo, Vector::SError},
    {kLineFiq, kDaifF, scr::kFiq, hcr::kFmo, Vector::Fiq},
    {kLineIrq, kDaifI, scr::kIrq, hcr::kImo, Vector::Irq},
};

unsigned physical_target(const A64SystemState& state, const Interrupt& interrupt) {
  if (state.config->el3 && (state.reg(SCR_EL3) & interrupt.scr_bit)) return 3;
  if (el2_enabled(state) && (effective_hcr(state) & interrupt.hcr_bit)) return 2;
  return 1;
}

bool is_masked(const A64SystemState& state, const Interrupt& interrupt, unsigned target) {
  if (target < state.el) return true;
  if (target > state.el && target > 1) {
    const uint64_t host = hcr::kE2h | hcr::kTge;
    if (target == 3 || (state.reg(HCR_EL2) & host) != host) return false;
  }
  return state.daif & interrupt.mask;
}

/// Virtual interrupts (of kPhysical) that are pending: lines of the GIC, and HCR_EL2's own.
bool is_virtual_pending(const A64SystemState& state, const Interrupt& interrupt, uint32_t lines) {
  const uint64_t control = effective_hcr(state);
  if (!(control & interrupt.hcr_bit) || (control & hcr::kTge)) return false;
  switch (interrupt.line) {
    case kLineIrq:
      return (lines & kLineVirtualIrq) || (control & hcr::kVi);
    case kLineFiq:
      return (lines & kLineVirtualFiq) || (control & hcr::kVf);
    default:
      return (control & hcr::kVse) != 0;
  }
}

}  // namespace

bool take_pending(A64SystemState& state, uint32_t lines) {
  for (const Interrupt& interrupt : kPhysical) {
    if (!(lines & interrupt.line)) continue;
    const unsigned target = physical_target(state, interrupt);
    if (is_masked(state, interrupt, target)) continue;
    take_async(state, target, interrupt.vector, make_esr(ExceptionClass::SError, 0));
    return true;
  }
  if (state.el > 1) return false;
  for (const Interrupt& interrupt : kPhysical) {
    if ((state.daif & interrupt.mask) || !is_virtual_pending(state, interrupt, lines)) continue;
    if (interrupt.line == kLineSError) {
      state.reg(HCR_EL2) &= ~hcr::kVse;
      note_virtual_interrupts(state);
    }
    take_async(state, 1, interrupt.vector, make_esr(ExceptionClass::SError, 0));
    return true;
  }
  return false;
}

void note_virtual_interrupts(A64SystemState& state) {
  if (state.reg(HCR_EL2) & (hcr::kVi | hcr::kVf | hcr::kVse)) {
    state.header.interrupt_lines.fetch_or(kLineHypervisor);
  } else {
    state.header.interrupt_lines.fetch_and(~uint32_t{kLineHypervisor});
  }
}

bool ends_wait(const A64SystemState& state, uint32_t lines) {
  if (lines & (kLineIrq | kLineFiq | kLineSError)) return true;
  if (state.el > 1) return false;
  for (const Interrupt& interrupt : kPhysical)
    if (is_virtual_pending(state, interrupt, lines)) return true;
  return false;
}

uint64_t isr_value(const A64SystemState& state, uint32_t lines) {
  uint64_t value = 0;
  for (const Interrupt& interrupt : kPhysical) {
    const bool is_virtual = state.el < 2 && (effective_hcr(state) & interrupt.hcr_bit);
    const bool pending =
        is_virtual ? is_virtual_pending(state, interrupt, lines) : (lines & interrupt.line) != 0;
    if (pending) value |= uint64_t{interrupt.mask} << 6;
  }
  return value;
}

}  // namespace lyrebird::arm
