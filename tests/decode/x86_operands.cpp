// SPDX-License-Identifier: Apache-2.0
#include "tests/decode/x86_operands.h"

#include <array>
#include <cstdio>

#include "frontend/x86/decode/row.h"

namespace lyrebird::x86 {
namespace {

std::string number(int64_t value) { return std::to_string(value); }

std::string memory_text(int segment, int base, int index, unsigned scale, int64_t displacement,
                        unsigned size) {
  std::string s = "[" + number(segment) + ":b" + number(base);
  if (index >= 0) s += "+i" + number(index) + "*" + number(scale);
  return s + (displacement ? "+" + number(displacement) : "") + "]/" + number(size);
}

std::string immediate_text(int64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "#%llx", static_cast<unsigned long long>(value));
  return text;
}

/// An absolute offset is an address; elsewhere displacements have a sign.
int64_t absolute(int64_t displacement, int base, int index, unsigned address_size) {
  if (base >= 0 || index >= 0 || address_size == 8) return displacement;
  return displacement & ((int64_t{1} << 8 * address_size) - 1);
}

std::string text(const Insn& insn, const Operand& o) {
  const MemoryOperand& m = insn.memory;
  const auto reg_or_none = [](uint8_t reg) { return reg == kNoRegister ? -1 : int{reg}; };
  switch (o.kind) {
    case OperandKind::Gpr:
      return "r" + number(o.reg) + "/" + number(o.size);
    case OperandKind::GprHigh:
      return "h" + number(o.reg);
    case OperandKind::Segment:
      return "s" + number(o.reg);
    case OperandKind::Control:
      return "c" + number(o.reg);
    case OperandKind::Debug:
      return "d" + number(o.reg);
    case OperandKind::X87:
      return "f" + number(o.reg);
    case OperandKind::Mmx:
      return "m" + number(o.reg);
    case OperandKind::Vector:
      return "v" + number(o.reg);
    case OperandKind::StringSource:
    case OperandKind::StringDest:
      return memory_text(o.kind == OperandKind::StringDest ? 0 : static_cast<int>(m.segment), o.reg, -1, 0, 0,
                         o.size);
    case OperandKind::Memory:
    case OperandKind::Vsib:
      return memory_text(
          static_cast<int>(m.segment), reg_or_none(m.base), reg_or_none(m.index), 1u << m.shift,
          absolute(m.displacement, reg_or_none(m.base), reg_or_none(m.index), insn.address_size), o.size);
    case OperandKind::Immediate:
      return immediate_text(insn.immediate[o.reg]);
    case OperandKind::Relative:
      return immediate_text(insn.immediate[0]);
    case OperandKind::FarPointer:
      return number(insn.immediate[1]) + ":" + number(insn.immediate[0]);
    case OperandKind::None:
      break;
  }
  return "?";
}

int gpr_id(ZydisRegister reg) {
  if (reg == ZYDIS_REGISTER_NONE) return -1;
  if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP) return kRip;
  return ZydisRegisterGetId(reg);
}

std::string register_text(ZydisRegister reg) {
  const int id = ZydisRegisterGetId(reg);
  switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
      // AL CL DL BL, AH CH DH BH, SPL BPL SIL DIL, R8B ..
      if (id < 4) return "r" + number(id) + "/1";
      return id < 8 ? "h" + number(id - 4) : "r" + number(id - 4) + "/1";
    case ZYDIS_REGCLASS_GPR16:
      return "r" + number(id) + "/2";
    case ZYDIS_REGCLASS_GPR32:
      return "r" + number(id) + "/4";
    case ZYDIS_REGCLASS_GPR64:
      return "r" + number(id) + "/8";
    case ZYDIS_REGCLASS_X87:
      return "f" + number(id);
    case ZYDIS_REGCLASS_MMX:
      return "m" + number(id);
    case ZYDIS_REGCLASS_XMM:
    case ZYDIS_REGCLASS_YMM:
      return "v" + number(id);
    case ZYDIS_REGCLASS_SEGMENT:
      return "s" + number(id);
    case ZYDIS_REGCLASS_CONTROL:
      return "c" + number(id);
    case ZYDIS_REGCLASS_DEBUG:
      return "d" + number(id);
    default:
      return "?";
  }
}

