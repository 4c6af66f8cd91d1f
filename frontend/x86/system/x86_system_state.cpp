// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/system/x86_system_state.h"

#include <algorithm>
#include <cstring>

#include "frontend/x86/segments.h"

namespace lyrebird::x86 {
namespace {

struct MsrField {
  uint32_t index;
  uint64_t X86State::* field;
};
constexpr MsrField kFields[] = {
    {kMsrApicBase, &X86State::apic_base},
    {0x174, &X86State::sysenter_cs},
    {0x175, &X86State::sysenter_esp},
    {0x176, &X86State::sysenter_eip},
    {0x1a0, &X86State::misc_enable},
    {0x277, &X86State::pat},
    {0xda0, &X86State::xss},
    {0xc0000080, &X86State::efer},
    {0xc0000081, &X86State::star},
    {0xc0000082, &X86State::lstar},
    {0xc0000083, &X86State::cstar},
    {0xc0000084, &X86State::fmask},
    {0xc0000102, &X86State::kernel_gs_base},
    {0xc0000103, &X86State::tsc_aux},
};

constexpr uint64_t kBootstrap = 1 << 8;  ///< in APIC_BASE

auto place_of(std::vector<Msr>& msrs, uint32_t index) {
  return std::lower_bound(msrs.begin(), msrs.end(), index,
                          [](const Msr& msr, uint32_t wanted) { return msr.index < wanted; });
}

}  // namespace

uint64_t* msr_field(X86State& state, uint32_t index) {
  for (const MsrField& entry : kFields)
    if (entry.index == index) return &(state.*entry.field);
  return nullptr;
}

uint64_t msr_value(const X86SystemState& state, uint32_t index) {
  auto& changeable = const_cast<X86SystemState&>(state);
  if (index == kMsrTsc) return state.tsc;
  if (const uint64_t* const field = msr_field(changeable.cpu, index)) return *field;
  const auto at = place_of(changeable.msrs, index);
  return at != state.msrs.end() && at->index == index ? at->value : 0;
}

void set_msr_value(X86SystemState& state, uint32_t index, uint64_t value) {
  if (index == kMsrTsc) {
    state.tsc = value;
  } else if (uint64_t* const field = msr_field(state.cpu, index)) {
    *field = value;
  } else {
    const auto at = place_of(state.msrs, index);
    if (at != state.msrs.end() && at->index == index)
      at->value = value;
    else
      state.msrs.insert(at, {index, value});
  }
}

void reset(X86SystemState& state, bool bootstrap) {
  using namespace segment_attributes;
  X86State& cpu = state.cpu;
  for (const Msr& msr : state.reset_msrs) set_msr_value(state, msr.index, msr.value);
  state.lapic = state.reset_lapic;
  const SegmentState data{0, 0xffff, kPresent | kNotSystem | kWritable | kAccessed, 0};
  cpu.es = cpu.ss = cpu.ds = cpu.fs = cpu.gs = data;
  cpu.cs = {0xffff0000, 0xffff, data.attributes | kCode, 0xf000};
  cpu.ldtr = {0, 0xffff, kPresent | 2u << 8, 0};
  cpu.tr = {0, 0xffff, kPresent | 11u << 8, 0};
  cpu.gdtr = cpu.idtr = {0, 0xffff};
  std::memset(cpu.gpr, 0, sizeof cpu.gpr);
  cpu.gpr[kRdx] = 0x600;  // family 6
  cpu.cr0 = 0x60000010;   // CD, NW, ET
  cpu.cr2 = cpu.cr3 = cpu.cr4 = cpu.cr8 = 0;
  cpu.efer = 0;
  cpu.apic_base = (cpu.apic_base & ~kBootstrap) | (bootstrap ? kBootstrap : 0);
  std::memset(cpu.dr, 0, sizeof cpu.dr);
  cpu.dr[6] = 0xffff0ff0;
  cpu.dr[7] = 0x400;
  cpu.header.pc = 0xfffffff0;
  set_eflags(cpu, 2);
  cpu.xcr0 = 1;
  cpu.xss = 0;
  std::memset(cpu.ymm, 0, sizeof cpu.ymm);
  std::memset(cpu.x87, 0, sizeof cpu.x87);
  reset_x87(cpu);
  set_mxcsr(cpu, 0x1f80);
  update_segment_mode(cpu);
  state.events = {};
  state.activity = bootstrap ? Activity::Running : Activity::WaitForInit;
  state.pdptrs_valid = false;
  state.xsave_rest_parts = 0;
}

}  // namespace lyrebird::x86
