// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/decode/tables.h"

#include <array>
#include <cstring>
#include <iterator>

#include "frontend/x86/decode/parse.h"

namespace lyrebird::x86 {
namespace {

using namespace row_flags;

constexpr parse::Source kSources[] = {
#define INSN(name, encoding, operands, feature, flags) \
  {#name, encoding, operands, Feature::feature, static_cast<uint32_t>(flags)},
#include "frontend/x86/decode/maps.inc"
#undef INSN
};
static_assert(std::size(kSources) == kRowCount);

/// All texts in one string, so that the tables have no pointers and nothing to relocate.
constexpr char kText[] =
#define INSN(name, encoding, operands, feature, flags) #name "\0" encoding "\0" operands "\0"
#include "frontend/x86/decode/maps.inc"
#undef INSN
    ;

constexpr std::array<Row, kRowCount> make_rows() {
  std::array<Row, kRowCount> rows{};
  uint32_t text = 0;
  for (unsigned i = 0; i < kRowCount; ++i) {
    const parse::Source& s = kSources[i];
    rows[i] = parse::row(s);
    rows[i].text = text;
    text += s.name.size() + s.encoding.size() + s.operands.size() + 3;
  }
  return rows;
}
constexpr std::array<Row, kRowCount> kMadeRows = make_rows();

/// Calls f(slot) for each slot that the row is in.
template <typename F>
constexpr void for_each_slot(const Row& row, F f) {
  for (unsigned i = 0; i < row.opcode_count; ++i)
    for (unsigned reg = 0; reg < 8; ++reg)
      if (row.has(HasModrm) ? (row.match >> (match::kReg + reg) & 1) != 0 : reg == 0)
        f(slot_of(row.map, row.opcode + i, reg));
}

constexpr OpcodeIndex make_index() {
  OpcodeIndex index{};
  for (const Row& row : kMadeRows) for_each_slot(row, [&](unsigned slot) { ++index.first[slot + 1]; });
  for (unsigned slot = 0; slot < kSlotCount; ++slot)
    index.first[slot + 1] = static_cast<uint16_t>(index.first[slot + 1] + index.first[slot]);
  // The special rows first; within a slot that is all the order there is.
  std::array<uint8_t, kSlotCount> used{};
  for (const bool nested : {true, false})
    for (unsigned i = 0; i < kRowCount; ++i)
      if (kMadeRows[i].has(Nested) == nested)
        for_each_slot(kMadeRows[i], [&](unsigned slot) {
          unsigned at = index.first[slot] + used[slot]++;
          for (; at > index.first[slot] &&
                 parse::strictly_inside(kMadeRows[i].match, kMadeRows[index.rows[at - 1]].match);
               --at)
            index.rows[at] = index.rows[at - 1];
          index.rows[at] = static_cast<uint16_t>(i);
          index.has_modrm[slot >> 3] = kMadeRows[i].has(HasModrm);
        });
  return index;
}

constexpr OpcodeIndex kIndex = make_index();

/// The rule that two rows in one slot break, as first * 10000 + second; 0 if all is well.
constexpr unsigned conflict() {
  std::array<bool, kRowCount> inside{};
  for (unsigned slot = 0; slot < kSlotCount; ++slot)
    for (unsigned i = kIndex.first[slot]; i < kIndex.first[slot + 1]; ++i)
      for (unsigned j = i + 1; j < kIndex.first[slot + 1]; ++j) {
        const Row &a = kMadeRows[kIndex.rows[i]], &b = kMadeRows[kIndex.rows[j]];
        if (a.has(HasModrm) != b.has(HasModrm)) return kIndex.rows[i] * 10000u + kIndex.rows[j];
        if (!parse::overlap(a.match, b.match)) continue;
        if (!a.has(Nested) || !parse::strictly_inside(a.match, b.match))
          return kIndex.rows[i] * 10000u + kIndex.rows[j];
        inside[kIndex.rows[i]] = true;
      }
  for (unsigned i = 0; i < kRowCount; ++i)
    if (kMadeRows[i].has(Nested) != inside[i]) return i * 10000u;
  return 0;
}
// Rows are counted from 0 over maps.inc; "n0000" is a row that says Nested and is in none.
static_assert(conflict() == 0, "two rows match the same bytes (see the number: row * 10000 + row)");
static_assert(kIndex.first[kSlotCount] <= std::size(kIndex.rows));

}  // namespace

constinit const OpcodeIndex kOpcodeIndex = kIndex;
constinit const std::array<Row, kRowCount> kRows = kMadeRows;

std::span<const Row> all_rows() { return kRows; }

RowText text_of(const Row& row) {
  const char* const name = kText + row.text;
  const char* const encoding = name + std::strlen(name) + 1;
  return {name, encoding, encoding + std::strlen(encoding) + 1};
}

}  // namespace lyrebird::x86
