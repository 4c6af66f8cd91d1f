// SPDX-License-Identifier: Apache-2.0
/// The state of `virt` in a stream: its clock, CPUs, devices, and last the interrupt controller, whose own
/// levels and pending bits count, whatever lines the others raise while they are loaded.
#include <fmt/format.h>

#include "frontend/arm/system/state_stream.h"
#include "machines/virt.h"
#include "machines/virt_cpu.h"

namespace lyrebird::machines {

std::vector<Machine::Trait> VirtMachine::traits() const {
  const auto on = [](bool is) { return std::string(is ? "on" : "off"); };
  return {{"-M", "virt"},
          {"-cpu", options_.cpu},
          {"-smp", std::to_string(options_.cpus)},
          {"-m", fmt::format("{}M", ram_->size() >> 20)},
          {"-M gic-version", std::to_string(options_.gic_version)},
          {"-M virtualization", on(options_.virtualization)},
          {"-M secure", on(options_.secure)},
          {"firmware", on(has_firmware())}};
}

std::vector<system::RamBlock*> VirtMachine::ram_blocks() {
  std::vector<system::RamBlock*> blocks = {ram_.get()};
  for (const auto& flash : flash_contents_)
    if (flash) blocks.push_back(flash.get());
  return blocks;
}

Result<void> VirtMachine::save(system::StateWriter& to) {
  to.begin("virt", 1);
  to.field("clock", clock().now_ns());
  for (const auto& cpu : cpus_) {
    if (auto read = cpu->vcpu_->read_state(); !read) return read;
    {
      const std::lock_guard lock(power_mutex_);
      to.field("on", cpu->on_);
    }
    arm::save_state(cpu->state_, to);
  }
  to.field("button", button_release_->deadline());
  for (system::Device* const device : to_reset_) {
    const std::lock_guard lock(device->mutex());
    device->save(to);
  }
  if (gicv2_) gicv2_->save(to);
  if (gicv3_) gicv3_->save(to);
  to.end();
  return {};
}

Result<void> VirtMachine::load(system::StateReader& from) {
  int64_t now = 0, button = system::kNever;
  from.begin("virt", 1);
  from.field("clock", now);
  if (now < 0) from.fail("its clock shows less than nothing");
  if (!from.ok()) return from.status();
  clock().set_ns(now);
  for (const auto& cpu : cpus_) {
    bool on = false;
    from.field("on", on);
    if (auto loaded = arm::load_state(cpu->state_, from); !loaded) return loaded;
    if (auto written = cpu->vcpu_->write_state(); !written) return written;
    const std::lock_guard lock(power_mutex_);
    cpu->on_ = on;
    cpu->thread().set_power(on);
  }
  from.field("button", button);
  if (!from.ok()) return from.status();
  button_release_->arm(button);
  for (system::Device* const device : to_reset_) {
    const std::lock_guard lock(device->mutex());
    if (auto loaded = device->load(from); !loaded) return loaded;
  }
  if (gicv2_)
    if (auto loaded = gicv2_->load(from); !loaded) return loaded;
  if (gicv3_)
    if (auto loaded = gicv3_->load(from); !loaded) return loaded;
  from.end();
  // A timer that came due just before the machine was paused has not raised its line yet: nobody else would.
  for (const auto& cpu : cpus_) cpu->check_timers();
  return from.status();
}

}  // namespace lyrebird::machines
