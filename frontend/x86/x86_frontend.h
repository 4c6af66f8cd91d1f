// SPDX-License-Identifier: Apache-2.0
/// The x86 guest, 16-, 32- and 64-bit code by the mode bits: lifts for a chosen CPU model.
#pragma once

#include "base/host_shifts.h"
#include "frontend/frontend.h"
#include "frontend/x86/cpu_model.h"

namespace lyrebird::x86 {

class X86Frontend final : public frontend::Frontend {
 public:
  /// `first_step`: what shifts leave in the flags that the manual calls undefined (ir::eval::kFirstStep); the
  /// host's own answer is the one that it gives for nothing.
  explicit X86Frontend(const CpuModel& cpu, bool first_step = host_shifts_tell_first_step())
      : cpu_(cpu), first_step_(first_step) {}
  const ir::StateLayout& layout() const override;
  ir::HelperTable helpers() const override;
  void translate(const frontend::TranslateRequest& request, ir::Block& out) const override;
  const CpuModel& cpu() const { return cpu_; }

 private:
  const CpuModel& cpu_;
  const bool first_step_;
};

}  // namespace lyrebird::x86
