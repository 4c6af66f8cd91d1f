// SPDX-License-Identifier: Apache-2.0
/// The commands of the lyrebird program. Arguments are those after the command's name.
#pragma once

#include <string>

namespace lyrebird::tools {

struct Command {
  const char* name;
  const char* help;
  int (*run)(int argc, char** argv);
};

int run(int argc, char** argv);
int binfmt(int argc, char** argv);
int cache(int argc, char** argv);

/// User mode for one guest; `invoked_as` is for messages.
int run_guest(int argc, char** argv, const std::string& invoked_as, const std::string& guest);

}  // namespace lyrebird::tools
