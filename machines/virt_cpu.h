// SPDX-License-Identifier: Apache-2.0
/// A CPU of `virt`: its state, what it sees of memory, its generic timers, and what it asks of the board.
#pragma once

#include <array>
#include <mutex>

#include "frontend/arm/system/services.h"
#include "machines/virt.h"

namespace lyrebird::machines {

class VirtMachine::Cpu final : public arm::BoardServices {
 public:
  Cpu(VirtMachine& machine, unsigned index);

  uint64_t counter() override;
  void timer_changed(arm::GenericTimer timer, bool active, uint64_t deadline) override;
  bool gic_read(arm::SysRegKey key, unsigned el, bool secure, uint64_t& value) override;
  bool gic_write(arm::SysRegKey key, unsigned el, bool secure, uint64_t value) override;
  arm::PsciResult cpu_on(uint64_t affinity, uint64_t entry, uint64_t context) override;
  void cpu_off() override;
  int32_t affinity_info(uint64_t affinity, unsigned level) override;
  void system_off() override;
  void system_reset() override;

  /// After a reset of the state: no timer runs.
  void reset_timers();
  /// Their lines as they are to be now.
  void check_timers();
  accel::VcpuThread& thread() { return machine_.cpu(index_); }

  VirtMachine& machine_;
  const unsigned index_;
  const uint64_t mpidr_;
  arm::A64SystemState state_;
  bool on_ = false;  ///< under power_mutex_
  /// Only where a CPU sees what others don't (GICv2); else the machine's.
  system::MemoryRegionPtr root_, everything_, distributor_, interface_;
  std::unique_ptr<system::AddressSpace> own_memory_;
  std::unique_ptr<accel::Vcpu> vcpu_;

 private:
  struct Timer {
    std::unique_ptr<system::Timer> host;
    system::IrqLine line;
    bool active = false;
    uint64_t deadline = 0;
  };
  void check(Timer& timer);

  std::mutex timer_mutex_;
  std::array<Timer, arm::kGenericTimerCount> timers_;
};

}  // namespace lyrebird::machines
