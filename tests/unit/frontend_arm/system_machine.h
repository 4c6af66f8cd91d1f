// SPDX-License-Identifier: Apache-2.0
// A vCPU with a little RAM and services that note what they are asked, for tests of frontend/arm/system.
#pragma once

#include <memory>
#include <vector>

#include "base/bits.h"
#include "frontend/arm/system/control_bits.h"
#include "frontend/arm/system/exceptions.h"
#include "frontend/arm/system/mmu.h"
#include "frontend/arm/system/system_frontend.h"
#include "frontend/arm/system/system_registers.h"
#include "system/address_space.h"
#include "system/ram_block.h"

namespace lyrebird::arm::test {

inline constexpr uint64_t kRamSize = 8 << 20;

struct Machine : frontend::VcpuServices, BoardServices {
  explicit Machine(SystemConfig wanted = {}, const char* cpu = "max") : config(wanted) {
    config.model = find_cpu_model(cpu);
    ram = std::move(system::RamBlock::create("ram", kRamSize).value());
    region = system::MemoryRegion::ram("ram", *ram);
    space = std::make_unique<system::AddressSpace>("test", *region);
    front = std::make_unique<A64SystemFrontend>(config);
    state.board = this;
    front->attach(state.header, *this);
    reset_vcpu(state, 0x80000000);
    flushes.clear();
  }

  // VcpuServices
  void tlb_flush(const frontend::TlbFlush& flush) override { flushes.push_back(flush); }
  void wait_for_flushes() override {}
  void context_changed(uint32_t, uint32_t context) override { contexts.push_back(context); }
  void invalidate_code(uint64_t, uint64_t) override { ++invalidations; }
  void recheck_interrupts() override { ++rechecks; }
  void send_event() override { ++events; }
  system::AddressSpace& memory() override { return *space; }

  // BoardServices
  uint64_t counter() override { return now; }
  void timer_changed(GenericTimer timer, bool active, uint64_t deadline) override {
    timers[static_cast<unsigned>(timer)] = {active, deadline};
  }
  PsciResult cpu_on(uint64_t affinity, uint64_t entry, uint64_t context) override {
    started = {affinity, entry, context};
    return affinity == 7 ? kPsciInvalidParameters : kPsciSuccess;
  }
  void cpu_off() override { is_off = true; }
  int32_t affinity_info(uint64_t, unsigned) override { return 1; }
  void system_off() override { is_shut_down = true; }
  void system_reset() override { is_reset = true; }

  uint64_t& reg(SysReg r) { return state.reg(r); }
  void put(uint64_t pa, uint64_t value) { space->write(pa, 8, value); }
  uint64_t get(uint64_t pa) { return space->read(pa, 8).value; }
  /// Goes to the level, as an exception return does.
  void go(unsigned el, unsigned sp_sel = 1, unsigned daif = 0) {
    set_el_and_sp(state, el, sp_sel);
    state.daif = static_cast<uint8_t>(daif);
    update_mode(state);
  }

  SystemConfig config;
  std::unique_ptr<system::RamBlock> ram;
  system::MemoryRegionPtr region;
  std::unique_ptr<system::AddressSpace> space;
  std::unique_ptr<A64SystemFrontend> front;
  A64SystemState state;

  std::vector<frontend::TlbFlush> flushes;
  std::vector<uint32_t> contexts;
  unsigned invalidations = 0, rechecks = 0, events = 0;
  uint64_t now = 1000;
  struct Timer {
    bool active = false;
    uint64_t deadline = 0;
  } timers[kGenericTimerCount];
  struct {
    uint64_t affinity = 0, entry = 0, context = 0;
  } started;
  bool is_off = false, is_shut_down = false, is_reset = false;
};

}  // namespace lyrebird::arm::test
