// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/x87.h"

namespace lyrebird::x86 {

namespace {
X86State& state_of(void* cpu) { return *static_cast<X86State*>(cpu); }
}  // namespace

uint64_t x87_execute_helper(void* cpu, uint64_t insn, uint64_t low, uint64_t high, uint64_t) {
  return x87_execute(state_of(cpu), X87Insn::unpack(static_cast<uint32_t>(insn)), low, high);
}

/// Nothing changes.
uint64_t x87_stored_helper(void* cpu, uint64_t insn, uint64_t part, uint64_t, uint64_t) {
  const X86State& state = state_of(cpu);
  X86State copy;
  copy.header.mode = state.header.mode;
  copy.x87_control = state.x87_control;
  std::memcpy(copy.x87, state.x87, sizeof copy.x87);
  const uint64_t outcome = x87_execute(copy, X87Insn::unpack(static_cast<uint32_t>(insn)), 0, 0);
  uint64_t low;
  uint16_t high;
  std::memcpy(&low, copy.x87_result, 8);
  std::memcpy(&high, copy.x87_result + 8, 2);
  return part == 0 ? low : high | outcome << 16;
}

uint64_t x87_pending_helper(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  return x87_exception_pending(state_of(cpu));
}

uint64_t x87_status_helper(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  return x87_status(state_of(cpu));
}

uint64_t x87_tags_helper(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  return x87_tags(state_of(cpu));
}

uint64_t x87_set_control_helper(void* cpu, uint64_t control, uint64_t, uint64_t, uint64_t) {
  set_x87_control(state_of(cpu), static_cast<uint16_t>(control));
  return 0;
}

uint64_t x87_reset_helper(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  reset_x87(state_of(cpu));
  return 0;
}

uint64_t x87_load_environment_helper(void* cpu, uint64_t words, uint64_t, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  set_x87_control(state, static_cast<uint16_t>(words));
  set_x87_status(state, static_cast<uint16_t>(words >> 16));
  set_x87_tags(state, static_cast<uint16_t>(words >> 32));
  return 0;
}

uint64_t x87_put_register_helper(void* cpu, uint64_t i, uint64_t, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  std::memcpy(state.x87[(x87_top_of_mode(state.header.mode) + i) & 7], state.x87_result, 10);
  return 0;
}

}  // namespace lyrebird::x86
