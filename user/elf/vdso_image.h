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
  std::vector<uint32_t> code;
};

struct VdsoImage {
  std::vector<uint8_t> bytes;
  /// Offset of each function in the image, in the order given.
  std::vector<uint64_t> offsets;
};

/// For 64-bit little-endian guests with 4-byte instructions. `padding` goes between functions.
VdsoImage make_vdso(uint16_t machine, const std::string& version, uint32_t padding,
                    std::span<const VdsoFunction> functions);

}  // namespace lyrebird::user
