// SPDX-License-Identifier: Apache-2.0
/// Where other decoders differ from ours, and why ours is right.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "frontend/x86/decode/decode.h"

namespace lyrebird::x86 {

struct Difference {
  Mode mode;
  const uint8_t* bytes;  ///< 15
  DecodeStatus status;   ///< ours
  const Insn& insn;      ///< if status is Ok
  std::string_view name;
  unsigned their_length;  ///< 0: they say it is no instruction
  const std::string& their_name;
};

/// The reason for a known difference, or nullptr.
const char* explanation(const Difference& difference, bool zydis);

}  // namespace lyrebird::x86
