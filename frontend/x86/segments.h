// SPDX-License-Identifier: Apache-2.0
/// Segment registers and descriptors (SDM volume 3, 3.4 and 5).
#pragma once

#include "frontend/x86/decode/insn.h"
#include "frontend/x86/x86_state.h"

namespace lyrebird::x86 {

/// Bits of SegmentState::attributes.
namespace segment_attributes {
inline constexpr uint32_t kAccessed = 1u << 8;
inline constexpr uint32_t kWritable = 1u << 9;     ///< of data; of code: readable
inline constexpr uint32_t kExpandDown = 1u << 10;  ///< of data; of code: conforming
inline constexpr uint32_t kCode = 1u << 11;
inline constexpr uint32_t kNotSystem = 1u << 12;
inline constexpr unsigned kDplShift = 13;
inline constexpr uint32_t kPresent = 1u << 15;
inline constexpr uint32_t kLong = 1u << 21;
inline constexpr uint32_t kBig = 1u << 22;  ///< D or B
inline constexpr uint32_t kGranular = 1u << 23;
inline constexpr uint32_t kAll = 0x00f0ff00;
/// Usual user segments with base 0 and limit 4 GiB.
inline constexpr uint32_t kUserData = 0xcff300 & kAll, kUserCode32 = 0xcffb00 & kAll,
                          kUserCode64 = 0xaffb00 & kAll;
}  // namespace segment_attributes

SegmentState& segment_of(X86State& state, Segment segment);

/// Sets the mode bits that follow from the segment registers and CR0.PE (all of kModeCodeSizeMask,
/// Protected, V86, Stack32, Flat, Cpl). Whoever writes a segment register calls it, or uses load_*.
void update_segment_mode(X86State& state);

/// The state of a user program on Linux as far as segments and system registers go: CPL 3, flat, in
/// 64-bit mode (CS 0x33, SS 0x2b) or under a 64-bit kernel in 32-bit mode (CS 0x23, the others 0x2b).
void enter_user_mode(X86State& state, Mode mode);

/// A descriptor's contents as a segment register has them, whatever its type.
SegmentState segment_of_descriptor(uint16_t selector, uint64_t descriptor);
/// The descriptor of a segment: base, limit in bytes, attributes as above. With kGranular the limit
/// counts pages.
uint64_t make_descriptor(uint32_t base, uint32_t limit, uint32_t attributes);
/// The descriptor of the user ABI's tables that the selector names; 0 if there is none.
uint64_t user_descriptor(const X86State& state, uint16_t selector);

/// Loads a segment register but CS: in protected mode through user_descriptor() (SDM volume 2, MOV),
/// in real and v86 mode by their rules. If it is refused nothing has changed but error_code.
enum class SegmentFault : uint8_t { None, Protection, Stack, Absent };
SegmentFault load_segment(X86State& state, Segment segment, uint16_t selector);
/// A far transfer within the privilege level, to an offset inside of the segment.
SegmentFault load_code_segment(X86State& state, uint16_t selector, uint64_t offset);

/// Whether an access of `size` bytes at the offset breaks the segment's rules (null, limit, type);
/// outside of 64-bit mode.
bool breaks_segment(const SegmentState& segment, bool protected_mode, uint64_t offset, unsigned size,
                    bool write);

}  // namespace lyrebird::x86
