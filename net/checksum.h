// SPDX-License-Identifier: Apache-2.0
/// What a card leaves to the host about a frame, done in software.
#pragma once

#include <cstdint>
#include <span>

#include "net/backend.h"

namespace lyrebird::net {

/// The ones' complement sum of `bytes`, folded, on top of `sum` (host order of big-endian words).
uint16_t checksum_add(uint16_t sum, std::span<const uint8_t> bytes);

/// Puts the checksum that `header` asks for into `frame` (which has the pseudo header's sum there). False:
/// the header's offsets lie outside of the frame.
bool finish_checksum(const FrameHeader& header, std::span<uint8_t> frame);

}  // namespace lyrebird::net
