// SPDX-License-Identifier: Apache-2.0
#include "user/abi/x86_state.h"

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <new>

#include "frontend/x86/segments.h"

namespace lyrebird::user {
namespace {

using x86::X86State;

/// Untouched pages until an entry is used.
std::shared_ptr<std::atomic<uint64_t>> make_ldt() {
  constexpr size_t kSize = kLdtEntries * sizeof(uint64_t);
  void* const memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return {static_cast<std::atomic<uint64_t>*>(memory),
          [](std::atomic<uint64_t>* table) { ::munmap(table, kSize); }};
}

void copy(X86State& to, const X86State& from) {
  to.header.pc = from.header.pc;
  to.header.mode = from.header.mode;
  to.header.fp_flags = from.header.fp_flags;
  to.header.f80_collected = from.header.f80_collected | (from.header.f80_status & ir::kF80Exceptions);
  to.header.f80_status = (from.header.f80_status & ir::kF80RoundedUp) | ir::kF80Stale;
  constexpr size_t kFirst = offsetof(X86State, gpr);
  std::memcpy(reinterpret_cast<char*>(&to) + kFirst, reinterpret_cast<const char*>(&from) + kFirst,
              sizeof to - kFirst);
}

void fill_gdt(X86UserState& state) {
  constexpr uint32_t kAllOfIt = 0xffffffff;
  state.gdt[kUserCode32 >> 3] = x86::make_descriptor(0, kAllOfIt, x86::segment_attributes::kUserCode32);
  state.gdt[kUserData >> 3] = x86::make_descriptor(0, kAllOfIt, x86::segment_attributes::kUserData);
  state.gdt[kUserCode64 >> 3] = x86::make_descriptor(0, kAllOfIt, x86::segment_attributes::kUserCode64);
}

}  // namespace

StatePtr create_x86_state(x86::Mode mode, const ir::CpuHeader* from, uint64_t xcr0) {
  X86UserState* const state = new X86UserState;
  if (from) {
    const X86UserState& parent = reinterpret_cast<const X86UserState&>(*from);
    copy(state->cpu, parent.cpu);
    for (unsigned i = 0; i < kGdtEntries; ++i) state->gdt[i] = parent.gdt[i].load();
    state->ldt = parent.ldt;
  } else {
    fill_gdt(*state);
    state->ldt = make_ldt();
    x86::enter_user_mode(state->cpu, mode);
    reset_x86_fp(state->cpu);
    state->cpu.xcr0 = xcr0;
  }
  state->cpu.user_gdt = state->gdt;
  state->cpu.user_gdt_count = kGdtEntries;
  state->cpu.user_ldt = state->ldt.get();
  state->cpu.user_ldt_count = kLdtEntries;
  return {&state->cpu.header, [](ir::CpuHeader* cpu) { delete reinterpret_cast<X86UserState*>(cpu); }};
}

void reset_x86_fp(X86State& s) {
  std::memset(s.x87, 0, sizeof s.x87);
  x86::set_x87_used(s, 0);
  std::memset(s.ymm, 0, sizeof s.ymm);
  x86::set_x87_status(s, 0);
  x86::set_x87_control(s, 0x37f);
  x86::set_mxcsr(s, 0x1f80);
  s.x87_opcode = s.x87_cs = s.x87_ds = 0;
  s.x87_ip = s.x87_dp = 0;
}

void reload_segments(X86State& s, uint16_t selector) {
  using x86::Segment;
  for (const Segment segment : {Segment::ES, Segment::DS, Segment::FS, Segment::GS}) {
    if ((x86::segment_of(s, segment).selector | 3) != (selector | 3)) continue;
    // As Linux does with an entry that no longer can be loaded.
    if (x86::load_segment(s, segment, x86::segment_of(s, segment).selector) != x86::SegmentFault::None)
      x86::load_segment(s, segment, 0);
  }
}

}  // namespace lyrebird::user
