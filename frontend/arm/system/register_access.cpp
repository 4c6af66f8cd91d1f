// SPDX-License-Identifier: Apache-2.0
// Registers that are more than a field: read_sys_reg() and write_sys_reg().
#include "base/bits.h"
#include "base/log.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/exceptions.h"
#include "frontend/arm/system/mmu.h"
#include "frontend/arm/system/system_registers.h"
#include "frontend/arm/system/timers.h"

namespace lyrebird::arm {
namespace {

using enum SysReg;

constexpr uint32_t kAllEl1Spaces = kMmuSpacesEl1, kEl2Spaces = kMmuSpacesEl2Host | 1u << kMmuEl2,
                   kEl3Spaces = 1u << kMmuEl3;

uint64_t& field(A64SystemState& state, SysReg r) {
  return *reinterpret_cast<uint64_t*>(reinterpret_cast<uint8_t*>(&state) + sys_reg_offset(r));
}

void flush(A64SystemState& state, uint32_t spaces) { state.vcpu->tlb_flush({.spaces = spaces}); }

// --- the cycle counter: nanoseconds of the system counter

constexpr uint64_t kPmcrEnable = 1, kPmcrReset = 4, kPmcrWritable = 0x69, kCycleCounter = uint64_t{1} << 31;

bool cycles_run(const A64SystemState& state) {
  return (state.reg(PMCR_EL0) & kPmcrEnable) && (state.reg(PMCNTENSET_EL0) & kCycleCounter);
}

uint64_t cycles(const A64SystemState& state) {
  return cycles_run(state) ? state.board->counter() - state.cycle_base : state.cycle_base;
}

void set_cycles(A64SystemState& state, uint64_t value) {
  state.cycle_base = cycles_run(state) ? state.board->counter() - value : value;
}

/// Changes what decides whether the counter runs, and keeps its value.
void change_pmu(A64SystemState& state, SysReg r, uint64_t value) {
  const uint64_t count = cycles(state);
  state.reg(r) = value;
  set_cycles(state, count);
}

void write_pmcr(A64SystemState& state, uint64_t value) {
  change_pmu(state, PMCR_EL0, value & kPmcrWritable);
  if (value & kPmcrReset) set_cycles(state, 0);
}

// --- identification

uint64_t cache_size(uint64_t selected) {
  switch (selected & 0xf) {
    case 0:
      return 0x701fe01a;  // L1 data: 32 KiB, 4 ways, 64-byte lines
    case 1:
      return 0x201fe01a;  // L1 instructions: the same
    case 2:
      return 0x70ffe07a;  // L2: 2 MiB, 16 ways
    default:
      return 0;
  }
}

uint64_t dczid(const A64SystemState& state) {
  constexpr uint64_t kProhibited = 1u << 4;
  const bool el0 = state.el == 0 && !(current_sctlr(state) & sctlr::kDze);
  const bool trapped = state.el < 2 && (effective_hcr(state) & hcr::kTdz);
  return kDczidEl0 | (el0 || trapped ? kProhibited : 0);
}

// --- what the registers of other contexts change

/// An ASID that has changed.
void context_changed(A64SystemState& state, bool host) {
  state.vcpu->context_changed(host ? kMmuSpacesEl2Host : kAllEl1Spaces, current_context(state, host));
}

/// TTBRx_ELy without the ASID.
constexpr uint64_t kTableBase = low_mask(48) & ~uint64_t{1};

void write_table_base(A64SystemState& state, SysReg r, uint64_t value) {
  const bool host = r == TTBR0_EL2 || r == TTBR1_EL2;
  const bool upper = r == TTBR1_EL1 || r == TTBR1_EL2;
  const uint32_t before = current_context(state, host);
  const bool moved = upper && ((state.reg(r) ^ value) & kTableBase) != 0;
  state.reg(r) = value;
  if (moved)
    state.vcpu->upper_table_changed(
        host ? 1u << kMmuEl2Host | 1u << kMmuEl2HostPan : 1u << kMmuEl1 | 1u << kMmuEl1Pan,
        value & kTableBase);
  if (moved || current_context(state, host) != before) context_changed(state, host);
}

void write_tcr(A64SystemState& state, SysReg r, uint64_t value) {
  const uint64_t before = state.reg(r);
  state.reg(r) = value;
  if (before == value) return;
  if (r == TCR_EL1) {
    flush(state, kAllEl1Spaces);
    context_changed(state, false);
  } else {
    flush(state, r == TCR_EL2 ? kEl2Spaces : kEl3Spaces);
    if (r == TCR_EL2) context_changed(state, true);
  }
  update_mode(state);
}

void write_sctlr(A64SystemState& state, SysReg r, uint64_t value) {
  const uint64_t changed = state.reg(r) ^ value;
  state.reg(r) = value;
  if (changed & (sctlr::kM | sctlr::kWxn | sctlr::kEe))
    flush(state, r == SCTLR_EL1 ? kAllEl1Spaces : r == SCTLR_EL2 ? kEl2Spaces : kEl3Spaces);
  update_mode(state);
}

void write_hcr(A64SystemState& state, uint64_t value) {
  const uint64_t changed = state.reg(HCR_EL2) ^ value;
  state.reg(HCR_EL2) = value;
  // Stage 2 itself is told apart by VMID, which is 0 for a host's own EL1 (D8.14.5).
  if (changed & (hcr::kDc | hcr::kE2h)) flush(state, kAllEl1Spaces | kEl2Spaces);
  if (changed & (hcr::kVm | hcr::kTge)) flush(state, kAllEl1Spaces);
  update_mode(state);
  note_virtual_interrupts(state);
  state.vcpu->recheck_interrupts();
}

void write_scr(A64SystemState& state, uint64_t value) {
  const uint64_t changed = state.reg(SCR_EL3) ^ value;
  state.reg(SCR_EL3) = value | 0x30;
  if (changed & scr::kNs) flush(state, kAllEl1Spaces | kEl2Spaces);
  update_mode(state);
  state.vcpu->recheck_interrupts();
}

void write_vttbr(A64SystemState& state, uint64_t value) {
  if (state.reg(VTTBR_EL2) == value) return;
  state.reg(VTTBR_EL2) = value;
  flush(state, kAllEl1Spaces);
}

void write_debug_control(A64SystemState& state, SysReg r, uint64_t value) {
  if (value & 1) log_unimplemented("hardware breakpoints and watchpoints\n");
  state.reg(r) = value;
}

struct TimerRegister {
  SysReg value, control, compare;
  GenericTimer timer;
};
constexpr TimerRegister kTimers[] = {
    {CNTP_TVAL_EL0, CNTP_CTL_EL0, CNTP_CVAL_EL0, GenericTimer::Physical},
    {CNTV_TVAL_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, GenericTimer::Virtual},
    {CNTHP_TVAL_EL2, CNTHP_CTL_EL2, CNTHP_CVAL_EL2, GenericTimer::Hypervisor},
    {CNTHV_TVAL_EL2, CNTHV_CTL_EL2, CNTHV_CVAL_EL2, GenericTimer::HypervisorVirtual},
    {CNTPS_TVAL_EL1, CNTPS_CTL_EL1, CNTPS_CVAL_EL1, GenericTimer::Secure},
};

}  // namespace

uint64_t read_sys_reg(A64SystemState& state, SysReg r) {
  const SysRegInfo& register_info = info(r);
  switch (register_info.kind) {
    case SysRegKind::Fixed:
      return register_info.reset;
    case SysRegKind::Id:
      return id_value(*state.config, register_info.key);
    case SysRegKind::Field:
    case SysRegKind::Write:
      return field(state, r);
    default:
      break;
  }
  for (const TimerRegister& t : kTimers) {
    if (r == t.value) return timer_value(state, t.timer);
    if (r == t.control) return timer_control(state, t.timer);
  }
  const bool virtual_id = state.el == 1 && el2_enabled(state);
  switch (r) {
    case MIDR_EL1:
      return virtual_id ? state.reg(VPIDR_EL2) : state.config->model->midr;
    case MPIDR_EL1:
      return virtual_id ? state.reg(VMPIDR_EL2) : state.mpidr;
    case CCSIDR_EL1:
      return cache_size(state.reg(CSSELR_EL1));
    case DCZID_EL0:
      return dczid(state);
    case RVBAR_EL1:
    case RVBAR_EL2:
    case RVBAR_EL3:
      return state.config->reset_address;
    case RMR_EL3:
      return 1;  // AArch64
    case ISR_EL1:
      return isr_value(state, state.header.interrupt_lines.load(std::memory_order_relaxed));
    case SPSel:
      return state.sp_sel;
    case CurrentEL:
      return uint64_t{state.el} << 2;
    case PAN:
      return uint64_t{state.pan} << 22;
    case UAO:
      return uint64_t{state.uao} << 23;
    case DIT:
      return uint64_t{state.dit} << 24;
    case DAIF:
      return uint64_t{state.daif} << 6;
    case CNTPCT_EL0:
      return physical_count(state);
    case CNTVCT_EL0:
      return virtual_count(state);
    case PMCR_EL0:
      return state.reg(PMCR_EL0) | (state.config->model->midr >> 24 & 0xff) << 24;
    case PMCNTENSET_EL0:
    case PMCNTENCLR_EL0:
      return state.reg(PMCNTENSET_EL0);
    case PMOVSSET_EL0:
    case PMOVSCLR_EL0:
      return state.reg(PMOVSSET_EL0);
    case PMINTENSET_EL1:
    case PMINTENCLR_EL1:
      return state.reg(PMINTENSET_EL1);
    case PMCCNTR_EL0:
      return cycles(state);
    case PMXEVTYPER_EL0:
      return (state.reg(PMSELR_EL0) & 0x1f) == 0x1f ? state.reg(PMCCFILTR_EL0) : 0;
    case DBGCLAIMSET_EL1:
      return 0xff;
    case DBGCLAIMCLR_EL1:
      return state.reg(DBGCLAIMCLR_EL1);
    default:
      return field(state, r);
  }
}

void write_sys_reg(A64SystemState& state, SysReg r, uint64_t value) {
  switch (info(r).kind) {
    case SysRegKind::Fixed:
    case SysRegKind::Id:
      return;
    case SysRegKind::Field:
    case SysRegKind::Read:
      field(state, r) = value;
      return;
    default:
      break;
  }
  for (const TimerRegister& t : kTimers) {
    if (r == t.value) return set_timer_value(state, t.timer, value);
    if (r == t.control) return set_timer_control(state, t.timer, value);
    if (r == t.compare) return set_timer_compare(state, t.timer, value);
  }
  switch (r) {
    case SCTLR_EL1:
    case SCTLR_EL2:
    case SCTLR_EL3:
      return write_sctlr(state, r, value);
    case TTBR0_EL1:
    case TTBR1_EL1:
    case TTBR0_EL2:
    case TTBR1_EL2:
    case TTBR0_EL3:
      return write_table_base(state, r, value);
    case TCR_EL1:
    case TCR_EL2:
    case TCR_EL3:
      return write_tcr(state, r, value);
    case CPACR_EL1:
    case CPTR_EL2:
    case CPTR_EL3:
    case MDSCR_EL1:
    case MDCR_EL2:
      state.reg(r) = value;
      return update_mode(state);
    case VBAR_EL1:
    case VBAR_EL2:
    case VBAR_EL3:
      state.reg(r) = value & ~low_mask(11);
      return;
    case SPSel:
      set_el_and_sp(state, state.el, value & 1);
      return update_mode(state);
    case PAN:
      state.pan = bit(value, 22);
      return update_mode(state);
    case UAO:
      state.uao = bit(value, 23);
      return update_mode(state);
    case DIT:
      state.dit = bit(value, 24);
      return;
    case DAIF:
      state.daif = static_cast<uint8_t>(bits(value, 6, 4));
      update_mode(state);
      return state.vcpu->recheck_interrupts();
    case CNTVOFF_EL2:
      state.reg(r) = value;
      return timer_updated(state, GenericTimer::Virtual);
    case PMCR_EL0:
      return write_pmcr(state, value);
    case PMCNTENSET_EL0:
      return change_pmu(state, PMCNTENSET_EL0, (state.reg(PMCNTENSET_EL0) | value) & kCycleCounter);
    case PMCNTENCLR_EL0:
      return change_pmu(state, PMCNTENSET_EL0, state.reg(PMCNTENSET_EL0) & ~value);
    case PMOVSSET_EL0:
      state.reg(PMOVSSET_EL0) |= value & kCycleCounter;
      return;
    case PMOVSCLR_EL0:
      state.reg(PMOVSSET_EL0) &= ~value;
      return;
    case PMINTENSET_EL1:
      state.reg(PMINTENSET_EL1) |= value & kCycleCounter;
      return;
    case PMINTENCLR_EL1:
      state.reg(PMINTENSET_EL1) &= ~value;
      return;
    case PMSELR_EL0:
      state.reg(r) = value & 0x1f;
      return;
    case PMCCNTR_EL0:
      return set_cycles(state, value);
    case PMXEVTYPER_EL0:
      if ((state.reg(PMSELR_EL0) & 0x1f) == 0x1f) state.reg(PMCCFILTR_EL0) = value & 0xf8000000;
      return;
    case PMCCFILTR_EL0:
      state.reg(r) = value & 0xf8000000;
      return;
    case PMUSERENR_EL0:
      state.reg(r) = value & 0xf;
      return;
    case OSLAR_EL1:
      state.reg(OSLSR_EL1) = (state.reg(OSLSR_EL1) & ~kOsLocked) | (value & 1) << 1;
      return update_mode(state);
    case DBGBCR0_EL1:
    case DBGBCR1_EL1:
    case DBGWCR0_EL1:
    case DBGWCR1_EL1:
      return write_debug_control(state, r, value);
    case DBGCLAIMSET_EL1:
      state.reg(DBGCLAIMCLR_EL1) |= value & 0xff;
      return;
    case DBGCLAIMCLR_EL1:
      state.reg(DBGCLAIMCLR_EL1) &= ~value;
      return;
    case HCR_EL2:
      return write_hcr(state, value);
    case VTTBR_EL2:
      return write_vttbr(state, value);
    case VTCR_EL2:
      state.reg(r) = value;
      return flush(state, kAllEl1Spaces);
    case SCR_EL3:
      return write_scr(state, value);
    case RMR_EL3:
      if (value & 2) log_unimplemented("RMR_EL3.RR: warm reset\n");
      return;
    default:
      field(state, r) = value;
  }
}

}  // namespace lyrebird::arm
