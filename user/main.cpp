// SPDX-License-Identifier: Apache-2.0
#include "user/main.h"

#include <elf.h>
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/log.h"
#include "user/elf/loader.h"
#include "user/start.h"
#include "user/thread.h"
#include "user/threads/life.h"

namespace lyrebird::user {
namespace {

int complain(const std::string& invoked_as, const std::string& message, int status) {
  std::fputs(fmt::format("{}: {}\n", invoked_as, message).c_str(), stderr);
  return status;
}

/// A program given as an absolute guest path may only be there below -L; and one that is on
/// the host may be the host's own, with the guest's of the same name below -L.
void find_program(Options& options, const Root& root) {
  // What execve() resolved is the host's path already.
  if (root.empty() || options.reexec || !options.program.starts_with('/')) return;
  const uint16_t machine = elf_machine_of(options.program.c_str());
  const Abi* const abi = find_abi(std::string_view(options.guest));
  const bool on_host = abi && abi->is_host_like();
  if (machine != 0 && !on_host && (!abi || machine == abi->elf_machine)) return;
  if (on_host && options.program.starts_with(root.directory() + "/")) return;
  if (HostPath seen = root.translate(options.program, true); !seen.error)
    options.program = std::move(seen.text);
}

const Abi* choose_abi(const Options& options) {
  if (!options.guest.empty()) return find_abi(std::string_view(options.guest));
  const uint16_t machine = elf_machine_of(options.program.c_str());
  const Abi* const abi = find_abi(machine);
  // An unreadable or foreign file gets its message from the loader.
  return abi ? abi : all_abis().front();
}

}  // namespace

int run_program(int argc, char** argv, char** environment, const std::string& invoked_as,
                const std::string& guest, DebuggerStart debugger) {
  Result<Options> parsed = parse_options(argc, argv, environment, invoked_as, guest);
  if (!parsed) return complain(invoked_as, parsed.error().message, 1);
  Options options = std::move(*parsed);
  if (options.exit_now) return 0;
  find_program(options, Root(options.root));
  const Abi* const abi = choose_abi(options);
  if (!abi) return complain(invoked_as, fmt::format("{}: no such guest", options.guest), 1);
  options.guest = abi->name;
  if (options.cpu.empty()) options.cpu = abi->default_cpu;
  Result<CpuChoice> cpu = abi->create_cpu(options.cpu);
  if (!cpu) return complain(invoked_as, cpu.error().message, 1);

  // Never destroyed: other guest threads may still run when this one is done.
  Process& process = *new Process(*abi, std::move(options), std::move(*cpu));
  start_host(process);
  // binfmt_misc's flag O: the kernel opened the program, which we may not be able to.
  const unsigned long kernel_fd = ::getauxval(AT_EXECFD);
  const int exec_fd = kernel_fd ? static_cast<int>(kernel_fd) : process.options.exec_fd;
  if (const Result<void> loaded = process.load(exec_fd); !loaded)
    return complain(invoked_as, loaded.error().message, process.load_exit_status);
  if (log_enabled(LogTopic::Page))
    for (const Region& region : process.memory.regions())
      log(LogTopic::Page, "{:x}-{:x} {}\n", region.start, region.end, region.name ? *region.name : "");

  ::prctl(PR_SET_NAME, process.program.comm.c_str());
  Thread& thread = *new Thread(process, nullptr);
  abi->set_start(thread.cpu(), process.program.entry, process.program.stack_pointer);
  if (process.options.seccomp_fd >= 0 && !thread.seccomp.load(process.options.seccomp_fd))
    return complain(invoked_as, "-seccompfd: not what execve() passes on", 1);
  start_first_thread(thread);
  if (!process.options.gdb.empty()) {
    if (!debugger) return complain(invoked_as, "-g: no debugger support in this program", 1);
    if (!debugger(thread, process.options.gdb)) return 1;
  }
  run_first_thread(thread);
}

}  // namespace lyrebird::user
