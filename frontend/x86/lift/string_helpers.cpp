// SPDX-License-Identifier: Apache-2.0
// Many steps of a repeated string instruction at once. Works piece by piece, a piece in one page of
// each string, under a guard: a fault ends it after the pieces before, and the instruction's next step
// then faults as it should.
#include <algorithm>
#include <cstring>

#include "base/fault_guard.h"
#include "frontend/x86/decode/insn.h"
#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x86_state.h"

namespace lyrebird::x86 {

#define HELPER(enumerator, function, arguments, result, effects) \
  uint64_t function(void* cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#include "frontend/x86/lift/helpers.inc"
#undef HELPER

namespace {

constexpr uint64_t kPage = 4096, kMostBytes = uint64_t{4} << 20;

struct Rule {
  explicit Rule(uint64_t packed)
      : size(packed & 0xff), while_equal((packed >> 8 & 1) != 0), low32((packed >> 9 & 1) != 0) {}
  unsigned size;
  bool while_equal, low32;
};

uint64_t left_in_page(uint64_t address) { return kPage - (address & (kPage - 1)); }

/// Elements from `address` on before 32-bit addresses wrap.
uint64_t room(uint64_t address, const Rule& rule) {
  return rule.low32 ? ((uint64_t{1} << 32) - address) / rule.size : ~uint64_t{0};
}

/// Calls piece(index of its first byte, elements) until `steps` are done or it gives fewer. What
/// compares leaves the last step before a fault to the instruction: its flags are seen then.
template <typename F>
uint64_t in_pieces(uint64_t to, uint64_t from, uint64_t steps, unsigned size, bool compares, F piece) {
  volatile uint64_t done = 0;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return compares && done > 0 ? done - 1 : done;
  guard.arm();
  while (done < steps) {
    const uint64_t at = done * size;
    const uint64_t bytes = std::min(left_in_page(to + at), left_in_page(from + at));
    const uint64_t count = std::min(std::max<uint64_t>(bytes / size, 1), steps - done);
    const uint64_t good = piece(at, count);
    done = done + good;
    if (good != count) break;
  }
  return done;
}

template <typename T>
void move_up(uint8_t* to, const uint8_t* from, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    T element;
    std::memcpy(&element, from + i * sizeof(T), sizeof(T));
    std::memcpy(to + i * sizeof(T), &element, sizeof(T));
  }
}

/// As the processor does it, one after the other: what was written may be read again.
void move_elements(uint8_t* to, const uint8_t* from, uint64_t count, unsigned size) {
  const uint64_t bytes = count * size;
  if (to <= from || from + bytes <= to) {
    std::memmove(to, from, bytes);
    return;
  }
  switch (size) {
    case 1:
      return move_up<uint8_t>(to, from, count);
    case 2:
      return move_up<uint16_t>(to, from, count);
    case 4:
      return move_up<uint32_t>(to, from, count);
    default:
      return move_up<uint64_t>(to, from, count);
  }
}

template <typename T>
uint64_t scan(const uint8_t* at, uint64_t value, uint64_t count, bool while_equal) {
  uint64_t i = 0;
  for (; i < count; ++i) {
    T element;
    std::memcpy(&element, at + i * sizeof(T), sizeof(T));
    if ((element == static_cast<T>(value)) != while_equal) break;
  }
  return i;
}

uint64_t scan_elements(const uint8_t* at, uint64_t value, uint64_t count, const Rule& rule) {
  switch (rule.size) {
    case 1: {
      if (rule.while_equal) return scan<uint8_t>(at, value, count, true);
      const void* const found = std::memchr(at, static_cast<uint8_t>(value), count);
      return found ? static_cast<uint64_t>(static_cast<const uint8_t*>(found) - at) : count;
    }
    case 2:
      return scan<uint16_t>(at, value, count, rule.while_equal);
    case 4:
      return scan<uint32_t>(at, value, count, rule.while_equal);
    default:
      return scan<uint64_t>(at, value, count, rule.while_equal);
  }
}

uint64_t compare_elements(const uint8_t* a, const uint8_t* b, uint64_t count, const Rule& rule) {
  if (rule.while_equal && std::memcmp(a, b, count * rule.size) == 0) return count;
  uint64_t i = 0;
  while (i < count && (std::memcmp(a + i * rule.size, b + i * rule.size, rule.size) == 0) == rule.while_equal)
    ++i;
  return i;
}

/// A string behind the first step's element.
struct Strings {
  uint64_t to, from, steps;
  uint8_t* host(uint64_t address) const { return reinterpret_cast<uint8_t*>(base + address); }
  uint64_t base;
};

Strings after_first(const X86State& state, uint64_t to, uint64_t from, uint64_t steps, const Rule& rule) {
  if (state.df) steps = 0;
  to += rule.size;
  from += rule.size;
  steps = std::min({steps, room(to, rule), room(from, rule), kMostBytes / rule.size});
  return {to, from, steps, state.header.memory_base};
}

const X86State& state_of(const void* cpu) { return *static_cast<const X86State*>(cpu); }

}  // namespace

uint64_t move_many_helper(void* cpu, uint64_t to, uint64_t from, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, from, steps, rule);
  if (s.steps == 0) return 0;
  return in_pieces(s.to, s.from, s.steps, rule.size, false, [&](uint64_t at, uint64_t count) {
    move_elements(s.host(s.to + at), s.host(s.from + at), count, rule.size);
    return count;
  });
}

uint64_t fill_many_helper(void* cpu, uint64_t to, uint64_t value, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, to, steps, rule);
  if (s.steps == 0) return 0;
  uint8_t* const first = s.host(to);  // has the value already
  return in_pieces(s.to, s.to, s.steps, rule.size, false, [&](uint64_t at, uint64_t count) {
    uint8_t* const here = s.host(s.to + at);
    if (rule.size == 1)
      std::memset(here, static_cast<uint8_t>(value), count);
    else
      move_elements(here, first, count, rule.size);
    return count;
  });
}

uint64_t compare_many_helper(void* cpu, uint64_t to, uint64_t from, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, from, steps, rule);
  if (s.steps == 0) return 0;
  return in_pieces(s.to, s.from, s.steps, rule.size, true, [&](uint64_t at, uint64_t count) {
    return compare_elements(s.host(s.from + at), s.host(s.to + at), count, rule);
  });
}

uint64_t scan_many_helper(void* cpu, uint64_t to, uint64_t value, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, to, steps, rule);
  if (s.steps == 0) return 0;
  return in_pieces(s.to, s.to, s.steps, rule.size, true, [&](uint64_t at, uint64_t count) {
    return scan_elements(s.host(s.to + at), value, count, rule);
  });
}

}  // namespace lyrebird::x86
