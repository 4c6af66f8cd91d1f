// SPDX-License-Identifier: Apache-2.0
/// User programs of x86-64 and i386 on an x86-64 host, whose processor has all features of the model.
#pragma once

#include "accel/direct/translator.h"
#include "frontend/x86/x86_frontend.h"

namespace lyrebird::accel::direct {

class X86Translator final : public Translator {
 public:
  explicit X86Translator(const x86::CpuModel& cpu) : cpu_(cpu) {}
  /// Whether the host has all that the model has, as far as programs can use it.
  static bool host_has(const x86::CpuModel& cpu);

  std::optional<uint32_t> mode(uint32_t cpu_mode) const override;
  bool translate(const frontend::TranslateRequest& request, jit::direct::Code& out) const override;
  void load(const ir::CpuHeader& cpu, jit::direct::Area& area) const override;
  void store(ir::CpuHeader& cpu, jit::direct::Area& area) const override;

 private:
  const x86::CpuModel& cpu_;
};

}  // namespace lyrebird::accel::direct
