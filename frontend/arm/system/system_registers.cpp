// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/system_registers.h"

#include <algorithm>
#include <array>

#include "base/bits.h"
#include "frontend/arm/system/control_bits.h"

namespace lyrebird::arm {
namespace {

using enum SysReg;

// Least levels of the `access` column.
struct Levels {
  uint8_t read, write;
};
constexpr Levels RO0{0, 4}, RO1{1, 4}, RO2{2, 4}, RO3{3, 4}, RW0{0, 0}, RW1{1, 1}, RW2{2, 2}, RW3{3, 3},
    RO0_RW1{0, 1}, WO0{4, 0}, WO1{4, 1}, Hidden{4, 4};

/// SCTLR_ELx after reset: the bits that are one where the features behind them are missing.
constexpr uint64_t kSctlrReset = 0x30c50830;

struct KeyOrder {
  std::array<uint16_t, kSysRegCount> by_key;
};

const KeyOrder& key_order() {
  static const KeyOrder order = [] {
    KeyOrder made;
    for (unsigned i = 0; i < kSysRegCount; ++i) made.by_key[i] = static_cast<uint16_t>(i);
    std::sort(made.by_key.begin(), made.by_key.end(),
              [](uint16_t a, uint16_t b) { return kSysRegs[a].key < kSysRegs[b].key; });
    return made;
  }();
  return order;
}

/// op0 3, op1 0, CRn 0, CRm 1..7.
bool is_id_key(SysRegKey key) {
  return bits(key, 7, 9) == bits(sys_reg_key(3, 0, 0, 0, 0), 7, 9) && bits(key, 3, 4) >= 1 &&
         bits(key, 3, 4) <= 7;
}

bool is_cortex(const CpuModel& model) {
  const unsigned part = bits(model.midr, 4, 12);
  return model.midr >> 24 == 0x41 && (part == 0xd03 || part == 0xd07 || part == 0xd08);
}

AccessResult from_el2(bool traps) { return traps ? AccessResult::TrapEl2 : AccessResult::Allowed; }

/// EL0 needs a bit of CNTKCTL_EL1, or of CNTHCTL_EL2 where EL2 is its host; then EL2's own traps.
AccessResult check_timer(const A64SystemState& state, Trap trap) {
  const bool host = in_host_regime(state);
  const uint64_t el2_control = state.reg(CNTHCTL_EL2);
  if (state.el == 0) {
    const uint64_t kernel = host ? el2_control : state.reg(CNTKCTL_EL1);
    const bool allowed = trap == Trap::CntFrq   ? (kernel & 3) != 0
                         : trap == Trap::CntPct ? bit(kernel, 0)
                         : trap == Trap::CntVct ? bit(kernel, 1)
                         : trap == Trap::CntV   ? bit(kernel, 8)
                                                : bit(kernel, 9);
    if (!allowed) return AccessResult::TrapEl1;
  }
  if (state.el >= 2 || host || !el2_enabled(state)) return AccessResult::Allowed;
  const bool e2h = state.reg(HCR_EL2) & hcr::kE2h;
  if (trap == Trap::CntPct) return from_el2(!bit(el2_control, e2h ? 10 : 0));
  if (trap == Trap::CntP) return from_el2(!bit(el2_control, e2h ? 11 : 1));
  return AccessResult::Allowed;
}

AccessResult check_pmu(const A64SystemState& state, Trap trap, bool write) {
  if (state.el == 0 && trap != Trap::PmUser) {
    const uint64_t enable = state.reg(PMUSERENR_EL0);
    const bool more = (trap == Trap::PmSw && bit(enable, 1)) ||
                      (trap == Trap::PmCr && !write && bit(enable, 2)) ||
                      (trap == Trap::PmEr && bit(enable, 3));
    if (!bit(enable, 0) && !more) return AccessResult::TrapEl1;
  }
  if (state.el < 2 && el2_enabled(state) && (state.reg(MDCR_EL2) & mdcr::kTpm)) return AccessResult::TrapEl2;
  if (state.el < 3 && state.config->el3 && (state.reg(MDCR_EL3) & mdcr::kTpm)) return AccessResult::TrapEl3;
  return AccessResult::Allowed;
}

AccessResult check_debug(const A64SystemState& state, Trap trap) {
  if (state.el == 0 && trap == Trap::Tdcc && (state.reg(MDSCR_EL1) & mdscr::kTdcc))
    return AccessResult::TrapEl1;
  const uint64_t bit2 = trap == Trap::Tdosa ? mdcr::kTdosa : trap == Trap::Tdra ? mdcr::kTdra : mdcr::kTda;
  const uint64_t from_all = mdcr::kTde;  // brings all of them
  if (state.el < 2 && el2_enabled(state) &&
      ((state.reg(MDCR_EL2) & (bit2 | from_all)) || (state.reg(HCR_EL2) & hcr::kTge)))
    return AccessResult::TrapEl2;
  const uint64_t bit3 = trap == Trap::Tdosa ? mdcr::kTdosa : mdcr::kTda;
  if (state.el < 3 && state.config->el3 && (state.reg(MDCR_EL3) & bit3)) return AccessResult::TrapEl3;
  return AccessResult::Allowed;
}

/// Bits of HCR_EL2 that trap the class from EL1 (and EL0).
uint64_t hcr_bits(Trap trap, bool write) {
  switch (trap) {
    case Trap::Tvm:
      return write ? hcr::kTvm : hcr::kTrvm;
    case Trap::Tid1:
      return hcr::kTid1;
    case Trap::Tid2:
      return hcr::kTid2 | hcr::kTid4;
    case Trap::Ctr:
      return hcr::kTid2;
    case Trap::Tid3:
      return hcr::kTid3;
    case Trap::Tacr:
      return hcr::kTacr;
    case Trap::Tlor:
      return hcr::kTlor;
    case Trap::ImpDef:
      return hcr::kTidcp;
    default:
      return 0;
  }
}

bool is_missing(const SystemConfig& config, Trap trap) {
  const Features& features = config.model->features;
  switch (trap) {
    case Trap::FeatPan:
      return !features.has(Feature::PAN);
    case Trap::FeatUao:
      return !features.has(Feature::UAO);
    case Trap::FeatDit:
      return true;
    case Trap::FeatVhe:
      return !features.has(Feature::VHE);
    case Trap::Apk:
      return !features.has(Feature::PAuth);
    case Trap::Tlor:
      return !features.has(Feature::LOR);
    case Trap::HighestEl1:
      return config.el2 || config.el3;
    case Trap::HighestEl2:
      return config.el3;
    case Trap::ImpDef:
      return !is_cortex(*config.model);
    default:
      return false;
  }
}

}  // namespace

const SysRegInfo kSysRegs[kSysRegCount] = {
#define SYSREG(name, op0, op1, crn, crm, op2, access, trap, kind, reset)                                 \
  {#name, sys_reg_key(op0, op1, crn, crm, op2), access.read, access.write, Trap::trap, SysRegKind::kind, \
   reset},
#include "frontend/arm/system/system_registers.inc"
#undef SYSREG
};

std::optional<SysReg> find_sys_reg(SysRegKey key) {
  const auto& order = key_order().by_key;
  const auto at = std::lower_bound(order.begin(), order.end(), key,
                                   [](uint16_t i, SysRegKey wanted) { return kSysRegs[i].key < wanted; });
  if (at != order.end() && kSysRegs[*at].key == key && kSysRegs[*at].read_el + kSysRegs[*at].write_el < 8)
    return static_cast<SysReg>(*at);
  if (is_id_key(key)) return ID_AFR0_EL1;  // zero in all processors, like the reserved ones
  return std::nullopt;
}

bool is_gic_register(SysRegKey key) {
  const unsigned op0 = key >> 14, op1 = bits(key, 11, 3), crn = bits(key, 7, 4), crm = bits(key, 3, 4);
  if (op0 != 3) return false;
  if (crn == 4 && crm == 6) return op1 == 0 && bits(key, 0, 3) == 0;  // ICC_PMR_EL1
  if (crn != 12) return false;
  if (op1 == 0) return crm == 8 || crm == 9 || crm == 11 || crm == 12;
  if (op1 == 4) return (crm >= 8 && crm <= 9) || (crm >= 11 && crm <= 15);
  return op1 == 6 && crm == 12;
}

SysRegKey redirect_e2h(SysRegKey key) {
  const auto with_op1 = [key](unsigned op1) {
    return static_cast<SysRegKey>((key & ~(7u << 11)) | op1 << 11);
  };
  const unsigned op0 = key >> 14, op1 = bits(key, 11, 3), crn = bits(key, 7, 4);
  if (op0 != 3) return key;
  if (op1 == 5) {  // REG_EL12, REG_EL02
    if (crn == 14 && bits(key, 3, 4) != 1) return with_op1(3);
    return with_op1(0);
  }
  switch (key) {
    case sys_reg_key(3, 0, 1, 0, 0):   // SCTLR
    case sys_reg_key(3, 0, 2, 0, 0):   // TTBR0
    case sys_reg_key(3, 0, 2, 0, 1):   // TTBR1
    case sys_reg_key(3, 0, 2, 0, 2):   // TCR
    case sys_reg_key(3, 0, 4, 0, 0):   // SPSR
    case sys_reg_key(3, 0, 4, 0, 1):   // ELR
    case sys_reg_key(3, 0, 5, 1, 0):   // AFSR0
    case sys_reg_key(3, 0, 5, 1, 1):   // AFSR1
    case sys_reg_key(3, 0, 5, 2, 0):   // ESR
    case sys_reg_key(3, 0, 6, 0, 0):   // FAR
    case sys_reg_key(3, 0, 10, 2, 0):  // MAIR
    case sys_reg_key(3, 0, 10, 3, 0):  // AMAIR
    case sys_reg_key(3, 0, 12, 0, 0):  // VBAR
    case sys_reg_key(3, 0, 13, 0, 1):  // CONTEXTIDR
    case sys_reg_key(3, 0, 14, 1, 0):  // CNTKCTL
      return with_op1(4);
    case sys_reg_key(3, 0, 1, 0, 2):  // CPACR
      return sys_reg_key(3, 4, 1, 1, 2);
    case sys_reg_key(3, 3, 14, 2, 0):  // CNTP_TVAL, CTL, CVAL
    case sys_reg_key(3, 3, 14, 2, 1):
    case sys_reg_key(3, 3, 14, 2, 2):
      return with_op1(4);
    case sys_reg_key(3, 3, 14, 3, 0):  // CNTV_TVAL, CTL, CVAL
    case sys_reg_key(3, 3, 14, 3, 1):
    case sys_reg_key(3, 3, 14, 3, 2):
      return with_op1(4);
    default:
      return key;
  }
}

uint32_t sys_reg_offset(SysReg r) {
  if (r >= APIAKEYLO_EL1 && r <= APGAKEYHI_EL1) {
    const unsigned word = static_cast<unsigned>(r) - static_cast<unsigned>(APIAKEYLO_EL1);
    return offsetof(A64State, pac_keys) + 8 * word;
  }
  if (r == TPIDR_EL0) return offsetof(A64State, tpidr_el0);
  if (r == TPIDRRO_EL0) return offsetof(A64State, tpidrro_el0);
  return state_offset::kRegs + 8 * static_cast<unsigned>(r);
}

AccessResult check_access(const A64SystemState& state, SysReg r, bool write) {
  const SysRegInfo& register_info = info(r);
  const SystemConfig& config = *state.config;
  const unsigned least = write ? register_info.write_el : register_info.read_el;
  if (state.el < least || (least == 2 && !config.el2) || is_missing(config, register_info.trap))
    return AccessResult::Undefined;
  const uint64_t control = current_sctlr(state);
  switch (register_info.trap) {
    case Trap::SpSel1:
      return state.sp_sel ? AccessResult::Allowed : AccessResult::Undefined;
    case Trap::Uma:
      return state.el == 0 && !(control & sctlr::kUma) ? AccessResult::TrapEl1 : AccessResult::Allowed;
    case Trap::Ctr:
      if (state.el == 0 && !(control & sctlr::kUct)) return AccessResult::TrapEl1;
      break;
    case Trap::CntFrq:
      if (write)
        return state.el == (config.el3   ? 3
                            : config.el2 ? 2
                                         : 1)
                   ? AccessResult::Allowed
                   : AccessResult::Undefined;
      return check_timer(state, register_info.trap);
    case Trap::CntPct:
    case Trap::CntVct:
    case Trap::CntP:
    case Trap::CntV:
      return check_timer(state, register_info.trap);
    case Trap::Pm:
    case Trap::PmSw:
    case Trap::PmEr:
    case Trap::PmCr:
    case Trap::PmUser:
      return check_pmu(state, register_info.trap, write);
    case Trap::Tda:
    case Trap::Tdra:
    case Trap::Tdosa:
    case Trap::Tdcc:
      return check_debug(state, register_info.trap);
    case Trap::Tcpac:
      if (state.el == 1 && el2_enabled(state) && (state.reg(CPTR_EL2) >> 31 & 1))
        return AccessResult::TrapEl2;
      if (state.el < 3 && config.el3 && (state.reg(CPTR_EL3) >> 31 & 1)) return AccessResult::TrapEl3;
      return AccessResult::Allowed;
    case Trap::Apk:
      if (state.el == 1 && el2_enabled(state) && !(state.reg(HCR_EL2) & hcr::kApk))
        return AccessResult::TrapEl2;
      if (state.el < 3 && config.el3 && !(state.reg(SCR_EL3) & scr::kApk)) return AccessResult::TrapEl3;
      return AccessResult::Allowed;
    case Trap::Tlor:
      if (config.el3 && state.el < 3 && (state.reg(SCR_EL3) & scr::kTlor)) return AccessResult::TrapEl3;
      break;
    default:
      break;
  }
  return from_el2(state.el < 2 && (effective_hcr(state) & hcr_bits(register_info.trap, write)));
}

bool may_trap(const SystemConfig& config, SysReg r, unsigned el, bool write) {
  const Trap trap = info(r).trap;
  if (is_missing(config, trap)) return true;
  if (info(r).read_el == 3 || info(r).write_el == 3) return false;
  if (info(r).read_el == 2 && !config.el2) return true;
  switch (trap) {
    case Trap::None:
    case Trap::FeatPan:
    case Trap::FeatUao:
    case Trap::FeatVhe:
    case Trap::HighestEl1:
    case Trap::HighestEl2:
    case Trap::El1Is32:
      return false;
    case Trap::SpSel1:
      return true;
    case Trap::Uma:
      return el == 0;
    case Trap::CntFrq:
      return write || el == 0;
    default:
      return el == 0 || config.el2 || config.el3;
  }
}

}  // namespace lyrebird::arm
