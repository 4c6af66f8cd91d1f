// SPDX-License-Identifier: Apache-2.0
#include "tools/machine/properties.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace lyrebird::tools {

std::vector<Property> parse_properties(std::string_view text, std::string_view first) {
  std::vector<std::string> items(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      items.back().push_back(text[i]);
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      items.back().push_back(',');
      ++i;
    } else {
      items.emplace_back();
    }
  }
  std::vector<Property> properties;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::string& item = items[i];
    if (item.empty()) continue;
    const size_t equals = item.find('=');
    if (equals != std::string::npos)
      properties.push_back({item.substr(0, equals), item.substr(equals + 1)});
    else if (i == 0 && !first.empty())
      properties.push_back({std::string(first), item});
    else
      properties.push_back({item, "on"});
  }
  return properties;
}

Result<bool> parse_switch(std::string_view what, std::string_view value) {
  if (value == "on" || value == "yes" || value == "true") return true;
  if (value == "off" || value == "no" || value == "false") return false;
  return Error{fmt::format("{}={}: is on or off", what, value)};
}

Result<uint64_t> parse_size(std::string_view what, std::string_view value, uint64_t unit) {
  double number = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
  std::string_view rest(end, static_cast<size_t>(value.data() + value.size() - end));
  if (!rest.empty()) {
    const size_t letter = std::string_view("bkmgtBKMGT").find(rest[0]);
    if (letter != std::string_view::npos) {
      unit = uint64_t{1} << (10 * (letter % 5));
      rest.remove_prefix(1);
    }
  }
  const double size = number * static_cast<double>(unit);
  if (value.empty() || code != std::errc() || !rest.empty() || !(size >= 0) || size > 0x1p62)
    return Error{fmt::format("{} {}: is no size, as 512M or 4G", what, value)};
  return static_cast<uint64_t>(size);
}

Result<uint64_t> parse_number(std::string_view what, std::string_view value, uint64_t low, uint64_t high) {
  std::string_view digits = value;
  int base = 10;
  if (digits.starts_with("0x")) digits.remove_prefix(2), base = 16;
  uint64_t number = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (digits.empty() || code != std::errc() || end != digits.data() + digits.size() || number < low ||
      number > high)
    return Error{fmt::format("{} {}: is no number from {} to {}", what, value, low, high)};
  return number;
}

}  // namespace lyrebird::tools
