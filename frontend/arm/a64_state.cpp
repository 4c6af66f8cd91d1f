// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64_state.h"

#include <cstddef>
#include <string>
#include <vector>

#include "frontend/arm/a64_mode.h"
#include "ir/fp_mode.h"

namespace lyrebird::arm {
namespace {

using ir::Type;

/// Rank of a general register by how often compiled code uses it; 0: not among the first.
constexpr uint8_t hotness_of_x(unsigned i) {
  constexpr unsigned kOrder[] = {0, 1, 31, 2, 3, 19, 20, 4, 21, 5, 22, 8, 29, 30};  // 31: SP
  for (unsigned rank = 0; rank < std::size(kOrder); ++rank)
    if (kOrder[rank] == i) return static_cast<uint8_t>(rank + 1);
  return 0;
}

/// The first argument and scratch vectors; callees keep v8 to v15, so that compilers use these last.
constexpr uint8_t hotness_of_v(unsigned i) {
  return static_cast<uint8_t>(i < 8 ? i + 1 : i >= 16 && i < 24 ? i - 7 : 0);
}

constexpr uint32_t mode_tag(uint32_t mode) {
  static_assert((kModeFpcrMask | kModeBtypeMask | kModeBti) < ir::kModeTags);
  return mode < ir::kModeTags ? mode : ir::kOtherMode;
}

struct Layout {
  std::vector<std::string> names;
  std::vector<ir::StateField> fields;
  ir::StateLayout layout;

  Layout() {
    names.reserve(128);
    add("fault_address", offsetof(A64State, header) + offsetof(ir::CpuHeader, fault_address), Type::I64);
    add("fault_size", offsetof(A64State, header) + offsetof(ir::CpuHeader, fault_size), Type::I32);
    add("pc", offsetof(A64State, header) + offsetof(ir::CpuHeader, pc), Type::I64);
    add("mode", offsetof(A64State, header) + offsetof(ir::CpuHeader, mode), Type::I32);
    add("status", offsetof(A64State, status), Type::I16);
    add("qc", offsetof(A64State, qc), Type::I8);
    add("ssbs", offsetof(A64State, ssbs), Type::I8);
    add("fpcr", offsetof(A64State, fpcr), Type::I32);
    for (unsigned i = 0; i < 31; ++i)
      add("x" + std::to_string(i), offsetof(A64State, x) + 8 * i, Type::I64, hotness_of_x(i));
    add("sp", offsetof(A64State, sp), Type::I64, 3);
    for (unsigned i = 0; i < 32; ++i)
      add("v" + std::to_string(i), offsetof(A64State, v) + 16 * i, Type::V128, hotness_of_v(i));
    add("tpidr_el0", offsetof(A64State, tpidr_el0), Type::I64);
    add("tpidrro_el0", offsetof(A64State, tpidrro_el0), Type::I64);
    add("tpidr2_el0", offsetof(A64State, tpidr2_el0), Type::I64);
    layout = {.fields = fields, .size = sizeof(A64State), .other_carry = true, .mode_tag = mode_tag};
  }

  void add(std::string name, size_t offset, Type type, uint8_t hot = 0) {
    names.push_back(std::move(name));
    fields.push_back({names.back(), static_cast<uint32_t>(offset), type, hot});
  }
};

/// FPSR bit of each ir::FpFlag bit.
struct FlagPair {
  uint32_t collected, fpsr;
};
constexpr FlagPair kFlagPairs[] = {{ir::kFpInvalid, 1u << 0},  {ir::kFpDivideByZero, 1u << 1},
                                   {ir::kFpOverflow, 1u << 2}, {ir::kFpUnderflow, 1u << 3},
                                   {ir::kFpInexact, 1u << 4},  {ir::kFpDenormal, 1u << 7}};
constexpr uint32_t kFpsrQc = 1u << 27;

}  // namespace

const ir::StateLayout& a64_layout() {
  static const Layout layout;
  return layout.layout;
}

void set_fpcr(A64State& state, uint32_t value) {
  state.fpcr = value & kFpcrWritable;
  state.header.mode = (state.header.mode & ~kModeFpcrMask) | mode_of_fpcr(state.fpcr);
}

uint32_t fpsr(const A64State& state) {
  uint32_t value = state.qc ? kFpsrQc : 0;
  for (const auto [collected, bit] : kFlagPairs)
    if (state.header.fp_flags & collected) value |= bit;
  return value;
}

void set_fpsr(A64State& state, uint32_t value) {
  state.qc = (value & kFpsrQc) != 0;
  state.header.fp_flags = 0;
  for (const auto [collected, bit] : kFlagPairs)
    if (value & bit) state.header.fp_flags |= collected;
}

uint32_t nzcv(const A64State& state) {
  using namespace ir::eval;
  const uint32_t word = state.status;
  return (word & (kStatusSign | kStatusZero)) << 16 | (word & kStatusCarry ? 0 : 1u << 29) |
         (word & kStatusOverflow) << 28;
}

void set_nzcv(A64State& state, uint32_t value) { state.status = status_of_nzcv(value >> 28); }

uint32_t pstate(const A64State& state) {
  const uint32_t btype = (state.header.mode & kModeBtypeMask) >> kModeBtypeShift;
  return nzcv(state) | uint32_t{state.ssbs} << 12 | btype << 10;
}

void set_pstate(A64State& state, uint32_t value) {
  set_nzcv(state, value);
  state.ssbs = value >> 12 & 1;
  const uint32_t btype = state.header.mode & kModeBti ? value >> 10 & 3 : 0;
  state.header.mode = (state.header.mode & ~kModeBtypeMask) | btype << kModeBtypeShift;
}

}  // namespace lyrebird::arm
