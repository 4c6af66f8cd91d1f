// SPDX-License-Identifier: Apache-2.0
/// Which control register refused an instruction, looked at after the fact: lifted code only knows that it
/// may not go on.
#pragma once

#include "frontend/arm/system/system_registers.h"

namespace lyrebird::arm {

inline constexpr uint32_t kWfeWord = 0xd503205f, kWfiWord = 0xd503207f;

// TranslationFault::status (D19.2.37, DFSC); level in bits 1:0 where it says so.
inline constexpr uint8_t kStatusAddressSize = 0x00, kStatusTranslation = 0x04, kStatusAccessFlag = 0x08,
                         kStatusPermission = 0x0c, kStatusExternal = 0x10, kStatusExternalWalk = 0x14,
                         kStatusAlignment = 0x21;

/// Instructions of the FP and SIMD chapters and their loads and stores: op0 x111, or x1x0 with V.
constexpr bool uses_fp(uint32_t word) { return (word >> 26 & 3) == 3; }
/// MRS and MSR of FPCR and FPSR.
constexpr bool uses_fp_control(uint32_t word) { return (word & 0xffdfffc0) == 0xd51b4400; }

struct RefusedBy {
  enum Reason : uint8_t {
    Nothing,       ///< undefined
    Fp,            ///< CPACR_EL1, CPTR_ELx
    SystemAccess,  ///< MSR, MRS, SYS: EC 0x18
    WaitFor,       ///< WFI, WFE
  } reason = Nothing;
  unsigned target_el = 0;
};
RefusedBy why_refused(const A64SystemState& state, uint32_t word);

/// WFI (WFE) at the current level: 0, or the level it traps to.
unsigned wait_trap_el(const A64SystemState& state, bool event);
/// SYS and SYSL: cache, TLB and address translation operations. op0 of the key is 1.
AccessResult check_system_op(const A64SystemState& state, SysRegKey key);
/// The operation exists, for level `el`.
bool has_system_op(const SystemConfig& config, SysRegKey key, unsigned el);
/// check_system_op() could say no at this level.
bool system_op_may_trap(const SystemConfig& config, SysRegKey key, unsigned el);

/// ISV and what follows (ISS[24:14]) of the load or store at pc, for stage 2 data aborts; 0: not valid.
uint32_t access_syndrome(const A64SystemState& state, uint64_t pc);

}  // namespace lyrebird::arm
