// SPDX-License-Identifier: Apache-2.0
#include "frontend/x86/x86_state.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_mode.h"
#include "ir/fp_mode.h"

namespace lyrebird::x86 {
namespace {

using ir::Type;

constexpr const char* kGprNames[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

/// Rank by how often compiled code uses the register; 0: not among the first. The first eight are
/// those of a 32-bit guest.
constexpr uint8_t hotness_of(unsigned gpr) {
  constexpr unsigned kOrder[] = {kRax, kRsp, kRdx, kRcx, kRdi, kRsi, kRbx, kRbp, 8, 12, 13, 14, 9, 15};
  for (unsigned rank = 0; rank < std::size(kOrder); ++rank)
    if (kOrder[rank] == gpr) return static_cast<uint8_t>(rank + 1);
  return 0;
}

#define FLAG(field, bit, mask) {#field, offsetof(X86State, field), bit, mask}
constexpr FlagField kFlags[] = {FLAG(df, 10, 1),  FLAG(tf, 8, 1),   FLAG(if_, 9, 1), FLAG(iopl, 12, 3),
                                FLAG(nt, 14, 1),  FLAG(rf, 16, 1),  FLAG(vm, 17, 1), FLAG(ac, 18, 1),
                                FLAG(vif, 19, 1), FLAG(vip, 20, 1), FLAG(id, 21, 1)};
#undef FLAG
constexpr uint32_t kOf = 1 << 11;

/// Of code as programs have it: what is left is TOP, and how many registers from there on are not empty.
constexpr uint32_t mode_tag(uint32_t mode) {
  constexpr uint32_t kUser = kModeProtected | kModeCplMask;
  constexpr uint32_t k64 = kUser | static_cast<uint32_t>(Mode::k64);
  constexpr uint32_t k32 = kUser | static_cast<uint32_t>(Mode::k32) | kModeStack32 | kModeFlat;
  const uint32_t rest = mode & ~(kModeX87TopMask | kModeX87UsedMask);
  const unsigned top = x87_top_of_mode(mode), used = mode >> kModeX87UsedShift;
  const auto depth = static_cast<unsigned>(std::popcount(used));
  const bool is_stack = std::rotr(static_cast<uint8_t>(used), static_cast<int>(top)) == (1u << depth) - 1;
  if (!is_stack || (rest != k64 && rest != k32)) return ir::kOtherMode;
  return (depth << 3 | top) << 1 | uint32_t{rest == k32};
}

class Layout {
 public:
  Layout() {
    names_.reserve(256);
    header();
    add("status", offsetof(X86State, status), Type::I16);
    for (unsigned i = 0; i < 16; ++i)
      add(kGprNames[i], offsetof(X86State, gpr) + 8 * i, Type::I64, hotness_of(i));
    for (const FlagField& flag : kFlags) add(flag.name, flag.offset, Type::I8);
    segments();
    x87();
    add("mxcsr", offsetof(X86State, mxcsr), Type::I32);
    add("xcr0", offsetof(X86State, xcr0), Type::I64);
    for (unsigned i = 0; i < 16; ++i)
      add("ymm" + std::to_string(i), offsetof(X86State, ymm) + 32 * i, Type::V256,
          static_cast<uint8_t>(i + 1));
    add("error_code", offsetof(X86State, error_code), Type::I32);
    system();
    layout_ = {.fields = fields_, .size = sizeof(X86State), .sse_floats = true, .mode_tag = mode_tag};
  }
  const ir::StateLayout& layout() const { return layout_; }

 private:
  void add(std::string name, size_t offset, Type type, uint8_t hot = 0) {
    names_.push_back(std::move(name));
    fields_.push_back({names_.back(), static_cast<uint32_t>(offset), type, hot});
  }

  void header() {
    constexpr size_t kHeader = offsetof(X86State, header);
    add("fault_address", kHeader + offsetof(ir::CpuHeader, fault_address), Type::I64);
    add("fault_size", kHeader + offsetof(ir::CpuHeader, fault_size), Type::I32);
    add("pc", kHeader + offsetof(ir::CpuHeader, pc), Type::I64);
    add("mode", kHeader + offsetof(ir::CpuHeader, mode), Type::I32);
  }

  void segments() {
    constexpr struct {
      const char* name;
      size_t offset;
    } kSegments[] = {{"es", offsetof(X86State, es)},     {"cs", offsetof(X86State, cs)},
                     {"ss", offsetof(X86State, ss)},     {"ds", offsetof(X86State, ds)},
                     {"fs", offsetof(X86State, fs)},     {"gs", offsetof(X86State, gs)},
                     {"ldtr", offsetof(X86State, ldtr)}, {"tr", offsetof(X86State, tr)}};
    for (const auto& [name, offset] : kSegments) {
      const std::string prefix = std::string(name) + ".";
      add(prefix + "base", offset + offsetof(SegmentState, base), Type::I64);
      add(prefix + "limit", offset + offsetof(SegmentState, limit), Type::I32);
      add(prefix + "attributes", offset + offsetof(SegmentState, attributes), Type::I32);
      add(prefix + "selector", offset + offsetof(SegmentState, selector), Type::I16);
    }
    add("gdtr.base", offsetof(X86State, gdtr) + offsetof(TableState, base), Type::I64);
    add("gdtr.limit", offsetof(X86State, gdtr) + offsetof(TableState, limit), Type::I32);
    add("idtr.base", offsetof(X86State, idtr) + offsetof(TableState, base), Type::I64);
    add("idtr.limit", offsetof(X86State, idtr) + offsetof(TableState, limit), Type::I32);
  }

  void x87() {
    for (unsigned i = 0; i < 8; ++i)
      add("st_r" + std::to_string(i), offsetof(X86State, x87) + 16 * i, Type::F80);
    add("c0", offsetof(X86State, c0), Type::I8);
    add("c1", offsetof(X86State, c1), Type::I8);
    add("c2", offsetof(X86State, c2), Type::I8);
    add("c3", offsetof(X86State, c3), Type::I8);
    add("x87_exceptions", offsetof(X86State, x87_exceptions), Type::I16);
    add("x87_control", offsetof(X86State, x87_control), Type::I16);
    add("x87_opcode", offsetof(X86State, x87_opcode), Type::I16);
    add("x87_cs", offsetof(X86State, x87_cs), Type::I16);
    add("x87_ds", offsetof(X86State, x87_ds), Type::I16);
    add("x87_ip", offsetof(X86State, x87_ip), Type::I64);
    add("x87_dp", offsetof(X86State, x87_dp), Type::I64);
    add("x87_result", offsetof(X86State, x87_result), Type::F80);
  }

  void system() {
#define REGISTER(field) add(#field, offsetof(X86State, field), Type::I64)
    REGISTER(cr0);
    REGISTER(cr2);
    REGISTER(cr3);
    REGISTER(cr4);
    REGISTER(cr8);
    for (unsigned i = 0; i < 8; ++i) add("dr" + std::to_string(i), offsetof(X86State, dr) + 8 * i, Type::I64);
    REGISTER(efer);
    REGISTER(star);
    REGISTER(lstar);
    REGISTER(cstar);
    REGISTER(fmask);
    REGISTER(kernel_gs_base);
    REGISTER(sysenter_cs);
    REGISTER(sysenter_esp);
    REGISTER(sysenter_eip);
    REGISTER(tsc_offset);
    REGISTER(tsc_aux);
    REGISTER(apic_base);
    REGISTER(pat);
    REGISTER(misc_enable);
    REGISTER(xss);
#undef REGISTER
  }

  std::vector<std::string> names_;
  std::vector<ir::StateField> fields_;
  ir::StateLayout layout_;
};

/// MXCSR bit of each ir::FpFlag bit.
constexpr struct {
  uint32_t collected, mxcsr;
} kFlagPairs[] = {{ir::kFpInvalid, 1u << 0},  {ir::kFpDenormal, 1u << 1},  {ir::kFpDivideByZero, 1u << 2},
                  {ir::kFpOverflow, 1u << 3}, {ir::kFpUnderflow, 1u << 4}, {ir::kFpInexact, 1u << 5}};
constexpr uint32_t kMxcsrFlags = 0x3f, kMxcsrMask = 0xffff;

constexpr uint16_t kX87Es = 1 << 7;
constexpr uint16_t kX87ControlBits = 0x1f3f, kX87ControlOnes = 0x40;

unsigned top_of(const X86State& state) { return (state.header.mode & kModeX87TopMask) >> kModeX87TopShift; }

/// SDM volume 1, 8.1.7.
unsigned tag_of(const uint8_t* value) {
  uint64_t significand;
  uint16_t exponent;
  std::memcpy(&significand, value, 8);
  std::memcpy(&exponent, value + 8, 2);
  exponent &= 0x7fff;
  if (exponent == 0 && significand == 0) return 1;
  return exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? 2 : 0;
}

}  // namespace

const ir::StateLayout& x86_layout() {
  static const Layout layout;
  return layout.layout();
}

std::span<const FlagField> flag_fields() { return kFlags; }

uint32_t eflags(const X86State& state) {
  uint32_t value = 2;
  for (const FlagField& flag : kFlags)
    value |= (reinterpret_cast<const uint8_t*>(&state)[flag.offset] & flag.mask) << flag.bit;
  value |= state.status >> 8 & kLowFlags;
  if (state.status & 1) value |= kOf;
  return value;
}

void set_eflags(X86State& state, uint32_t value) {
  for (const FlagField& flag : kFlags)
    reinterpret_cast<uint8_t*>(&state)[flag.offset] = static_cast<uint8_t>(value >> flag.bit & flag.mask);
  state.status = static_cast<uint16_t>(((value & kLowFlags) | 2) << 8 | (value & kOf ? 1 : 0));
  state.header.mode = (state.header.mode & ~(kModeTrap | kModeAlign)) | (state.tf ? kModeTrap : 0) |
                      (state.ac ? kModeAlign : 0);
}

uint32_t mxcsr(const X86State& state) {
  uint32_t value = state.mxcsr & ~kMxcsrFlags;
  for (const auto [collected, bit] : kFlagPairs)
    if (state.header.fp_flags & collected) value |= bit;
  return value;
}

void set_mxcsr(X86State& state, uint32_t value) {
  state.mxcsr = value & kMxcsrMask & ~kMxcsrFlags;
  state.header.fp_flags = 0;
  for (const auto [collected, bit] : kFlagPairs)
    if (value & bit) state.header.fp_flags |= collected;
  state.header.mode = (state.header.mode & ~kModeSseMask) | mode_of_mxcsr(state.mxcsr);
}

void set_x87_control(X86State& state, uint16_t value) {
  state.x87_control = static_cast<uint16_t>((value & kX87ControlBits) | kX87ControlOnes);
  state.header.mode = (state.header.mode & ~kModeX87ControlMask) | mode_of_x87_control(value);
}

uint16_t x87_exceptions(const X86State& state) {
  return static_cast<uint16_t>((state.x87_exceptions & 0x3f) |
                               (ir::f80_flags(state.header) & ir::kF80Exceptions));
}

void settle_x87_flags(X86State& state) {
  state.x87_exceptions |= x87_exceptions(state);
  if (state.c1 == kC1Rounded) state.c1 = (state.header.f80_status & ir::kF80RoundedUp) != 0;
  ir::set_f80_flags(state.header, 0);
}

uint16_t x87_status(const X86State& state) {
  const unsigned exceptions = x87_exceptions(state) | state.x87_exceptions;
  const unsigned summary = exceptions & ~state.x87_control & 0x3f ? kX87Es | 0x8000 : 0;
  const unsigned c1 = state.c1 == kC1Rounded ? (state.header.f80_status & ir::kF80RoundedUp) != 0 : state.c1;
  return static_cast<uint16_t>(exceptions | state.c0 << 8 | c1 << 9 | state.c2 << 10 | top_of(state) << 11 |
                               state.c3 << 14 | summary);
}

void set_x87_status(X86State& state, uint16_t value) {
  ir::set_f80_flags(state.header, 0);
  state.x87_exceptions = value & 0x7f;
  state.c0 = value >> 8 & 1;
  state.c1 = value >> 9 & 1;
  state.c2 = value >> 10 & 1;
  state.c3 = value >> 14 & 1;
  state.header.mode = (state.header.mode & ~kModeX87TopMask) | (value >> 11 & 7u) << kModeX87TopShift;
}

uint16_t x87_tags(const X86State& state) {
  unsigned tags = 0;
  for (unsigned i = 0; i < 8; ++i) tags |= (x87_used(state) >> i & 1 ? tag_of(state.x87[i]) : 3) << 2 * i;
  return static_cast<uint16_t>(tags);
}

void set_x87_tags(X86State& state, uint16_t value) {
  unsigned used = 0;
  for (unsigned i = 0; i < 8; ++i) used |= ((value >> 2 * i & 3) != 3 ? 1u : 0u) << i;
  set_x87_used(state, static_cast<uint8_t>(used));
}

void reset_x87(X86State& state) {
  set_x87_status(state, 0);
  set_x87_used(state, 0);
  set_x87_control(state, 0x37f);
  state.x87_opcode = state.x87_cs = state.x87_ds = 0;
  state.x87_ip = state.x87_dp = 0;
}

}  // namespace lyrebird::x86
