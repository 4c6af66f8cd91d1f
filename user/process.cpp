// SPDX-License-Identifier: Apache-2.0
#include "user/process.h"

#include <cstdlib>

#include "base/log.h"
#include "user/elf/loader.h"

namespace lyrebird::user {
namespace {

SpaceLayout layout_for(const Abi& abi, const Options& options) {
  SpaceLayout layout = abi.model.word == 8 ? layout_64bit() : layout_32bit(options.stack_size);
  if (!options.base) return layout;
  layout.base = options.base;
  layout.reserved = abi.model.word == 4;
  return layout;
}

accel::Executor executor_of(const std::string& name) {
  if (name == "interp") return accel::Executor::Interp;
  if (name == "llvm") return accel::Executor::Llvm;
  // In these logs are the IR, and who made it.
  const bool logged =
      log_enabled(LogTopic::InAsm) || log_enabled(LogTopic::Ir) || log_enabled(LogTopic::IrOpt);
  if (name == "direct") return logged ? accel::Executor::Baseline : accel::Executor::Direct;
  return name == "tiered" ? accel::Executor::Tiered : accel::Executor::Baseline;
}

accel::SoftOptions soft_options(const Options& options, const AddressSpace& memory, Process& process) {
  accel::SoftOptions soft;
  soft.executor = executor_of(options.jit);
  soft.measure = options.stats;
  soft.memory_limit = options.code_mib << 20;
  soft.perf_map = options.perf_map;
  soft.gdb_jit = options.gdb_jit;
  soft.zero_base = memory.base() == 0;
  soft.fp_traps = true;
  // What is kept on disk would be missing in these logs.
  const bool logged = log_enabled(LogTopic::InAsm) || log_enabled(LogTopic::Ir) ||
                      log_enabled(LogTopic::IrOpt) || log_enabled(LogTopic::OutAsm);
  if (options.cache != "off" && !logged) {
    soft.keep = accel::usual_keep_options(options.cache);
    soft.keep.key = options.guest + ' ' + options.cpu;
  }
  // What is compiled now is there at once the next time.
  if (!soft.keep.directory.empty()) soft.tier.worth = std::chrono::milliseconds(100), soft.tier.share = 2;
  if (const char* const worth = std::getenv("LYREBIRD_TIER_WORTH"))
    soft.tier.worth = std::chrono::milliseconds(std::strtol(worth, nullptr, 10)), soft.tier.share = 0;
  soft.tier.thread_made = [&process] { process.signals.actions->take_back_from_libc(); };
  return soft;
}

}  // namespace

Process::Process(const Abi& guest_abi, Options given, CpuChoice choice)
    : abi(guest_abi),
      options(std::move(given)),
      cpu(std::move(choice)),
      memory(layout_for(guest_abi, options)),
      root(options.root),
      accelerator(*cpu.frontend, memory, soft_options(options, memory, *this)) {
  memory.on_code_change(
      [](void* self, uint64_t start, uint64_t size) {
        static_cast<Process*>(self)->accelerator.invalidate(start, size);
      },
      this);
  if (abi.coherent_code) memory.set_coherent_code();
}

Process::~Process() = default;

Result<void> Process::load(int fd) { return load_program(*this, fd); }

void Process::before_fork() {
  memory.before_fork();
  accelerator.before_fork();
}

void Process::after_fork(bool in_child) {
  if (in_child)
    accelerator.after_fork_in_child();
  else
    accelerator.after_fork_in_parent();
  memory.after_fork(in_child);
}

}  // namespace lyrebird::user
