// SPDX-License-Identifier: Apache-2.0
/// The AArch64 guest: lifts A64 code for a chosen CPU model.
#pragma once

#include "frontend/arm/cpu_model.h"
#include "frontend/frontend.h"

namespace lyrebird::arm {

class A64Frontend final : public frontend::Frontend {
 public:
  explicit A64Frontend(const CpuModel& cpu) : cpu_(cpu) {}
  const ir::StateLayout& layout() const override;
  ir::HelperTable helpers() const override;
  void translate(const frontend::TranslateRequest& request, ir::Block& out) const override;
  const CpuModel& cpu() const { return cpu_; }

 private:
  const CpuModel& cpu_;
};

}  // namespace lyrebird::arm
