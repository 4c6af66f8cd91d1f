// SPDX-License-Identifier: Apache-2.0
/// What a guest's privileged code asks of the accelerator that runs its vCPU. One object per vCPU, called by
/// the vCPU's own thread, from helpers inside translated code or from the SystemFrontend's calls.
#pragma once

#include <cstdint>

namespace lyrebird::system {
class AddressSpace;
}

namespace lyrebird::frontend {

/// Detail of ExitKind::Yield: why the guest gives up its time. pc is after the instruction.
enum YieldDetail : uint64_t {
  kYieldHint = 0,              ///< somebody else should run (Arm YIELD, x86 PAUSE)
  kYieldWaitForInterrupt = 1,  ///< sleep until an interrupt line is up, masked or not (Arm WFI), or a kick
  kYieldWaitForEvent =
      2,  ///< the same, or send_event() (Arm WFE); may end early, and must after about 100 us
};

/// Which translations to forget.
struct TlbFlush {
  uint32_t spaces = ~0u;    ///< bit i: those of mmu index i
  bool by_address = false;  ///< only pages that overlap [address, address + size)
  bool by_context = false;  ///< only those of `context`, and with by_address the global ones
  bool broadcast = false;   ///< on all vCPUs, others by the next wait_for_flushes(); else on this one
  uint64_t address = 0;     ///< virtual; compared without bits 63:56 (the TLB is looked up with them)
  uint64_t size = 0;
  uint32_t context = 0;  ///< as Page::context has it
};

class VcpuServices {
 public:
  virtual ~VcpuServices() = default;

  virtual void tlb_flush(const TlbFlush& flush) = 0;
  /// Returns when no vCPU uses anything that this one has had flushed.
  virtual void wait_for_flushes() = 0;
  /// From now on the spaces in the mask are translated for `context` (Arm: ASID). Entries of other contexts
  /// that are not global may not be used until their context is back; those of the same one stay valid.
  virtual void context_changed(uint32_t spaces, uint32_t context) = 0;
  /// Said before context_changed(): from then on what these spaces have at addresses with bit 55 set comes
  /// from tables of its own at `base`, whatever the context (Arm: TTBR1). A flush by context still counts for
  /// it unless several contexts have used the same tables.
  virtual void upper_table_changed(uint32_t /*spaces*/, uint64_t /*base*/) {}
  /// CpuHeader::mode is for code of another space now; said by helpers, so that the jump behind them is a
  /// short one.
  virtual void mode_changed() {}
  /// Code in [address, address + size), virtual, or all of it (size 0) may have been changed by anybody.
  virtual void invalidate_code(uint64_t address, uint64_t size) = 0;
  /// Interrupts may have been unmasked: if a line is up, take_interrupt() is asked at the end of the running
  /// block.
  virtual void recheck_interrupts() = 0;
  /// Wakes all vCPUs that wait for an event.
  virtual void send_event() = 0;
  /// Memory as this vCPU sees it.
  virtual system::AddressSpace& memory() = 0;
};

}  // namespace lyrebird::frontend
