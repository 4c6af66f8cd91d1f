// SPDX-License-Identifier: Apache-2.0
// Helpers of the vector chapters: MXCSR, parts of FXSAVE's image, PCMPESTRI and its like.
#include <emmintrin.h>
#include <sys/platform/x86.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "frontend/x86/lift/helpers.h"
#include "frontend/x86/x86_mode.h"
#include "frontend/x86/x86_state.h"

namespace lyrebird::x86 {

#define HELPER(enumerator, function, arguments, result, effects) \
  uint64_t function(void* cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
#include "frontend/x86/lift/helpers.inc"
#undef HELPER

namespace {
X86State& state_of(void* cpu) { return *static_cast<X86State*>(cpu); }
}  // namespace

uint64_t get_mxcsr_helper(void* cpu, uint64_t, uint64_t, uint64_t, uint64_t) { return mxcsr(state_of(cpu)); }

uint64_t set_mxcsr_helper(void* cpu, uint64_t value, uint64_t, uint64_t, uint64_t) {
  set_mxcsr(state_of(cpu), static_cast<uint32_t>(value));
  return state_of(cpu).header.mode;
}

// SDM volume 1, table 10-2.
uint64_t fxsave_word_helper(void* cpu, uint64_t which, uint64_t, uint64_t, uint64_t) {
  const X86State& s = state_of(cpu);
  const bool wide = (which & 4) != 0;
  switch (which & 3) {
    case 0:
      return s.x87_control | uint64_t{x87_status(s)} << 16 | uint64_t{x87_used(s)} << 32 |
             uint64_t{s.x87_opcode} << 48;
    case 1:
      return wide ? s.x87_ip : (s.x87_ip & 0xffffffff) | uint64_t{s.x87_cs} << 32;
    case 2:
      return wide ? s.x87_dp : (s.x87_dp & 0xffffffff) | uint64_t{s.x87_ds} << 32;
    default:
      return mxcsr(s) | uint64_t{0xffff} << 32;
  }
}

uint64_t fxrstor_words_helper(void* cpu, uint64_t first, uint64_t ip, uint64_t dp, uint64_t wide) {
  X86State& s = state_of(cpu);
  set_x87_control(s, static_cast<uint16_t>(first));
  set_x87_status(s, static_cast<uint16_t>(first >> 16));
  set_x87_used(s, static_cast<uint8_t>(first >> 32));
  s.x87_opcode = first >> 48 & 0x7ff;
  s.x87_ip = wide ? ip : ip & 0xffffffff;
  s.x87_dp = wide ? dp : dp & 0xffffffff;
  s.x87_cs = wide ? 0 : static_cast<uint16_t>(ip >> 32);
  s.x87_ds = wide ? 0 : static_cast<uint16_t>(dp >> 32);
  return 0;
}

uint64_t fxrstor_register_helper(void* cpu, uint64_t i, uint64_t low, uint64_t high, uint64_t) {
  X86State& s = state_of(cpu);
  uint8_t* const to = s.x87[(i + x87_top_of_mode(s.header.mode)) & 7];
  const auto top = static_cast<uint16_t>(high);
  std::memcpy(to, &low, 8);
  std::memcpy(to + 8, &top, 2);
  return 0;
}

namespace {

/// A string operand: up to 16 bytes or 8 words, signed or not.
struct String {
  int32_t element[16];
  unsigned length;
};

String string_of(const uint8_t* bytes, unsigned format) {
  String s{};
  const unsigned count = format & 1 ? 8 : 16;
  s.length = count;
  for (unsigned i = count; i-- > 0;) {
    uint16_t word;
    std::memcpy(&word, bytes + (format & 1 ? 2 * i : 0), 2);
    switch (format) {
      case 0:
        s.element[i] = bytes[i];
        break;
      case 1:
        s.element[i] = word;
        break;
      case 2:
        s.element[i] = static_cast<int8_t>(bytes[i]);
        break;
      default:
        s.element[i] = static_cast<int16_t>(word);
    }
    if (s.element[i] == 0) s.length = i;
  }
  return s;
}

unsigned length_of(uint64_t reg, bool wide, unsigned limit) {
  const int64_t value = wide ? static_cast<int64_t>(reg) : static_cast<int32_t>(reg);
  const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  return static_cast<unsigned>(std::min<uint64_t>(magnitude, limit));
}

/// IntRes1 (SDM volume 2, 4.1.4 to 4.1.6): which elements of b match what a asks for.
unsigned matches(const String& a, const String& b, unsigned count, unsigned aggregation) {
  unsigned result = 0;
  for (unsigned j = 0; j < count; ++j) {
    const bool valid_b = j < b.length;
    bool match = false;
    switch (aggregation) {
      case 0:  // any of a's elements
        for (unsigned i = 0; i < a.length; ++i) match |= valid_b && a.element[i] == b.element[j];
        break;
      case 1:  // within one of a's ranges
        for (unsigned i = 0; i + 1 < a.length; i += 2)
          match |= valid_b && b.element[j] >= a.element[i] && b.element[j] <= a.element[i + 1];
        break;
      case 2:  // equal at the same place; past both ends is equal
        match = j < a.length && valid_b ? a.element[j] == b.element[j] : j >= a.length && !valid_b;
        break;
      default:  // a starts there
        match = true;
        for (unsigned i = 0; i < a.length && i + j < count; ++i)
          match &= i + j < b.length && a.element[i] == b.element[i + j];
    }
    result |= unsigned{match} << j;
  }
  return result;
}

// The same by this machine's own instructions, one function for each immediate.

struct Compared {
  uint32_t index;
  uint8_t carry, zero, sign, overflow;
};
using CompareNatively = Compared (*)(__m128i a, __m128i b, uint64_t length_a, uint64_t length_b);

template <unsigned kControl, bool kLengths>
Compared compare_natively(__m128i a, __m128i b, uint64_t length_a, uint64_t length_b) {
  Compared r;
  if constexpr (kLengths)
    asm("pcmpestri %[control], %[b], %[a]"
        : "=c"(r.index), "=@ccc"(r.carry), "=@ccz"(r.zero), "=@ccs"(r.sign), "=@cco"(r.overflow)
        : [a] "x"(a), [b] "x"(b), "a"(length_a), "d"(length_b), [control] "i"(kControl));
  else
    asm("pcmpistri %[control], %[b], %[a]"
        : "=c"(r.index), "=@ccc"(r.carry), "=@ccz"(r.zero), "=@ccs"(r.sign), "=@cco"(r.overflow)
        : [a] "x"(a), [b] "x"(b), [control] "i"(kControl));
  return r;
}

template <size_t... kNumbers>
constexpr std::array<CompareNatively, 256> compare_table(std::index_sequence<kNumbers...>) {
  return {compare_natively < kNumbers & 127, (kNumbers & 128) != 0 > ...};
}
constexpr auto kCompareNatively = compare_table(std::make_index_sequence<256>());

uint64_t compare_strings_natively(const X86State& s, uint64_t low, uint64_t high, uint64_t how) {
  __m128i a;
  std::memcpy(&a, s.ymm[how >> 8 & 15], sizeof a);
  const __m128i b = _mm_set_epi64x(static_cast<int64_t>(high), static_cast<int64_t>(low));
  const bool has_lengths = (how >> 16 & 1) != 0, wide = (how >> 18 & 1) != 0;
  // PCMPESTRI looks at EAX and EDX.
  const unsigned limit = how & 1 ? 8 : 16;
  const uint64_t length_a = has_lengths ? length_of(s.gpr[kRax], wide, limit) : 0;
  const uint64_t length_b = has_lengths ? length_of(s.gpr[kRdx], wide, limit) : 0;
  const Compared r = kCompareNatively[(how & 127) | (has_lengths ? 128 : 0)](a, b, length_a, length_b);
  return r.index | uint64_t{r.carry} << 8 | uint64_t{r.zero} << 9 | uint64_t{r.sign} << 10 |
         uint64_t{r.overflow} << 11;
}

}  // namespace

uint64_t compare_strings_helper(void* cpu, uint64_t low, uint64_t high, uint64_t how, uint64_t) {
  X86State& s = state_of(cpu);
  const auto control = static_cast<unsigned>(how & 0xff), format = control & 3;
  const unsigned count = format & 1 ? 8 : 16, all = (1u << count) - 1;
  const bool has_lengths = (how >> 16 & 1) != 0, gives_mask = (how >> 17 & 1) != 0,
             wide = (how >> 18 & 1) != 0;
  uint8_t bytes[16];
  std::memcpy(bytes, &low, 8);
  std::memcpy(bytes + 8, &high, 8);
  String a = string_of(s.ymm[how >> 8 & 15], format), b = string_of(bytes, format);
  if (has_lengths) {
    a.length = length_of(s.gpr[kRax], wide, count);
    b.length = length_of(s.gpr[kRdx], wide, count);
  }
  unsigned result = matches(a, b, count, control >> 2 & 3);
  if (control & 0x10) {
    // Negative polarity, of all elements or only of those that b has.
    result ^= control & 0x20 ? (1u << b.length) - 1 : all;
  }
  const bool last = (control & 0x40) != 0;
  uint64_t index = count;
  if (gives_mask) {
    uint8_t mask[16] = {};
    for (unsigned i = 0; i < count; ++i) {
      if (!(result >> i & 1)) continue;
      if (!last)
        mask[i / 8] = static_cast<uint8_t>(mask[i / 8] | 1u << i % 8);
      else
        std::memset(mask + i * 16 / count, 0xff, 16 / count);
    }
    std::memcpy(s.ymm[0], mask, 16);
  } else if (result != 0) {
    index = last ? static_cast<uint64_t>(std::bit_width(result)) - 1
                 : static_cast<uint64_t>(std::countr_zero(result));
  }
  return index | uint64_t{result != 0} << 8 | uint64_t{b.length < count} << 9 |
         uint64_t{a.length < count} << 10 | uint64_t{result & 1} << 11;
}

uint64_t find_in_strings_helper(void* cpu, uint64_t low, uint64_t high, uint64_t how, uint64_t) {
  static const bool native = CPU_FEATURE_ACTIVE(SSE4_2);
  if (native) return compare_strings_natively(state_of(cpu), low, high, how);
  return compare_strings_helper(cpu, low, high, how, 0);
}

}  // namespace lyrebird::x86
