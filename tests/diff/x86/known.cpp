// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/known.h"

#include <algorithm>

#include "base/bits.h"
#include "frontend/x86/decode/tables.h"

namespace lyrebird::x86diff {
namespace {

constexpr uint64_t kAc = 1 << 18;  ///< EFLAGS.AC
constexpr uint32_t kMm = 1 << 17;  ///< MXCSR.MM: misaligned operands are allowed

bool has_memory(const x86::Insn& insn) {
  return std::any_of(insn.operands, insn.operands + insn.operand_count,
                     [](const x86::Operand& o) { return o.kind == x86::OperandKind::Memory; });
}

/// XSAVE components that this host may have and no processor model of ours: AVX-512, PKRU.
constexpr uint64_t kNotOurs = 0x3e0;
constexpr const char* kNotOursText = "components that we have not";

/// Those that an image's header names.
uint64_t header_components(const x86::Insn& insn, const Case& c) {
  const uint64_t at = memory_address(insn, c) - kData + 512;
  if (at > kPage - 16) return 0;
  return load_unaligned<uint64_t>(c.in.memory + at) | load_unaligned<uint64_t>(c.in.memory + at + 8);
}

}  // namespace

const char* known_difference(const x86::Insn& insn, const Case& c) {
  const std::string_view name = x86::name_of(insn.row);
  const bool loads_mxcsr =
      name == "LDMXCSR" || name == "VLDMXCSR" || name.starts_with("FXRSTOR") || name.starts_with("XRSTOR");
  if (loads_mxcsr && (c.out.legacy.mxcsr & kMm) != 0) return "AMD's MXCSR.MM";
  if ((name == "VPEXTRD" || name == "VPINSRD" || name == "VPEXTRQ" || name == "VPINSRQ") &&
      c.mode != x86::Mode::k64 && c.ending.signal == SIGILL)
    return "AMD's #UD for VEX.W outside of 64-bit mode";
  if ((name.starts_with("VMASKMOV") || name.starts_with("VPMASKMOV")) && c.mode != x86::Mode::k64 &&
      insn.memory.segment == x86::Segment::CS && c.ending.signal == SIGTRAP)
    return "AMD's masked stores do not ask whether the segment may be written";
  if ((c.in.eflags & kAc) != 0) {
    if (name == "ENTER") return "the order of ENTER's accesses, with AC";
    if (c.mode != x86::Mode::k64 && insn.memory.segment == x86::Segment::CS && c.ending.signal != SIGTRAP)
      return "a write to CS that is not aligned, either of the two";
  }
  if ((name.starts_with("DPP") || name.starts_with("VDPP")) && c.ending.signal == SIGFPE)
    return "a dot product's steps behind the one that traps";
  if (name.starts_with("XRSTOR") && (header_components(insn, c) & kNotOurs) != 0) return kNotOursText;
  if ((name.starts_with("XSAVE") || name.starts_with("XRSTOR")) && (c.in.gpr[0] & kNotOurs) != 0)
    return kNotOursText;
  return nullptr;
}

bool is_image(const x86::Insn& insn) {
  const std::string_view name = x86::name_of(insn.row);
  return name.starts_with("FX") || name == "FNSAVE" || name == "FRSTOR" || name == "FNSTENV" ||
         name == "FLDENV" || (name.starts_with("XSAVE") || name.starts_with("XRSTOR"));
}

uint64_t memory_address(const x86::Insn& insn, const Case& c) {
  const x86::MemoryOperand& o = insn.memory;
  uint64_t at = static_cast<uint64_t>(o.displacement);
  if (o.base == x86::kRip)
    at += kStart + insn.length;
  else if (o.base != x86::kNoRegister)
    at += c.in.gpr[o.base];
  if (o.index != x86::kNoRegister) at += c.in.gpr[o.index] << o.shift;
  if (insn.address_size == 4) at = static_cast<uint32_t>(at);
  if (o.segment == x86::Segment::FS) at += kFsBase;
  if (o.segment == x86::Segment::GS) at += kGsBase;
  return c.mode == x86::Mode::k64 ? at : static_cast<uint32_t>(at);
}

void forget_precision(Case& c, const Machine& ours) {
  constexpr uint32_t kOverflowUnderflow = 0x18, kPrecision = 0x20;
  uint32_t& mxcsr = c.out.legacy.mxcsr;
  if (c.ending.signal != SIGFPE || (mxcsr & ~(mxcsr >> 7) & kOverflowUnderflow) == 0) return;
  mxcsr = (mxcsr & ~kPrecision) | (ours.legacy.mxcsr & kPrecision);
}

void forget_mm(const x86::Insn& insn, Case& c, const Machine& ours) {
  constexpr unsigned kMaskByte = 30;  // its bit 1 is MM
  const std::string_view name = x86::name_of(insn.row);
  const bool stored = c.ending.signal == SIGTRAP || c.ending.signal == SIGFPE;
  if (!(name.starts_with("FXSAVE") || name.starts_with("XSAVE")) || !stored) return;
  if (!has_memory(insn)) return;
  const uint64_t at = memory_address(insn, c) - kData + kMaskByte;
  if (at < kPage && c.out.memory[at] == (ours.memory[at] | 2)) c.out.memory[at] = ours.memory[at];
}

}  // namespace lyrebird::x86diff
