// SPDX-License-Identifier: Apache-2.0
/// What a monitor says of itself (VESA Enhanced EDID Standard, release A, revision 2: structure 1.4).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace lyrebird::devices {

/// The base block of a digital monitor with one preferred mode of `width` x `height` at 60 Hz. At most 13
/// characters of the name are kept; both sizes are 1 to 4095.
std::array<uint8_t, 128> make_edid(std::string_view name, uint32_t width, uint32_t height);

}  // namespace lyrebird::devices
