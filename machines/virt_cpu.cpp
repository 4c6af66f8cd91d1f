// SPDX-License-Identifier: Apache-2.0
#include "machines/virt_cpu.h"

#include <algorithm>

#include "machines/virt_map.h"

namespace lyrebird::machines {

using namespace virt;

VirtMachine::Cpu::Cpu(VirtMachine& machine, unsigned index)
    : machine_(machine), index_(index), mpidr_(mpidr(index, machine.config_.gicv3)) {
  static constexpr unsigned kPpi[] = {kPhysicalTimerPpi, kVirtualTimerPpi, kHypTimerPpi, kSecureTimerPpi,
                                      kHypVirtualTimerPpi};
  for (unsigned i = 0; i < timers_.size(); ++i) {
    Timer& timer = timers_[i];
    timer.line = machine.ppi(index, kPpi[i]);
    timer.host = std::make_unique<system::Timer>(machine.clock(), [this, &timer] { check(timer); });
  }
  state_.config = &machine.config_;
  state_.board = this;
}

uint64_t VirtMachine::Cpu::counter() { return static_cast<uint64_t>(machine_.clock().now_ns()); }

void VirtMachine::Cpu::check(Timer& timer) {
  const std::lock_guard lock(timer_mutex_);
  const bool due = timer.active && counter() >= timer.deadline;
  timer.line.set(due);
  if (timer.active && !due)
    timer.host->arm(static_cast<int64_t>(
        std::min(timer.deadline, static_cast<uint64_t>(system::kNever))));  // 1 GHz: ticks are nanoseconds
  else
    timer.host->cancel();
}

void VirtMachine::Cpu::timer_changed(arm::GenericTimer which, bool active, uint64_t deadline) {
  Timer& timer = timers_[static_cast<unsigned>(which)];
  {
    const std::lock_guard lock(timer_mutex_);
    timer.active = active;
    timer.deadline = deadline;
  }
  check(timer);
}

void VirtMachine::Cpu::reset_timers() {
  for (unsigned i = 0; i < timers_.size(); ++i) timer_changed(static_cast<arm::GenericTimer>(i), false, 0);
}

void VirtMachine::Cpu::check_timers() {
  for (Timer& timer : timers_) check(timer);
}

bool VirtMachine::Cpu::gic_read(arm::SysRegKey key, unsigned, bool, uint64_t& value) {
  return machine_.gicv3_ && machine_.gicv3_->read_register(index_, key, value);
}

bool VirtMachine::Cpu::gic_write(arm::SysRegKey key, unsigned, bool, uint64_t value) {
  return machine_.gicv3_ && machine_.gicv3_->write_register(index_, key, value);
}

arm::PsciResult VirtMachine::Cpu::cpu_on(uint64_t affinity, uint64_t entry, uint64_t context) {
  return machine_.cpu_on(affinity, entry, context);
}

void VirtMachine::Cpu::cpu_off() {
  const std::lock_guard lock(machine_.power_mutex_);
  on_ = false;
  thread().set_power(false);
  vcpu_->kick();
}

int32_t VirtMachine::Cpu::affinity_info(uint64_t affinity, unsigned level) {
  return machine_.affinity_info(affinity, level);
}

void VirtMachine::Cpu::system_off() { machine_.request_shutdown(Shutdown::Guest); }
void VirtMachine::Cpu::system_reset() { machine_.request_reset(); }

}  // namespace lyrebird::machines
