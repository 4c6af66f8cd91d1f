// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/segments.h"

#include "base/bits.h"
#include "frontend/x86/x86_mode.h"

namespace lyrebird::x86 {
namespace {

using namespace segment_attributes;

constexpr uint16_t kRpl = 3, kTableLdt = 4;

bool is_null(uint16_t selector) { return (selector & ~kRpl) == 0; }
unsigned dpl_of(const SegmentState& s) { return s.attributes >> kDplShift & 3; }
bool is_real(const X86State& state) {
  return (state.header.mode & kModeProtected) == 0 || (state.header.mode & kModeV86) != 0;
}

bool is_everything(const SegmentState& s) { return s.base == 0 && s.limit == 0xffffffff; }
bool grows_upwards(const SegmentState& s) {
  return s.attributes & kCode || (s.attributes & kExpandDown) == 0;
}
/// What CS, DS, ES and SS must be for kModeFlat. DS and ES may be null: Linux has them so in 64-bit
/// programs, and 32-bit ones that do it fault at once.
bool is_flat_data(const SegmentState& s) {
  return is_everything(s) && (s.attributes & (kCode | kWritable | kExpandDown)) == kWritable;
}
bool is_plain(const SegmentState& s) {
  return is_null(s.selector) || (s.attributes & (kCode | kWritable | kExpandDown)) == kWritable;
}

bool is_flat(const X86State& state) {
  return is_everything(state.cs) && state.cs.attributes & kWritable && is_flat_data(state.ss) &&
         is_flat_data(state.ds) && is_flat_data(state.es) && is_plain(state.fs) && is_plain(state.gs);
}

SegmentFault refuse(X86State& state, SegmentFault fault, uint16_t selector) {
  state.error_code = selector & ~uint32_t{kRpl};
  return fault;
}

/// Null selectors: the hidden part is such that every access outside of 64-bit mode fails. The base
/// of FS and GS is cleared, as Intel's processors do.
SegmentState null_segment(uint16_t selector) { return {.selector = selector}; }

SegmentFault load_stack_segment(X86State& state, uint16_t selector) {
  const unsigned cpl = cpl_of_mode(state.header.mode), rpl = selector & kRpl;
  if (is_null(selector)) {
    const bool long_mode = (state.header.mode & kModeCodeSizeMask) == static_cast<uint32_t>(Mode::k64);
    if (!long_mode || cpl == 3 || rpl != cpl) return refuse(state, SegmentFault::Protection, 0);
    state.ss = null_segment(selector);
    return SegmentFault::None;
  }
  const SegmentState s = segment_of_descriptor(selector, user_descriptor(state, selector));
  constexpr uint32_t kKind = kNotSystem | kCode | kWritable;
  if (rpl != cpl || dpl_of(s) != cpl || (s.attributes & kKind) != (kNotSystem | kWritable))
    return refuse(state, SegmentFault::Protection, selector);
  if ((s.attributes & kPresent) == 0) return refuse(state, SegmentFault::Stack, selector);
  state.ss = s;
  return SegmentFault::None;
}

SegmentFault load_data_segment(X86State& state, SegmentState& to, uint16_t selector) {
  if (is_null(selector)) {
    to = null_segment(selector);
    return SegmentFault::None;
  }
  const SegmentState s = segment_of_descriptor(selector, user_descriptor(state, selector));
  const unsigned cpl = cpl_of_mode(state.header.mode), rpl = selector & kRpl;
  const bool code = s.attributes & kCode, conforming = code && s.attributes & kExpandDown;
  const bool readable = !code || s.attributes & kWritable;
  const bool allowed = conforming || (rpl <= dpl_of(s) && cpl <= dpl_of(s));
  if ((s.attributes & kNotSystem) == 0 || !readable || !allowed)
    return refuse(state, SegmentFault::Protection, selector);
  if ((s.attributes & kPresent) == 0) return refuse(state, SegmentFault::Absent, selector);
  to = s;
  return SegmentFault::None;
}

}  // namespace

SegmentState& segment_of(X86State& state, Segment segment) {
  switch (segment) {
    case Segment::ES:
      return state.es;
    case Segment::CS:
      return state.cs;
    case Segment::SS:
      return state.ss;
    case Segment::DS:
      return state.ds;
    case Segment::FS:
      return state.fs;
    case Segment::GS:
      return state.gs;
  }
  return state.ds;
}

void update_segment_mode(X86State& state) {
  constexpr uint32_t kMask =
      kModeCodeSizeMask | kModeProtected | kModeV86 | kModeStack32 | kModeFlat | kModeCplMask;
  constexpr uint64_t kEferLma = 1 << 10;
  const bool protected_mode = state.cr0 & 1, v86 = protected_mode && state.vm;
  Mode size = Mode::k16;
  if (protected_mode && !v86) {
    if (state.efer & kEferLma && state.cs.attributes & kLong)
      size = Mode::k64;
    else if (state.cs.attributes & kBig)
      size = Mode::k32;
  }
  const unsigned cpl = !protected_mode ? 0 : v86 ? 3 : state.cs.selector & kRpl;
  uint32_t mode = static_cast<uint32_t>(size) | cpl << kModeCplShift;
  if (protected_mode) mode |= kModeProtected;
  if (v86) mode |= kModeV86;
  if (size != Mode::k64) {
    if (state.ss.attributes & kBig && !v86) mode |= kModeStack32;
    if (is_flat(state)) mode |= kModeFlat;
  }
  state.header.mode = (state.header.mode & ~kMask) | mode;
}

void enter_user_mode(X86State& state, Mode mode) {
  constexpr uint64_t kCr0 = 0x80050033, kCr4 = 0x3506f0, kEferLong = 0xd01;
  constexpr SegmentState kData = {0, 0xffffffff, kUserData, 0x2b};
  state.cr0 = kCr0;
  state.cr4 = kCr4;
  state.efer = kEferLong;
  state.if_ = 1;
  state.ss = kData;
  if (mode == Mode::k64) {
    state.cs = {0, 0xffffffff, kUserCode64, 0x33};
    state.ds = state.es = state.fs = state.gs = {};
  } else {
    state.cs = {0, 0xffffffff, kUserCode32, 0x23};
    state.ds = state.es = kData;
    state.fs = state.gs = {};
  }
  update_segment_mode(state);
}

SegmentState segment_of_descriptor(uint16_t selector, uint64_t descriptor) {
  const auto high = static_cast<uint32_t>(descriptor >> 32);
  const auto low = static_cast<uint32_t>(descriptor);
  SegmentState s;
  s.base = (low >> 16) | (high & 0xff) << 16 | (high & 0xff000000);
  s.limit = (low & 0xffff) | (high & 0xf0000);
  s.attributes = high & kAll;
  if (s.attributes & kGranular) s.limit = s.limit << 12 | 0xfff;
  s.selector = selector;
  return s;
}

uint64_t make_descriptor(uint32_t base, uint32_t limit, uint32_t attributes) {
  if (attributes & kGranular) limit >>= 12;
  const uint64_t high = (base >> 16 & 0xff) | (base & 0xff000000) | (limit & 0xf0000) | (attributes & kAll);
  return high << 32 | uint64_t{base & 0xffff} << 16 | (limit & 0xffff);
}

uint64_t user_descriptor(const X86State& state, uint16_t selector) {
  const unsigned index = selector >> 3;
  const bool local = selector & kTableLdt;
  const std::atomic<uint64_t>* const table = local ? state.user_ldt : state.user_gdt;
  const uint32_t count = local ? state.user_ldt_count : state.user_gdt_count;
  return table && index < count ? table[index].load(std::memory_order_acquire) : 0;
}

SegmentFault load_segment(X86State& state, Segment segment, uint16_t selector) {
  SegmentState& to = segment_of(state, segment);
  if (is_real(state)) {
    to.selector = selector;
    to.base = uint64_t{selector} << 4;
    if (state.header.mode & kModeV86) {
      to.limit = 0xffff;
      to.attributes = kPresent | kNotSystem | kWritable | kAccessed | 3u << kDplShift;
    }
    update_segment_mode(state);
    return SegmentFault::None;
  }
  const SegmentFault fault =
      segment == Segment::SS ? load_stack_segment(state, selector) : load_data_segment(state, to, selector);
  if (fault == SegmentFault::None) update_segment_mode(state);
  return fault;
}

// SDM volume 2, JMP and RET: conforming and nonconforming code segments.
SegmentFault load_code_segment(X86State& state, uint16_t selector, uint64_t offset) {
  if (is_real(state)) {
    if (offset > state.cs.limit) return refuse(state, SegmentFault::Protection, 0);
    state.cs.selector = selector;
    state.cs.base = uint64_t{selector} << 4;
    return SegmentFault::None;
  }
  if (is_null(selector)) return refuse(state, SegmentFault::Protection, 0);
  SegmentState s = segment_of_descriptor(selector, user_descriptor(state, selector));
  const unsigned cpl = cpl_of_mode(state.header.mode), rpl = selector & kRpl;
  if ((s.attributes & (kNotSystem | kCode)) != (kNotSystem | kCode))
    return refuse(state, SegmentFault::Protection, selector);
  const bool conforming = s.attributes & kExpandDown;
  const bool allowed = conforming ? dpl_of(s) <= cpl : rpl <= cpl && dpl_of(s) == cpl;
  constexpr uint64_t kEferLma = 1 << 10;
  const bool long_code = state.efer & kEferLma && s.attributes & kLong;
  if (!allowed || (long_code && s.attributes & kBig))
    return refuse(state, SegmentFault::Protection, selector);
  if ((s.attributes & kPresent) == 0) return refuse(state, SegmentFault::Absent, selector);
  if (!long_code && offset > s.limit) return refuse(state, SegmentFault::Protection, 0);
  s.selector = static_cast<uint16_t>((selector & ~kRpl) | cpl);
  state.cs = s;
  update_segment_mode(state);
  return SegmentFault::None;
}

// SDM volume 3, 5.3 and 5.5.
bool breaks_segment(const SegmentState& s, bool protected_mode, uint64_t offset, unsigned size, bool write) {
  if (protected_mode) {
    if (is_null(s.selector)) return true;
    const bool code = s.attributes & kCode;
    if (write ? code || (s.attributes & kWritable) == 0 : code && (s.attributes & kWritable) == 0)
      return true;
  }
  const uint64_t last = offset + size - 1;
  if (grows_upwards(s)) return last > s.limit;
  const uint64_t top = s.attributes & kBig ? 0xffffffff : 0xffff;
  return offset <= s.limit || last > top;
}

}  // namespace lyrebird::x86
