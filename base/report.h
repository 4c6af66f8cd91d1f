// SPDX-License-Identifier: Apache-2.0
/// The table that -stats prints: sections of named figures with a note each. Whoever counts
/// something adds its rows; nobody needs to know what the others count.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lyrebird {

class Report {
 public:
  /// Rows that follow belong to it; one without rows is not shown.
  void section(std::string_view title);

  void count(std::string_view name, uint64_t value, std::string_view note = {});
  void bytes(std::string_view name, uint64_t value, std::string_view note = {});
  void seconds(std::string_view name, double value, std::string_view note = {});
  /// value / of, with two digits; nothing if `of` is 0.
  void ratio(std::string_view name, double value, double of, std::string_view note = {});
  void text(std::string_view name, std::string value, std::string_view note = {});

  /// The table, lines with \n.
  std::string table() const;

 private:
  struct Row {
    std::string name, value, note;  // a section has neither value nor note
  };
  std::vector<Row> rows_;
};

}  // namespace lyrebird
