// SPDX-License-Identifier: Apache-2.0
/// The command line of lyrebird-system-ARCH: one table of options that parses, explains and corrects.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "machines/microvm.h"
#include "machines/virt.h"
#include "tools/machine/properties.h"

namespace lyrebird::tools {

struct MachineSettings {
  std::string guest;  ///< aarch64 or x86_64
  std::string machine;
  /// What both boards have is in both.
  machines::VirtOptions virt;
  machines::MicrovmOptions microvm;
  /// Each as written.
  std::vector<std::string> drives, block_devices, devices, netdevs, nics, serials, chardevs, monitors,
      folders, shared_folders;
  std::string gdb;
  std::vector<std::string> accelerators;  ///< to be tried one after the other; empty: the guest's usual one
  std::string jit = "baseline";
  std::vector<std::vector<unsigned>> pins;  ///< host CPUs of each vCPU; fewer than those: the rest is free
  std::vector<std::string> objects;         ///< -object, as written
  std::string memory_backend;               ///< -M memory-backend=
  std::string incoming;  ///< a file with the state of a machine; "defer": the monitor will name one
  bool nographic = false, reboot = true, stopped = false, snapshot = false, stats = false;
  std::string log_file;
  std::string cache;  ///< a directory, "off", or empty for the usual one
  /// Something was printed that was asked for (-help): nothing is to run.
  bool done = false;
};

/// Arguments without the program's name.
Result<MachineSettings> parse_machine_options(const std::vector<std::string>& arguments,
                                              const std::string& guest);

/// What --help prints.
std::string machine_help(const std::string& guest);

}  // namespace lyrebird::tools
