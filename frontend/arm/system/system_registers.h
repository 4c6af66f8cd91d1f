// SPDX-License-Identifier: Apache-2.0
/// The table of system registers (system_registers.inc) and what accesses mean (DDI 0487, D19 and D1.3).
#pragma once

#include <optional>
#include <string_view>

#include "frontend/arm/system/system_state.h"

namespace lyrebird::arm {

enum class SysRegKind : uint8_t { Field, Fixed, Id, Read, Write, Both };

/// Conditions on an access besides the exception level. Those that begin with Feat or name a state of the
/// processor make the register UNDEFINED; the others trap to a level that asked for it.
enum class Trap : uint8_t {
  None,
  Tvm,     ///< HCR_EL2.TVM, TRVM
  Tid1,    ///< HCR_EL2.TID1
  Tid2,    ///< HCR_EL2.TID2, TID4
  Tid3,    ///< HCR_EL2.TID3
  Ctr,     ///< EL0: SCTLR_EL1.UCT; HCR_EL2.TID2
  Tacr,    ///< HCR_EL2.TACR
  Tcpac,   ///< CPTR_EL2.TCPAC, CPTR_EL3.TCPAC
  Apk,     ///< HCR_EL2.APK, SCR_EL3.APK; FEAT_PAuth
  Tlor,    ///< HCR_EL2.TLOR, SCR_EL3.TLOR; FEAT_LOR
  SpSel1,  ///< undefined while SPSel is 0
  FeatPan,
  FeatUao,
  FeatDit,
  FeatVhe,
  Uma,         ///< EL0: SCTLR_EL1.UMA
  CntFrq,      ///< EL0: CNTKCTL_EL1.EL0PCTEN or EL0VCTEN; writes at the highest level only
  CntPct,      ///< EL0: CNTKCTL_EL1.EL0PCTEN; CNTHCTL_EL2.EL1PCTEN
  CntVct,      ///< EL0: CNTKCTL_EL1.EL0VCTEN
  CntP,        ///< EL0: CNTKCTL_EL1.EL0PTEN; CNTHCTL_EL2.EL1PCEN
  CntV,        ///< EL0: CNTKCTL_EL1.EL0VTEN
  Pm,          ///< EL0: PMUSERENR_EL0.EN; MDCR_EL2.TPM, MDCR_EL3.TPM
  PmSw,        ///< .. or SW
  PmEr,        ///< .. or ER
  PmCr,        ///< .. or CR for reads
  PmUser,      ///< MDCR_EL2.TPM, MDCR_EL3.TPM
  Tda,         ///< MDCR_EL2.TDA, MDCR_EL3.TDA
  Tdra,        ///< MDCR_EL2.TDRA, TDA
  Tdosa,       ///< MDCR_EL2.TDOSA, MDCR_EL3.TDOSA
  Tdcc,        ///< EL0: MDSCR_EL1.TDCC
  El1Is32,     ///< for 32-bit guests: there when EL2 is
  HighestEl1,  ///< only where EL1 is the highest level
  HighestEl2,
  ImpDef,  ///< the processors that have it; HCR_EL2.TIDCP
};

struct SysRegInfo {
  std::string_view name;
  SysRegKey key;
  uint8_t read_el, write_el;  ///< least exception level; 4: never
  Trap trap;
  SysRegKind kind;
  uint64_t reset;
};

extern const SysRegInfo kSysRegs[kSysRegCount];
inline const SysRegInfo& info(SysReg r) { return kSysRegs[static_cast<unsigned>(r)]; }

/// The register with this encoding; reserved identification registers are a register that reads as zero.
std::optional<SysReg> find_sys_reg(SysRegKey key);
/// ICC_* and ICH_* (IHI 0069).
bool is_gic_register(SysRegKey key);
/// With HCR_EL2.E2H, EL2's accesses to EL1's registers are to its own, and op1 5 names EL1's (D19.1.2).
SysRegKey redirect_e2h(SysRegKey key);

/// Byte offset of a Field in the state.
uint32_t sys_reg_offset(SysReg r);

/// What an access at the state's exception level does.
enum class AccessResult : uint8_t {
  Allowed,
  Undefined,
  TrapEl1,  ///< trapped to EL1 (to EL2 where HCR_EL2.TGE), EC 0x18
  TrapEl2,
  TrapEl3,
};
AccessResult check_access(const A64SystemState& state, SysReg r, bool write);
/// The access could be anything but allowed although the exception level suffices: the check is done when it
/// runs.
bool may_trap(const SystemConfig& config, SysReg r, unsigned el, bool write);

/// MRS and MSR of a register that check_access() allows.
uint64_t read_sys_reg(A64SystemState& state, SysReg r);
void write_sys_reg(A64SystemState& state, SysReg r, uint64_t value);

/// ID registers as privileged code reads them. `key`: op0 3, op1 0, CRn 0, CRm 1..7.
uint64_t id_value(const SystemConfig& config, SysRegKey key);

}  // namespace lyrebird::arm
