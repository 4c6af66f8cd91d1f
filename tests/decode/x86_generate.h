// SPDX-License-Identifier: Apache-2.0
/// Bytes from the x86 decode tables, for cross-checks, coverage and fuzz seeds.
#pragma once

#include <array>
#include <cstdint>
#include <random>

#include "frontend/x86/decode/decode.h"

namespace lyrebird::x86 {

/// More than the longest instruction, so that what follows a row's opcode is there whatever it is.
using Bytes = std::array<uint8_t, 32>;
using Random = std::mt19937_64;

/// The modes that the row exists in.
bool exists_in(const Row& row, Mode mode);
/// An instruction of the row in that mode: prefixes, opcode and ModRM as the row asks for, all that it
/// leaves open and all that follows at random.
Bytes bytes_for(const Row& row, Mode mode, Random& random);
/// Bytes at random, with opcode escapes and prefixes more often than chance has them.
Bytes random_bytes(Random& random);

}  // namespace lyrebird::x86
