// SPDX-License-Identifier: Apache-2.0
// The guest's state and the host's registers (SDM volume 1, 3.4, 8.1, 10.2, 10.5.1).
#include <bit>
#include <cstring>

#include "accel/direct/x86_translator.h"
#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_state.h"

namespace lyrebird::accel::direct {

using jit::direct::Area;
using x86::X86State;

namespace {

constexpr uint64_t kDf = 1 << 10, kOf = 1 << 11, kFixed = 0x202;

/// FXSAVE's image, as far as the x87 goes.
struct Image {
  uint16_t control, status;
  uint8_t tags, reserved;
  uint16_t opcode;
  uint64_t ip, dp;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16];
};
static_assert(sizeof(Image) == 160);

bool x87_is_initial(const X86State& s) {
  static constexpr uint8_t kZeros[sizeof s.x87] = {};
  return x86::x87_used(s) == 0 && std::memcmp(s.x87, kZeros, sizeof s.x87) == 0 && s.x87_control == 0x37f &&
         x86::x87_status(s) == 0;
}

void load_x87(const X86State& s, Area& area) {
  Image image{};
  image.control = s.x87_control;
  image.status = x86::x87_status(s);
  image.tags = x86::x87_used(s);
  const unsigned top = x86::x87_top_of_mode(s.header.mode);
  for (unsigned i = 0; i < 8; ++i) std::memcpy(image.st[i], s.x87[(top + i) % 8], 10);
  std::memset(area.x87, 0, sizeof area.x87);
  std::memcpy(area.x87, &image, sizeof image);
}

void store_x87(X86State& s, const Area& area) {
  Image image;
  std::memcpy(&image, area.x87, sizeof image);
  x86::set_x87_control(s, image.control);
  x86::set_x87_status(s, image.status);
  x86::set_x87_used(s, image.tags);
  const unsigned top = image.status >> 11 & 7;
  for (unsigned i = 0; i < 8; ++i) std::memcpy(s.x87[(top + i) % 8], image.st[i], 10);
}

}  // namespace

void X86Translator::load(const ir::CpuHeader& cpu, Area& area) const {
  const auto& s = reinterpret_cast<const X86State&>(cpu);
  std::memcpy(area.gpr, s.gpr, sizeof area.gpr);
  std::memcpy(area.vectors, s.ymm, sizeof area.vectors);
  area.flags = kFixed | (s.status >> 8 & x86::kLowFlags) | (s.status & 1 ? kOf : 0) | (s.df ? kDf : 0);
  area.mxcsr = area.mxcsr_loaded = x86::mxcsr(s);
  area.fs_base = s.fs.base;
  area.gs_base = s.gs.base;
  area.x87_used = !x87_is_initial(s);
  if (area.x87_used) load_x87(s, area);
}

void X86Translator::store(ir::CpuHeader& cpu, Area& area) const {
  auto& s = reinterpret_cast<X86State&>(cpu);
  const bool is64 = (s.header.mode & x86::kModeCodeSizeMask) == static_cast<uint32_t>(x86::Mode::k64);
  std::memcpy(s.gpr, area.gpr, is64 ? sizeof area.gpr : sizeof area.gpr / 2);
  std::memcpy(s.ymm, area.vectors, sizeof area.vectors);
  s.status = static_cast<uint16_t>(((area.flags & x86::kLowFlags) | 2) << 8 | ((area.flags & kOf) ? 1 : 0));
  s.df = (area.flags & kDf) != 0;
  if (area.mxcsr != area.mxcsr_loaded) x86::set_mxcsr(s, area.mxcsr);
  if (area.x87_used) store_x87(s, area);
}

}  // namespace lyrebird::accel::direct
