// SPDX-License-Identifier: Apache-2.0
/// The one program. Its name says what it does: lyrebird-ARCH runs a program of that machine,
/// lyrebird takes a command (run, binfmt, ...).
#include "user/main.h"

#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "tools/commands.h"
#include "tools/machine/run_machine.h"
#include "user/abi/abi.h"

namespace {

constexpr lyrebird::tools::Command kCommands[] = {
    {"run",
     "[-cpu M] [-L ROOT] ... program [argument...]: run a Linux program of another machine;\n           "
     "KERNEL|IMAGE [option of lyrebird-system-aarch64...]: start a machine with it",
     lyrebird::tools::run},
    {"binfmt", "print or register the binfmt_misc entries", lyrebird::tools::binfmt},
    {"cache", "list, check or remove the translations that are kept on disk", lyrebird::tools::cache},
};

int help(FILE* to, int status) {
  std::fputs("usage: lyrebird command [argument...]\n\n", to);
  for (const auto& command : kCommands) std::fprintf(to, "  %-8s %s\n", command.name, command.help);
  std::fputs("\nlyrebird-ARCH program [argument...] is lyrebird run for one machine; ARCH is one of:", to);
  for (const lyrebird::user::Abi* abi : lyrebird::user::all_abis()) std::fprintf(to, " %s", abi->name);
  std::fputs("\nEvery command explains itself with -help.\n", to);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const char* const path = argc > 0 && argv[0] ? argv[0] : "lyrebird";
  const char* const slash = std::strrchr(path, '/');
  const std::string name = slash ? slash + 1 : path;
  constexpr std::string_view kPrefix = "lyrebird-", kMachinePrefix = "lyrebird-system-";
  for (const std::string_view guest : {"aarch64", "x86_64"})
    if (name.starts_with(kMachinePrefix) && name.substr(kMachinePrefix.size()) == guest)
      return lyrebird::tools::run_machine({argv + 1, argv + argc}, name, std::string(guest));
  if (name.starts_with(kPrefix)) {
    const std::string guest = name.substr(kPrefix.size());
    if (lyrebird::user::find_abi(std::string_view(guest)))
      return lyrebird::tools::run_guest(argc - 1, argv + 1, name, guest);
  }
  if (argc < 2) return help(stderr, 1);
  const std::string_view first = argv[1];
  if (first == "-h" || first == "-help" || first == "--help" || first == "help") return help(stdout, 0);
  if (first == "-version" || first == "--version") {
    std::puts("lyrebird version " LYREBIRD_VERSION);
    return 0;
  }
  for (const auto& command : kCommands)
    if (first == command.name) return command.run(argc - 2, argv + 2);
  std::fprintf(stderr, "lyrebird: %s: no such command; lyrebird -help lists them\n", argv[1]);
  return 1;
}
