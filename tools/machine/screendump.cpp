// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/screendump.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <string>

#include "base/words.h"

namespace lyrebird::tools {

namespace {

struct Request {
  std::string file;
  std::string screen;  ///< empty: the first
  ui::ImageFormat format = ui::ImageFormat::Ppm;
};

Result<Request> parse(std::string_view arguments) {
  std::vector<std::string> words;
  std::optional<std::string> format;
  std::istringstream stream{std::string(arguments)};
  for (std::string word; stream >> word;) {
    if (word != "-f") {
      words.push_back(word);
    } else if (stream >> word) {
      format = word;
    }
  }
  if (words.empty() || words.size() > 3) return Error{"wants FILE [DEVICE [HEAD]] [-f ppm|png]"};
  Request request{.file = words[0]};
  if (words.size() > 1) request.screen = words[1];
  if (words.size() > 2) request.screen += "." + words[2];
  if (!format) format = request.file.ends_with(".png") ? "png" : "ppm";
  if (*format != "ppm" && *format != "png") return Error{fmt::format("-f {}: is ppm or png", *format)};
  if (*format == "png") request.format = ui::ImageFormat::Png;
  return request;
}

}  // namespace

Result<void> dump_screen(const std::vector<ui::Screen*>& screens, std::string_view arguments) {
  const Result<Request> request = parse(arguments);
  if (!request) return request.error();
  if (screens.empty()) return Error{"there is no screen; -device virtio-gpu-pci adds one"};
  const auto screen = std::ranges::find_if(screens, [&](ui::Screen* each) {
    // The only output of a device may be called its first.
    return request->screen.empty() || each->name() == request->screen ||
           each->name() + ".0" == request->screen;
  });
  if (screen == screens.end()) {
    std::vector<std::string> names;
    for (ui::Screen* const each : screens) names.push_back(each->name());
    const std::vector<std::string_view> known(names.begin(), names.end());
    return Error{fmt::format("{}: no such screen{}", request->screen, did_you_mean(request->screen, known))};
  }
  const ui::Picture picture = (*screen)->picture();
  if (picture.empty()) return Error{fmt::format("{}: the guest shows nothing yet", (*screen)->name())};
  return ui::write_image(picture, request->file, request->format);
}

}  // namespace lyrebird::tools
