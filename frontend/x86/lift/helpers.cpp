// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/lift/helpers.h"

#include <sys/random.h>
#include <x86intrin.h>

#include "base/bits.h"
#include "frontend/x86/cpu_model.h"
#include "frontend/x86/segments.h"
#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x86_state.h"

namespace lyrebird::x86 {

#define HELPER(enumerator, function, arguments, result, effects) \
  uint64_t function(void* cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#include "frontend/x86/lift/helpers.inc"
#undef HELPER

namespace {

X86State& state_of(void* cpu) { return *static_cast<X86State*>(cpu); }

bool is_protected(const X86State& state) {
  return (state.header.mode & (kModeProtected | kModeV86)) == kModeProtected;
}

}  // namespace

// --- segments

uint64_t breaks_segment_helper(void* cpu, uint64_t offset, uint64_t access, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  const SegmentState& segment = segment_of(state, static_cast<Segment>(access & 0xff));
  return breaks_segment(segment, is_protected(state), offset, access >> 8 & 0xff, (access >> 16 & 1) != 0);
}

uint64_t check_segment_helper(void* cpu, uint64_t segment, uint64_t selector, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  SegmentState& target = segment_of(state, static_cast<Segment>(segment));
  const SegmentState before = target;
  const uint32_t mode = state.header.mode;
  const SegmentFault fault =
      load_segment(state, static_cast<Segment>(segment), static_cast<uint16_t>(selector));
  target = before;
  state.header.mode = mode;
  return static_cast<uint64_t>(fault);
}

uint64_t load_segment_helper(void* cpu, uint64_t segment, uint64_t selector, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  load_segment(state, static_cast<Segment>(segment), static_cast<uint16_t>(selector));
  return state.header.mode;
}

uint64_t check_code_segment_helper(void* cpu, uint64_t selector, uint64_t offset, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  const SegmentState before = state.cs;
  const uint32_t mode = state.header.mode;
  const SegmentFault fault = load_code_segment(state, static_cast<uint16_t>(selector), offset);
  state.cs = before;
  state.header.mode = mode;
  return static_cast<uint64_t>(fault);
}

uint64_t load_code_segment_helper(void* cpu, uint64_t selector, uint64_t offset, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  load_code_segment(state, static_cast<uint16_t>(selector), offset);
  return state.header.mode;
}

namespace {

constexpr uint64_t kValid = uint64_t{1} << 32;

/// Whether a program at the CPL may know of the descriptor.
bool is_visible(const X86State& state, uint16_t selector, const SegmentState& s) {
  using namespace segment_attributes;
  const unsigned cpl = cpl_of_mode(state.header.mode), rpl = selector & 3,
                 dpl = s.attributes >> kDplShift & 3;
  const bool conforming = (s.attributes & (kCode | kExpandDown)) == (kCode | kExpandDown);
  return (selector & ~3) != 0 && (s.attributes & kNotSystem) != 0 &&
         (conforming || (cpl <= dpl && rpl <= dpl));
}

}  // namespace

uint64_t lar_helper(void* cpu, uint64_t selector, uint64_t, uint64_t, uint64_t) {
  const X86State& state = state_of(cpu);
  const auto number = static_cast<uint16_t>(selector);
  const uint64_t descriptor = user_descriptor(state, number);
  if (!is_visible(state, number, segment_of_descriptor(number, descriptor))) return 0;
  return kValid | (descriptor >> 32 & 0x00f0ff00);
}

uint64_t lsl_helper(void* cpu, uint64_t selector, uint64_t, uint64_t, uint64_t) {
  const X86State& state = state_of(cpu);
  const auto number = static_cast<uint16_t>(selector);
  const SegmentState s = segment_of_descriptor(number, user_descriptor(state, number));
  return is_visible(state, number, s) ? kValid | s.limit : 0;
}

uint64_t verify_helper(void* cpu, uint64_t selector, uint64_t write, uint64_t, uint64_t) {
  using namespace segment_attributes;
  const X86State& state = state_of(cpu);
  const auto number = static_cast<uint16_t>(selector);
  const SegmentState s = segment_of_descriptor(number, user_descriptor(state, number));
  if (!is_visible(state, number, s)) return 0;
  const bool code = s.attributes & kCode, bit = s.attributes & kWritable;
  return write ? !code && bit : !code || bit;
}

// --- flags

// SDM volume 2, POPF: what may change depends on CPL and IOPL.
uint64_t pop_eflags_helper(void* cpu, uint64_t value, uint64_t size, uint64_t, uint64_t) {
  constexpr uint32_t kStatus = 0x244dd5, kIf = 1 << 9, kIopl = 3 << 12, kRf = 1 << 16;
  X86State& state = state_of(cpu);
  const unsigned cpl = cpl_of_mode(state.header.mode);
  const bool real = (state.header.mode & kModeProtected) == 0;
  uint32_t mask = kStatus;  // CF PF AF ZF SF TF DF OF NT AC ID
  if (real || cpl == 0) mask |= kIopl;
  if (real || cpl <= state.iopl) mask |= kIf;
  if (size == 2) mask &= 0xffff;
  const uint32_t old = eflags(state) & ~(size == 2 ? 0 : kRf);
  set_eflags(state, (old & ~mask) | (static_cast<uint32_t>(value) & mask));
  return state.header.mode;
}

// --- arithmetic

uint64_t deposit_helper(void*, uint64_t a, uint64_t mask, uint64_t, uint64_t) {
  uint64_t r = 0;
  for (; mask != 0; mask &= mask - 1, a >>= 1)
    if (a & 1) r |= mask & -mask;
  return r;
}

uint64_t extract_helper(void*, uint64_t a, uint64_t mask, uint64_t, uint64_t) {
  uint64_t r = 0;
  for (unsigned i = 0; mask != 0; mask &= mask - 1, ++i)
    if (a & mask & -mask) r |= uint64_t{1} << i;
  return r;
}

// --- identification and counters

uint64_t cpuid_helper(void* cpu, uint64_t model, uint64_t, uint64_t, uint64_t) {
  X86State& state = state_of(cpu);
  const CpuidResult r = cpuid(cpu_models()[model], static_cast<uint32_t>(state.gpr[kRax]),
                              static_cast<uint32_t>(state.gpr[kRcx]), state.xcr0);
  state.gpr[kRax] = r.eax;
  state.gpr[kRbx] = r.ebx;
  state.gpr[kRcx] = r.ecx;
  state.gpr[kRdx] = r.edx;
  return 0;
}

uint64_t counter_helper(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) {
  return __rdtsc() + state_of(cpu).tsc_offset;
}

uint64_t random_helper(void*, uint64_t, uint64_t, uint64_t, uint64_t) {
  uint64_t value = 0;
  while (getrandom(&value, sizeof value, 0) != sizeof value) {
  }
  return value;
}

namespace {

using enum ir::Type;

constexpr ir::HelperInfo kHelpers[] = {
#define HELPER(enumerator, function, arguments, result, effects) \
  {#function, function, arguments, result, effects},
#include "frontend/x86/lift/helpers.inc"
#undef HELPER
};

}  // namespace

ir::HelperTable helper_table() { return kHelpers; }

}  // namespace lyrebird::x86
