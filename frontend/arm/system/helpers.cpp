// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/helpers.h"

#include <vector>

#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/exceptions.h"
#include "frontend/arm/system/maintenance.h"
#include "frontend/arm/system/system_registers.h"

namespace lyrebird::arm {
namespace {

using ir::HelperInfo;
using ir::Type;

A64SystemState& state_of(void* cpu) { return *static_cast<A64SystemState*>(static_cast<A64State*>(cpu)); }

uint64_t check_access_helper(void* cpu, uint64_t r, uint64_t write, uint64_t, uint64_t) {
  return check_access(state_of(cpu), static_cast<SysReg>(r), write != 0) != AccessResult::Allowed;
}

uint64_t check_operation(void* cpu, uint64_t key, uint64_t, uint64_t, uint64_t) {
  return check_system_op(state_of(cpu), static_cast<SysRegKey>(key)) != AccessResult::Allowed;
}

uint64_t read_register(void* cpu, uint64_t r, uint64_t, uint64_t, uint64_t) {
  return read_sys_reg(state_of(cpu), static_cast<SysReg>(r));
}

uint64_t write_register(void* cpu, uint64_t r, uint64_t value, uint64_t, uint64_t) {
  write_sys_reg(state_of(cpu), static_cast<SysReg>(r), value);
  return 0;
}

uint64_t read_gic(void* cpu, uint64_t key, uint64_t, uint64_t, uint64_t) {
  A64SystemState& state = state_of(cpu);
  uint64_t value = 0;
  const bool ok = state.board->gic_read(static_cast<SysRegKey>(key), state.el, is_secure(state), value);
  state.access_failed = !ok;
  return value;
}

uint64_t write_gic(void* cpu, uint64_t key, uint64_t value, uint64_t, uint64_t) {
  A64SystemState& state = state_of(cpu);
  state.access_failed =
      !state.board->gic_write(static_cast<SysRegKey>(key), state.el, is_secure(state), value);
  return 0;
}

uint64_t operation(void* cpu, uint64_t key, uint64_t value, uint64_t, uint64_t) {
  system_operation(state_of(cpu), static_cast<SysRegKey>(key), value);
  return 0;
}

uint64_t recheck(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  state_of(cpu).vcpu->recheck_interrupts();
  return 0;
}

uint64_t svc(void* cpu, uint64_t immediate, uint64_t next, uint64_t, uint64_t) {
  A64SystemState& state = state_of(cpu);
  take_svc(state, static_cast<uint32_t>(immediate), next);
  return state.header.pc;
}

uint64_t hvc(void* cpu, uint64_t immediate, uint64_t next, uint64_t, uint64_t) {
  A64SystemState& state = state_of(cpu);
  state.wait_for_interrupt = 0;
  take_hvc(state, static_cast<uint32_t>(immediate), next);
  return state.header.pc;
}

uint64_t smc(void* cpu, uint64_t immediate, uint64_t next, uint64_t, uint64_t) {
  A64SystemState& state = state_of(cpu);
  state.wait_for_interrupt = 0;
  take_smc(state, static_cast<uint32_t>(immediate), next);
  return state.header.pc;
}

uint64_t eret(void* cpu, uint64_t to, uint64_t, uint64_t, uint64_t) {
  A64SystemState& state = state_of(cpu);
  exception_return(state, to);
  state.vcpu->mode_changed();
  return state.header.pc;
}

uint64_t wait_trap(void* cpu, uint64_t event, uint64_t, uint64_t, uint64_t) {
  return wait_trap_el(state_of(cpu), event != 0);
}

uint64_t send_event(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  state_of(cpu).vcpu->send_event();
  return 0;
}

uint64_t flushes_done(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  state_of(cpu).vcpu->wait_for_flushes();
  return 0;
}

constexpr uint16_t kAll = ir::Reads | ir::Writes | ir::ReadsState | ir::WritesState;
// In the order of SystemHelper.
constexpr HelperInfo kSystemHelpers[] = {
    {"check_access", check_access_helper, 2, Type::I64, ir::ReadsState},
    {"check_operation", check_operation, 1, Type::I64, ir::ReadsState},
    {"read_register", read_register, 1, Type::I64, kAll},
    {"write_register", write_register, 2, Type::None, kAll},
    {"read_gic", read_gic, 1, Type::I64, kAll},
    {"write_gic", write_gic, 2, Type::None, kAll},
    {"operation", operation, 2, Type::None, kAll},
    {"recheck", recheck, 0, Type::None, kAll},
    {"svc", svc, 2, Type::I64, kAll},
    {"hvc", hvc, 2, Type::I64, kAll},
    {"smc", smc, 2, Type::I64, kAll},
    {"eret", eret, 1, Type::I64, kAll},
    {"wait_trap", wait_trap, 1, Type::I64, ir::ReadsState},
    {"send_event", send_event, 0, Type::None, kAll},
    {"flushes_done", flushes_done, 0, Type::None, kAll},
};

}  // namespace

ir::HelperTable system_helper_table() {
  static const std::vector<HelperInfo> table = [] {
    const ir::HelperTable user = a64::helper_table();
    std::vector<HelperInfo> all(user.begin(), user.end());
    all.insert(all.end(), std::begin(kSystemHelpers), std::end(kSystemHelpers));
    return all;
  }();
  return table;
}

}  // namespace lyrebird::arm
