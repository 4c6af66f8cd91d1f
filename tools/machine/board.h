// SPDX-License-Identifier: Apache-2.0
/// The boards, made from what the command line says.
#pragma once

#include <functional>
#include <memory>

#include "accel/soft/soft.h"
#include "base/result.h"
#include "devices/pci/pci_host.h"
#include "devices/virtio/virtio.h"
#include "machines/machine.h"
#include "system/char_backend.h"
#include "tools/machine/options.h"

namespace lyrebird::tools {

struct Board {
  accel::Disassembler disassemble = nullptr;  ///< of the guest's code
  std::unique_ptr<machines::Machine> machine;
  /// Gives a device a slot of the machine.
  std::function<Result<void>(devices::VirtioDevice&)> plug;
  devices::PciHost* pci = nullptr;  ///< null: the machine has no PCI
};

/// Where the board's parts are connected.
struct Connections {
  system::EventLoop& loop;
  system::CharBackend& serial;
  const std::string& program;  ///< for messages
};

/// The first accelerator of the list that can be had, "kvm" or "jit". Why those before it cannot is said in a
/// line; an error says why none can.
Result<std::string> choose_accelerator(const MachineSettings& settings, const std::string& program);

Result<Board> make_virt(const MachineSettings& settings, const Connections& to);
Result<Board> make_microvm(const MachineSettings& settings, const Connections& to);

}  // namespace lyrebird::tools
