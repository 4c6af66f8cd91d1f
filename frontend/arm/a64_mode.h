// SPDX-License-Identifier: Apache-2.0
/// CpuHeader::mode for AArch64: what a block's translation depends on besides its pc.
#pragma once

#include <cstdint>

namespace lyrebird::arm {

// FPCR bits that exist in AArch64 without FEAT_AFP and FEAT_EBF16 (DDI 0487, FPCR): AHP, DN, FZ,
// RMode, FZ16. Trapped exceptions are not supported, their enables read as zero.
inline constexpr uint32_t kFpcrAhp = 1u << 26;
inline constexpr uint32_t kFpcrDn = 1u << 25;
inline constexpr uint32_t kFpcrFz = 1u << 24;
inline constexpr uint32_t kFpcrRmode = 3u << 22;
inline constexpr uint32_t kFpcrFz16 = 1u << 19;
inline constexpr uint32_t kFpcrWritable = kFpcrAhp | kFpcrDn | kFpcrFz | kFpcrRmode | kFpcrFz16;

/// Mode bits 0..4: FPCR[26:22]; bit 5: FPCR.FZ16.
inline constexpr uint32_t kModeFpcrMask = 0x3f;
constexpr uint32_t mode_of_fpcr(uint32_t fpcr) { return (fpcr >> 22 & 0x1f) | (fpcr >> 19 & 1) << 5; }
constexpr uint32_t fpcr_of_mode(uint32_t mode) { return (mode & 0x1f) << 22 | (mode >> 5 & 1) << 19; }

/// Bits 6..7: PSTATE.BTYPE at the entry of the block. Only ever non-zero while the process has
/// a guarded page (kModeBti set), so that others do not pay for it.
inline constexpr unsigned kModeBtypeShift = 6;
inline constexpr uint32_t kModeBtypeMask = 3u << kModeBtypeShift;
inline constexpr uint32_t kModeBti = 1u << 8;

}  // namespace lyrebird::arm
