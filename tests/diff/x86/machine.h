// SPDX-License-Identifier: Apache-2.0
/// What both sides of the comparison start from and end with: registers, a page of memory, how it ended.
#pragma once

#include <csignal>
#include <cstdint>
#include <string>

#include "frontend/x86/decode/insn.h"

namespace lyrebird::x86diff {

inline constexpr unsigned kPage = 4096;
inline constexpr uint64_t kCode = 0x20000000;  ///< the instruction lies in the middle of this page
inline constexpr uint64_t kStart = kCode + 0x800;
inline constexpr uint64_t kData = 0x21000000;  ///< a page, nothing around it
inline constexpr uint64_t kFsBase = 0x1000000, kGsBase = 0x1800000;

/// The legacy area of an FXSAVE image, as far as programs see it.
struct Legacy {
  uint16_t control, status;
  uint8_t tags, reserved;
  uint16_t opcode;
  uint64_t ip, dp;
  uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16];
  uint8_t xmm[16][16];
  uint8_t unused[96];
};
static_assert(sizeof(Legacy) == 512);

struct Machine {
  uint64_t gpr[16];
  uint64_t rip, eflags, fs_base, gs_base;
  Legacy legacy;
  uint8_t ymm_high[16][16];
  uint8_t memory[kPage];
};

/// SIGTRAP: the instruction is done, rip is that of the next.
struct Ending {
  int signal = 0;
  bool has_address = false;  ///< of a fault in memory
  uint64_t address = 0;
};

struct Case {
  uint8_t code[32];  ///< the instruction, and what Generator put behind it
  uint32_t length;   ///< of all of it
  x86::Mode mode;
  Machine in, out;
  Ending ending;  ///< the host's
};

}  // namespace lyrebird::x86diff
