// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/system_state.h"

#include <string>
#include <vector>

#include "base/bits.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/exceptions.h"
#include "frontend/arm/system/mmu.h"
#include "frontend/arm/system/system_registers.h"
#include "frontend/arm/system/timers.h"

namespace lyrebird::arm {
namespace {

using ir::Type;

struct Layout {
  std::vector<std::string> names;
  std::vector<ir::StateField> fields;
  ir::StateLayout layout;

  Layout() {
    const ir::StateLayout& user = a64_layout();
    fields.assign(user.fields.begin(), user.fields.end());
    names.reserve(kSysRegCount + 32);
    constexpr unsigned kFirstKey = static_cast<unsigned>(SysReg::APIAKEYLO_EL1);
    for (unsigned i = 0; i < 10; ++i)
      add("key:" + std::string(kSysRegs[kFirstKey + i].name), offsetof(A64State, pac_keys) + 8 * i,
          Type::I64);
    for (unsigned i = 0; i < kSysRegCount; ++i) add(kSysRegs[i].name, state_offset::kRegs + 8 * i, Type::I64);
    add("el", state_offset::kEl, Type::I8);
    add("sp_sel", state_offset::kSpSel, Type::I8);
    add("daif", state_offset::kDaif, Type::I8);
    add("pan", state_offset::kPan, Type::I8);
    add("uao", state_offset::kUao, Type::I8);
    add("dit", state_offset::kDit, Type::I8);
    add("illegal", state_offset::kIllegal, Type::I8);
    add("single_step", state_offset::kSingleStep, Type::I8);
    add("access_failed", state_offset::kAccessFailed, Type::I8);
    add("wait_for_interrupt", state_offset::kWaitForInterrupt, Type::I8);
    add("event", state_offset::kEvent, Type::I8);
    add("uses_bti", state_offset::kUsesBti, Type::I8);
    add("cycle_base", state_offset::kCycleBase, Type::I64);
    add("instruction_budget", state_offset::kInstructionBudget, Type::I64);
    layout = {.fields = fields, .size = sizeof(A64SystemState), .other_carry = user.other_carry};
  }

