// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "accel/soft/soft.h"
#include "monitor/gdb/server.h"
#include "tools/commands.h"
#include "tools/disassemble.h"
#include "user/main.h"

namespace lyrebird::tools {

int run_guest(int argc, char** argv, const std::string& invoked_as, const std::string& guest) {
  accel::set_disassembler(guest == "x86_64" || guest == "i386" ? disassemble_x86 : disassemble_a64);
  accel::set_host_disassembler(disassemble_host);
  return user::run_program(argc, argv, environ, invoked_as, guest, gdb::start_debugger);
}

int run(int argc, char** argv) { return run_guest(argc, argv, "lyrebird run", ""); }

}  // namespace lyrebird::tools
