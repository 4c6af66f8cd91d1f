// SPDX-License-Identifier: Apache-2.0
#include "net/checksum.h"

#include <bit>
#include <cstring>

namespace lyrebird::net {

uint16_t checksum_add(uint16_t sum, std::span<const uint8_t> bytes) {
  // In the host's order; swapped once at the end (RFC 1071).
  uint64_t total = 0;
  size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) {
    uint32_t word;
    std::memcpy(&word, bytes.data() + at, 4);
    total += word;
  }
  if (at < bytes.size()) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + at, bytes.size() - at);
    total += word;
  }
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  uint32_t folded = __builtin_bswap16(static_cast<uint16_t>(total)) + uint32_t{sum};
  return static_cast<uint16_t>((folded & 0xffff) + (folded >> 16));
}

bool finish_checksum(const FrameHeader& header, std::span<uint8_t> frame) {
  if (!(header.flags & FrameHeader::kNeedsChecksum)) return true;
  const size_t start = header.checksum_start, at = start + header.checksum_offset;
  if (start > frame.size() || at + 2 > frame.size()) return false;
  const uint16_t sum = static_cast<uint16_t>(~checksum_add(0, frame.subspan(start)));
  const uint16_t stored = sum == 0 ? 0xffff : sum;  // 0 means none to UDP, and is the same number
  frame[at] = static_cast<uint8_t>(stored >> 8);
  frame[at + 1] = static_cast<uint8_t>(stored);
  return true;
}

}  // namespace lyrebird::net
