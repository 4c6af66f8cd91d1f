// SPDX-License-Identifier: Apache-2.0
/// The x86 guest, 16-, 32- and 64-bit code by the mode bits: lifts for a chosen CPU model.
#pragma once

#include "frontend/frontend.h"
#include "frontend/x86/cpu_model.h"

namespace lyrebird::x86 {

class X86Frontend final : public frontend::Frontend {
 public:
  explicit X86Frontend(const CpuModel& cpu) : cpu_(cpu) {}
  const ir::StateLayout& layout() const override;
  ir::HelperTable helpers() const override;
  void translate(const frontend::TranslateRequest& request, ir::Block& out) const override;
  const CpuModel& cpu() const { return cpu_; }

 private:
  const CpuModel& cpu_;
};

}  // namespace lyrebird::x86
