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

/// The strings behind the first step's elements. Going down, an element's address is still its lowest byte's.
struct Strings {
  uint64_t to, from, steps, base;
  bool down;
};

/// Elements from `address` on in its page; one if that one lies in two.
uint64_t left_in_page(uint64_t address, unsigned size, bool down) {
  const uint64_t within = address & (kPage - 1);
  if (within + size > kPage) return 1;
  return (down ? within + size : kPage - within) / size;
}

/// Elements from `address` on before 32-bit addresses wrap.
uint64_t room(uint64_t address, const Rule& rule, bool down) {
  if (!rule.low32) return ~uint64_t{0};
  return down ? address / rule.size + 1 : ((uint64_t{1} << 32) - address) / rule.size;
}

/// Calls piece(to, from, elements), with host addresses of the pieces' lowest bytes, until all steps are done
/// or it gives fewer. What compares leaves the last step before a fault to the instruction: its flags are
/// seen then.
template <typename F>
uint64_t in_pieces(const Strings& s, unsigned size, bool compares, F piece) {
  volatile uint64_t done = 0;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return compares && done > 0 ? done - 1 : done;
  guard.arm();
  while (done < s.steps) {
    const uint64_t at = s.down ? -(done * size) : done * size;
    uint64_t to = s.to + at, from = s.from + at;
    const uint64_t most = std::min(left_in_page(to, size, s.down), left_in_page(from, size, s.down));
    const uint64_t count = std::min(most, s.steps - done);
    if (s.down) to -= (count - 1) * size, from -= (count - 1) * size;
    const uint64_t good =
        piece(reinterpret_cast<uint8_t*>(s.base + to), reinterpret_cast<uint8_t*>(s.base + from), count);
    done = done + good;
    if (good != count) break;
  }
  return done;
}

template <typename T>
void move_singly(uint8_t* to, const uint8_t* from, uint64_t count, bool down) {
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t i = down ? count - 1 - n : n;
    T element;
    std::memcpy(&element, from + i * sizeof(T), sizeof(T));
    std::memcpy(to + i * sizeof(T), &element, sizeof(T));
  }
}

/// As the processor does it, one after the other: what was written may be read again.
void move_elements(uint8_t* to, const uint8_t* from, uint64_t count, unsigned size, bool down) {
  const uint64_t bytes = count * size;
  if ((down ? to >= from : to <= from) || from + bytes <= to || to + bytes <= from) {
    std::memmove(to, from, bytes);
    return;
  }
  switch (size) {
    case 1:
      return move_singly<uint8_t>(to, from, count, down);
    case 2:
      return move_singly<uint16_t>(to, from, count, down);
    case 4:
      return move_singly<uint32_t>(to, from, count, down);
    default:
      return move_singly<uint64_t>(to, from, count, down);
  }
}

template <typename T>
void fill(uint8_t* to, uint64_t value, uint64_t count) {
  const auto element = static_cast<T>(value);
  for (uint64_t i = 0; i < count; ++i) std::memcpy(to + i * sizeof(T), &element, sizeof(T));
}

void fill_elements(uint8_t* to, uint64_t value, uint64_t count, unsigned size) {
  switch (size) {
    case 1:
      std::memset(to, static_cast<uint8_t>(value), count);
      return;
    case 2:
      return fill<uint16_t>(to, value, count);
    case 4:
      return fill<uint32_t>(to, value, count);
    default:
      return fill<uint64_t>(to, value, count);
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

Strings after_first(const X86State& state, uint64_t to, uint64_t from, uint64_t steps, const Rule& rule) {
  const bool down = state.df != 0;
  const uint64_t by = down ? -uint64_t{rule.size} : rule.size;
  to += by;
  from += by;
  // Going past either end of the address space is the instruction's own business.
  if (rule.low32 && (to >> 32 != 0 || from >> 32 != 0)) steps = 0;
  steps = std::min({steps, room(to, rule, down), room(from, rule, down), kMostBytes / rule.size});
  return {to, from, steps, state.header.memory_base, down};
}

const X86State& state_of(const void* cpu) { return *static_cast<const X86State*>(cpu); }

}  // namespace

uint64_t move_many_helper(void* cpu, uint64_t to, uint64_t from, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, from, steps, rule);
  return in_pieces(s, rule.size, false, [&](uint8_t* into, const uint8_t* out_of, uint64_t count) {
    move_elements(into, out_of, count, rule.size, s.down);
    return count;
  });
}

uint64_t fill_many_helper(void* cpu, uint64_t to, uint64_t value, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, to, steps, rule);
  return in_pieces(s, rule.size, false, [&](uint8_t* into, const uint8_t*, uint64_t count) {
    fill_elements(into, value, count, rule.size);
    return count;
  });
}

uint64_t compare_many_helper(void* cpu, uint64_t to, uint64_t from, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, from, steps, rule);
  if (s.down) return 0;
  return in_pieces(s, rule.size, true, [&](const uint8_t* b, const uint8_t* a, uint64_t count) {
    return compare_elements(a, b, count, rule);
  });
}

uint64_t scan_many_helper(void* cpu, uint64_t to, uint64_t value, uint64_t steps, uint64_t packed) {
  const Rule rule(packed);
  const Strings s = after_first(state_of(cpu), to, to, steps, rule);
  if (s.down) return 0;
  return in_pieces(s, rule.size, true, [&](const uint8_t* at, const uint8_t*, uint64_t count) {
    return scan_elements(at, value, count, rule);
  });
}

}  // namespace lyrebird::x86
