// SPDX-License-Identifier: Apache-2.0
/// execve(2): the emulator runs itself again for a guest program, with the options that it was
/// given; a program for the host is run by the host. Whatever the kernel would refuse (ENOENT,
/// EACCES, ENOEXEC, ETXTBSY, E2BIG, ELOOP) is refused here, before the point of no return.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "user/options.h"

namespace lyrebird::user {

class Thread;

/// What to run in the end, after `#!` lines were followed.
struct ExecTarget {
  std::string host_path;
  std::string guest_path;
  int fd = -1;  ///< the file was given by descriptor: its number in the new program
  int seccomp_fd = -1;  ///< the filters that the new program inherits (Seccomp::save)
  bool native = false;
  std::string guest;  ///< name of the Abi otherwise
  std::vector<std::string> arguments;
};

struct ExecRequest {
  int dir = -100;  ///< AT_FDCWD
  std::string path;
  bool empty_path = false;  ///< AT_EMPTY_PATH and no path: the file is `dir`
  bool no_follow = false;   ///< AT_SYMLINK_NOFOLLOW
  std::vector<std::string> arguments, environment;
};

/// 0 and a target, or -errno.
int64_t find_exec_target(Thread& t, const ExecRequest& request, ExecTarget& target);

/// The first line of a script, "#!interpreter argument", as fs/binfmt_script.c reads it.
struct ScriptLine {
  std::string interpreter, argument;
  bool has_argument = false;
};
/// False: not a usable script (ENOEXEC). `head` are the file's first bytes, at most 256.
bool parse_script_line(std::string_view head, ScriptLine& line);

/// The command line that runs `target` under the same options, and its environment: variables
/// that would change the emulator's own loader travel under another name.
inline constexpr std::string_view kHiddenVariable = "LYREBIRD_GUEST_";
struct HostCommand {
  std::vector<std::string> arguments, environment;
};
HostCommand emulator_command(const Options& options, const ExecTarget& target,
                             const std::vector<std::string>& environment);

}  // namespace lyrebird::user
