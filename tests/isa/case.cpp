// SPDX-License-Identifier: Apache-2.0
#include "tests/isa/case.h"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace lyrebird::isa {

namespace {

std::string trimmed(const std::string& s) {
  const size_t first = s.find_first_not_of(" \t");
  return first == std::string::npos ? "" : s.substr(first, s.find_last_not_of(" \t") - first + 1);
}

bool parse_fields(const std::string& text, std::vector<Field>& fields) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) return false;
    fields.push_back({word.substr(0, equals), word.substr(equals + 1)});
  }
  return true;
}

bool parse_words(const std::string& text, std::vector<uint32_t>& words) {
  std::istringstream stream(text);
  for (std::string word; stream >> word;) {
    if (word.size() != 8 || word.find_first_not_of("0123456789abcdef") != std::string::npos) return false;
    words.push_back(static_cast<uint32_t>(std::stoul(word, nullptr, 16)));
  }
  return !words.empty();
}

const char* parse_case(const std::string& line, Case& c) {
  const size_t colon = line.find(" : ");
  if (colon == std::string::npos || !parse_words(line.substr(0, colon), c.words))
    return "has no instruction words: run tests/isa/assemble";
  const size_t first = line.find('|', colon);
  const size_t second = first == std::string::npos ? first : line.find('|', first + 1);
  if (second == std::string::npos) return "wants: words : text | in | out";
  c.text = trimmed(line.substr(colon + 3, first - colon - 3));
  if (!parse_fields(line.substr(first + 1, second - first - 1), c.in))
    return "the left fields are not name=value";
  if (!parse_fields(line.substr(second + 1), c.out)) return "the right fields are not name=value";
  return nullptr;
}

}  // namespace

bool read_cases(const std::string& file, unsigned only_line, std::vector<Case>& cases) {
  std::ifstream stream(file);
  if (!stream) {
    std::fprintf(stderr, "%s: can't be opened\n", file.c_str());
    return false;
  }
  bool good = true;
  unsigned number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (trimmed(line).empty() || line[0] == '#' || (only_line != 0 && number != only_line)) continue;
    Case c{.file = file, .line = number, .words = {}, .text = {}, .in = {}, .out = {}};
    if (const char* error = parse_case(line, c)) {
      std::fprintf(stderr, "%s: %s\n", c.where().c_str(), error);
      good = false;
    } else {
      cases.push_back(std::move(c));
    }
  }
  return good;
}

}  // namespace lyrebird::isa
