// SPDX-License-Identifier: Apache-2.0
/// What an AArch64 vCPU asks of its board: counter and timers, GIC system registers, power (PSCI). One object
/// per vCPU, called by the vCPU's thread. What it asks of the accelerator is frontend/vcpu_services.h.
#pragma once

#include <cstdint>

#include "frontend/vcpu_services.h"

namespace lyrebird::arm {

/// Bits of the pending word: interrupt lines into a vCPU, all level-sensitive.
enum InterruptLine : uint32_t {
  kLineIrq = 1,
  kLineFiq = 2,
  kLineSError = 4,
  kLineVirtualIrq = 8,  ///< from the GIC's virtual CPU interface
  kLineVirtualFiq = 16,
  kLineHypervisor = 32,  ///< the frontend's own: HCR_EL2.VI, VF or VSE is set
};

/// The generic timers of a vCPU (DDI 0487, D12), by their usual private interrupt on `virt`.
enum class GenericTimer : uint8_t {
  Physical,           ///< CNTP_*: EL1, non-secure; PPI 14 (INTID 30)
  Virtual,            ///< CNTV_*: PPI 11 (INTID 27)
  Hypervisor,         ///< CNTHP_*: PPI 10 (INTID 26)
  Secure,             ///< CNTPS_*: PPI 13 (INTID 29)
  HypervisorVirtual,  ///< CNTHV_*: PPI 12 (INTID 28)
};
inline constexpr unsigned kGenericTimerCount = 5;

/// A system register by its encoding: op0 in bits 15:14, op1 13:11, CRn 10:7, CRm 6:3, op2 2:0, as in
/// MRS[20:5].
using SysRegKey = uint16_t;
constexpr SysRegKey sys_reg_key(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
  return static_cast<SysRegKey>(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2);
}

/// PSCI (DEN 0022) return values.
enum PsciResult : int32_t {
  kPsciSuccess = 0,
  kPsciNotSupported = -1,
  kPsciInvalidParameters = -2,
  kPsciDenied = -3,
  kPsciAlreadyOn = -4,
  kPsciOnPending = -5,
  kPsciInternalFailure = -6,
};

class BoardServices {
 public:
  virtual ~BoardServices() = default;

  /// The system counter, in units of kCounterFrequency (cpu_model.h).
  virtual uint64_t counter() = 0;
  /// The timer's line is up whenever `active` and counter() >= deadline, until the next call.
  virtual void timer_changed(GenericTimer timer, bool active, uint64_t deadline) = 0;

  /// ICC_* and ICH_* registers of the GICv3 CPU interface (IHI 0069, 12.2). False: there is none (UNDEFINED).
  /// `el` is the current exception level, `secure` the security state.
  virtual bool gic_read(SysRegKey /*key*/, unsigned /*el*/, bool /*secure*/, uint64_t& /*value*/) {
    return false;
  }
  virtual bool gic_write(SysRegKey /*key*/, unsigned /*el*/, bool /*secure*/, uint64_t /*value*/) {
    return false;
  }

  // PSCI: versions and features are answered by the frontend.

  /// Starts the vCPU with this MPIDR affinity at `entry` (physical), x0 = context, at the highest non-secure
  /// exception level: the board calls reset_vcpu() and set_entry() (system_state.h) on its state before it
  /// runs.
  virtual PsciResult cpu_on(uint64_t affinity, uint64_t entry, uint64_t context) = 0;
  /// This vCPU stops until cpu_on(); run() must come back for it.
  virtual void cpu_off() = 0;
  /// 0: on, 1: off, 2: on is pending; negative: PsciResult.
  virtual int32_t affinity_info(uint64_t affinity, unsigned level) = 0;
  virtual void system_off() = 0;
  virtual void system_reset() = 0;
};

}  // namespace lyrebird::arm
