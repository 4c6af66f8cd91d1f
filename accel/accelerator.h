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
  /// What -stats prints.
  virtual void report(Report&) const {}
};

}  // namespace lyrebird::accel
