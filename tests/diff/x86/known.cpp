// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/known.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/bits.h"
#include "frontend/x86/decode/tables.h"
#include "frontend/x86/x86_state.h"
#include "tests/diff/x86/host.h"
#include "tests/diff/x86/undefined.h"

namespace lyrebird::x86diff {
namespace {

constexpr uint64_t kAc = 1 << 18;  ///< EFLAGS.AC
constexpr uint32_t kMm = 1 << 17;  ///< MXCSR.MM: misaligned operands are allowed

bool has_memory(const x86::Insn& insn) {
  return std::any_of(insn.operands, insn.operands + insn.operand_count,
                     [](const x86::Operand& o) { return o.kind == x86::OperandKind::Memory; });
}

/// XSAVE components that this host may have and no processor model of ours: AVX-512, PKRU, AMX.
constexpr uint64_t kNotOurs = 0x603e0;
constexpr const char* kNotOursText = "components that we have not";

/// Those that an image's header names.
uint64_t header_components(const x86::Insn& insn, const Case& c) {
  const uint64_t at = memory_address(insn, c) - kData + 512;
  if (at > kPage - 16) return 0;
  return load_unaligned<uint64_t>(c.in.memory + at) | load_unaligned<uint64_t>(c.in.memory + at + 8);
}

bool is_dot_product(std::string_view name) { return name.starts_with("DPP") || name.starts_with("VDPP"); }

bool is_gather(std::string_view name) { return name.starts_with("VGATHER") || name.starts_with("VPGATHER"); }

bool is_page_fault(const Case& c) { return c.ending.signal == SIGSEGV || c.ending.signal == SIGBUS; }

const char* difference_of_amd(const x86::Insn& insn, const Case& c) {
  const std::string_view name = x86::name_of(insn.row);
  const bool loads_mxcsr =
      name == "LDMXCSR" || name == "VLDMXCSR" || name.starts_with("FXRSTOR") || name.starts_with("XRSTOR");
  if (loads_mxcsr && (c.out.legacy.mxcsr & kMm) != 0) return "AMD's MXCSR.MM";
  if ((name == "VPEXTRD" || name == "VPINSRD" || name == "VPEXTRQ" || name == "VPINSRQ") &&
      c.mode != x86::Mode::k64 && c.ending.signal == SIGILL)
    return "AMD's #UD for VEX.W outside of 64-bit mode";
  constexpr uint64_t kAvx = 4, kYmmAt = 576, kImage = 832;
  const bool only_ymm_is_missing = kPage - (memory_address(insn, c) - kData) - kYmmAt < kImage - kYmmAt;
  if (name.starts_with("XRSTOR") && is_page_fault(c) && only_ymm_is_missing &&
      (c.in.gpr[0] & ~header_components(insn, c) & kAvx))
    return "AMD's XRSTOR asks for the memory of components that it only initialises";
  const bool hashes = name.starts_with("SHA1") || name.starts_with("SHA256");
  if (hashes && has_memory(insn) && memory_address(insn, c) % 16 != 0)
    return "AMD's SHA instructions take memory that is not aligned";
  return nullptr;
}

unsigned memory_size(const x86::Insn& insn) {
  for (unsigned i = 0; i < insn.operand_count; ++i)
    if (insn.operands[i].kind == x86::OperandKind::Memory) return insn.operands[i].size;
  return 0;
}

/// Or its only operand, which it may read instead.
bool stores(const x86::Insn& insn) {
  return insn.operand_count > 0 && insn.operands[0].kind == x86::OperandKind::Memory;
}

/// Whether a store would fault: outside of the page, or to CS.
bool may_not_store(const x86::Insn& insn, const Case& c) {
  const bool code = c.mode != x86::Mode::k64 && insn.memory.segment == x86::Segment::CS;
  return code || memory_address(insn, c) - kData > kPage - memory_size(insn);
}

bool is_repeated(const x86::Insn& insn) {
  return x86::row(insn.row).has(x86::RowFlag::String) &&
         (insn.has(x86::kPrefixRep) || insn.has(x86::kPrefixRepne));
}

const char* difference_of_intel_strings(const x86::Insn& insn, const Case& c) {
  if (!is_repeated(insn)) return nullptr;
  const bool none = static_cast<uint32_t>(c.in.gpr[x86::kRcx]) == 0;
  if ((none || is_page_fault(c)) && c.mode == x86::Mode::k64 && insn.address_size == 4)
    return "Intel's REP with 32-bit addresses clears the upper halves of registers before its first step";
  return nullptr;
}

/// "#AC may or may not be generated (depending on processor implementation)".
const char* difference_of_intel_alignment(const x86::Insn& insn, const Case& c) {
  const std::string_view name = x86::name_of(insn.row);
  const unsigned size = memory_size(insn);
  const bool unchecked = size >= 16 || (size != 0 && (name == "VCVTPH2PS" || name == "VCVTPS2PH"));
  if ((c.in.eflags & kAc) == 0) return nullptr;
  if (unchecked && c.ending.signal != SIGBUS && memory_address(insn, c) % size != 0)
    return "Intel's 16 and 32 bytes that need not be aligned, and half-precision floats, cause no #AC";
  if ((name == "CMPS" || name == "MOVS") && is_page_fault(c)) return "the order of the two accesses, with AC";
  if (is_image(insn) && c.ending.signal == SIGBUS) return "Intel's #AC for images, instead of #GP";
  return nullptr;
}

const char* difference_of_intel_stores(const x86::Insn& insn, const Case& c) {
  constexpr uint16_t kErrorSummary = 1 << 7;
  if (!stores(insn)) return nullptr;
  const std::string_view name = x86::name_of(insn.row);
  const bool fpu = name.starts_with("FST") || name.starts_with("FIST") || name == "FBSTP";
  const bool halves = name == "VCVTPS2PH";
  const bool raises = fpu ? (c.out.legacy.status & kErrorSummary) != 0 : halves && c.ending.signal == SIGFPE;
  if (raises && may_not_store(insn, c))
    return "Intel's stores that raise what is not masked do not ask for their memory";
  if (!is_page_fault(c)) return nullptr;
  if (insn.operand_count > 1 && insn.operands[1].kind == x86::OperandKind::Mmx)
    return "Intel's MMX stores that fault have set TOP to 0 before";
  if (halves) return "Intel's VCVTPS2PH that faults has set MXCSR's flags before";
  // "Some of the accesses may complete while another causes the operation to fault".
  if (fpu && memory_size(insn) == 10) return "Intel's stores of 10 bytes are two";
  return nullptr;
}

const char* difference_of_intel_x87(const x86::Insn& insn, const Case& c) {
  constexpr uint16_t kUnderflow = 1 << 4;
  const std::string_view name = x86::name_of(insn.row);
  const Legacy& x87 = c.out.legacy;
  const bool denormal = (load_unaligned<uint16_t>(x87.st[0] + 8) & 0x7fff) == 0;
  const bool same = std::memcmp(x87.st[0], c.in.legacy.st[0], 10) == 0;
  if ((name == "FSCALE" || name.starts_with("FPREM")) && denormal && same && (x87.control & kUnderflow) == 0)
    return "Intel's FSCALE and FPREM that leave a denormal as it is do not raise underflow";
  return nullptr;
}

/// What the manual leaves open, or where Intel's do otherwise.
const char* difference_of_intel(const x86::Insn& insn, const Case& c) {
  if (is_undefined(insn, c)) return "a double shift by more than there are bits";
  const x86::RowText text = x86::text_of(x86::row(insn.row));
  if (text.name == "XCHG" && text.encoding == "90+r" && insn.has(x86::kPrefixRep) &&
      c.code[insn.length - 1] == 0x90)
    return "Intel's F3 90 is PAUSE with REX.B, too";
  if (const char* const why = difference_of_intel_strings(insn, c)) return why;
  if (const char* const why = difference_of_intel_alignment(insn, c)) return why;
  if (const char* const why = difference_of_intel_x87(insn, c)) return why;
  return difference_of_intel_stores(insn, c);
}

}  // namespace

const char* known_difference(const x86::Insn& insn, const Case& c) {
  const std::string_view name = x86::name_of(insn.row);
  if (const char* const why = is_amd() ? difference_of_amd(insn, c) : difference_of_intel(insn, c))
    return why;
  if ((name.starts_with("VMASKMOV") || name.starts_with("VPMASKMOV")) && c.mode != x86::Mode::k64 &&
      insn.memory.segment == x86::Segment::CS && !is_page_fault(c))
    return "masked stores do not ask whether the segment may be written";
  if ((c.in.eflags & kAc) != 0) {
    if (name == "ENTER") return "the order of ENTER's accesses, with AC";
    if (c.mode != x86::Mode::k64 && insn.memory.segment == x86::Segment::CS && c.ending.signal != SIGTRAP)
      return "a write to CS that is not aligned, either of the two";
  }
  if (is_dot_product(name) && c.ending.signal == SIGFPE)
    return "a dot product's steps behind the one that traps";
  if (name.starts_with("XRSTOR") && (header_components(insn, c) & kNotOurs) != 0) return kNotOursText;
  if ((name.starts_with("XSAVE") || name.starts_with("XRSTOR")) && (c.in.gpr[0] & kNotOurs) != 0)
    return kNotOursText;
  return nullptr;
}

bool has_exact_address(const x86::Insn& insn) {
  const std::string_view name = x86::name_of(insn.row);
  if (is_image(insn)) return false;
  // AMD's with 16-bit addresses look at DI first, and take lanes beyond 64 KiB to wrap.
  return (is_amd() && insn.address_size != 2) ||
         !(name == "CMPS" || name.starts_with("MASKMOV") || name.starts_with("VMASKMOV") ||
           name.starts_with("VPMASKMOV"));
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

void forget_gather(const x86::Insn& insn, Case& c) {
  if (!is_gather(x86::name_of(insn.row)) || !is_page_fault(c)) return;
  const unsigned reg = insn.operands[2].reg, size = insn.operands[1].size;
  const unsigned used = insn.operands[0].size;
  for (unsigned at = 0; at < 32; at += size) {
    uint8_t* const lane = at < 16 ? c.out.legacy.xmm[reg] + at : c.out.ymm_high[reg] + (at - 16);
    std::memset(lane, at < used && (lane[size - 1] & 0x80) ? 0xff : 0, size);
  }
  // Intel's clear what is above a destination of 128 bits with its first element, ours with the last.
  uint8_t* const above = c.out.ymm_high[insn.operands[0].reg];
  constexpr uint8_t kZeros[16] = {};
  if (used <= 16 && std::memcmp(above, kZeros, 16) == 0)
    std::memcpy(above, c.in.ymm_high[insn.operands[0].reg], 16);
}

void forget_flags_of_repeated(const x86::Insn& insn, Case& c, const Machine& ours) {
  constexpr uint64_t kFlags = 0x8d5;
  const std::string_view name = x86::name_of(insn.row);
  if (!is_repeated(insn) || !is_page_fault(c) || !(name == "CMPS" || name == "SCAS")) return;
  c.out.eflags = (c.out.eflags & ~kFlags) | (ours.eflags & kFlags);
}

void forget_nans(const x86::Insn& insn, Case& c, const Machine& ours) {
  const std::string_view name = x86::name_of(insn.row);
  if (is_amd() || !is_dot_product(name)) return;
  const unsigned size = name.ends_with('S') ? 4 : 8, reg = insn.operands[0].reg;
  const auto is_nan = [&](const uint8_t* lane) {
    return size == 4 ? (load_unaligned<uint32_t>(lane) & 0x7fffffff) > 0x7f800000
                     : (load_unaligned<uint64_t>(lane) & low_mask(63)) > 0x7ff0000000000000;
  };
  for (unsigned at = 0; at < 32; at += size) {
    uint8_t* const lane = at < 16 ? c.out.legacy.xmm[reg] + at : c.out.ymm_high[reg] + at - 16;
    const uint8_t* const our = at < 16 ? ours.legacy.xmm[reg] + at : ours.ymm_high[reg] + at - 16;
    if (is_nan(lane) && is_nan(our)) std::memcpy(lane, our, size);
  }
}

}  // namespace lyrebird::x86diff
