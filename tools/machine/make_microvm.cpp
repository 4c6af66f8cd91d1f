// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "machines/microvm.h"
#include "tools/disassemble.h"
#include "tools/machine/board.h"

namespace lyrebird::tools {

Result<Board> make_microvm(const MachineSettings& settings, const Connections& to) {
  machines::MicrovmOptions options = settings.microvm;
  options.disassembler = disassemble_x86;
  options.serial = &to.serial;
  auto machine = machines::MicrovmMachine::create(to.loop, std::move(options));
  if (!machine.ok()) return machine.error();
  machines::MicrovmMachine* const microvm = machine->get();
  if (const auto& missing = microvm->kvm().cpuid().missing(); !missing.empty())
    std::fputs(fmt::format("{}: -cpu {}: this host has no {}: the guest goes without\n", to.program,
                           settings.microvm.cpu, fmt::join(missing, ", "))
                   .c_str(),
               stderr);
  Board board;
  board.disassemble = disassemble_x86;
  board.plug = [microvm](devices::VirtioDevice& device) { return microvm->plug(device); };
  board.machine = std::move(*machine);
  return board;
}

}  // namespace lyrebird::tools
