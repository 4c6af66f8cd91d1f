// SPDX-License-Identifier: Apache-2.0
/// The x86 decoder, for 16-, 32- and 64-bit code (SDM volume 2, chapters 2 and 3, appendix A).
///
/// Where Intel's and AMD's processors differ it is Intel's: in 64-bit mode 66 does not shorten near
/// branches, SYSCALL and SYSRET exist in 64-bit mode only. XACQUIRE, XRELEASE and branch hints are
/// prefixes without effect. Thread-safe; allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "frontend/x86/decode/insn.h"
#include "frontend/x86/decode/row.h"
#include "frontend/x86/features.h"

namespace lyrebird::x86 {

enum class DecodeStatus : uint8_t {
  Ok,
  TooShort,  ///< more bytes are needed
  TooLong,   ///< over 15 bytes: #GP(0)
  // #UD from here on
  NoSuchOpcode,
  FeatureAbsent,
  LockIllegal,  ///< LOCK without a memory destination that it is defined for
  VexPrefix,    ///< REX, 66, F2, F3 or LOCK before VEX; a reserved VEX field
  VexVvvv,      ///< VEX.vvvv is not 1111 and names no operand
  BadRegister,  ///< CR1, segment register 6, MOV to CS, a gather's registers not distinct
  BadAddress,   ///< a vector index without SIB
  Avx512,       ///< EVEX, which no processor model of ours has
};
constexpr bool is_undefined(DecodeStatus s) { return s >= DecodeStatus::NoSuchOpcode; }
const char* name(DecodeStatus status);

/// Decodes the instruction at bytes. Reads no more than `available` bytes, nor more than 15; `out`
/// is the instruction only if the answer is Ok. TooShort comes only where the bytes that are there
/// do not decide.
DecodeStatus decode(const uint8_t* bytes, size_t available, Mode mode, const Features& features, Insn& out);

}  // namespace lyrebird::x86