  void add(std::string_view name, size_t offset, Type type) {
    names.emplace_back(name);
    fields.push_back({names.back(), static_cast<uint32_t>(offset), type, 0});
  }
};

uint64_t& banked_sp(A64SystemState& state) {
  constexpr SysReg kSp[] = {SysReg::SP_EL0, SysReg::SP_EL1, SysReg::SP_EL2, SysReg::SP_EL3};
  return state.reg(kSp[state.sp_sel ? state.el : 0]);
}

unsigned mmu_index(const A64SystemState& state) {
  switch (state.el) {
    case 0:
      return in_host_regime(state) ? kMmuEl20 : kMmuEl0;
    case 1:
      return state.pan ? kMmuEl1Pan : kMmuEl1;
    case 2:
      if (!in_host_regime(state)) return kMmuEl2;
      return state.pan ? kMmuEl2HostPan : kMmuEl2Host;
    default:
      return kMmuEl3;
  }
}

/// Tags of instruction addresses (D8.9.1); bits of the mode.
uint32_t tagged_halves(const A64SystemState& state, unsigned index) {
  const bool pauth = state.config->model->features.has(Feature::PAuth);  // brings TBID
  const auto two_halves = [pauth](uint64_t tcr) -> uint32_t {
    const bool tbi0 = bit(tcr, 37) && !(pauth && bit(tcr, 51)),
               tbi1 = bit(tcr, 38) && !(pauth && bit(tcr, 52));
    return (tbi0 ? kModeTbi0 : 0) | (tbi1 ? kModeTbi1 : 0);
  };
  const auto one_half = [pauth](uint64_t tcr) -> uint32_t {
    return bit(tcr, 20) && !(pauth && bit(tcr, 29)) ? kModeTbi0 | kModeTbi1 : 0;
  };
  if (index <= kMmuEl1Pan) return two_halves(state.reg(SysReg::TCR_EL1));
  if (index <= kMmuEl2HostPan) return two_halves(state.reg(SysReg::TCR_EL2));
  return one_half(state.reg(index == kMmuEl2 ? SysReg::TCR_EL2 : SysReg::TCR_EL3));
}

bool data_is_device(const A64SystemState& state, uint64_t sctlr_value) {
  if (sctlr_value & sctlr::kM) return false;
  return !(state.el < 2 && (effective_hcr(state) & hcr::kDc));
}

/// LDTR and STTR are made as EL0 would (C3.2.2).
bool has_unprivileged_accesses(const A64SystemState& state) {
  if (state.uao) return false;
  return state.el == 1 || (state.el == 2 && in_host_regime(state) && (effective_hcr(state) & hcr::kTge));
}

}  // namespace

const ir::StateLayout& a64_system_layout() {
  static const Layout layout;
  return layout.layout;
}

bool is_secure(const A64SystemState& state) {
  if (!state.config->el3) return false;
  return state.el == 3 || !(state.reg(SysReg::SCR_EL3) & scr::kNs);
}

bool el2_enabled(const A64SystemState& state) {
  return state.config->el2 && (!state.config->el3 || (state.reg(SysReg::SCR_EL3) & scr::kNs));
}

uint64_t effective_hcr(const A64SystemState& state) {
  if (!el2_enabled(state)) return 0;
  uint64_t value = state.reg(SysReg::HCR_EL2);
  if (value & hcr::kTge) {
    value |= hcr::kFmo | hcr::kImo | hcr::kAmo;
    // What concerns a guest's EL1 does not with a host's EL0 (D19.2.48).
    value &= ~(hcr::kVm | hcr::kDc | hcr::kTwi | hcr::kTwe | hcr::kTid1 | hcr::kTid2 | hcr::kTid3 |
               hcr::kTacr | hcr::kTsw | hcr::kTtlb | hcr::kTvm | hcr::kTrvm | hcr::kTlor | hcr::kVf |
               hcr::kVi | hcr::kVse | hcr::kTid4);
  }
  return value;
}

bool in_host_regime(const A64SystemState& state) {
  if (state.el == 1 || state.el == 3 || !el2_enabled(state)) return false;
  const uint64_t value = state.reg(SysReg::HCR_EL2);
  return (value & hcr::kE2h) && (state.el == 2 || (value & hcr::kTge));
}

uint64_t current_sctlr(const A64SystemState& state) {
  if (state.el == 3) return state.reg(SysReg::SCTLR_EL3);
  if (state.el == 2 || in_host_regime(state)) return state.reg(SysReg::SCTLR_EL2);
  return state.reg(SysReg::SCTLR_EL1);
}

// DDI 0487, AArch64.CheckFPAdvSIMDEnabled.
unsigned fp_trap_el(const A64SystemState& state) {
  const bool el2 = el2_enabled(state), host = (state.reg(SysReg::HCR_EL2) & hcr::kE2h) && el2;
  const bool host_el0 = host && (state.reg(SysReg::HCR_EL2) & hcr::kTge);
  if (state.el <= 1 && !(state.el == 0 && host_el0)) {
    const unsigned fpen = bits(state.reg(SysReg::CPACR_EL1), 20, 2);
    if (fpen == 0 || fpen == 2 || (fpen == 1 && state.el == 0))
      return state.el == 0 && (effective_hcr(state) & hcr::kTge) ? 2 : 1;
  }
  if (state.el <= 2 && el2) {
    const uint64_t cptr = state.reg(SysReg::CPTR_EL2);
    if (host) {
      const unsigned fpen = bits(cptr, 20, 2);
      if (fpen == 0 || fpen == 2 || (fpen == 1 && state.el == 0 && host_el0)) return 2;
    } else if (bit(cptr, 10)) {
      return 2;
    }
  }
  if (state.config->el3 && bit(state.reg(SysReg::CPTR_EL3), 10)) return 3;
  return 0;
}

bool step_enabled(const A64SystemState& state, unsigned el, bool d_masked) {
  const uint64_t control = state.reg(SysReg::MDSCR_EL1);
  if (!(control & mdscr::kSs) || (state.reg(SysReg::OSLSR_EL1) & kOsLocked)) return false;
  const bool to_el2 = el2_enabled(state) && ((state.reg(SysReg::MDCR_EL2) & mdcr::kTde) ||
                                             (state.reg(SysReg::HCR_EL2) & hcr::kTge));
  const unsigned target = to_el2 ? 2 : 1;
  if (el == target) return (control & mdscr::kKde) && !d_masked;
  return el < target;
}

void set_el_and_sp(A64SystemState& state, unsigned el, unsigned sp_sel) {
  banked_sp(state) = state.sp;
  state.el = static_cast<uint8_t>(el);
  state.sp_sel = el == 0 ? 0 : static_cast<uint8_t>(sp_sel);  // PSTATE.SP is 0 at EL0
  state.sp = banked_sp(state);
}

void update_mode(A64SystemState& state) {
  const unsigned index = mmu_index(state);
  const uint64_t control = current_sctlr(state);
  uint32_t mode = state.header.mode & (kModeFpcrMask | kModeBtypeMask);
  mode |= index << kModeMmuShift | tagged_halves(state, index);
  if (state.uses_bti) {
    mode |= kModeBti;
  } else {
    mode &= ~kModeBtypeMask;
  }
  if (!has_unprivileged_accesses(state)) mode |= kModeUnprivilegedAsIs;
  if (fp_trap_el(state)) mode |= kModeFpTrap;
  if ((control & sctlr::kA) || data_is_device(state, control)) mode |= kModeAlign;
  if (control & (state.el == 0 ? sctlr::kE0e : sctlr::kEe)) mode |= kModeBigEndian;
  if (control & (state.el == 0 ? sctlr::kSa0 : sctlr::kSa)) mode |= kModeSpAlign;
  if (!state.sp_sel) mode |= kModeSpEl0;
  if (state.illegal) mode |= kModeIllegal;
  if (step_enabled(state, state.el, (state.daif & kDaifD) != 0))
    mode |= kModeStep | (state.single_step ? 0 : kModeStepDone);
  state.header.mode = mode;
  state.pac_enabled = (control & sctlr::kEnIa ? 1 : 0) | (control & sctlr::kEnIb ? 2 : 0) |
                      (control & sctlr::kEnDa ? 4 : 0) | (control & sctlr::kEnDb ? 8 : 0);
}

void state_changed(A64SystemState& state) {
  state.header.mode = (state.header.mode & kModeBtypeMask) | mode_of_fpcr(state.fpcr);
  update_mode(state);
  note_virtual_interrupts(state);
  state.header.exclusive_size = 0;
  state.vcpu->tlb_flush({});
  state.vcpu->context_changed(kMmuSpacesEl1, current_context(state, false));
  state.vcpu->context_changed(kMmuSpacesEl2Host, current_context(state, true));
  reset_timers(state);
  state.vcpu->recheck_interrupts();
}

uint64_t system_pstate(const A64SystemState& state) {
  uint64_t value = pstate(state) | uint64_t{state.daif} << 6 | uint64_t{state.el} << 2 | state.sp_sel;
  if (state.pan) value |= spsr::kPan;
  if (state.uao) value |= spsr::kUao;
  if (state.dit) value |= spsr::kDit;
  if (state.illegal) value |= spsr::kIl;
  if (state.single_step) value |= spsr::kSs;
  return value;
}

void set_system_pstate(A64SystemState& state, uint64_t value) {
  const Features& features = state.config->model->features;
  set_pstate(state, static_cast<uint32_t>(value));
  if (!features.has(Feature::SSBS)) state.ssbs = 0;
  state.daif = bits(value, 6, 4);
  state.pan = (value & spsr::kPan) && features.has(Feature::PAN);
  state.uao = (value & spsr::kUao) && features.has(Feature::UAO);
}

unsigned entry_el(const SystemConfig& config) { return config.el2 ? 2 : 1; }

void reset_vcpu(A64SystemState& state, uint64_t mpidr) {
  const SystemConfig* config = state.config;
  for (auto& x : state.x) x = 0;
  state.sp = 0;
  for (auto& v : state.v)
    for (auto& byte : v) byte = 0;
  set_nzcv(state, 0);
  set_fpsr(state, 0);
  state.header.mode = 0;
  set_fpcr(state, 0);
  state.header.exclusive_size = 0;
  state.ssbs = 0;
  for (unsigned i = 0; i < kSysRegCount; ++i)
    if (kSysRegs[i].kind != SysRegKind::Fixed) state.regs[i] = kSysRegs[i].reset;
  state.tpidr_el0 = state.tpidrro_el0 = state.tpidr2_el0 = 0;
  for (auto& key : state.pac_keys) key[0] = key[1] = 0;
  state.el = config->el3 ? 3 : config->el2 ? 2 : 1;
  state.sp_sel = 1;
  state.daif = 0xf;
  state.pan = state.uao = state.dit = state.illegal = state.single_step = 0;
  state.cycle_base = 0;
  state.mpidr = mpidr;
  state.reg(SysReg::VPIDR_EL2) = config->model->midr;
  state.reg(SysReg::VMPIDR_EL2) = mpidr;
  state.fault = {};
  note_virtual_interrupts(state);
  state.header.pc = config->reset_address;
  if (state.vcpu) state.vcpu->tlb_flush({});
  if (state.board) reset_timers(state);
  update_mode(state);
}

// What the peer's boot code and Linux' booting.rst ask of firmware.
void set_entry(A64SystemState& state, uint64_t pc, unsigned el, uint64_t argument) {
  const SystemConfig& config = *state.config;
  if (config.el3 && el < 3) {
    state.reg(SysReg::SCR_EL3) = scr::kNs | scr::kRw | scr::kHce | scr::kApk | uint64_t{1} << 17 | 0x30;
    state.reg(SysReg::CPTR_EL3) = 0;
  }
  if (config.el2 && el < 2) {
    state.reg(SysReg::HCR_EL2) = uint64_t{1} << 31 | hcr::kApk | uint64_t{1} << 41;  // RW, APK, API
    state.reg(SysReg::CNTHCTL_EL2) = 3;
  }
  set_el_and_sp(state, el, 1);
  state.header.pc = pc;
  state.x[0] = argument;
  update_mode(state);
}

}  // namespace lyrebird::arm
