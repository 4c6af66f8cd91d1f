// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/system.h"
#include "frontend/arm/system/system_frontend.h"
#include "machines/virt.h"
#include "tools/disassemble.h"
#include "tools/machine/board.h"

namespace lyrebird::tools {

Result<Board> make_virt(const MachineSettings& settings, const Connections& to) {
  accel::set_disassembler(disassemble_a64);
  accel::set_host_disassembler(disassemble_host);
  machines::VirtOptions options = settings.virt;
  options.serial = &to.serial;
  auto machine = machines::VirtMachine::create(
      to.loop, std::move(options),
      [&settings](const arm::SystemConfig& config) -> Result<machines::VirtMachine::Engine> {
        machines::VirtMachine::Engine engine;
        engine.frontend = std::make_unique<arm::A64SystemFrontend>(config);
        accel::SoftOptions soft;
        soft.executor = settings.jit == "interp" ? accel::Executor::Interp : accel::Executor::Baseline;
        soft.measure = settings.stats;
        engine.accelerator =
            std::make_unique<accel::SoftSystem>(*engine.frontend, soft, settings.virt.counted_clock.get());
        return engine;
      });
  if (!machine.ok()) return machine.error();
  Board board;
  machines::VirtMachine* const virt = machine->get();
  board.plug = [virt](devices::VirtioDevice& device) { return virt->plug(device); };
  board.pci = &virt->pci();
  board.machine = std::move(*machine);
  return board;
}

}  // namespace lyrebird::tools
