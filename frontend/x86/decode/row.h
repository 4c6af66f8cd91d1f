// SPDX-License-Identifier: Apache-2.0
/// Decode rows: how a line of the opcode maps becomes data, at compile time.
///
///   INSN(ADD, "80 /0", "Eb,Ib", Base, Lock)      name, encoding, operands, feature, flags
///
/// Encoding, read like the manual's opcode column (SDM volume 2, 3.1.1.1):
///   NP 66 F3 F2    the mandatory prefix; none written: any. NFx: neither F2 nor F3
///   REX.W0 .W1 .B0 the bit must have that value
///   VEX.128.66.0F38.W0 ...   128 (also LZ), 256; LIG or nothing: both. W0, W1, WIG
///   0F 38 F1       opcode bytes; after a group's opcode a whole ModRM byte with mod = 3
///   +r +cc         8 or 16 opcodes; +i: the low three bits of that ModRM byte
///   /0 .. /7       ModRM.reg;  reg: ModRM.mod = 3 though no operand says so
/// Operands, as in appendix A.2.1: a letter for where, then the type. Ours beyond the manual's:
///   Ibs sign-extended byte; Edb Edw Evw: register of the first, memory of the second size;
///   types n (32, in 64-bit mode 64 bits), t (80 bits), x2 x4 x8 (parts of a vector);
///   VMd, VMq: memory with a vector index.
/// Whether ModRM.mod may be memory or register follows from the operands.
///
/// Two rows may match the same bytes only if one is strictly more special and says Nested; where
/// the feature of the special one is absent, the other applies. Anything else does not compile.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "frontend/x86/features.h"

namespace lyrebird::x86 {

enum class Map : uint8_t { OneByte, M0F, M0F38, M0F3A, Vex0F, Vex0F38, Vex0F3A };
inline constexpr unsigned kMapCount = 7;
constexpr bool is_vex(Map m) { return m >= Map::Vex0F; }

/// Where an operand is: the letters of the manual, and fixed registers.
enum class Method : uint8_t {
  FixedGpr,
  FixedSegment,
  FixedX87,
  FixedVector,
  One,  // AL, ES, ST0, XMM0, 1
  A,
  B,
  C,
  D,
  E,
  G,
  H,
  I,
  J,
  L,
  M,
  N,
  O,
  P,
  Q,
  R,
  S,
  U,
  V,
  W,
  X,
  Y,
  Z,
  STi,
  VM,
};
enum class OperandType : uint8_t {
  None,
  b,
  w,
  d,
  q,
  t,
  dq,
  v,
  y,
  z,
  n,
  p,
  s,
  a,
  x,
  x2,
  x4,
  x8,
  ss,
  sd,
  vw,
  db,
  dw,
  bs,
};

struct OperandSpec {
  Method method;
  OperandType type;
  uint8_t reg;  ///< of a fixed register
};

namespace row_flags {
enum RowFlag : uint32_t {
  None = 0,
  Lock = 1 << 0,           ///< LOCK is allowed if the destination is memory
  Only64 = 1 << 1,         ///< only in 64-bit mode
  No64 = 1 << 2,           ///< not in 64-bit mode
  D64 = 1 << 3,            ///< 64-bit mode: 64 bits unless 66
  F64 = 1 << 4,            ///< 64-bit mode: always 64 bits
  Cpl0 = 1 << 5,           ///< #GP(0) unless CPL is 0
  Iopl = 1 << 6,           ///< depends on IOPL (ports: and the I/O permission map)
  Protected = 1 << 7,      ///< #UD in real and v86 mode (SYSENTER: #GP); VEX rows are so without it
  Nested = 1 << 8,         ///< more special than another row
  String = 1 << 9,         ///< REP repeats it
  LoadsSegment = 1 << 10,  ///< loads a segment register; CS can't be one
  IgnoresMod = 1 << 11,    ///< ModRM.mod is read as 3
  Avx2At256 = 1 << 12,     ///< the 256-bit form needs AVX2
  General = 1 << 13,       ///< VEX, but no vectors: does not need AVX
  // What the operands and the encoding say:
  HasModrm = 1 << 16,
  UsesVvvv = 1 << 17,
};
}  // namespace row_flags
using row_flags::RowFlag;

/// One-hot: an instruction's bytes set one bit in each part, a row lists those that it takes.
namespace match {
inline constexpr uint32_t kPrefix = 0;  ///< 4: none, 66, F3, F2 (as VEX.pp)
inline constexpr uint32_t kMode = 4;    ///< 3
inline constexpr uint32_t kMod = 7;     ///< 2: memory, register
inline constexpr uint32_t kReg = 9;     ///< 8
inline constexpr uint32_t kRm = 17;     ///< 8
inline constexpr uint32_t kW = 25;      ///< 2
inline constexpr uint32_t kL = 27;      ///< 2
inline constexpr uint32_t kB = 29;      ///< 2: REX.B
inline constexpr uint32_t kAll = (1u << 31) - 1;
inline constexpr struct {
  uint32_t shift, count;
} kParts[] = {{kPrefix, 4}, {kMode, 3}, {kMod, 2}, {kReg, 8}, {kRm, 8}, {kW, 2}, {kL, 2}, {kB, 2}};
}  // namespace match

struct Row {
  uint32_t match;  ///< what it takes, see match::
  uint32_t flags;  ///< RowFlag
  uint32_t text;   ///< where its text begins
  OperandSpec operands[4];
  uint8_t operand_count;
  Feature feature;
  Map map;
  uint8_t opcode;        ///< the first
  uint8_t opcode_count;  ///< 1, 8 (+r) or 16 (+cc)

  constexpr bool has(RowFlag f) const { return (flags & f) != 0; }
};

/// A row as it is written.
struct RowText {
  std::string_view name, encoding, operands;
};

/// All rows, in the order of maps.inc: a lifter makes its table of handlers by including it with its
/// own INSN.
std::span<const Row> all_rows();
inline const Row& row(uint16_t index) { return all_rows()[index]; }
/// Not for hot paths.
RowText text_of(const Row& row);
inline std::string_view name_of(uint16_t index) { return text_of(row(index)).name; }

}  // namespace lyrebird::x86
