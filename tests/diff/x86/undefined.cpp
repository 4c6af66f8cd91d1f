// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/undefined.h"

#include <string_view>

#include "frontend/x86/decode/row.h"

namespace lyrebird::x86diff {

uint64_t undefined_flags(const x86::Insn& insn, const Case& c) {
  constexpr uint64_t kOf = 1 << 11;
  const std::string_view name = x86::name_of(insn.row);
  // 16-bit operands and a count from 16 on: OF.
  if ((name == "SHLD" || name == "SHRD") && insn.operand_size == 2) {
    const bool by_register = insn.operands[2].kind == x86::OperandKind::Gpr;
    const uint64_t count = by_register ? c.in.gpr[1] : static_cast<uint64_t>(insn.immediate[0]);
    if ((count & 31) >= 16) return kOf;
  }
  // What AMD's microcode leaves in SF, ZF, PF and OF follows no rule of the manual's.
  if (name == "AAA" || name == "AAS") return kOf | 1 << 7 | 1 << 6 | 1 << 2;
  return 0;
}

}  // namespace lyrebird::x86diff
