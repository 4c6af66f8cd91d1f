// SPDX-License-Identifier: Apache-2.0
#include "tests/diff/x86/generate.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/bits.h"
#include "frontend/x86/x86_state.h"
#include "tests/diff/x86/host.h"
#include "tests/diff/x86/undefined.h"
#include "tests/isa/x86_case.h"

namespace lyrebird::x86diff {

using x86::Insn;
using x86::kNoRegister;
using x86::Mode;
using x86::Operand;
using x86::OperandKind;
using x86::Row;
using x86::Segment;

const char* why_not(const Row& row) {
  const std::string_view name = x86::text_of(row).name;
  constexpr struct {
    std::string_view name;
    const char* why;
  } kReasons[] = {
      {"SYSCALL", "a system call"},
      {"SYSENTER", "a system call"},
      {"INT", "a system call, or a signal of its own"},
      {"INTO", "a signal of its own"},
      {"INT3", "is the end of a case"},
      {"INT1", "is the end of a case"},
      {"CPUID", "depends on the processor"},
      {"RDTSC", "changes all the time"},
      {"RDTSCP", "changes all the time"},
      {"RDPID", "depends on the processor"},
      {"RDPMC", "depends on the system"},
      {"RDRAND", "is random"},
      {"RDSEED", "is random"},
      {"XGETBV", "depends on the processor"},
      {"SGDT", "the system's"},
      {"SIDT", "the system's"},
      {"SLDT", "the system's"},
      {"STR", "the system's"},
      {"SMSW", "the system's"},
      {"LAR", "the system's descriptors"},
      {"LSL", "the system's descriptors"},
      {"VERR", "the system's descriptors"},
      {"VERW", "the system's descriptors"},
      {"CALLF", "the system's descriptors"},
      {"JMPF", "the system's descriptors"},
      {"RETF", "the system's descriptors"},
      {"IRET", "the system's descriptors"},
      {"LES", "the system's descriptors"},
      {"LDS", "the system's descriptors"},
      {"LSS", "the system's descriptors"},
      {"LFS", "the system's descriptors"},
      {"LGS", "the system's descriptors"},
      {"UD0", "has no row"},
      {"VMCALL", "the hypervisor's"},
      {"VMMCALL", "the hypervisor's"},
      {"VMFUNC", "the hypervisor's"},
  };
  for (const auto& reason : kReasons)
    if (reason.name == name) return reason.why;
  if (is_amd() && name == "NOP" && x86::text_of(row).encoding == "0F 0D")
    return "AMD's processors have none with registers";
  for (unsigned i = 0; i < row.operand_count; ++i) {
    const x86::Method method = row.operands[i].method;
    const bool segment = method == x86::Method::S || method == x86::Method::FixedSegment;
    if (segment && (name == "POP" || name == "PUSH" || name == "MOV")) return "segment registers";
  }
  return nullptr;
}

uint64_t Generator::number() {
  const uint64_t r = random_();
  switch (r % 8) {
    case 0:
      return r >> 8 & 0xff;
    case 1:
      return -(r >> 8 & 0xff);
    case 2:
      return uint64_t{1} << (r >> 8 & 63);
    case 3:
      return (uint64_t{1} << (r >> 8 & 63)) - 1;
    case 4:
      return random_() >> (r >> 8 & 63);
    default:
      return random_();
  }
}

/// 64 bits of a vector or of memory: numbers, and floats worth having.
uint64_t Generator::lane() {
  constexpr uint64_t kDoubles[] = {0,
                                   0x8000000000000000,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff8000000000000,
                                   0x7ff0000000000001,
                                   0xfff4000000000000,
                                   0x0010000000000000,
                                   0x000fffffffffffff,
                                   1,
                                   0x7fefffffffffffff,
                                   0x41dfffffffc00000,
                                   0x43e0000000000000,
                                   0xc3e0000000000000,
                                   0x3fe0000000000000,
                                   0x4330000000000001};
  constexpr uint32_t kSingles[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                   0x7fc00000, 0x7f800001, 0xffa00000, 0x00800000, 0x007fffff, 1,
                                   0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000, 0x4b000001, 0x477fe000};
  const uint64_t r = random_();
  switch (r % 8) {
    case 0:
      return kDoubles[(r >> 8) % std::size(kDoubles)];
    case 1:
      return uint64_t{kSingles[(r >> 8) % std::size(kSingles)]} << 32 |
             kSingles[(r >> 24) % std::size(kSingles)];
    case 2:  // a double near 1
      return (0x3c0 + (r >> 8 & 0x7f)) << 52 | (random_() & low_mask(52)) | (r >> 20 & 1) << 63;
    case 3: {  // two singles near 1
      const uint64_t a = (0x70 + (r >> 8 & 0x1f)) << 23 | (random_() & low_mask(23)) | (r >> 20 & 1) << 31;
      const uint64_t b = (0x70 + (r >> 28 & 0x1f)) << 23 | (random_() & low_mask(23)) | (r >> 40 & 1) << 31;
      return a | b << 32;
    }
    case 4:
      return number();
    default:
      return random_();
  }
}

void Generator::float80(uint8_t* to) {
  constexpr struct {
    uint64_t significand;
    uint16_t high;
  } kSpecial[] = {{0, 0},
                  {0, 0x8000},
                  {0x8000000000000000, 0x3fff},
                  {0x8000000000000000, 0xbfff},
                  {0x8000000000000000, 0x7fff},
                  {0x8000000000000000, 0xffff},
                  {0xc000000000000000, 0x7fff},
                  {0xc000000000000000, 0xffff},
                  {0xa000000000000000, 0x7fff},
                  {1, 0},
                  {0x7fffffffffffffff, 0},
                  {0x8000000000000000, 1},
                  {0x8000000000000000, 0},
                  {0xffffffffffffffff, 0x7ffe},
                  {0x4000000000000000, 0x3fff},
                  {0, 0x7fff},
                  {0xc90fdaa22168c235, 0x4000},
                  {0xb504f333f9de6484, 0x3ffe}};
  uint64_t significand = random_();
  uint64_t high = 0;
  const uint64_t r = random_();
  switch (r % 4) {
    case 0: {
      const auto& special = kSpecial[(r >> 8) % std::size(kSpecial)];
      significand = special.significand;
      high = special.high;
      break;
    }
    case 1:  // an integer, or a number with few bits
      significand = (significand | uint64_t{1} << 63) & ~low_mask(r >> 8 & 63);
      high = 0x3fff + (r >> 16 & 63) + (r >> 32 & 0x8000);
      break;
    case 2:
      significand |= uint64_t{1} << 63;
      high = 0x3fe0 + (r >> 16 & 63) + (r >> 32 & 0x8000);
      break;
    default:
      significand |= uint64_t{1} << 63;
      high = r >> 16 & 0xffff;
  }
  std::memcpy(to, &significand, 8);
  std::memcpy(to + 8, &high, 2);
}

void Generator::registers(Machine& m, Mode mode) {
  for (uint64_t& r : m.gpr) r = number();
  if (mode != Mode::k64)
    for (uint64_t& r : m.gpr) r = static_cast<uint32_t>(r);
  if (mode != Mode::k64) std::fill(m.gpr + 8, m.gpr + 16, 0);
  m.rip = kStart;
  // CF PF AF ZF SF DF OF; IF and the bit that is one ; now and then NT and ID.
  m.eflags = (random_() & 0xcd5) | 0x202;
  if (chance(8)) m.eflags |= random_() & (1u << 14 | 1u << 21);
  if (settings_.alignment && !chance(4)) m.eflags |= 1u << 18;
  if (!chance(4)) m.eflags &= ~uint64_t{1 << 10};
  m.fs_base = kFsBase;
  m.gs_base = kGsBase;
  std::memset(&m.legacy, 0, sizeof m.legacy);
  m.legacy.control = static_cast<uint16_t>(0x7f | (random_() & 0xf00));
  if (chance(2)) m.legacy.control = 0x37f;
  m.legacy.status = static_cast<uint16_t>(random_() & 0x7f7f);
  if (settings_.unmasked && chance(3)) {
    m.legacy.control = static_cast<uint16_t>(m.legacy.control & ~(random_() & 0x3f));
    if (!chance(8)) m.legacy.status &= 0x7f00;  // else something may be pending
  }
  m.legacy.tags = static_cast<uint8_t>(chance(4) ? random_() : 0xff);
  m.legacy.mxcsr = 0x1f80;
  if (chance(2)) m.legacy.mxcsr |= random_() & 0xe07f;
  if (settings_.unmasked && chance(3)) m.legacy.mxcsr &= ~static_cast<uint32_t>(random_() & 0x1f80);
  m.legacy.mxcsr_mask = 0xffff;
  for (auto& st : m.legacy.st) float80(st);
  const unsigned vectors = mode == Mode::k64 ? 16 : 8;
  for (unsigned i = 0; i < vectors; ++i)
    for (unsigned k = 0; k < 16; k += 8) {
      store_unaligned(m.legacy.xmm[i] + k, lane());
      store_unaligned(m.ymm_high[i] + k, lane());
    }
  if (mode != Mode::k64) std::memset(m.ymm_high, 0, sizeof m.ymm_high);
  if (mode != Mode::k64)
    for (unsigned i = 0; i < vectors; ++i)
      for (unsigned k = 0; k < 16; k += 8) store_unaligned(m.ymm_high[i] + k, lane());
  // An eighth of the page is new in every case.
  const unsigned fresh = filled_ ? kPage / 64 : kPage / 8;
  for (unsigned i = 0; i < fresh; ++i)
    store_unaligned(page_ + (filled_ ? random_() % (kPage / 8) : i) * 8, lane());
  filled_ = true;
  std::memcpy(m.memory, page_, kPage);
}

/// An address for an access: mostly inside of the page, aligned or not, now and then over its ends.
uint64_t Generator::target(unsigned size) {
  if (chance(24)) return (chance(2) ? kData : kData + kPage - size) + random_() % (2 * size + 1) - size;
  const uint64_t room = kPage - size;
  uint64_t at = 0x100 + random_() % (room - 0x200);
  constexpr uint64_t kMasks[] = {~uint64_t{0}, ~uint64_t{0}, ~uint64_t{15}, ~uint64_t{63}};
  at &= kMasks[random_() % std::size(kMasks)];
  return kData + at;
}

/// Changes the displacement, which is some 4 or 8 bytes that say `from`; decoding again must bear it out.
bool Generator::patch_displacement(Case& c, const Insn& insn, int64_t to) {
  const int64_t from = insn.memory.displacement;
  for (const unsigned size : {8u, 4u}) {
    if (size == 4 && to != static_cast<int32_t>(to) && insn.address_size == 8) continue;
    for (unsigned at = 1; at + size <= c.length; ++at) {
      if (std::memcmp(c.code + at, &from, size) != 0) continue;
      std::memcpy(c.code + at, &to, size);
      Insn again;
      if (x86::decode(c.code, c.length, c.mode, x86::Features::all(), again) == x86::DecodeStatus::Ok &&
          again.row == insn.row && again.memory.displacement != from)
        return true;
      std::memcpy(c.code + at, &from, size);
    }
  }
  return false;
}

namespace {

uint64_t cut(uint64_t value, unsigned bytes) { return value & low_mask(8 * bytes); }

uint64_t segment_base(const Insn& insn, const Machine& m) {
  return insn.memory.segment == Segment::FS ? m.fs_base : insn.memory.segment == Segment::GS ? m.gs_base : 0;
}

uint64_t effective_address(const Insn& insn, const Machine& m) {
  const x86::MemoryOperand& o = insn.memory;
  uint64_t sum = static_cast<uint64_t>(o.displacement);
  if (o.base == x86::kRip)
    sum += kStart + insn.length;
  else if (o.base != kNoRegister)
    sum += m.gpr[o.base];
  if (o.index != kNoRegister) sum += m.gpr[o.index] << o.shift;
  return segment_base(insn, m) + cut(sum, insn.address_size);
}

bool has_memory(const Insn& insn, OperandKind kind) {
  return std::any_of(insn.operands, insn.operands + insn.operand_count,
                     [&](const Operand& o) { return o.kind == kind; });
}

bool in_cage(uint64_t address) { return address - (kData - 256) < kPage + 512; }

}  // namespace

/// Chooses registers or the displacement so that the memory operand is in the page.
bool Generator::place_memory(const Insn& insn, Case& c) {
  const bool vector_index = has_memory(insn, OperandKind::Vsib);
  if (!vector_index && !has_memory(insn, OperandKind::Memory)) return true;
  Machine& m = c.in;
  const std::string_view name = x86::name_of(insn.row);
  if (name == "LEA" || name == "NOP" || name.starts_with("PREFETCH")) return true;
  // 16-bit addresses reach nothing.
  if (insn.address_size == 2) return true;
  unsigned size = 64;
  for (unsigned i = 0; i < insn.operand_count; ++i)
    if (insn.operands[i].kind == OperandKind::Memory && insn.operands[i].size != 0)
      size = insn.operands[i].size;
  const bool image =
      name.starts_with("X") && size == 64 && (name.starts_with("XSAVE") || name.starts_with("XRS"));
  if (image || name.starts_with("FX")) size = 1024;
  if (image) {
    // Only components that we have, too; before addresses are made of these registers.
    m.gpr[0] &= 7;
    m.gpr[2] = 0;
  }
  if (name == "FNSAVE" || name == "FRSTOR" || name == "FNSTENV" || name == "FLDENV") size = 128;
  if (vector_index) {
    uint8_t* const index = m.legacy.xmm[insn.memory.index];
    for (uint8_t* half : {index, m.ymm_high[insn.memory.index]}) {
      for (unsigned i = 0; i < 16; ++i) half[i] = 0;
      for (unsigned i = 0; i < 16; i += 4) half[i] = static_cast<uint8_t>(random_() & 0x7f);
      if (insn.operands[1].size == 8 || chance(2))
        for (unsigned i = 4; i < 16; i += 8) half[i] = 0;
    }
    size = 8;
  }
  uint64_t offset = target(size) - segment_base(insn, m);
  if (vector_index) offset = kData + 0x100 + random_() % 0x800 - segment_base(insn, m);
  const x86::MemoryOperand& o = insn.memory;
  if (name == "JMP" || name == "CALL") offset &= ~uint64_t{7};
  // A bit number in a register reaches far.
  const bool bit_string = name.starts_with("BT") && insn.operands[1].kind == OperandKind::Gpr;
  if (bit_string) {
    const unsigned reg = insn.operands[1].reg;
    if (reg == o.base || reg == o.index) return false;
    m.gpr[reg] = cut(random_() % 2048 - 1024, c.mode == Mode::k64 ? 8 : 4);
    offset = kData + kPage / 2 + random_() % 256 - segment_base(insn, m);
  }
  const bool real_index = o.index != kNoRegister && !vector_index;
  if (o.base == kNoRegister || o.base == x86::kRip) {
    int64_t displacement = static_cast<int64_t>(offset);
    if (o.base == x86::kRip) displacement -= static_cast<int64_t>(kStart + insn.length);
    if (real_index) displacement -= static_cast<int64_t>(m.gpr[o.index] << o.shift);
    if (insn.address_size == 4) displacement = static_cast<int32_t>(displacement);
    return patch_displacement(c, insn, displacement);
  }
  if (o.base == x86::kRsp && o.index == kNoRegister && std::string_view(name).starts_with("POP"))
    offset -= 8;  // it has grown by then
  uint64_t rest = static_cast<uint64_t>(o.displacement);
  if (real_index) {
    if (o.index == o.base) return false;
    rest += m.gpr[o.index] << o.shift;
  }
  m.gpr[o.base] = offset - rest;
  if (insn.address_size == 4) {
    m.gpr[o.base] = static_cast<uint32_t>(m.gpr[o.base]);
    if (c.mode == Mode::k64 && chance(2)) m.gpr[o.base] |= random_() << 32;
  }
  return true;
}

/// An image that XRSTOR takes, mostly, in its standard or its compact form.
void Generator::make_image(const Insn& insn, Machine& m) {
  constexpr unsigned kMxcsr = 24, kHeader = 512, kHeaderSize = 64;
  const uint64_t at = effective_address(insn, m) - kData;
  if (at > kPage - kHeader - kHeaderSize || chance(8)) return;
  uint8_t* const image = m.memory + at;
  store_unaligned(image + kMxcsr, static_cast<uint32_t>(random_() & 0xffff));
  std::memset(image + kHeader, 0, kHeaderSize);
  store_unaligned(image + kHeader, random_() & 7);
  if (chance(2)) store_unaligned(image + kHeader + 8, (random_() & (chance(4) ? 15 : 7)) | uint64_t{1} << 63);
  if (chance(8)) image[kHeader + random_() % kHeaderSize] = static_cast<uint8_t>(random_());
}

/// The stack, strings, and what else is addressed without an operand.
bool Generator::place_implicit(const Insn& insn, Case& c) {
  Machine& m = c.in;
  const std::string_view name = x86::name_of(insn.row);
  const bool wide = c.mode == Mode::k64;
  const auto in_page = [&] { return kData + 0x200 + random_() % 0xa00; };
  const auto set_address = [&](unsigned reg) {
    m.gpr[reg] = chance(16) ? target(8) : in_page();
    if (insn.address_size == 4 && wide && chance(2)) m.gpr[reg] |= random_() << 32;
    m.gpr[reg] -= reg == x86::kRsi || reg == x86::kRbx ? segment_base(insn, m) : 0;
  };
  if (has_memory(insn, OperandKind::StringSource)) set_address(x86::kRsi);
  if (has_memory(insn, OperandKind::StringDest)) set_address(x86::kRdi);
  if (x86::row(insn.row).has(x86::RowFlag::String)) {
    // Many steps are made at once; at times they go past the page.
    m.gpr[x86::kRcx] = chance(4) ? 60 + random_() % 90 : random_() % 24;
    if (insn.address_size == 4 && wide && chance(2)) m.gpr[x86::kRcx] |= random_() << 32;
  }
  if (name == "XLAT") set_address(x86::kRbx);
  if (name == "MASKMOVQ" || name == "MASKMOVDQU" || name == "VMASKMOVDQU") {
    m.gpr[x86::kRdi] = (chance(8) ? target(16) : in_page()) - segment_base(insn, m);
    // No byte at all, more often than by chance.
    if (chance(8)) std::memset(m.legacy.xmm[insn.operands[1].reg], 0x7f, 16);
    if (chance(8)) std::memset(m.legacy.st[(insn.operands[1].reg - (m.legacy.status >> 11)) & 7], 0, 8);
    if (insn.address_size == 4) m.gpr[x86::kRdi] = static_cast<uint32_t>(m.gpr[x86::kRdi]);
  }
  if (name == "POPF") {  // neither TF nor AC
    m.gpr[x86::kRsp] &= ~uint64_t{1};
    for (unsigned i = 0; i < kPage; i += 2) {
      m.memory[i + 1] &= 0xfe;
      m.memory[i] &= 0xfb;
    }
  }
  if (name == "RET") m.gpr[x86::kRsp] &= ~uint64_t{7};
  if (name == "RET" || name == "JMP" || name == "CALL")
    for (unsigned i = 0; i < kPage; i += 8) {
      // Canonical, and nothing is there.
      uint64_t to = load_unaligned<uint64_t>(m.memory + i);
      to = wide ? (to & 0xffffff) | 0x700000000000 : to;
      if (insn.operand_size < 4) to = 0;
      store_unaligned(m.memory + i, to);
    }
  if ((name == "JMP" || name == "CALL") && insn.operands[0].kind == OperandKind::Gpr) {
    const unsigned reg = insn.operands[0].reg;
    if (reg == x86::kRsp) return false;
    m.gpr[reg] = wide ? 0x700000000000 + random_() % 0x1000000 : 0x70000000;
  }
  if (name == "LEAVE") m.gpr[x86::kRbp] = in_page() & ~7ull;
  if (name == "ENTER") {
    // Frames that lie in what it pushes: where that faults half-way, JITs do it again from the start.
    m.gpr[x86::kRbp] = kData + 0xa00 + random_() % 0x400;
    m.gpr[x86::kRsp] = kData + 0x200 + random_() % 0x600;
  }
  // Accumulators that compare equal, now and then.
  if (name.starts_with("CMPXCHG") && has_memory(insn, OperandKind::Memory) && chance(2)) {
    const uint64_t at = effective_address(insn, m) - kData;
    if (at < kPage - 16) {
      m.gpr[x86::kRax] = load_unaligned<uint64_t>(m.memory + at);
      m.gpr[x86::kRdx] = load_unaligned<uint64_t>(m.memory + at + (name == "CMPXCHG16B" ? 8 : 4));
      if (!wide) {
        m.gpr[x86::kRax] = static_cast<uint32_t>(m.gpr[x86::kRax]);
        m.gpr[x86::kRdx] = static_cast<uint32_t>(m.gpr[x86::kRdx]);
      }
    }
  }
  return true;
}

/// Registers that are no operands but used.
void Generator::make_sparse(const Insn& insn, Case& c) {
  const Machine random = c.in;
  Machine& m = c.in;
  m = isa::default_machine(c.mode);
  m.eflags = (m.eflags & ~uint64_t{0xcd5}) | (random.eflags & (chance(2) ? 0xcd5 : 0x400));
  const auto keep = [&](unsigned reg) {
    if (reg < 16) m.gpr[reg] = random.gpr[reg];
  };
  const std::string_view name = x86::name_of(insn.row);
  const auto one_of = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const bool strings = x86::row(insn.row).has(x86::RowFlag::String);
  for (unsigned i = 0; i < insn.operand_count; ++i) {
    const Operand& o = insn.operands[i];
    if (o.kind == OperandKind::Gpr || o.kind == OperandKind::GprHigh) keep(o.reg);
    if (o.kind == OperandKind::Vector) {
      std::memcpy(m.legacy.xmm[o.reg], random.legacy.xmm[o.reg], 16);
      std::memcpy(m.ymm_high[o.reg], random.ymm_high[o.reg], 16);
    }
  }
  // ST(0) and what operands name; nothing else is in use, so that there is room to push.
  const bool x87 = x86::row(insn.row).feature == x86::Feature::FPU;
  const auto keep_st = [&](unsigned i) {
    std::memcpy(m.legacy.st[i & 7], random.legacy.st[i & 7], 10);
    m.legacy.tags |= static_cast<uint8_t>(1 << (i & 7));
  };
  if (x87) {
    keep_st(0);
    if (!chance(4)) keep_st(1);
    if (chance(4)) m.legacy.control = random.legacy.control;
  }
  for (unsigned i = 0; i < insn.operand_count; ++i)
    if (insn.operands[i].kind == OperandKind::X87) keep_st(insn.operands[i].reg);
  const bool one_operand = insn.operand_count == 1;
  if (one_of({"MUL", "DIV", "IDIV"}) || (name == "IMUL" && one_operand) ||
      one_of({"CMPXCHG8B", "CMPXCHG16B", "MULX"})) {
    keep(x86::kRax);
    keep(x86::kRdx);
  }
  if (one_of({"CMPXCHG", "CBW", "CWD", "LAHF", "SAHF", "XLAT", "DAA", "DAS", "AAA", "AAS", "AAM", "AAD",
              "SALC"}))
    keep(x86::kRax);
  if (one_of({"CMPXCHG8B", "CMPXCHG16B"})) {
    keep(x86::kRbx);
    keep(x86::kRcx);
  }
  if (name == "XLAT") keep(x86::kRbx);
  if (one_of({"ENTER", "LEAVE"})) keep(x86::kRbp);
  if (strings || one_of({"LOOP", "LOOPE", "LOOPNE", "JCXZ"})) keep(x86::kRcx);
  if (strings && name != "LODS") keep(x86::kRdi);
  if (strings && name != "STOS" && name != "SCAS") keep(x86::kRsi);
  keep(x86::kRsp);
  keep(insn.memory.base);
  keep(insn.memory.index);
  const auto window = [&](uint64_t address, unsigned size) {
    for (uint64_t at = address - kData; at < kPage && size > 0; ++at, --size)
      m.memory[at] = random.memory[at];
  };
  if (has_memory(insn, OperandKind::Memory)) {
    unsigned size = 16;
    for (unsigned i = 0; i < insn.operand_count; ++i)
      if (insn.operands[i].kind == OperandKind::Memory && insn.operands[i].size) size = insn.operands[i].size;
    window(effective_address(insn, random), size);
  }
  if (one_of({"POP", "RET", "POPF"})) window(random.gpr[x86::kRsp], 8);
  if (name == "POPA") window(random.gpr[x86::kRsp], 32);
  if (one_of({"LEAVE"})) window(random.gpr[x86::kRbp], 8);
  if (strings) {
    window(random.gpr[x86::kRsi] & 0xffffffff, 32);
    window(random.gpr[x86::kRdi] & 0xffffffff, 32);
  }
}

bool Generator::make(const Row& row, Mode mode, const x86::Features& features, Case& out) {
  const x86::Bytes bytes = x86::bytes_for(row, mode, random_);
  Insn insn;
  if (x86::decode(bytes.data(), bytes.size(), mode, features, insn) != x86::DecodeStatus::Ok) return false;
  if (&x86::row(insn.row) != &row) return false;
  // ARPL writes only what changes; ours always, which shows where it may not write.
  const std::string_view mnemonic = x86::name_of(insn.row);
  if (mnemonic == "ARPL" && insn.memory.segment == Segment::CS) return false;
  // AMD's processors shorten near branches in 64-bit mode, and read 32 bits for a 16-bit MOVSXD.
  if (is_amd() && mode == Mode::k64 && insn.has(x86::kPrefixOperandSize) &&
      (mnemonic == "MOVSXD" || (row.has(x86::RowFlag::F64) && row.map != x86::Map::M0F38)))
    return false;
  // F2 and F3 turn LOOPE and LOOPNE into each other there.
  if (is_amd() && mnemonic.starts_with("LOOP") && (insn.has(x86::kPrefixRep) || insn.has(x86::kPrefixRepne)))
    return false;
  // FS and GS are null in 32-bit code.
  const bool extra = insn.memory.segment == Segment::FS || insn.memory.segment == Segment::GS;
  if (mode != Mode::k64 && extra) return false;
  out.length = insn.length;
  out.mode = mode;
  std::memcpy(out.code, bytes.data(), insn.length);
  registers(out.in, mode);
  out.in.gpr[x86::kRsp] =
      (chance(16) ? target(8) : kData + 0x200 + random_() % 0xa00) & ~(chance(4) ? 0ull : 7ull);
  if (!place_memory(insn, out) || !place_implicit(insn, out)) return false;
  if (x86::decode(out.code, out.length, mode, features, insn) != x86::DecodeStatus::Ok) return false;
  // A jump into the instruction itself would go on with whatever that is, perhaps for ever.
  if (has_memory(insn, OperandKind::Relative) && insn.relative_target(kStart) - kStart < insn.length)
    return false;
  const std::string_view name = x86::name_of(insn.row);
  if (name.starts_with("XRSTOR")) make_image(insn, out.in);
  const bool reaches = has_memory(insn, OperandKind::Memory) || has_memory(insn, OperandKind::Vsib);
  const bool only_address = name == "LEA" || name == "NOP" || name.starts_with("PREFETCH");
  if (reaches && !only_address && insn.address_size != 2) {
    // POP to memory has moved rSP by then.
    if (!in_cage(effective_address(insn, out.in))) return false;
  }
  if (!in_cage(out.in.gpr[x86::kRsp])) return false;
  if (settings_.sparse) {
    make_sparse(insn, out);
  } else if (chance(2) && !has_memory(insn, OperandKind::Relative) && undefined_flags(insn, out) == 0) {
    append_readers(out);
  }
  return true;
}

/// Up to three instructions on registers whose flags are all defined; the last reads a condition.
void Generator::append_readers(Case& c) {
  constexpr struct {
    uint8_t bytes[4];
    uint8_t length;
  } kWriters[] = {
      {{0x84, 0xc0}, 2},              // test al, al
      {{0x39, 0xc8}, 2},              // cmp eax, ecx
      {{0x38, 0xe2}, 2},              // cmp dl, ah
      {{0x01, 0xd8}, 2},              // add eax, ebx
      {{0x21, 0xd1}, 2},              // and ecx, edx
      {{0xfe, 0xcb}, 2},              // dec bl
      {{0xff, 0xc1}, 2},              // inc ecx
      {{0x11, 0xd1}, 2},              // adc ecx, edx
      {{0xf9}, 1},                    // stc
      {{0xf5}, 1},                    // cmc
      {{0x9e}, 1},                    // sahf
      {{0x0f, 0x2e, 0xca}, 3},        // ucomiss xmm1, xmm2
      {{0x66, 0x0f, 0x2f, 0xd3}, 4},  // comisd xmm2, xmm3
  };
  const auto append = [&](const uint8_t* bytes, unsigned length) {
    std::memcpy(c.code + c.length, bytes, length);
    c.length += length;
  };
  for (uint64_t n = random_() % 3; n > 0; --n) {
    const auto& writer = kWriters[random_() % std::size(kWriters)];
    append(writer.bytes, writer.length);
  }
  const uint8_t condition = random_() & 15, operands = 0xc0 | (random_() & 63 & ~040);
  const uint8_t reader[] = {0x0f, static_cast<uint8_t>((chance(2) ? 0x90 : 0x40) | condition), operands};
  append(reader, sizeof reader);
}

}  // namespace lyrebird::x86diff
