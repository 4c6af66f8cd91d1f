// SPDX-License-Identifier: Apache-2.0
#include "ui/picture.h"

#include <fmt/format.h>
#include <png.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace lyrebird::ui {

namespace {

std::vector<uint8_t> as_bytes(const Picture& picture) {
  std::vector<uint8_t> bytes;
  bytes.reserve(picture.pixels.size() * 3);
  for (const uint32_t pixel : picture.pixels) {
    for (const unsigned shift : {16, 8, 0}) bytes.push_back(static_cast<uint8_t>(pixel >> shift));
  }
  return bytes;
}

// Both leave errno if they fail.
bool write_ppm(const Picture& picture, const std::vector<uint8_t>& bytes, std::FILE* file) {
  const std::string head = fmt::format("P6\n{} {}\n255\n", picture.width, picture.height);
  return std::fwrite(head.data(), 1, head.size(), file) == head.size() &&
         std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
}

bool write_png(const Picture& picture, const std::vector<uint8_t>& bytes, std::FILE* file) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = picture.width;
  image.height = picture.height;
  image.format = PNG_FORMAT_RGB;
  return png_image_write_to_stdio(&image, file, 0, bytes.data(), 0, nullptr) != 0;
}

}  // namespace

Result<void> write_image(const Picture& picture, const std::string& path, ImageFormat format) {
  const auto failed = [&] { return Error{fmt::format("{}: {}", path, std::strerror(errno ? errno : EIO))}; };
  std::FILE* const file = std::fopen(path.c_str(), "wbe");
  if (!file) return failed();
  const std::vector<uint8_t> bytes = as_bytes(picture);
  const bool written =
      format == ImageFormat::Png ? write_png(picture, bytes, file) : write_ppm(picture, bytes, file);
  if (std::fclose(file) != 0 || !written) return failed();
  return {};
}

}  // namespace lyrebird::ui
