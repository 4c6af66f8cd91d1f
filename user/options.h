// SPDX-License-Identifier: Apache-2.0
/// The command line and environment of user mode, in the style people know from the peer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lyrebird::user {

struct Options {
  std::string guest;        ///< "aarch64", from argv[0] or found from the program
  std::string invoked_as;   ///< for messages: "lyrebird-aarch64"
  std::string root;         ///< -L
  std::string cpu;          ///< -cpu; empty: the guest's usual one
  std::string gdb;          ///< -g PORT or PATH, empty: none
  std::string argv0;        ///< -0
  bool has_argv0 = false;
  std::string uname_release;       ///< -r
  uint64_t stack_size = 8u << 20;  ///< -s
  uint64_t base = 0;               ///< -B
  std::string jit = "baseline";    ///< -jit
  std::string cache;               ///< -cache: a directory, "off", or empty for the usual place
  uint64_t code_mib = 256;         ///< -tb-size
  bool strace = false;
  bool stats = false;  ///< -stats
  bool perf_map = false, gdb_jit = false;
  bool single_step = false;
  std::vector<std::string> environment;  ///< for the guest, after -E and -U
  std::string program;                   ///< host path
  std::vector<std::string> arguments;    ///< of the guest; [0] included
  int seccomp_fd = -1;                   ///< filters of the program before (Seccomp::load)
  int exec_fd = -1;                      ///< program, opened already (execveat by the guest)
  bool reexec = false;                   ///< a guest program started us with execve
  std::vector<std::string> kept;         ///< what a program started by the guest is run with, as given
  bool exit_now = false;                 ///< --help and the like: text was printed
};

/// Parses what follows the program's own name; prints the text of -help and the like itself.
/// `environment` is the host's; `guest` may be empty.
Result<Options> parse_options(int argc, char** argv, char** environment, std::string invoked_as,
                              std::string guest);

}  // namespace lyrebird::user
