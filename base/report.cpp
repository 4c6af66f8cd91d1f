// SPDX-License-Identifier: Apache-2.0
#include "base/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lyrebird {

namespace {

/// 1234567 as 1 234 567.
std::string grouped(uint64_t value) {
  std::string text = std::to_string(value);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ' ');
  return text;
}

}  // namespace

void Report::section(std::string_view title) { rows_.push_back({std::string(title), {}, {}}); }

void Report::text(std::string_view name, std::string value, std::string_view note) {
  rows_.push_back({std::string(name), std::move(value), std::string(note)});
}

void Report::count(std::string_view name, uint64_t value, std::string_view note) {
  text(name, grouped(value), note);
}

void Report::bytes(std::string_view name, uint64_t value, std::string_view note) {
  text(name, value < 10240 ? grouped(value) + " B" : grouped(value / 1024) + " KiB", note);
}

void Report::seconds(std::string_view name, double value, std::string_view note) {
  text(name, fmt::format("{:.3f} s", value), note);
}

void Report::ratio(std::string_view name, double value, double of, std::string_view note) {
  if (of != 0) text(name, fmt::format("{:.2f}", value / of), note);
}

std::string Report::table() const {
  size_t names = 0, values = 0;
  for (const Row& row : rows_) {
    if (!row.value.empty()) names = std::max(names, row.name.size());
    values = std::max(values, row.value.size());
  }
  std::string out;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    if (!row.value.empty()) {
      out += fmt::format("  {:<{}}  {:>{}}{}{}\n", row.name, names, row.value, values,
                         row.note.empty() ? "" : "  ", row.note);
    } else if (i + 1 < rows_.size() && !rows_[i + 1].value.empty()) {
      out += row.name + '\n';
    }
  }
  return out;
}

}  // namespace lyrebird
