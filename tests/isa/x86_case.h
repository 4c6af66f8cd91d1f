// SPDX-License-Identifier: Apache-2.0
/// Cases of tests/isa/x86 as text and back (README.md has the fields). What a line does not name is
/// that of default_machine() before, and unchanged after.
#pragma once

#include <set>
#include <string>

#include "tests/diff/x86/machine.h"

namespace lyrebird::isa {

/// One line: the instructions, what goes in, what must come out.
struct X86Case {
  std::string file;
  unsigned line = 0;
  std::string text;
  x86diff::Case run;            ///< in, out and ending as the line has them
  std::set<std::string> any;    ///< fields that are not compared: flags, mem, c1
  std::set<unsigned> any_byte;  ///< bytes of memory that are not compared
  std::set<unsigned> near;      ///< STs that may be one unit in the last place off

  std::string where() const { return file + ":" + std::to_string(line); }
};

x86diff::Machine default_machine(x86::Mode mode);
/// nullptr, or what is wrong with it.
const char* parse_x86_case(const std::string& line, X86Case& to);
/// The line of a case: code, in, out and ending.
std::string print_x86_case(const x86diff::Case& c, const std::string& text);

}  // namespace lyrebird::isa
