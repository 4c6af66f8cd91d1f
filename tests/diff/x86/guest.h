// SPDX-License-Identifier: Apache-2.0
/// Our side of the comparison: one instruction on an executor.
#pragma once

#include <memory>

#include "accel/soft/soft.h"
#include "frontend/x86/x86_frontend.h"
#include "frontend/x86/x86_state.h"
#include "tests/diff/x86/machine.h"

namespace lyrebird::x86diff {

/// Maps the data page and installs the handler of faults; once per process, before any Guest.
void prepare_guests();

class Guest {
 public:
  /// `first_step`: of X86Frontend.
  Guest(const x86::CpuModel& cpu, accel::Executor executor, bool optimise = true, bool single_step = false,
        bool first_step = host_shifts_tell_first_step());
  ~Guest();
  /// Runs the case's instruction from `in`.
  Ending run(const Case& c, Machine& out);

 private:
  class Source final : public frontend::CodeSource {
   public:
    bool fetch(uint64_t pc, void* to, unsigned size) override;
    bool guarded(uint64_t) const override { return false; }
    const Case* current = nullptr;
  };

  x86::X86State state_;
  x86::X86Frontend frontend_;
  Source source_;
  accel::SoftAccelerator accelerator_;
  std::unique_ptr<accel::Vcpu> vcpu_;
  const bool single_step_;
};

}  // namespace lyrebird::x86diff
