// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/decode/decode.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "frontend/x86/decode/parse.h"

namespace lyrebird::x86 {
namespace {

constexpr Mode k16 = Mode::k16, k32 = Mode::k32, k64 = Mode::k64;

std::vector<uint8_t> bytes_of(std::string_view hex) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < hex.size(); i += hex[i] == ' ' ? 1 : 2)
    if (hex[i] != ' ')
      bytes.push_back(static_cast<uint8_t>(std::stoul(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

struct Decoded {
  DecodeStatus status;
  Insn insn;
  std::string_view name() const { return is_undefined(status) ? x86::name(status) : name_of(insn.row); }
};

Decoded decode_hex(Mode mode, std::string_view hex, Features features = Features::all()) {
  const std::vector<uint8_t> bytes = bytes_of(hex);
  Decoded d;
  d.status = decode(bytes.data(), bytes.size(), mode, features, d.insn);
  return d;
}

std::string text(const Insn& insn, const Operand& o) {
  static const char* const kSegments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
  const auto with_size = [&](const std::string& s) { return s + ":" + std::to_string(o.size); };
  const std::string n = std::to_string(o.reg);
  switch (o.kind) {
    case OperandKind::None:
      return "none";
    case OperandKind::Gpr:
      return with_size("r" + n);
    case OperandKind::GprHigh:
      return with_size("h" + n);
    case OperandKind::Segment:
      return kSegments[o.reg];
    case OperandKind::Control:
      return "cr" + n;
    case OperandKind::Debug:
      return "dr" + n;
    case OperandKind::X87:
      return "st" + n;
    case OperandKind::Mmx:
      return with_size("mm" + n);
    case OperandKind::Vector:
      return with_size("v" + n);
    case OperandKind::StringSource:
      return with_size(std::string("[") + kSegments[static_cast<int>(insn.memory.segment)] + ":si]");
    case OperandKind::StringDest:
      return with_size("[es:di]");
    case OperandKind::Immediate:
      return with_size("#" + std::to_string(insn.immediate[o.reg]));
    case OperandKind::Relative:
      return "rel " + std::to_string(insn.immediate[0]);
    case OperandKind::FarPointer:
      return std::to_string(insn.immediate[1]) + ":" + std::to_string(insn.immediate[0]);
    case OperandKind::Memory:
    case OperandKind::Vsib: {
      const MemoryOperand& m = insn.memory;
      std::string s = std::string("[") + kSegments[static_cast<int>(m.segment)] + ":";
      if (m.base == kRip)
        s += "rip";
      else if (m.base != kNoRegister)
        s += "r" + std::to_string(m.base);
      if (m.index != kNoRegister)
        s += (o.kind == OperandKind::Vsib ? "+v" : "+r") + std::to_string(m.index) + "*" +
             std::to_string(1 << m.shift);
      if (m.displacement != 0 || m.base == kNoRegister)
        s += (m.displacement < 0 ? "" : "+") + std::to_string(m.displacement);
      return with_size(s + "]");
    }
  }
  return "?";
}

/// "ADD r0:4, [ds:r3]:4 a8 l3"
std::string text(const Decoded& d) {
  if (d.status != DecodeStatus::Ok) return name(d.status);
  std::string s(d.name());
  for (unsigned i = 0; i < d.insn.operand_count; ++i)
    s += (i ? ", " : " ") + text(d.insn, d.insn.operands[i]);
  return s + " l" + std::to_string(d.insn.length);
}

struct Case {
  Mode mode;
  const char* hex;
  const char* text;
};

void check(std::initializer_list<Case> cases) {
  for (const Case& c : cases)
    EXPECT_EQ(text(decode_hex(c.mode, c.hex)), c.text) << c.hex << " mode " << static_cast<int>(c.mode);
}

// SDM volume 2, 2.1.3 and table 2-2, 2-3.
TEST(X86Decode, ModRmAndSibOf32BitAddresses) {
  check({{k32, "01 c8", "ADD r0:4, r1:4 l2"},
         {k32, "03 03", "ADD r0:4, [ds:r3]:4 l2"},
         {k32, "03 05 78563412", "ADD r0:4, [ds:+305419896]:4 l6"},
         {k32, "03 45 f8", "ADD r0:4, [ss:r5-8]:4 l3"},
         {k32, "03 84 8b 00000080", "ADD r0:4, [ds:r3+r1*4-2147483648]:4 l7"},
         {k32, "03 04 24", "ADD r0:4, [ss:r4]:4 l3"},
         {k32, "03 04 25 04000000", "ADD r0:4, [ds:+4]:4 l7"},
         {k32, "03 04 6d 04000000", "ADD r0:4, [ds:+r5*2+4]:4 l7"},
         {k32, "03 44 6d 00", "ADD r0:4, [ss:r5+r5*2]:4 l4"}});
}

// SDM volume 2, table 2-1.
TEST(X86Decode, ModRmOf16BitAddresses) {
  check({{k16, "03 00", "ADD r0:2, [ds:r3+r6*1]:2 l2"},
         {k16, "03 02", "ADD r0:2, [ss:r5+r6*1]:2 l2"},
         {k16, "03 06 3412", "ADD r0:2, [ds:+4660]:2 l4"},
         {k16, "03 46 fe", "ADD r0:2, [ss:r5-2]:2 l3"},
         {k16, "03 87 0080", "ADD r0:2, [ds:r3-32768]:2 l4"},
         {k16, "67 03 04 24", "ADD r0:2, [ss:r4]:2 l4"},
         {k32, "67 03 44 fe", "ADD r0:4, [ds:r6-2]:4 l4"},
         {k16, "66 67 03 03", "ADD r0:4, [ds:r3]:4 l4"}});
}

// SDM volume 2, 2.2.1.
TEST(X86Decode, RexAnd64BitAddresses) {
  check({{k64, "48 01 c8", "ADD r0:8, r1:8 l3"},
         {k64, "4d 01 c8", "ADD r8:8, r9:8 l3"},
         {k64, "66 4d 01 c8", "ADD r8:8, r9:8 l4"},
         {k64, "66 01 c8", "ADD r0:2, r1:2 l3"},
         {k64, "48 66 01 c8", "ADD r0:2, r1:2 l4"},
         {k64, "03 05 10000000", "ADD r0:4, [ds:rip+16]:4 l6"},
         {k64, "67 03 05 10000000", "ADD r0:4, [ds:rip+16]:4 l7"},
         {k64, "41 03 05 10000000", "ADD r0:4, [ds:rip+16]:4 l7"},
         {k64, "41 03 04 24", "ADD r0:4, [ds:r12]:4 l4"},
         {k64, "42 03 04 20", "ADD r0:4, [ds:r0+r12*1]:4 l4"},
         {k64, "41 03 45 00", "ADD r0:4, [ds:r13]:4 l4"},
         {k64, "41 03 04 25 04000000", "ADD r0:4, [ds:+4]:4 l8"},
         {k64, "88 e0", "MOV r0:1, h0:1 l2"},
         {k64, "40 88 e0", "MOV r0:1, r4:1 l3"},
         {k64, "b4 07", "MOV h0:1, #7:1 l2"},
         {k64, "41 b4 07", "MOV r12:1, #7:1 l3"}});
}

// SDM volume 2, 2.1.1: the last of a group counts. Volume 1, 3.4.2.1: no ES, CS, SS, DS in 64-bit mode.
TEST(X86Decode, SegmentOverrides) {
  check({{k32, "2e 64 03 03", "ADD r0:4, [fs:r3]:4 l4"},
         {k32, "64 2e 03 03", "ADD r0:4, [cs:r3]:4 l4"},
         {k32, "3e 03 45 00", "ADD r0:4, [ds:r5]:4 l4"},
         {k64, "64 2e 03 03", "ADD r0:4, [fs:r3]:4 l4"},
         {k64, "2e 03 45 00", "ADD r0:4, [ss:r5]:4 l4"},
         {k64, "65 a4", "MOVS [es:di]:1, [gs:si]:1 l2"},
         {k32, "26 a5", "MOVS [es:di]:4, [es:si]:4 l2"},
         {k32, "64 a1 14000000", "MOV r0:4, [fs:+20]:4 l6"}});
  EXPECT_EQ(decode_hex(k32, "64 d7").insn.memory.segment, Segment::FS);  // XLAT
}

// SDM volume 2, 2.2.1.7 and appendix A.2.1 (d64, f64).
TEST(X86Decode, DefaultOperandSizesOf64BitMode) {
  check({{k64, "50", "PUSH r0:8 l1"},
         {k64, "66 50", "PUSH r0:2 l2"},
         {k64, "48 50", "PUSH r0:8 l2"},
         {k64, "6a ff", "PUSH #-1:8 l2"},
         {k64, "68 ffffffff", "PUSH #-1:8 l5"},
         {k64, "66 68 ffff", "PUSH #-1:2 l4"},
         {k64, "e8 00000000", "CALL rel 0 l5"},
         {k64, "66 e8 00000000", "CALL rel 0 l6"},
         {k32, "66 e8 0000", "CALL rel 0 l4"},
         {k64, "ff d0", "CALL r0:8 l2"},
         {k64, "c3", "RET l1"},
         {k64, "48 b8 efcdab8967452301", "MOV r0:8, #81985529216486895:8 l10"},
         {k64, "48 c7 c0 feffffff", "MOV r0:8, #-2:8 l7"},
         {k64, "48 81 c0 00000080", "ADD r0:8, #-2147483648:8 l7"},
         {k64, "a1 8877665544332211", "MOV r0:4, [ds:+1234605616436508552]:4 l9"},
         {k64, "67 a1 44332211", "MOV r0:4, [ds:+287454020]:4 l6"},
         {k64, "0f 20 c0", "MOV r0:8, cr0 l3"},
         {k64, "44 0f 20 c0", "MOV r0:8, cr8 l4"},
         {k64, "63 c1", "MOVSXD r0:4, r1:4 l2"},
         {k64, "48 63 c1", "MOVSXD r0:8, r1:4 l3"}});
  EXPECT_EQ(decode_hex(k64, "c3").insn.operand_size, 8);
  EXPECT_EQ(decode_hex(k64, "cf").insn.operand_size, 4);
}

TEST(X86Decode, ImmediatesFarPointersAndBranches) {
  check({{k32, "83 c0 80", "ADD r0:4, #-128:4 l3"},
         {k32, "66 81 c0 0080", "ADD r0:2, #-32768:2 l5"},
         {k32, "04 80", "ADD r0:1, #128:1 l2"},
         {k32, "c8 3412 05", "ENTER #4660:2, #5:1 l4"},
         {k32, "9a 44332211 0800", "CALLF 8:287454020 l7"},
         {k16, "ea 3412 0800", "JMPF 8:4660 l5"},
         {k32, "d1 e0", "SHL r0:4, #1:1 l2"},
         {k32, "d3 f0", "SHL r0:4, r1:1 l2"},
         {k16, "75 fe", "Jcc rel -2 l2"},
         {k32, "0f 85 feffffff", "Jcc rel -2 l6"},
         {k32, "e5 10", "IN r0:4, #16:1 l2"},
         {k64, "48 ed", "IN r0:4, r2:2 l2"}});
  EXPECT_EQ(decode_hex(k16, "75 fe").insn.condition(), 5u);
  EXPECT_EQ(decode_hex(k16, "eb 10").insn.relative_target(0xfff8), 0x000au);
  EXPECT_EQ(decode_hex(k32, "eb fe").insn.relative_target(0x1000), 0x1000u);
  EXPECT_EQ(decode_hex(k64, "e9 00000080").insn.relative_target(0x100000000), 0x80000005u);
}

// SDM volume 2, table 3-1; volume 1, 3.6.1.
TEST(X86Decode, OneByteNopsAndHints) {
  check({{k64, "90", "NOP l1"},
         {k64, "48 90", "NOP l2"},
         {k64, "41 90", "XCHG r8:4, r0:4 l2"},
         {k64, "f3 90", "PAUSE l2"},
         {k64, "f3 41 90", "XCHG r8:4, r0:4 l3"},
         {k32, "66 90", "NOP l2"},
         {k32, "66 91", "XCHG r1:2, r0:2 l2"},
         {k64, "66 0f 1f 44 00 00", "NOP [ds:r0+r0*1]:2 l6"},
         {k64, "66 2e 0f 1f 84 00 00000000", "NOP [ds:r0+r0*1]:2 l10"},
         {k64, "f3 0f 1e fa", "ENDBR64 l4"},
         {k32, "f3 0f 1e fb", "ENDBR32 l4"},
         {k64, "f3 0f 1e c8", "NOP r0:4 l4"},
         {k64, "0f 18 20", "NOP [ds:r0]:4 l3"},
         {k64, "0f 18 08", "PREFETCHT0 [ds:r0]:1 l3"},
         {k64, "3e 74 00", "Jcc rel 0 l3"}});
}

// SDM volume 2, 2.3.2 to 2.3.6 and table 2-4; 2.7.1 (EVEX).
TEST(X86Decode, VexAndWhatSharesItsBytes) {
  check({{k64, "c5 f4 58 c2", "VADDPS v0:32, v1:32, v2:32 l4"},
         {k64, "c4 c1 70 58 00", "VADDPS v0:16, v1:16, [ds:r8]:16 l5"},
         {k64, "c5 72 58 c2", "VADDSS v8:4, v1:16, v2:4 l4"},
         {k32, "c5 f4 58 c2", "VADDPS v0:32, v1:32, v2:32 l4"},
         {k32, "c5 34", "needs more bytes"},
         {k32, "c5 34 24 ", "LDS r6:4, [ss:r4]:6 l3"},
         {k16, "c4 00", "LES r0:2, [ds:r3+r6*1]:4 l2"},
         {k64, "c4 00", "no such opcode"},
         {k32, "62 01", "BOUND r0:4, [ds:r1]:8 l2"},
         {k32, "62 f1 7c 48 58 c2", "AVX-512 is absent"},
         {k64, "62 f1 7c 48 58 c2", "AVX-512 is absent"},
         {k64, "62 f9 7c 48 58 c2", "no such opcode"},
         {k64, "62 f1 78 48 58 c2", "no such opcode"},
         {k64, "66 c5 f4 58 c2", "prefix not allowed with VEX"},
         {k64, "f0 c5 f4 58 c2", "prefix not allowed with VEX"},
         {k64, "f3 c5 f4 58 c2", "prefix not allowed with VEX"},
         {k64, "48 c5 f4 58 c2", "prefix not allowed with VEX"},
         {k64, "65 67 c5 f4 58 00", "VADDPS v0:32, v1:32, [gs:r0]:32 l6"},
         {k64, "c5 f4 28 c2", "VEX.vvvv must be 1111"},
         {k64, "c5 fc 28 c2", "VMOVAPS v0:32, v2:32 l4"},
         {k64, "c4 e4 70 58 c2", "no such opcode"},
         {k64, "c5 f8 77", "VZEROUPPER l3"},
         {k64, "c5 fc 77", "VZEROALL l3"},
         {k64, "c4 e2 f0 f2 c2", "ANDN r0:8, r1:8, r2:8 l5"},
         {k32, "c4 e2 f0 f2 c2", "ANDN r0:4, r1:4, r2:4 l5"},
         {k64, "c4 e2 f4 f2 c2", "no such opcode"},
         {k64, "c4 e3 71 4a c2 30", "VBLENDVPS v0:16, v1:16, v2:16, v3:16 l6"},
         {k64, "c4 e3 71 4a c2 f0", "VBLENDVPS v0:16, v1:16, v2:16, v15:16 l6"},
         {k32, "c4 e3 71 4a c2 f0", "VBLENDVPS v0:16, v1:16, v2:16, v7:16 l6"},
         {k64, "c4 e1 f9 6e c0", "VMOVD v0:8, r0:8 l5"},
         {k32, "c4 e1 f9 6e c0", "VMOVD v0:4, r0:4 l5"}});
}

// SDM volume 2, 2.3.12.
TEST(X86Decode, GathersNeedASibAndThreeRegisters) {
  check({{k64, "c4 e2 69 90 04 18", "VPGATHERDD v0:16, [ds:r0+v3*1]:4, v2:16 l6"},
         {k64, "c4 e2 6d 93 04 60", "VGATHERQPS v0:16, [ds:r0+v4*2]:4, v2:16 l6"},
         {k64, "c4 e2 69 90 04 20", "VPGATHERDD v0:16, [ds:r0+v4*1]:4, v2:16 l6"},
         {k64, "c4 e2 69 90 00", "vector index without SIB"},
         {k64, "c4 e2 69 90 04 10", "no such register"},
         {k64, "c4 e2 79 90 04 18", "no such register"}});
}

// SDM volume 2, LOCK: #UD unless the destination is memory and the instruction one of a list.
TEST(X86Decode, Lock) {
  check({{k64, "f0 01 03", "ADD [ds:r3]:4, r0:4 l3"},
         {k64, "f0 01 c3", "LOCK is not allowed here"},
         {k64, "f0 03 03", "LOCK is not allowed here"},
         {k64, "f0 39 03", "LOCK is not allowed here"},
         {k64, "f0 0f c7 0b", "CMPXCHG8B [ds:r3]:8 l4"},
         {k64, "f0 48 0f c7 0b", "CMPXCHG16B [ds:r3]:16 l5"},
         {k64, "f2 f0 0f b1 0b", "CMPXCHG [ds:r3]:4, r1:4 l5"},
         {k64, "f0 90", "LOCK is not allowed here"}});
}

// SDM volume 2, 2.1.2: F2 and F3 select before 66, and 66 stays an operand size.
TEST(X86Decode, MandatoryPrefixes) {
  check({{k64, "0f 58 c1", "ADDPS v0:16, v1:16 l3"},
         {k64, "66 0f 58 c1", "ADDPD v0:16, v1:16 l4"},
         {k64, "f3 66 0f 58 c1", "ADDSS v0:4, v1:4 l5"},
         {k64, "66 f2 0f 58 c1", "ADDSD v0:8, v1:8 l5"},
         {k64, "f3 f2 0f 58 c1", "ADDSD v0:8, v1:8 l5"},
         {k64, "f2 f3 0f 58 c1", "ADDSS v0:4, v1:4 l5"},
         {k64, "f3 0f c6 c1 00", "no such opcode"},
         {k64, "66 f2 0f 38 f1 c1", "CRC32 r0:4, r1:2 l6"},
         {k64, "66 0f 38 f1 01", "MOVBE [ds:r1]:2, r0:2 l5"},
         {k64, "66 f3 0f b8 c1", "POPCNT r0:2, r1:2 l5"},
         {k64, "f3 48 0f 2a c1", "CVTSI2SS v0:4, r1:8 l5"},
         {k64, "66 0f 7e c1", "MOVD r1:4, v0:4 l4"},
         {k64, "66 48 0f 7e c1", "MOVD r1:8, v0:8 l5"},
         {k32, "0f 12 c1", "MOVHLPS v0:8, v1:8 l3"},
         {k32, "0f 12 01", "MOVLPS v0:8, [ds:r1]:8 l3"}});
}

TEST(X86Decode, ModesDecideWhatExists) {
  check({{k32, "40", "INC r0:4 l1"},
         {k16, "40", "INC r0:2 l1"},
         {k64, "40", "needs more bytes"},
         {k64, "06", "no such opcode"},
         {k32, "06", "PUSH es l1"},
         {k64, "d4 0a", "no such opcode"},
         {k32, "d4 0a", "AAM #10:1 l2"},
         {k32, "63 c1", "ARPL r1:2, r0:2 l2"},
         {k32, "0f 05", "no such opcode"},
         {k64, "0f 05", "SYSCALL l2"},
         {k64, "9a", "no such opcode"},
         {k64, "82 c0 00", "no such opcode"},
         {k32, "82 c0 00", "ADD r0:1, #0:1 l3"}});
}

TEST(X86Decode, SystemRegistersAndSegments) {
  check({{k64, "8e d8", "MOV ds, r0:2 l2"},
         {k64, "8e c8", "no such register"},
         {k64, "8c c8", "MOV r0:4, cs l2"},
         {k64, "8c 08", "MOV [ds:r0]:2, cs l2"},
         {k64, "8c f0", "no such register"},
         {k64, "0f 20 c8", "no such register"},
         {k64, "0f 20 18", "MOV r0:8, cr3 l3"},
         {k64, "44 0f 21 c0", "no such register"},
         {k64, "0f 23 f8", "MOV dr7, r0:8 l3"},
         {k64, "0f 01 10", "LGDT [ds:r0]:10 l3"},
         {k32, "0f 01 10", "LGDT [ds:r0]:6 l3"},
         {k64, "0f 01 f8", "SWAPGS l3"},
         {k64, "0f 01 f9", "RDTSCP l3"},
         {k64, "0f 01 38", "INVLPG [ds:r0]:1 l3"},
         {k64, "0f ae e8", "LFENCE l3"},
         {k64, "0f ae 28", "XRSTOR [ds:r0]:0 l3"},
         {k64, "f3 0f ae c0", "RDFSBASE r0:4 l4"},
         {k32, "f3 0f ae c0", "no such opcode"}});
}

// SDM volume 2, tables A-7 to A-22.
TEST(X86Decode, X87) {
  check({{k64, "d8 c1", "FADD st0, st1 l2"},
         {k64, "dc c1", "FADD st1, st0 l2"},
         {k64, "d9 03", "FLD [ds:r3]:4 l2"},
         {k64, "db 2b", "FLD [ds:r3]:10 l2"},
         {k64, "d9 e0", "FCHS l2"},
         {k64, "d9 e2", "no such opcode"},
         {k64, "df e0", "FNSTSW r0:2 l2"},
         {k64, "de d9", "FCOMPP l2"},
         {k64, "de d8", "no such opcode"},
         {k64, "dd c7", "FFREE st7 l2"}});
}

TEST(X86Decode, WhatAnAbsentFeatureLeaves) {
  Features old = Features::all();
  old.remove(Feature::BMI1)
      .remove(Feature::LZCNT)
      .remove(Feature::PREFETCHW)
      .remove(Feature::AVX2)
      .remove(Feature::SSE4_1);
  const auto on_old = [&](const char* hex) { return text(decode_hex(k64, hex, old)); };
  EXPECT_EQ(on_old("f3 0f bc c1"), "BSF r0:4, r1:4 l4");
  EXPECT_EQ(on_old("f3 0f bd c1"), "BSR r0:4, r1:4 l4");
  EXPECT_EQ(on_old("0f 0d 08"), "NOP [ds:r0]:4 l3");
  EXPECT_EQ(on_old("66 0f 38 17 c1"), "feature absent");
  EXPECT_EQ(on_old("c5 f5 fc c2"), "feature absent");
  EXPECT_EQ(on_old("c5 f1 fc c2"), "VPADDB v0:16, v1:16, v2:16 l4");
  old.remove(Feature::AVX);
  EXPECT_EQ(on_old("c4 e2 71 96 c2"), "feature absent");            // FMA needs AVX
  EXPECT_EQ(on_old("c4 e2 7b f6 c2"), "MULX r0:4, r0:4, r2:4 l5");  // BMI2 does not
  EXPECT_EQ(text(decode_hex(k64, "f3 0f bc c1")), "TZCNT r0:4, r1:4 l4");
}

// SDM volume 2, 2.3.11; volume 3, 6.15 (#GP: more than 15 bytes).
TEST(X86Decode, LengthLimit) {
  EXPECT_EQ(text(decode_hex(k64, "66666666 66666666 66666666 6666 90")), "NOP l15");
  EXPECT_EQ(text(decode_hex(k64, "66666666 66666666 66666666 666666 90")), "longer than 15 bytes");
  EXPECT_EQ(text(decode_hex(k64, "66666666 66666666 66666666 66 81 c0 34")), "longer than 15 bytes");
  EXPECT_EQ(text(decode_hex(k64, "66666666 66666666 66666666 66")), "needs more bytes");
}

TEST(X86Decode, EveryPrefixOfAnInstructionNeedsMoreBytes) {
  for (const char* hex :
       {"66 64 81 84 8b 78563412 3412", "c4 e3 71 4a 84 8b 78563412 30", "0f 3a 0f c1 05"}) {
    const std::vector<uint8_t> bytes = bytes_of(hex);
    Insn insn;
    for (size_t n = 0; n < bytes.size(); ++n)
      EXPECT_EQ(decode(bytes.data(), n, k32, Features::all(), insn), DecodeStatus::TooShort)
          << hex << " " << n;
    EXPECT_EQ(decode(bytes.data(), bytes.size(), k32, Features::all(), insn), DecodeStatus::Ok) << hex;
    EXPECT_EQ(insn.length, bytes.size());
  }
}

// What tables.cpp asserts for every two rows.
TEST(X86Rows, OverlapAndNestingAreSeen) {
  const auto m = [](const char* encoding, const char* operands, uint32_t flags = 0) {
    return parse::row({"X", encoding, operands, Feature::Base, flags}).match;
  };
  EXPECT_TRUE(parse::overlap(m("0F 10", "Vx,Wx"), m("66 0F 10", "Vx,Wx")));
  EXPECT_FALSE(parse::overlap(m("NP 0F 10", "Vx,Wx"), m("66 0F 10", "Vx,Wx")));
  EXPECT_FALSE(parse::overlap(m("0F 12", "Vx,Mq"), m("0F 12", "Vx,Uq")));
  EXPECT_FALSE(parse::overlap(m("63", "Ew,Gw", RowFlag::No64), m("63", "Gv,Ed", RowFlag::Only64)));
  EXPECT_TRUE(parse::overlap(m("VEX.LIG.66.0F38.W0 90", "Vx,Wx"), m("VEX.256.66.0F38.WIG 90", "Vx,Wx")));
  EXPECT_TRUE(parse::strictly_inside(m("F3 0F BC", "Gv,Ev"), m("0F BC", "Gv,Ev")));
  EXPECT_FALSE(parse::strictly_inside(m("0F BC", "Gv,Ev"), m("0F BC", "Gv,Ev")));
  EXPECT_FALSE(parse::strictly_inside(m("F3 0F BC", "Gv,Ev"), m("0F BC", "Gv,Mv")));
}

TEST(X86Rows, TextsAreThoseOfTheirRows) {
  EXPECT_EQ(text_of(all_rows()[0]).name, "ADD");
  EXPECT_EQ(text_of(all_rows()[0]).operands, "Eb,Gb");
  EXPECT_EQ(text_of(all_rows().back()).name, "RORX");
  EXPECT_EQ(text_of(all_rows().back()).encoding, "VEX.128.F2.0F3A.WIG F0");
}

}  // namespace
}  // namespace lyrebird::x86
