// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/undefined.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "frontend/x86/decode/row.h"
#include "frontend/x86/x86_state.h"
#include "tests/diff/x86/host.h"

namespace lyrebird::x86diff {
namespace {

constexpr uint64_t kCf = 1 << 0, kPf = 1 << 2, kAf = 1 << 4, kZf = 1 << 6, kSf = 1 << 7, kOf = 1 << 11;
constexpr uint64_t kAll = kCf | kPf | kAf | kZf | kSf | kOf;

using Names = std::initializer_list<std::string_view>;
bool one_of(std::string_view name, Names names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The masked count of a shift or rotate, which is its last operand.
unsigned count_of(const x86::Insn& insn, const Case& c) {
  const bool by_register = insn.operands[insn.operand_count - 1].kind == x86::OperandKind::Gpr;
  const uint64_t count = by_register ? c.in.gpr[x86::kRcx] : static_cast<uint64_t>(insn.immediate[0]);
  return count & (insn.operands[0].size == 8 ? 63 : 31);
}

/// The count of SHLD and SHRD with 16-bit operands, else 0.
unsigned count_of_short_double_shift(const x86::Insn& insn, const Case& c) {
  const bool is_one = one_of(x86::name_of(insn.row), {"SHLD", "SHRD"}) && insn.operands[0].size == 2;
  return is_one ? count_of(insn, c) : 0;
}

/// Where ours are not those of AMD's either.
uint64_t undefined_on_amd(const x86::Insn& insn, const Case& c) {
  const std::string_view name = x86::name_of(insn.row);
  if (count_of_short_double_shift(insn, c) >= 16) return kOf;
  // What AMD's microcode leaves in SF, ZF, PF and OF follows no rule of the manual's.
  if (one_of(name, {"AAA", "AAS"})) return kOf | kSf | kZf | kPf;
  return 0;
}

/// What "Flags Affected" says is undefined, of those instructions where another maker's processor was seen to
/// have it otherwise. All have these alike: logic's AF; bit tests, BSF, BSR, AAD and AAM.
constexpr struct {
  std::string_view name;
  uint64_t flags;
} kUndefined[] = {
    {"MUL", kSf | kZf | kAf | kPf},   // "SF, ZF, AF, and PF are undefined"
    {"IMUL", kSf | kZf | kAf | kPf},  // the same
    {"DIV", kAll},                    // "CF, OF, SF, ZF, AF, and PF are undefined"
    {"IDIV", kAll},                   // the same
    {"LZCNT", kOf | kSf | kPf | kAf},
    {"TZCNT", kOf | kSf | kPf | kAf},
    {"ANDN", kAf | kPf},
    {"BEXTR", kAf | kSf | kPf},
    {"BLSI", kAf | kPf},
    {"BLSMSK", kAf | kPf},
    {"BLSR", kAf | kPf},
    {"BZHI", kAf | kPf},
    {"AAA", kOf | kSf | kZf | kPf},
    {"AAS", kOf | kSf | kZf | kPf},
    {"DAA", kOf},
    {"DAS", kOf},
};

/// Of shifts and rotates by more than 0 (the others' are the host's, ir::eval::kFirstStep); "the OF flag is
/// defined only for 1-bit shifts".
constexpr struct {
  std::string_view name;
  uint64_t always, not_by_one;
} kShifts[] = {
    {"RCL", 0, kOf},
    {"RCR", 0, kOf},
    {"SHLD", kAf, kOf},
    {"SHRD", kAf, kOf},
};

uint64_t undefined_elsewhere(const x86::Insn& insn, const Case& c) {
  const std::string_view name = x86::name_of(insn.row);
  for (const auto& row : kUndefined)
    if (row.name == name) return row.flags;
  for (const auto& row : kShifts) {
    if (row.name != name) continue;
    const unsigned count = count_of(insn, c);
    return count == 0 ? 0 : count == 1 ? row.always : row.always | row.not_by_one;
  }
  return 0;
}

}  // namespace

uint64_t undefined_flags(const x86::Insn& insn, const Case& c) {
  return is_amd() ? undefined_on_amd(insn, c) : undefined_elsewhere(insn, c);
}

bool is_undefined(const x86::Insn& insn, const Case& c) {
  return !is_amd() && count_of_short_double_shift(insn, c) > 16;
}

}  // namespace lyrebird::x86diff
