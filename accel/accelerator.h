// SPDX-License-Identifier: Apache-2.0
/// What runs a machine's vCPUs: translation (accel/soft) or the hardware (accel/kvm). One per machine.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "accel/vcpu.h"
#include "base/result.h"

namespace lyrebird {
class Report;
}

namespace lyrebird::system {
class AddressSpace;
}

namespace lyrebird::accel {

/// Addresses whose accesses stop a vCPU: Exit{Debug, kDebugWatch}.
struct Watchpoint {
  uint64_t address = 0, size = 0;  ///< virtual
  bool read = false, write = false;
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;
  /// As -accel names it.
  virtual std::string_view name() const = 0;
  /// A vCPU that runs on `state`, the start of the frontend's state struct, and sees `memory`. Both outlive
  /// it. The same thread may create all; vCPUs are there before the first one runs.
  virtual Result<std::unique_ptr<Vcpu>> create_vcpu(unsigned index, ir::CpuHeader& state,
                                                    system::AddressSpace& memory) = 0;
  /// Replaces the debugger's breakpoints: virtual addresses, sorted.
  virtual void set_breakpoints(std::vector<uint64_t> addresses) = 0;
  /// Replaces the debugger's watchpoints, while no vCPU runs. False: not so many, not these, or none at all;
  /// then there are those of before.
  virtual bool set_watchpoints(const std::vector<Watchpoint>&) { return false; }
  /// What -stats prints.
  virtual void report(Report&) const {}
};

}  // namespace lyrebird::accel
