// SPDX-License-Identifier: Apache-2.0
/// The AArch64 CPU of a machine: EL0 to EL3 as configured. The state of its vCPUs is an A64SystemState, whose
/// `config`, `board` the board sets before reset_vcpu().
#pragma once

#include <string>

#include "frontend/arm/system/system_state.h"
#include "frontend/system_frontend.h"

namespace lyrebird::arm {

class A64SystemFrontend final : public frontend::SystemFrontend {
 public:
  /// The config stays.
  explicit A64SystemFrontend(const SystemConfig& config) : config_(config) {}
  const SystemConfig& config() const { return config_; }

  const ir::StateLayout& layout() const override;
  ir::HelperTable helpers() const override;
  void translate(const frontend::TranslateRequest& request, ir::Block& out) const override;

  bool translate_address(ir::CpuHeader& cpu, system::AddressSpace& memory, uint64_t address,
                         ir::Access access, unsigned mmu_index, bool probe,
                         frontend::Page& page) const override;
  void note_bus_error(ir::CpuHeader& cpu, uint64_t address, ir::Access access,
                      unsigned mmu_index) const override;
  bool raise(ir::CpuHeader& cpu, ir::ExitKind kind, uint64_t detail) const override;
  bool take_interrupt(ir::CpuHeader& cpu, uint32_t lines) const override;
  bool wakes(const ir::CpuHeader& cpu, uint32_t lines) const override;
  unsigned fetch_index(uint32_t mode) const override { return fetch_space(mode); }
  int64_t* instruction_budget(ir::CpuHeader& cpu) const override;
  /// What translate() depends on besides mode, code and breakpoints.
  std::string translation_key() const;
  void attach(ir::CpuHeader& cpu, frontend::VcpuServices& services) const override;

 private:
  const SystemConfig& config_;
};

/// The state whose header this is.
A64SystemState& system_state(ir::CpuHeader& cpu);
const A64SystemState& system_state(const ir::CpuHeader& cpu);

}  // namespace lyrebird::arm