std::string text(const ZydisDecodedInstruction& insn, const ZydisDecodedOperand& o) {
  switch (o.type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
      return register_text(o.reg.value);
    case ZYDIS_OPERAND_TYPE_MEMORY:
      return memory_text(ZydisRegisterGetId(o.mem.segment), gpr_id(o.mem.base), gpr_id(o.mem.index),
                         o.mem.scale,
                         absolute(o.mem.disp.has_displacement ? o.mem.disp.value : 0, gpr_id(o.mem.base),
                                  gpr_id(o.mem.index), insn.address_width / 8),
                         o.size / 8);
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
      return immediate_text(o.imm.value.s);
    case ZYDIS_OPERAND_TYPE_POINTER:
      return number(o.ptr.segment) + ":" + number(o.ptr.offset);
    default:
      return "?";
  }
}

bool same(const OperandText& ours, const OperandText& theirs) {
  if (ours.is_immediate && theirs.is_immediate) {
    const unsigned unused = 64 - 8 * ours.size;
    return static_cast<uint64_t>(ours.immediate) << unused == static_cast<uint64_t>(theirs.immediate)
                                                                  << unused;
  }
  if (!ours.text.ends_with("]/0")) return ours.text == theirs.text;
  return theirs.text.starts_with(ours.text.substr(0, ours.text.size() - 1));
}

}  // namespace

std::vector<OperandText> operand_texts(const Insn& insn) {
  std::vector<OperandText> texts;
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const Operand& o = insn.operands[i];
    const bool is_immediate = o.kind == OperandKind::Immediate;
    texts.push_back({text(insn, o), true, is_immediate, is_immediate ? insn.immediate[o.reg] : 0, o.size});
  }
  return texts;
}

std::vector<OperandText> operand_texts(const ZydisDecodedInstruction& insn,
                                       const ZydisDecodedOperand* operands) {
  std::vector<OperandText> texts;
  for (unsigned i = 0; i < insn.operand_count; ++i)
    texts.push_back({text(insn, operands[i]), i < insn.operand_count_visible,
                     operands[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !operands[i].imm.is_relative,
                     operands[i].imm.value.s, 0});
  return texts;
}

bool same_operands(const std::vector<OperandText>& ours, const std::vector<OperandText>& theirs) {
  size_t next = 0;  // of theirs, the visible ones
  for (const OperandText& mine : ours) {
    if (next < theirs.size() && theirs[next].visible && same(mine, theirs[next])) {
      ++next;
      continue;
    }
    bool implied = false;
    for (const OperandText& other : theirs) implied |= !other.visible && same(mine, other);
    if (!implied) return false;
  }
  return next == theirs.size() || !theirs[next].visible;
}

const char* operands_explanation(const Insn& insn, std::string_view name) {
  const Row& r = row(insn.row);
  if (name.starts_with("ENDBR") || name == "NOP" || r.feature == Feature::SVM)
    return "Zydis writes operands that the manual does not: hints, SVM's rAX";
  if (name.starts_with("CLFLUSH") || name == "CLWB" || name.starts_with("PREFETCH"))
    return "size of a cache line: the manual writes m8";
  if (r.operands[0].method == Method::G && r.operands[0].type == OperandType::d && insn.has(kPrefixRexW))
    return "Gd with REX.W: 32 bits zero-extended are the same as 64";
  if (name == "LEA") return "LEA has no segment";
  if (name == "MOVSXD" && insn.operand_size == 2) return "MOVSXD with 66 reads 16 bits (SDM 2B, MOVSX)";
  if (name == "LSL" || name == "LAR") return "the source of LAR and LSL: 16 bits count whatever its size";
  if (name == "XCHG") return "F3 90 with REX.B is XCHG (the host executes it so), Zydis says PAUSE";
  if (insn.mode == Mode::k64 && insn.address_size == 4 && insn.memory.base == kNoRegister)
    return "Zydis adds REX.B to a SIB without base after 67 (SDM 2A, table 2-5: not decoded)";
  return nullptr;
}

std::string joined(const std::vector<OperandText>& operands) {
  std::string s;
  for (const OperandText& o : operands)
    s += (s.empty() ? "" : ", ") + (o.visible ? o.text : "(" + o.text + ")");
  return s;
}

}  // namespace lyrebird::x86
