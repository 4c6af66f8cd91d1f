// SPDX-License-Identifier: Apache-2.0
#include "user/process/exec.h"

namespace lyrebird::user {

namespace {

// Variables that the host's dynamic loader or libc would obey.
bool concerns_the_emulator(std::string_view variable) {
  return variable.starts_with("LD_") || variable.starts_with("GLIBC_TUNABLES=") ||
         variable.starts_with("MALLOC_") || variable.starts_with("ASAN_OPTIONS=") ||
         variable.starts_with("TSAN_OPTIONS=") || variable.starts_with("UBSAN_OPTIONS=");
}

}  // namespace

HostCommand emulator_command(const Options& options, const ExecTarget& target,
                             const std::vector<std::string>& environment) {
  HostCommand command;
  command.arguments.push_back("lyrebird-" + target.guest);
  command.arguments.insert(command.arguments.end(), options.kept.begin(), options.kept.end());
  // As given it may be relative to another directory by now.
  if (!options.root.empty()) command.arguments.insert(command.arguments.end(), {"-L", options.root});
  command.arguments.emplace_back("-reexec");
  for (const std::string& variable : environment) {
    command.environment.push_back(concerns_the_emulator(variable) ? std::string(kHiddenVariable) + variable
                                                                  : variable);
  }
  if (target.fd >= 0)
    command.arguments.insert(command.arguments.end(), {"-execfd", std::to_string(target.fd)});
  if (target.seccomp_fd >= 0)
    command.arguments.insert(command.arguments.end(), {"-seccompfd", std::to_string(target.seccomp_fd)});
  command.arguments.insert(command.arguments.end(), {"-0", target.arguments[0], "--", target.host_path});
  command.arguments.insert(command.arguments.end(), target.arguments.begin() + 1, target.arguments.end());
  return command;
}

}  // namespace lyrebird::user
