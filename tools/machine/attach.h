// SPDX-License-Identifier: Apache-2.0
/// What -drive, -blockdev, -device, -netdev and -nic say, made real: back ends of the host and the devices
/// that the guest sees.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/pci/pci_host.h"
#include "devices/virtio/virtio.h"
#include "system/address_space.h"
#include "system/event_loop.h"
#include "tools/machine/networks.h"
#include "tools/machine/options.h"
#include "ui/screen.h"

namespace lyrebird::tools {

/// Owns them. Destroyed while the CPUs stand and before the machine is.
class Attached {
 public:
  virtual ~Attached() = default;
  /// For people: `info block`, `info network`.
  virtual std::vector<std::string> describe_disks() const = 0;
  virtual std::vector<std::string> describe_networks() const = 0;
  /// Presses keys ("ctrl-alt-f1") on the last virtio keyboard and lets go of them.
  virtual Result<void> send_keys(std::string_view keys) = 0;
  /// Those of all display devices, in the order given.
  virtual std::vector<ui::Screen*> screens() = 0;
};

/// Where devices go.
struct AttachTo {
  system::AddressSpace& memory;
  system::EventLoop& loop;
  /// Gives the device a slot of the machine.
  std::function<Result<void>(devices::VirtioDevice&)> plug;
  FindCharacterDevice character_device;
  /// Null: the machine has no PCI.
  devices::PciHost* pci = nullptr;
};

Result<std::unique_ptr<Attached>> attach_devices(const MachineSettings& settings, AttachTo to);

/// What -device help prints.
std::string device_help();

}  // namespace lyrebird::tools
