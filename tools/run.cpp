// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <string>
#include <vector>

#include "accel/soft/soft.h"
#include "monitor/gdb/world.h"
#include "tools/commands.h"
#include "tools/disassemble.h"
#include "tools/machine/recognise.h"
#include "tools/machine/run_machine.h"
#include "user/main.h"

namespace lyrebird::tools {

int run_guest(int argc, char** argv, const std::string& invoked_as, const std::string& guest) {
  accel::set_disassembler(guest == "x86_64" || guest == "i386" ? disassemble_x86 : disassemble_a64);
  accel::set_host_disassembler(disassemble_host);
  return user::run_program(argc, argv, environ, invoked_as, guest, gdb::start_debugger);
}

int run(int argc, char** argv) {
  // The first word that is no option says what it is; those before it are of a program's run.
  if (argc > 0 && argv[0][0] != '-')
    if (const auto arguments = machine_for(argv[0])) {
      std::vector<std::string> all = *arguments;
      all.insert(all.end(), argv + 1, argv + argc);
      return run_machine(all, "lyrebird run", "aarch64");
    }
  return run_guest(argc, argv, "lyrebird run", "");
}

}  // namespace lyrebird::tools
