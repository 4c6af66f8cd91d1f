// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/edid.h"

#include <algorithm>
#include <numeric>

namespace lyrebird::devices {

namespace {

using Block = std::array<uint8_t, 128>;

void put16(Block& block, size_t at, uint32_t value) {
  block[at] = static_cast<uint8_t>(value);
  block[at + 1] = static_cast<uint8_t>(value >> 8);
}

uint8_t high_nibbles(uint32_t first, uint32_t second) {
  return static_cast<uint8_t>((first >> 8 & 15) << 4 | (second >> 8 & 15));
}

// Section 3.10.2, detailed timing: blanking as VESA's reduced blanking has it.
void put_mode(Block& block, size_t at, uint32_t width, uint32_t height) {
  constexpr uint32_t kBlankX = 160, kFrontX = 48, kSyncX = 32, kFrontY = 3, kSyncY = 6, kBackY = 14;
  constexpr uint32_t kBlankY = kFrontY + kSyncY + kBackY, kHertz = 60, kClockUnit = 10'000;
  // What is asked for at the edge of the range has a clock that the field cannot hold: as fast as it can.
  const uint64_t clock = uint64_t{width + kBlankX} * (height + kBlankY) * kHertz / kClockUnit;
  put16(block, at, static_cast<uint32_t>(std::min<uint64_t>(clock, 0xffff)));
  block[at + 2] = static_cast<uint8_t>(width);
  block[at + 3] = static_cast<uint8_t>(kBlankX);
  block[at + 4] = high_nibbles(width, kBlankX);
  block[at + 5] = static_cast<uint8_t>(height);
  block[at + 6] = static_cast<uint8_t>(kBlankY);
  block[at + 7] = high_nibbles(height, kBlankY);
  block[at + 8] = static_cast<uint8_t>(kFrontX);
  block[at + 9] = static_cast<uint8_t>(kSyncX);
  block[at + 10] = static_cast<uint8_t>(kFrontY << 4 | kSyncY);
  // 96 dots an inch.
  const uint32_t mm_x = width * 254 / 960, mm_y = height * 254 / 960;
  block[at + 12] = static_cast<uint8_t>(mm_x);
  block[at + 13] = static_cast<uint8_t>(mm_y);
  block[at + 14] = high_nibbles(mm_x, mm_y);
  block[at + 17] = 0x18;  // digital, separate sync
}

/// Section 3.10.3: 13 characters, ended by a line feed and filled with spaces.
void put_name(Block& block, size_t at, std::string_view name) {
  constexpr size_t kMost = 13;
  block[at + 3] = 0xfc;
  name = name.substr(0, kMost);
  auto end = std::copy(name.begin(), name.end(), block.begin() + static_cast<std::ptrdiff_t>(at + 5));
  const auto limit = block.begin() + static_cast<std::ptrdiff_t>(at + 5 + kMost);
  if (end != limit) *end++ = '\n';
  std::fill(end, limit, ' ');
}

}  // namespace

std::array<uint8_t, 128> make_edid(std::string_view name, uint32_t width, uint32_t height) {
  Block block = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
  constexpr uint32_t kMaker = ('L' - '@') << 10 | ('Y' - '@') << 5 | ('R' - '@');
  block[8] = static_cast<uint8_t>(kMaker >> 8);
  block[9] = static_cast<uint8_t>(kMaker & 0xff);
  put16(block, 10, 1);  // product
  block[17] = 36;       // made in 2026
  block[18] = 1;        // version 1.4
  block[19] = 4;
  block[20] = 0xa5;  // digital, 8 bits a colour, DisplayPort
  block[21] = static_cast<uint8_t>(std::min(width * 254 / 9600, 255u));  // cm
  block[22] = static_cast<uint8_t>(std::min(height * 254 / 9600, 255u));
  block[23] = 120;   // gamma 2.2
  block[24] = 0x06;  // sRGB, the first mode is the preferred one
  constexpr uint8_t kSrgb[] = {0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54};
  std::copy(std::begin(kSrgb), std::end(kSrgb), block.begin() + 25);
  std::fill(block.begin() + 38, block.begin() + 54, uint8_t{1});  // no standard timings
  put_mode(block, 54, width, height);
  put_name(block, 72, name);
  for (const size_t at : {size_t{90}, size_t{108}}) block[at + 3] = 0x10;  // descriptors that say nothing
  block[127] = static_cast<uint8_t>(-std::accumulate(block.begin(), block.end(), 0));
  return block;
}

}  // namespace lyrebird::devices
