// SPDX-License-Identifier: Apache-2.0
/// The bits of CpuHeader::mode of an x86 guest: what lifted code depends on, so that they are part of
/// a block's key. Lifters may add rounding and precision control, as A64 does with FPCR.
#pragma once

#include <cstdint>

namespace lyrebird::x86 {

inline constexpr uint32_t kModeCodeSizeMask = 3u << 0;  ///< decode's Mode: CS.D, CS.L
inline constexpr uint32_t kModeProtected = 1u << 2;     ///< CR0.PE
inline constexpr uint32_t kModeV86 = 1u << 3;           ///< EFLAGS.VM
inline constexpr uint32_t kModeStack32 = 1u << 4;       ///< SS.B
/// Outside of 64-bit mode: CS, DS, ES and SS have base 0 and limit 4 GiB, nothing is checked or added.
inline constexpr uint32_t kModeFlat = 1u << 5;
inline constexpr unsigned kModeCplShift = 6;
inline constexpr uint32_t kModeCplMask = 3u << kModeCplShift;
/// TOP of the x87 status word: it is nowhere else, so ST(i) is a fixed field for a lifter.
inline constexpr unsigned kModeX87TopShift = 8;
inline constexpr uint32_t kModeX87TopMask = 7u << kModeX87TopShift;

}  // namespace lyrebird::x86
