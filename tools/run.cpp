// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "monitor/gdb/server.h"
#include "tools/commands.h"
#include "user/main.h"

namespace lyrebird::tools {

int run_guest(int argc, char** argv, const std::string& invoked_as, const std::string& guest) {
  return user::run_program(argc, argv, environ, invoked_as, guest, gdb::start_debugger);
}

int run(int argc, char** argv) { return run_guest(argc, argv, "lyrebird run", ""); }

}  // namespace lyrebird::tools
