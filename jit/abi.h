// SPDX-License-Identifier: Apache-2.0
/// Which host registers hold what at every entry and exit of generated code, of either tier:
/// LLVM's preserve_none convention on x86-64, so that a compiled region is entered and left by
/// plain jumps. (preserve_none passes r12-r15, rdi, rsi, rdx, rcx, r8, r9, r11, rax, in that order,
/// and keeps rbp; nothing of ours lives in rbp.)
///
/// rsp + kFrame is the frame (jit/baseline/frame.h), 16-byte aligned: rsp is as after a call. All
/// other registers are free, but for vectors 16 to 31 where guest vectors are pinned (Pins::vectors);
/// MXCSR is the default one plus collected exception flags.
#pragma once

#include <cstdint>

#include "ir/cpu_header.h"

namespace lyrebird::jit::abi {

/// Holds the state + kStateBias, so that as many registers as possible, and what nearly every block asks of
/// the header, are in reach of 8 bits. rdi: needs the fewest bytes as a base.
inline constexpr uint8_t kState = 7;
inline constexpr int32_t kStateBias = offsetof(ir::CpuHeader, jump_cache) + 128;

/// Of the guest registers with StateField::hot, in that order. rax, rcx and rdx are left to
/// instructions that want them.
inline constexpr uint8_t kPinned[] = {6, 14, 15, 13, 8, 9, 11, 12};

/// preserve_none's arguments from the first on, up to the last one that is used.
inline constexpr uint8_t kArguments[] = {12, 13, 14, 15, 7, 6, 2, 1, 8, 9, 11};

inline constexpr uint32_t kFrame = 8;

}  // namespace lyrebird::jit::abi
