// SPDX-License-Identifier: Apache-2.0
#include "user/process/exec.h"

namespace lyrebird::user {

bool parse_script_line(std::string_view head, ScriptLine& line) {
  constexpr std::string_view kBlank = " \t";
  if (!head.starts_with("#!")) return false;
  const size_t end = head.find('\n');
  std::string_view text = head.substr(2, end == head.npos ? head.npos : end - 2);
  const size_t start = text.find_first_not_of(kBlank);
  if (start == text.npos) return false;
  text.remove_prefix(start);
  // Without a line end in the kernel's buffer the interpreter's name must at least end in it.
  if (end == head.npos && head.size() >= 256 && text.find_first_of(kBlank) == text.npos) return false;
  text = text.substr(0, text.find('\0'));
  if (text.empty()) return false;
  text = text.substr(0, text.find_last_not_of(kBlank) + 1);
  const size_t name_end = text.find_first_of(kBlank);
  line.interpreter = text.substr(0, name_end);
  line.has_argument = false;
  if (name_end != text.npos) {
    line.argument = text.substr(text.find_first_not_of(kBlank, name_end));
    line.has_argument = true;
  }
  return true;
}

}  // namespace lyrebird::user
