// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "accel/soft/system.h"
#include "base/log.h"
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
        auto frontend = std::make_unique<arm::A64SystemFrontend>(config);
        accel::SoftOptions soft;
        soft.executor = settings.jit == "interp" ? accel::Executor::Interp : accel::Executor::Baseline;
        soft.measure = settings.stats;
        system::CountedClock* const clock = settings.virt.counted_clock.get();
        // What is kept on disk would be missing in these logs, and does not count.
        const bool logged = log_enabled(LogTopic::InAsm) || log_enabled(LogTopic::Ir) ||
                            log_enabled(LogTopic::IrOpt) || log_enabled(LogTopic::OutAsm);
        if (settings.cache != "off" && !logged && !clock) {
          soft.keep = accel::usual_keep_options(settings.cache);
          soft.keep.key = frontend->translation_key();
        }
        const std::string& kernel = settings.virt.kernel;
        engine.accelerator = std::make_unique<accel::SoftSystem>(
            *frontend, soft, clock, kernel.empty() ? "machine" : kernel.substr(kernel.rfind('/') + 1));
        engine.frontend = std::move(frontend);
        return engine;
      });
  if (!machine.ok()) return machine.error();
  Board board;
  board.disassemble = disassemble_a64;
  machines::VirtMachine* const virt = machine->get();
  board.plug = [virt](devices::VirtioDevice& device) { return virt->plug(device); };
  board.pci = &virt->pci();
  board.machine = std::move(*machine);
  return board;
}

}  // namespace lyrebird::tools
