// SPDX-License-Identifier: Apache-2.0
/// A64 decode rows and the machinery that turns a row's bit string into a typed call.
///
/// A row is   INSN(ADD_imm, "add (immediate)", "z0010001ssiiiiiiiiiiiinnnnnddddd", Base)
/// 32 characters, bit 31 first: '0' and '1' must match, '-' is ignored, letters are fields.
/// A letter's bits need not be adjacent; they are joined, first is highest. The bits of an
/// upper-case letter may not all be zero. Fields go to the
/// handler in order of their first appearance, converted to its parameter types:
/// bool, Imm<N>, Reg, Vreg, Cond. A count or width that does not fit does not compile.
/// Rows may overlap only if one is strictly more specific; that one wins.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "frontend/arm/features.h"

namespace lyrebird::arm::a64 {

/// An N-bit immediate field.
template <unsigned N>
struct Imm {
  uint32_t value;
  constexpr operator uint32_t() const { return value; }
  constexpr int64_t sext() const { return static_cast<int64_t>(uint64_t{value} << (64 - N)) >> (64 - N); }
  constexpr bool bit(unsigned i) const { return value >> i & 1; }
};
/// A general register number; 31 is ZR or SP as the handler decides.
struct Reg {
  uint32_t index;
  constexpr operator uint32_t() const { return index; }
};
/// A vector register number.
struct Vreg {
  uint32_t index;
  constexpr operator uint32_t() const { return index; }
};
/// A condition code (DDI 0487, C1.2.4).
struct Cond {
  uint32_t value;
  constexpr operator uint32_t() const { return value; }
};

template <typename T>
struct FieldWidth;
template <>
struct FieldWidth<bool> : std::integral_constant<unsigned, 1> {};
template <unsigned N>
struct FieldWidth<Imm<N>> : std::integral_constant<unsigned, N> {};
template <>
struct FieldWidth<Reg> : std::integral_constant<unsigned, 5> {};
template <>
struct FieldWidth<Vreg> : std::integral_constant<unsigned, 5> {};
template <>
struct FieldWidth<Cond> : std::integral_constant<unsigned, 4> {};

/// A row's bit string as a template argument.
struct BitString {
  char text[33];
  consteval BitString(const char (&s)[33]) {
    for (unsigned i = 0; i < 33; ++i) text[i] = s[i];
  }
};

struct Pattern {
  uint32_t mask = 0, value = 0, nonzero = 0;
  unsigned field_count = 0;
  char letters[8] = {};
  unsigned widths[8] = {};

  explicit consteval Pattern(const char* s) {
    for (unsigned i = 0; i < 32; ++i) {
      const uint32_t bit = 1u << (31 - i);
      if (s[i] == '0' || s[i] == '1') {
        mask |= bit;
        if (s[i] == '1') value |= bit;
      } else if (s[i] != '-') {
        if (s[i] >= 'A' && s[i] <= 'Z') nonzero |= bit;
        unsigned f = 0;
        while (f < field_count && letters[f] != s[i]) ++f;
        if (f == field_count) letters[field_count++] = s[i];
        ++widths[f];
      }
    }
  }
};

/// Where a field's bits are: runs of adjacent bits, the highest first.
struct BitRuns {
  unsigned count = 0;
  struct {
    unsigned low = 0, width = 0;
  } runs[4];

  consteval BitRuns(const char* s, char letter) {
    for (unsigned i = 0; i < 32; ++i) {
      if (s[i] != letter) continue;
      if (i == 0 || s[i - 1] != letter) ++count;
      runs[count - 1].low = 31 - i;
      ++runs[count - 1].width;
    }
  }
};

/// Value of a field of the string in `word`: one shift and mask per run of bits.
template <BitString S, unsigned Field>
constexpr uint32_t extract(uint32_t word) {
  constexpr BitRuns bits(S.text, Pattern(S.text).letters[Field]);
  uint32_t value = 0;
  for (unsigned i = 0; i < bits.count; ++i)
    value = value << bits.runs[i].width | (word >> bits.runs[i].low & ((1u << bits.runs[i].width) - 1));
  return value;
}

struct LiftContext;

/// A decode row, ready to match and call.
struct Row {
  std::string_view handler;  ///< name of the handler, unique
  std::string_view text;     ///< the manual's title
  std::string_view pattern;
  uint32_t mask;
  uint32_t value;
  uint32_t nonzero;  ///< these bits may not all be zero; 0 if there is no such rule
  Feature feature;
  /// Lifts one instruction; false when the block ends here.
  bool (*lift)(LiftContext& context, uint32_t word);

  constexpr bool matches(uint32_t word) const {
    return (word & mask) == value && (nonzero == 0 || (word & nonzero) != 0);
  }
};

namespace detail {
template <BitString S, unsigned Field, typename T>
constexpr T argument(uint32_t word) {
  static_assert(Pattern(S.text).widths[Field] == FieldWidth<T>::value,
                "field width does not fit the parameter");
  if constexpr (std::is_same_v<T, bool>) {
    return extract<S, Field>(word) != 0;
  } else {
    return T{extract<S, Field>(word)};
  }
}

template <BitString S, typename Chapter, typename... Args, unsigned... I>
bool call(LiftContext& context, uint32_t word, bool (Chapter::*handler)(Args...),
          std::integer_sequence<unsigned, I...>) {
  static_assert(Pattern(S.text).field_count == sizeof...(Args), "the handler does not take the row's fields");
  Chapter chapter{context};
  return (chapter.*handler)(argument<S, I, Args>(word)...);
}

template <BitString S, typename Chapter, typename... Args>
bool call(LiftContext& context, uint32_t word, bool (Chapter::*handler)(Args...)) {
  return call<S>(context, word, handler, std::make_integer_sequence<unsigned, sizeof...(Args)>{});
}

template <BitString S, auto Handler>
bool lift(LiftContext& context, uint32_t word) {
  return call<S>(context, word, Handler);
}
}  // namespace detail

template <BitString S, auto Handler>
consteval Row make_row(std::string_view handler, std::string_view text, const char* pattern,
                       Feature feature) {
  constexpr Pattern p(S.text);
  return {handler,   text,    std::string_view(pattern, 32), p.mask, p.value,
          p.nonzero, feature, &detail::lift<S, Handler>};
}

/// In a chapter's .cpp: #define A64_CHAPTER the struct with the handlers, then include its .inc
/// inside an array of Row.
#define INSN(handler, text, pattern, feature) \
  make_row<pattern, &A64_CHAPTER::handler>(#handler, text, pattern, Feature::feature),

/// All rows of all chapters, for coverage checks, fuzzers and cross-checks.
std::span<const Row* const> all_rows();
/// The most specific row that matches, or nullptr.
const Row* find_row(uint32_t word);

}  // namespace lyrebird::arm::a64
