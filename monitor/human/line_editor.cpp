// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/line_editor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lyrebird::monitor {

namespace {

constexpr uint8_t ctrl(char letter) { return static_cast<uint8_t>(letter & 0x1f); }
constexpr uint8_t kEscape = 0x1b, kDelete = 0x7f;

/// What all of them begin with.
std::string common_start(const std::vector<std::string>& all) {
  std::string common = all.front();
  for (const std::string& one : all) {
    const auto [differs, _] = std::mismatch(common.begin(), common.end(), one.begin(), one.end());
    common.erase(differs, common.end());
  }
  return common;
}

}  // namespace

std::optional<std::string> LineEditor::key(uint8_t byte, std::string& echo) {
  if (!sequence_.empty() || byte == kEscape) {
    escape(byte, echo);
  } else if (byte == '\r' || byte == '\n') {
    return end_line(echo);
  } else if (byte >= ' ' && byte < kDelete) {
    insert(static_cast<char>(byte), echo);
  } else if (byte == '\t') {
    complete(echo);
  } else {
    control(byte, echo);
  }
  return std::nullopt;
}

void LineEditor::insert(char c, std::string& echo) {
  if (line_.size() >= kLongest) return;
  line_.insert(cursor_++, 1, c);
  // The common case is said in the fewest bytes: scripts wait for what they typed.
  if (cursor_ == line_.size())
    echo += c;
  else
    redraw(echo);
}

void LineEditor::erase(size_t from, size_t to) {
  line_.erase(from, to - from);
  cursor_ = from;
}

void LineEditor::control(uint8_t byte, std::string& echo) {
  switch (byte) {
    case ctrl('H'):
    case kDelete:
      if (cursor_ > 0) erase(cursor_ - 1, cursor_);
      break;
    case ctrl('A'):
      cursor_ = 0;
      break;
    case ctrl('E'):
      cursor_ = line_.size();
      break;
    case ctrl('U'):
      erase(0, cursor_);
      break;
    case ctrl('K'):
      erase(cursor_, line_.size());
      break;
    case ctrl('W'): {
      size_t start = cursor_;
      while (start > 0 && line_[start - 1] == ' ') --start;
      while (start > 0 && line_[start - 1] != ' ') --start;
      erase(start, cursor_);
      break;
    }
    case ctrl('C'):
      erase(0, line_.size());
      break;
    case ctrl('P'):
      if (recalled_ > 0) recall(recalled_ - 1);
      break;
    case ctrl('N'):
      if (recalled_ < history_.size()) recall(recalled_ + 1);
      break;
    default:
      return;
  }
  redraw(echo);
}

/// ECMA-48 section 8.3: CSI is ESC [; xterm sends ESC O for some keys.
void LineEditor::escape(uint8_t byte, std::string& echo) {
  sequence_ += static_cast<char>(byte);
  if (sequence_.size() == 1) return;
  if (sequence_.size() == 2 && (byte == '[' || byte == 'O')) return;
  if (sequence_.size() < 8 && ((byte >= '0' && byte <= '9') || byte == ';')) return;
  const std::string_view key = std::string_view(sequence_).substr(2);
  if (key == "A") {
    control(ctrl('P'), echo);
  } else if (key == "B") {
    control(ctrl('N'), echo);
  } else if (key == "C" && cursor_ < line_.size()) {
    ++cursor_, redraw(echo);
  } else if (key == "D" && cursor_ > 0) {
    --cursor_, redraw(echo);
  } else if (key == "H" || key == "1~") {
    control(ctrl('A'), echo);
  } else if (key == "F" || key == "4~") {
    control(ctrl('E'), echo);
  } else if (key == "3~" && cursor_ < line_.size()) {
    erase(cursor_, cursor_ + 1), redraw(echo);
  }
  sequence_.clear();
}

void LineEditor::recall(size_t line) {
  if (recalled_ == history_.size()) written_ = line_;
  recalled_ = line;
  line_ = line == history_.size() ? written_ : history_[line];
  cursor_ = line_.size();
}

void LineEditor::complete(std::string& echo) {
  const std::vector<std::string> all = complete_(std::string_view(line_).substr(0, cursor_));
  if (all.empty()) return;
  std::string common = common_start(all);
  if (all.size() == 1) common += ' ';
  if (common.size() > cursor_) {
    line_.replace(0, cursor_, common);
    cursor_ = common.size();
  } else if (all.size() > 1) {
    echo += "\r\n";
    for (const std::string& one : all) echo += one + "\r\n";
  }
  redraw(echo);
}

void LineEditor::redraw(std::string& echo) const {
  echo += fmt::format("\r{}{}\x1b[K", prompt_, line_);
  if (const size_t back = line_.size() - cursor_) echo += fmt::format("\x1b[{}D", back);
}

std::string LineEditor::end_line(std::string& echo) {
  echo += "\r\n";
  const bool worth = line_.find_first_not_of(' ') != std::string::npos;
  if (worth && (history_.empty() || history_.back() != line_)) history_.push_back(line_);
  if (history_.size() > kHistory) history_.erase(history_.begin());
  recalled_ = history_.size();
  cursor_ = 0;
  written_.clear();
  return std::exchange(line_, {});
}

}  // namespace lyrebird::monitor
