// SPDX-License-Identifier: Apache-2.0
#include "monitor/human/line_editor.h"

#include <gtest/gtest.h>

namespace lyrebird::monitor {
namespace {

struct Typed {
  std::vector<std::string> lines;
  std::string echo;
};

struct Editor : testing::Test {
  LineEditor editor{"> ", [](std::string_view line) {
                      std::vector<std::string> all;
                      for (const std::string one : {"info cpus", "info jit", "stop"})
                        if (one.starts_with(line)) all.push_back(one);
                      return all;
                    }};
  Typed type(std::string_view keys) {
    Typed typed;
    for (const char c : keys)
      if (auto line = editor.key(static_cast<uint8_t>(c), typed.echo)) typed.lines.push_back(*line);
    return typed;
  }
  std::string line(std::string_view keys) {
    const Typed typed = type(std::string(keys) + "\r");
    return typed.lines.size() == 1 ? typed.lines[0] : "not one line";
  }
};

TEST_F(Editor, WhatIsTypedAtTheEndIsEchoedAsItIs) {
  const Typed typed = type("stop\rcont\n");
  EXPECT_EQ(typed.lines, (std::vector<std::string>{"stop", "cont"}));
  EXPECT_EQ(typed.echo, "stop\r\ncont\r\n");
}

TEST_F(Editor, KeysMoveAndErase) {
  EXPECT_EQ(line("stpo\x7f\x7fop"), "stop");
  EXPECT_EQ(line("top\x01s"), "stop");
  EXPECT_EQ(line("sop\x1b[D\x1b[Dt"), "stop");
  EXPECT_EQ(line("xstop\x1b[H\x1b[3~"), "stop");
  EXPECT_EQ(line("to\x1bOHs\x1b[4~p"), "stop");
  EXPECT_EQ(line("stop it\x17\x7f"), "stop");
  EXPECT_EQ(line("nothing\x15stop"), "stop");
  EXPECT_EQ(line("stop that\x1b[D\x1b[D\x1b[D\x1b[D\x1b[D\x0b"), "stop");
  EXPECT_EQ(line("nothing\x03stop"), "stop");
}

TEST_F(Editor, KeysAtTheEndsDoNothing) {
  EXPECT_EQ(line("\x7f\x1b[D\x1b[3~\x1b[Cab\x1b[C\x1b[A\x1b[B"), "ab");
  EXPECT_EQ(line("\x1b[15~\x1b[1;5Cab"), "ab");
}

TEST_F(Editor, LinesOfBeforeComeBack) {
  type("first\rsecond\rsecond\r \r");
  EXPECT_EQ(editor.history(), (std::vector<std::string>{"first", "second"}));
  EXPECT_EQ(line("\x1b[A\x1b[A"), "first");
  EXPECT_EQ(line("\x10"), "first");
  EXPECT_EQ(line("new\x1b[A\x1b[B!"), "new!");
}

TEST_F(Editor, TabCompletes) {
  EXPECT_EQ(line("st\t"), "stop ");
  EXPECT_EQ(line("in\t"), "info ");
  EXPECT_EQ(line("info c\t"), "info cpus ");
  EXPECT_EQ(line("x\t"), "x");
  EXPECT_NE(type("info \t").echo.find("\r\ninfo cpus\r\ninfo jit\r\n"), std::string::npos);
}

TEST_F(Editor, ALineHasAnEnd) {
  EXPECT_EQ(line(std::string(5000, 'a')).size(), LineEditor::kLongest);
  for (unsigned i = 0; i < 2 * LineEditor::kHistory; ++i) line(std::to_string(i));
  EXPECT_EQ(editor.history().size(), LineEditor::kHistory);
  EXPECT_EQ(editor.history().back(), "199");
}

}  // namespace
}  // namespace lyrebird::monitor
