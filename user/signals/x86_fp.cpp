// SPDX-License-Identifier: Apache-2.0
#include "user/signals/x86_fp.h"

#include <cstring>

#include "frontend/x86/cpu_model.h"
#include "user/abi/x86_state.h"

namespace lyrebird::user {
namespace {

using x86::X86State;

constexpr uint32_t kMagic1 = 0x46505853, kMagic2 = 0x46505845;
constexpr unsigned kFxsaveSize = 512, kHeaderAt = 512, kAvxAt = 576, kSoftwareAt = 464;
constexpr uint64_t kSse = 2, kAvx = 4;
constexpr uint32_t kMxcsrMask = 0xffff;

/// The FXSAVE image (SDM volume 1, 10.5.1), 64-bit format for pointers.
struct Fxsave {
  uint16_t control, status;
  uint8_t tags, reserved;
  uint16_t opcode;
  uint64_t ip, dp;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16];
  uint8_t xmm[16][16];
};
static_assert(sizeof(Fxsave) == 416);

/// struct _fpx_sw_bytes.
struct SoftwareBytes {
  uint32_t magic1, extended_size;
  uint64_t features;
  uint32_t xstate_size, padding[7];
};
static_assert(sizeof(SoftwareBytes) == 48);

unsigned top_of(const X86State& s) { return x86::x87_status(s) >> 11 & 7; }

}  // namespace

uint32_t X86FpFrame::size() const {
  return extended() ? x86::xsave_size(xcr0_) + static_cast<uint32_t>(sizeof kMagic2) : kFxsaveSize;
}

std::vector<uint8_t> X86FpFrame::save(const X86State& s, unsigned registers) const {
  std::vector<uint8_t> image(size());
  Fxsave fx{};
  fx.control = s.x87_control;
  fx.status = x86::x87_status(s);
  fx.tags = x86::x87_used(s);
  fx.opcode = s.x87_opcode;
  fx.ip = s.x87_ip;
  fx.dp = s.x87_dp;
  fx.mxcsr = x86::mxcsr(s);
  fx.mxcsr_mask = kMxcsrMask;
  for (unsigned i = 0; i < 8; ++i) std::memcpy(fx.st[i], s.x87[(top_of(s) + i) & 7], 10);
  for (unsigned i = 0; i < registers; ++i) std::memcpy(fx.xmm[i], s.ymm[i], 16);
  std::memcpy(image.data(), &fx, sizeof fx);
  if (!extended()) return image;
  const uint32_t xstate_size = x86::xsave_size(xcr0_);
  const SoftwareBytes software{kMagic1, size(), xcr0_, xstate_size, {}};
  std::memcpy(&image[kSoftwareAt], &software, sizeof software);
  std::memcpy(&image[kHeaderAt], &xcr0_, sizeof xcr0_);
  if (xcr0_ & kAvx)
    for (unsigned i = 0; i < registers; ++i) std::memcpy(&image[kAvxAt + 16 * i], &s.ymm[i][16], 16);
  std::memcpy(&image[xstate_size], &kMagic2, sizeof kMagic2);
  return image;
}

bool X86FpFrame::restore(Thread& t, uint64_t at, X86State& s, unsigned registers) const {
  uint8_t legacy[kFxsaveSize];
  if (!t.memory().read(at, legacy, sizeof legacy)) return false;
  Fxsave fx;
  SoftwareBytes software;
  std::memcpy(&fx, legacy, sizeof fx);
  std::memcpy(&software, legacy + kSoftwareAt, sizeof software);
  uint64_t parts = 3;
  std::vector<uint8_t> more;
  const uint32_t xstate_size = x86::xsave_size(xcr0_);
  // A frame without our marks is one of FXSAVE only (check_xstate_in_sigframe()).
  if (extended() && software.magic1 == kMagic1 && software.xstate_size >= kAvxAt &&
      software.xstate_size <= xstate_size) {
    uint32_t magic2 = 0;
    more.resize(software.xstate_size);
    if (!t.memory().read(at, more.data(), more.size()) || !t.memory().get(at + software.xstate_size, magic2))
      return false;
    if (magic2 == kMagic2)
      std::memcpy(&parts, &more[kHeaderAt], sizeof parts);
    else
      more.clear();
    parts &= software.features;
  }
  if (parts & ~xcr0_ & ~uint64_t{3}) return false;
  if (fx.mxcsr & ~kMxcsrMask) return false;

  reset_x86_fp(s);
  if (parts & 1) {
    x86::set_x87_control(s, fx.control);
    x86::set_x87_status(s, fx.status);
    s.x87_opcode = fx.opcode & 0x7ff;
    s.x87_ip = fx.ip;
    s.x87_dp = fx.dp;
    x86::set_x87_used(s, fx.tags);
    const unsigned top = top_of(s);
    for (unsigned i = 0; i < 8; ++i) std::memcpy(s.x87[(top + i) & 7], fx.st[i], 10);
  }
  if (parts & (kSse | kAvx)) x86::set_mxcsr(s, fx.mxcsr);
  if (parts & kSse)
    for (unsigned i = 0; i < registers; ++i) std::memcpy(s.ymm[i], fx.xmm[i], 16);
  if (!more.empty() && parts & kAvx && more.size() >= kAvxAt + 16 * registers)
    for (unsigned i = 0; i < registers; ++i) std::memcpy(&s.ymm[i][16], &more[kAvxAt + 16 * i], 16);
  return true;
}

void set_frame_flags(X86State& s, uint32_t value) {
  x86::set_eflags(s, (x86::eflags(s) & ~kFrameFlags) | (value & kFrameFlags));
}

void enter_handler(X86State& s) {
  constexpr uint32_t kDf = 1 << 10, kRf = 1 << 16, kTf = 1 << 8;
  x86::set_eflags(s, x86::eflags(s) & ~(kDf | kRf | kTf));
  reset_x86_fp(s);
}

}  // namespace lyrebird::user
