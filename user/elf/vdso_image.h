// SPDX-License-Identifier: Apache-2.0
/// Makes the ELF image of a vDSO (vdso(7)) from a few instructions: one loadable segment with a
/// dynamic table, versioned symbols and a System V hash table, as libcs and Go look it up.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace lyrebird::user {

struct VdsoFunction {
  const char* name;
  std::vector<uint8_t> code;
};

struct VdsoImage {
  std::vector<uint8_t> bytes;
  /// Offset of each function in the image, in the order given.
  std::vector<uint64_t> offsets;
};

/// Instructions of 4 bytes, for VdsoFunction::code.
std::vector<uint8_t> code_of_words(std::span<const uint32_t> words);

/// For little-endian guests with pointers of `word` bytes. `padding` (an instruction that does nothing)
/// goes between functions. `entry`: the function that the header names, or none if there are fewer.
VdsoImage make_vdso(uint16_t machine, unsigned word, const std::string& soname, const std::string& version,
                    std::span<const uint8_t> padding, std::span<const VdsoFunction> functions,
                    size_t entry = SIZE_MAX);

}  // namespace lyrebird::user
