// SPDX-License-Identifier: Apache-2.0
/// The opcode maps as the decoder reads them: candidates by map, opcode and ModRM.reg.
#pragma once

#include <array>
#include <cstdint>

#include "frontend/x86/decode/row.h"

namespace lyrebird::x86 {

/// A slot is a (map, opcode, ModRM.reg); opcodes without ModRM use reg 0.
inline constexpr unsigned kSlotCount = kMapCount * 256 * 8;
constexpr unsigned slot_of(Map map, unsigned opcode, unsigned reg) {
  return (static_cast<unsigned>(map) << 8 | opcode) << 3 | reg;
}

struct OpcodeIndex {
  /// rows[first[slot]] to rows[first[slot + 1] - 1], the more special first.
  uint16_t first[kSlotCount + 1];
  bool has_modrm[kMapCount * 256];
  uint16_t rows[9000];
};

inline constexpr unsigned kRowCount = 0
#define INSN(...) +1
#include "frontend/x86/decode/maps.inc"
#undef INSN
    ;

extern const OpcodeIndex kOpcodeIndex;
extern const std::array<Row, kRowCount> kRows;

}  // namespace lyrebird::x86
