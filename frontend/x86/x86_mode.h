// SPDX-License-Identifier: Apache-2.0
/// The bits of CpuHeader::mode of an x86 guest: what lifted code depends on, so that they are part of
/// a block's key. X86State's functions keep them right; a lifter that writes one of the registers
/// they come from writes the mode, too, and ends its block.
#pragma once

#include <cstdint>

namespace lyrebird::x86 {

inline constexpr uint32_t kModeCodeSizeMask = 3u << 0;  ///< decode's Mode: CS.D, CS.L
inline constexpr uint32_t kModeProtected = 1u << 2;     ///< CR0.PE
inline constexpr uint32_t kModeV86 = 1u << 3;           ///< EFLAGS.VM
inline constexpr uint32_t kModeStack32 = 1u << 4;       ///< SS.B
/// Outside of 64-bit mode: CS, DS, ES and SS have base 0 and limit 4 GiB, nothing is checked or
/// added; FS and GS are null or writable data that grows upwards, so base and limit are all there is.
inline constexpr uint32_t kModeFlat = 1u << 5;
inline constexpr unsigned kModeCplShift = 6;
inline constexpr uint32_t kModeCplMask = 3u << kModeCplShift;
/// TOP of the x87 status word: it is nowhere else, so ST(i) is a fixed field for a lifter.
inline constexpr unsigned kModeX87TopShift = 8;
inline constexpr uint32_t kModeX87TopMask = 7u << kModeX87TopShift;

// MXCSR (SDM volume 1, 10.2.3): RC, FTZ, DAZ; whether some exception is unmasked.
inline constexpr unsigned kModeSseRoundShift = 11;
inline constexpr uint32_t kModeSseRoundMask = 3u << kModeSseRoundShift;
inline constexpr uint32_t kModeSseFtz = 1u << 13;
inline constexpr uint32_t kModeSseDaz = 1u << 14;
inline constexpr uint32_t kModeSseUnmasked = 1u << 15;
inline constexpr uint32_t kModeSseMask = kModeSseRoundMask | kModeSseFtz | kModeSseDaz | kModeSseUnmasked;

/// Those of mode_of_mxcsr() for 0x1f80 and of mode_of_x87_control() for 0x37f are zero.
constexpr uint32_t mode_of_mxcsr(uint32_t mxcsr) {
  return (mxcsr >> 13 & 3) << kModeSseRoundShift | (mxcsr >> 15 & 1 ? kModeSseFtz : 0) |
         (mxcsr >> 6 & 1 ? kModeSseDaz : 0) | ((mxcsr >> 7 & 0x3f) != 0x3f ? kModeSseUnmasked : 0);
}

// The x87 control word (SDM volume 1, 8.1.5): RC, PC inverted, whether some exception is unmasked.
inline constexpr unsigned kModeX87RoundShift = 16;
inline constexpr uint32_t kModeX87RoundMask = 3u << kModeX87RoundShift;
inline constexpr unsigned kModeX87PrecisionShift = 18;
inline constexpr uint32_t kModeX87PrecisionMask = 3u << kModeX87PrecisionShift;
inline constexpr uint32_t kModeX87Unmasked = 1u << 20;
inline constexpr uint32_t kModeX87ControlMask = kModeX87RoundMask | kModeX87PrecisionMask | kModeX87Unmasked;

constexpr uint32_t mode_of_x87_control(uint16_t control) {
  return (control >> 10 & 3u) << kModeX87RoundShift | (~control >> 8 & 3u) << kModeX87PrecisionShift |
         ((control & 0x3f) != 0x3f ? kModeX87Unmasked : 0);
}
/// RC as the registers have it: 0 nearest, 1 down, 2 up, 3 toward zero.
constexpr unsigned sse_round_of_mode(uint32_t mode) { return mode >> kModeSseRoundShift & 3; }
constexpr unsigned x87_round_of_mode(uint32_t mode) { return mode >> kModeX87RoundShift & 3; }
/// PC: 0 single, 2 double, 3 extended.
constexpr unsigned x87_precision_of_mode(uint32_t mode) { return ~mode >> kModeX87PrecisionShift & 3; }
constexpr unsigned x87_top_of_mode(uint32_t mode) { return mode >> kModeX87TopShift & 7; }

/// Which of R0 to R7 are not empty, R0 in the lowest bit: they are nowhere else, so stack faults are
/// known when a block is lifted.
inline constexpr unsigned kModeX87UsedShift = 24;
inline constexpr uint32_t kModeX87UsedMask = 0xffu << kModeX87UsedShift;
constexpr uint32_t x87_used_bit(unsigned physical) { return 1u << (kModeX87UsedShift + physical); }

/// EFLAGS.TF: a debug exception comes after the next instruction.
inline constexpr uint32_t kModeTrap = 1u << 21;
/// That instruction is done: the exception comes first.
inline constexpr uint32_t kModeTrapPending = 1u << 22;

/// EFLAGS.AC: accesses are checked for alignment (CR0.AM is set and CPL is 3 in user mode, and there is no
/// other).
inline constexpr uint32_t kModeAlign = 1u << 23;

constexpr unsigned cpl_of_mode(uint32_t mode) { return mode >> kModeCplShift & 3; }

}  // namespace lyrebird::x86
