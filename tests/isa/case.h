// SPDX-License-Identifier: Apache-2.0
/// Case files of tests/isa (README.md there): parsing.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lyrebird::isa {

/// name=value, as written.
struct Field {
  std::string name;
  std::string value;
};

struct Case {
  std::string file;
  unsigned line = 0;
  std::vector<uint32_t> words;
  std::string text;
  std::vector<Field> in, out;

  std::string where() const { return file + ":" + std::to_string(line); }
};

/// Appends the file's cases; `only_line` 0 for all. Complaints go to stderr; false if there are any.
bool read_cases(const std::string& file, unsigned only_line, std::vector<Case>& cases);

}  // namespace lyrebird::isa
