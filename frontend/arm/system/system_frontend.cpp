// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/system/system_frontend.h"

#include <fmt/format.h>

#include <bit>

#include "base/bits.h"
#include "frontend/arm/a64/translate.h"
#include "frontend/arm/system/decode_traps.h"
#include "frontend/arm/system/exceptions.h"
#include "frontend/arm/system/helpers.h"
#include "frontend/arm/system/mmu.h"

namespace lyrebird::arm {
namespace {

bool is_host_index(unsigned index) { return index >= kMmuEl20 && index <= kMmuEl2HostPan; }

void take_unaligned(A64SystemState& state) {
  const uint64_t pc = state.header.pc;
  if (pc & 3)
    return take_sync(state, default_target(state), make_esr(ExceptionClass::PcAlignment, 0), pc, &pc);
  state.fault = {.status = kStatusAlignment, .address = state.header.fault_address};
  take_abort(state, static_cast<ir::Access>(state.header.fault_access), pc);
}

void take_refused_instruction(A64SystemState& state, uint64_t detail) {
  const uint64_t pc = state.header.pc;
  switch (detail) {
    case kStepDetail:
      return take_step(state, pc);
    case kIllegalDetail:
      return take_sync(state, default_target(state), make_esr(ExceptionClass::IllegalState, 0), pc);
    case kSpAlignDetail:
      return take_sync(state, default_target(state), make_esr(ExceptionClass::SpAlignment, 0), pc);
    default:
      return take_refused(state, static_cast<uint32_t>(detail), pc);
  }
}

}  // namespace

A64SystemState& system_state(ir::CpuHeader& cpu) {
  return *static_cast<A64SystemState*>(reinterpret_cast<A64State*>(&cpu));
}
const A64SystemState& system_state(const ir::CpuHeader& cpu) {
  return *static_cast<const A64SystemState*>(reinterpret_cast<const A64State*>(&cpu));
}

int64_t* A64SystemFrontend::instruction_budget(ir::CpuHeader& cpu) const {
  return config_.count_instructions ? &system_state(cpu).instruction_budget : nullptr;
}

const ir::StateLayout& A64SystemFrontend::layout() const { return a64_system_layout(); }
ir::HelperTable A64SystemFrontend::helpers() const { return system_helper_table(); }

void A64SystemFrontend::translate(const frontend::TranslateRequest& request, ir::Block& out) const {
  a64::translate(*config_.model, &config_, request, out);
}

bool A64SystemFrontend::translate_address(ir::CpuHeader& cpu, system::AddressSpace& memory, uint64_t address,
                                          ir::Access access, unsigned mmu_index, bool probe,
                                          frontend::Page& page) const {
  A64SystemState& state = system_state(cpu);
  Translation found;
  TranslationFault fault;
  const WalkPurpose purpose = probe ? WalkPurpose::Probe : WalkPurpose::Access;
  if (!arm::translate(state, memory, address, access, mmu_index, purpose, found, fault)) {
    if (!probe) state.fault = fault;
    return false;
  }
  if (found.guarded && access == ir::Access::Fetch && !probe) state.uses_bti = 1;
  page = {.physical = found.physical,
          .bits = found.bits,
          .read = found.read,
          .write = found.write,
          .execute = found.execute,
          .global = found.global,
          .secure = found.secure,
          .device = found.device(),
          .guarded = found.guarded,
          .context = found.global ? 0 : current_context(state, is_host_index(mmu_index))};
  return true;
}

void A64SystemFrontend::note_bus_error(ir::CpuHeader& cpu, uint64_t address, ir::Access, unsigned) const {
  system_state(cpu).fault = {.status = kStatusExternal, .address = address};
}

bool A64SystemFrontend::raise(ir::CpuHeader& cpu, ir::ExitKind kind, uint64_t detail) const {
  A64SystemState& state = system_state(cpu);
  switch (kind) {
    case ir::ExitKind::Undefined:
      take_refused_instruction(state, detail);
      break;
    case ir::ExitKind::Breakpoint:
      take_brk(state, static_cast<uint32_t>(detail), cpu.pc);
      break;
    case ir::ExitKind::MemoryFault:
      take_abort(state, static_cast<ir::Access>(cpu.fault_access), cpu.pc);
      break;
    case ir::ExitKind::FetchFault:
      if (cpu.pc & 3) return take_unaligned(state), true;  // comes before translation (D1.3.5)
      take_abort(state, ir::Access::Fetch, cpu.pc);
      break;
    case ir::ExitKind::Unaligned:
      take_unaligned(state);
      break;
    case ir::ExitKind::BranchTarget: {
      const uint32_t btype = (cpu.mode & kModeBtypeMask) >> kModeBtypeShift;
      take_sync(state, default_target(state), make_esr(ExceptionClass::BranchTarget, btype), cpu.pc);
      break;
    }
    default:
      return false;
  }
  return true;
}

bool A64SystemFrontend::take_interrupt(ir::CpuHeader& cpu, uint32_t lines) const {
  return take_pending(system_state(cpu), lines);
}

bool A64SystemFrontend::wakes(const ir::CpuHeader& cpu, uint32_t lines) const {
  return ends_wait(system_state(cpu), lines);
}

std::string A64SystemFrontend::translation_key() const {
  return fmt::format("a64 {} {:x} {:x} el2={} el3={} gicv3={} psci={} pa={}", config_.model->name,
                     std::bit_cast<uint64_t>(config_.model->features), config_.model->midr, config_.el2,
                     config_.el3, config_.gicv3, static_cast<int>(config_.psci), config_.pa_bits);
}

void A64SystemFrontend::attach(ir::CpuHeader& cpu, frontend::VcpuServices& services) const {
  A64SystemState& state = system_state(cpu);
  state.vcpu = &services;
  state.config = &config_;
}

}  // namespace lyrebird::arm
