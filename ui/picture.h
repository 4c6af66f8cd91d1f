// SPDX-License-Identifier: Apache-2.0
/// An image in the host's memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace lyrebird::ui {

struct Picture {
  uint32_t width = 0, height = 0;
  std::vector<uint32_t> pixels;  ///< 0x00RRGGBB, row by row from the top

  bool empty() const { return pixels.empty(); }
};

enum class ImageFormat : uint8_t { Ppm, Png };

/// Writes the picture to a new file (or over an old one).
Result<void> write_image(const Picture& picture, const std::string& path, ImageFormat format);

}  // namespace lyrebird::ui
