// SPDX-License-Identifier: Apache-2.0
/// One virtual CPU, whatever runs it: translation (accel/soft) or hardware (accel/kvm).
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "ir/cpu_header.h"
#include "ir/inst.h"

namespace lyrebird::accel {

/// Why guest code stopped; see ir::ExitKind for where pc points.
struct Exit {
  ir::ExitKind kind = ir::ExitKind::None;
  uint64_t detail = 0;
};

/// Detail of Exit{Debug}: an access of the instruction at pc met a watchpoint; CpuHeader::fault_address and
/// fault_access tell which. Translation stops before the instruction has done anything, hardware may be
/// behind it.
inline constexpr uint64_t kDebugWatch = 1;

/// run() is called by one thread at a time; kick() by any thread or signal handler.
///
/// System mode: exceptions and interrupts of the guest are taken inside of run(), I/O is done there through
/// the AddressSpace, and a CPU that waits for an interrupt sleeps there. run() comes back with Interrupted
/// (kick()), Debug, Reset and Shutdown (the CPU itself asked for it: a triple fault), and Error.
class Vcpu {
 public:
  virtual ~Vcpu() = default;
  /// Runs guest code until there is something for the caller to do. The state is precise.
  virtual Exit run() = 0;
  /// Runs one guest instruction; Exit{Debug} when it went well. Breakpoints are ignored.
  virtual Exit step() = 0;
  /// The same for a machine's debugger: no interrupt comes before the instruction, as far as that can be had.
  virtual Exit step_undisturbed() { return step(); }
  /// Makes run() return Exit{Interrupted} soon, now or at its next call. Async-signal-safe.
  virtual void kick() = 0;
  virtual ir::CpuHeader& state() = 0;

  // --- system mode; set_interrupt() is for any thread

  /// Sets the level of an interrupt line: a bit of CpuHeader::interrupt_lines, as the frontend numbers them.
  /// The guest takes the interrupt soon after; run() does not come back for it.
  virtual void set_interrupt(uint32_t lines, bool level);
  /// VcpuThread::set_power(): from now on it runs, or does not any more.
  virtual void set_power(bool /*on*/) {}
  /// While all are paused: the next resume() is not for this one, so that no other may wait for it.
  virtual void set_held(bool /*held*/) {}
  /// While the vCPU does not run: lets the hardware's registers be seen in state(), and back.
  virtual Result<void> read_state() { return {}; }
  virtual Result<void> write_state() { return {}; }
  /// While it does not run: the translations of addresses it knows, a line each. Empty: it has no such table.
  virtual std::string list_tlb() { return {}; }
};

}  // namespace lyrebird::accel
