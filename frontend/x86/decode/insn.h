// SPDX-License-Identifier: Apache-2.0
/// A decoded instruction: what a lifter gets. Plain data, no pointers.
#pragma once

#include <cstdint>

namespace lyrebird::x86 {

/// The default sizes of the code segment: CS.D and, in long mode, CS.L. Real mode and v86 mode are
/// k16 to the decoder; what they forbid is marked in the rows (RowFlag::Protected).
enum class Mode : uint8_t { k16, k32, k64 };

enum class Segment : uint8_t { ES, CS, SS, DS, FS, GS };

enum class OperandKind : uint8_t {
  None,
  Gpr,           ///< reg 0 to 15; size 1 is its low byte, 2 its low half, ...
  GprHigh,       ///< AH, CH, DH, BH: bits 15:8 of reg 0 to 3
  Segment,       ///< reg is a Segment
  Control,       ///< CR0, 2, 3, 4 or 8
  Debug,         ///< DR0 to DR7
  X87,           ///< ST(reg)
  Mmx,           ///< MM0 to MM7
  Vector,        ///< XMM or YMM reg; size is how much of it is meant
  Memory,        ///< Insn::memory; size 0 where the instruction knows better (LEA, FXSAVE)
  Vsib,          ///< Insn::memory with a vector index (reg of its number); size of one element
  StringSource,  ///< memory.segment : rSI of the address size
  StringDest,    ///< ES : rDI of the address size; no override
  Immediate,     ///< Insn::immediate[reg], sign-extended where the manual says so
  Relative,      ///< a branch: immediate[0] is relative to the next instruction
  FarPointer,    ///< immediate[0] is the offset, immediate[1] the selector
};

struct Operand {
  OperandKind kind = OperandKind::None;
  uint8_t reg = 0;
  uint16_t size = 0;  ///< bytes
  constexpr bool operator==(const Operand&) const = default;
};

inline constexpr uint8_t kNoRegister = 0xff;
/// A base of the address of the next instruction (64-bit mode only).
inline constexpr uint8_t kRip = 0x10;

/// offset = (base + (index << shift) + displacement) cut to address_size bytes.
struct MemoryOperand {
  Segment segment = Segment::DS;  ///< the override, or the default of the base
  uint8_t base = kNoRegister;
  uint8_t index = kNoRegister;
  uint8_t shift = 0;
  int64_t displacement = 0;  ///< sign-extended
  constexpr bool operator==(const MemoryOperand&) const = default;
};

/// The prefixes in Insn::prefixes. Those that select a row (mandatory prefixes) are in it too.
enum Prefix : uint8_t {
  kPrefixLock = 1 << 0,
  kPrefixRep = 1 << 1,    ///< F3 was the last of F2 and F3
  kPrefixRepne = 1 << 2,  ///< F2 was
  kPrefixOperandSize = 1 << 3,
  kPrefixAddressSize = 1 << 4,
  kPrefixSegment = 1 << 5,  ///< an override that counts in this mode
  kPrefixRexW = 1 << 6,     ///< REX.W or VEX.W
  kPrefixRex = 1 << 7,      ///< any REX that counts
};

struct Insn {
  uint16_t row = 0;  ///< index of the row, as in row() and all_rows()
  uint8_t length = 0;
  Mode mode = Mode::k64;
  uint8_t operand_size = 0;   ///< 2, 4 or 8 bytes, with D64 and F64 applied
  uint8_t address_size = 0;   ///< 2, 4 or 8 bytes
  uint8_t vector_length = 0;  ///< 16 or 32 bytes (VEX.L)
  uint8_t opcode = 0;         ///< the last opcode byte
  uint8_t modrm = 0;
  uint8_t prefixes = 0;  ///< Prefix bits
  uint8_t operand_count = 0;
  Operand operands[4];
  MemoryOperand memory;  ///< segment is set even without a memory operand (XLAT, MASKMOVQ)
  int64_t immediate[2] = {0, 0};

  /// cc of Jcc, SETcc, CMOVcc (SDM volume 1, appendix B.1).
  constexpr unsigned condition() const { return opcode & 15; }
  constexpr bool has(Prefix p) const { return (prefixes & p) != 0; }
  /// Where a Relative operand leads, for an instruction at rip (offset in CS).
  constexpr uint64_t relative_target(uint64_t rip) const {
    const uint64_t to = rip + length + static_cast<uint64_t>(immediate[0]);
    return operand_size == 8 ? to : operand_size == 4 ? static_cast<uint32_t>(to) : static_cast<uint16_t>(to);
  }
};

}  // namespace lyrebird::x86
