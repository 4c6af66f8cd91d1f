// SPDX-License-Identifier: Apache-2.0
/// One line of input with the keys people know: arrows, Home, End, Ctrl-A/E/U/K/W, Ctrl-P/N and the arrows up
/// and down for lines of before, Tab for what may follow. For a terminal of any width, as long as a line
/// fits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lyrebird::monitor {

class LineEditor {
 public:
  static constexpr size_t kLongest = 1024;
  static constexpr size_t kHistory = 100;

  /// Lines that begin as `line` does and could be meant.
  using Complete = std::function<std::vector<std::string>(std::string_view line)>;

  LineEditor(std::string prompt, Complete complete)
      : prompt_(std::move(prompt)), complete_(std::move(complete)) {}

  /// A key, or a byte of one. What the terminal is to show is appended to `echo` (with "\r\n"); a line that
  /// has been ended is returned.
  std::optional<std::string> key(uint8_t byte, std::string& echo);

  const std::string& prompt() const { return prompt_; }
  const std::vector<std::string>& history() const { return history_; }

 private:
  void insert(char c, std::string& echo);
  void erase(size_t from, size_t to);
  void escape(uint8_t byte, std::string& echo);
  void control(uint8_t byte, std::string& echo);
  void recall(size_t line);
  void complete(std::string& echo);
  void redraw(std::string& echo) const;
  std::string end_line(std::string& echo);

  const std::string prompt_;
  const Complete complete_;
  std::string line_;
  size_t cursor_ = 0;
  std::vector<std::string> history_;
  size_t recalled_ = 0;   ///< the place in history_ that is shown; its size: none
  std::string written_;   ///< the line that was being written before one was recalled
  std::string sequence_;  ///< of an escape sequence so far
};

}  // namespace lyrebird::monitor
