// SPDX-License-Identifier: Apache-2.0
/// CpuHeader::mode of an AArch64 machine: the bits of a64_mode.h and those that only system mode has.
/// update_mode() (system_state.h) makes all of them from the state.
#pragma once

#include <cstdint>

#include "frontend/arm/a64_mode.h"

namespace lyrebird::arm {

/// Translation regimes as privileged or unprivileged accesses see them: the mmu index, MemInfo::space. Lifted
/// code names the index of every access, so that executors need not look at the mode; instruction fetch has
/// that of fetch_space().
enum MmuIndex : uint8_t {
  kMmuEl0 = 0,      ///< EL1&0 regime, unprivileged
  kMmuEl1 = 1,      ///< EL1&0 regime, privileged
  kMmuEl1Pan = 2,   ///< the same with PSTATE.PAN: what EL0 may touch faults
  kMmuEl20 = 3,     ///< EL2&0 regime (HCR_EL2.E2H), unprivileged
  kMmuEl2Host = 4,  ///< EL2&0 regime, privileged
  kMmuEl2HostPan = 5,
  kMmuEl2 = 6,  ///< EL2 without E2H
  kMmuEl3 = 7,
};
inline constexpr unsigned kMmuIndexCount = 8;
inline constexpr uint32_t kMmuSpacesEl1 = 1u << kMmuEl0 | 1u << kMmuEl1 | 1u << kMmuEl1Pan;
inline constexpr uint32_t kMmuSpacesEl2Host = 1u << kMmuEl20 | 1u << kMmuEl2Host | 1u << kMmuEl2HostPan;

/// Bits 9..11: the mmu index of ordinary data accesses, which gives the exception level, too.
inline constexpr unsigned kModeMmuShift = 9;
inline constexpr uint32_t kModeMmuMask = 7u << kModeMmuShift;
inline constexpr uint32_t kModeUnprivilegedAsIs =
    1u << 12;                                         ///< LDTR and STTR are as LDR and STR (UAO, or not EL1)
inline constexpr uint32_t kModeFpTrap = 1u << 13;     ///< FP and SIMD instructions trap
inline constexpr uint32_t kModeAlign = 1u << 14;      ///< SCTLR.A, or the MMU is off (device memory)
inline constexpr uint32_t kModeBigEndian = 1u << 15;  ///< data accesses (SCTLR.EE, E0E)
inline constexpr uint32_t kModeStep = 1u << 16;  ///< software step is active: one instruction, then it traps
inline constexpr uint32_t kModeStepDone = 1u << 17;  ///< .. and that instruction is done: PSTATE.SS is 0
inline constexpr uint32_t kModeIllegal = 1u << 18;   ///< PSTATE.IL
inline constexpr uint32_t kModeSpAlign = 1u << 19;   ///< SCTLR.SA: SP as a base must be a multiple of 16
inline constexpr uint32_t kModeTbi0 = 1u << 20;      ///< instruction addresses with bit 55 clear have a tag
inline constexpr uint32_t kModeTbi1 = 1u << 21;      ///< .. with bit 55 set
inline constexpr uint32_t kModeSpEl0 = 1u << 22;     ///< SPSel is 0: SP is SP_EL0, which then can't be named

constexpr unsigned mmu_index_of_mode(uint32_t mode) { return (mode & kModeMmuMask) >> kModeMmuShift; }
constexpr unsigned el_of_mmu_index(unsigned index) {
  constexpr uint8_t kEl[] = {0, 1, 1, 0, 2, 2, 2, 3};
  return kEl[index];
}
constexpr unsigned el_of_mode(uint32_t mode) { return el_of_mmu_index(mmu_index_of_mode(mode)); }
/// PAN has no say over fetches, so that code is the same with it.
constexpr unsigned fetch_space(uint32_t mode) {
  const unsigned index = mmu_index_of_mode(mode);
  return index == kMmuEl1Pan ? kMmuEl1 : index == kMmuEl2HostPan ? kMmuEl2Host : index;
}

}  // namespace lyrebird::arm
