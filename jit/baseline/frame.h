// SPDX-License-Identifier: Apache-2.0
/// The frame that lies at rsp + abi::kFrame while generated code runs. The first 640 bytes are the
/// runtime's, the rest are slots for values; interpreter records address them from there as well.
#pragma once

#include <cstdint>

namespace lyrebird::jit::baseline {

inline constexpr uint32_t kFrameThread = 0;    ///< ThreadContext*
inline constexpr uint32_t kFrameExit = 8;      ///< where exits jump to
inline constexpr uint32_t kFrameRecord = 16;   ///< C++: runs an interpreter record
inline constexpr uint32_t kFrameMxcsr = 24;    ///< scratch
inline constexpr uint32_t kFrameDefault = 28;  ///< MXCSR of plain FP just now: kMaskedMxcsr or kTrapMxcsr
inline constexpr uint32_t kFrameThunks = 32;   ///< one pointer for each Thunk
inline constexpr uint32_t kFrameLookup = 56;   ///< where indirect jumps go that miss the jump cache
inline constexpr uint32_t kFrameRegionThunks = 64;  ///< one pointer for each RegionThunk
inline constexpr uint32_t kFrameMemory = 80;        ///< (system mode) the memory thunk
inline constexpr uint32_t kFrameAccess = 88;        ///< its argument: MemInfo; op << 8 | type
inline constexpr uint32_t kFrameSaveGpr = 112;      ///< 16 registers
inline constexpr uint32_t kFrameSaveXmm = 240;      ///< 16 registers
inline constexpr uint32_t kFrameUnmasked = 496;     ///< (traps) MXCSR when code last had them unmasked again
inline constexpr uint32_t kFrameMasked = 500;       ///< (traps) kMaskedMxcsr
inline constexpr uint32_t kFrameScratch = 512;      ///< operands and result of cold paths: 4 of 32 bytes
inline constexpr uint32_t kFrameSlots = 640;
inline constexpr uint32_t kFrameEnd = 16384;

/// MXCSR that rounds to nearest even, and raises nothing.
inline constexpr uint32_t kMaskedMxcsr = 0x1f80;
/// The same but for traps on invalid operations and tiny results (BaselineOptions::fp_traps).
inline constexpr uint32_t kTrapMxcsr = kMaskedMxcsr & ~0x880u;

/// Calls from generated code to C++ go through a thunk that saves what generated code
/// keeps in registers. Int: pure integer ops. Float: MXCSR is kept, C++ only adds FP flags to the state's.
/// Full: all of the state is in memory, FP flags included, and may be changed there.
enum class Thunk : uint8_t { Int, Float, Full };

/// The same for regions: rdi the record, rsi the frame, rdx the state; all registers but r11 are kept
/// (LLVM's preserve_all). Float: the FP flags are in the state meanwhile.
enum class RegionThunk : uint8_t { Int, Float };

}  // namespace lyrebird::jit::baseline
