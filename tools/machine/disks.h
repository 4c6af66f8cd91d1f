// SPDX-License-Identifier: Apache-2.0
/// The disks that -drive and -blockdev name: files of the host as block nodes.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "block/file_node.h"
#include "block/node.h"
#include "system/event_loop.h"
#include "tools/machine/property_reader.h"

namespace lyrebird::tools {

class Disks {
 public:
  /// `snapshot`: what is written to any of them is lost at the end.
  Disks(system::EventLoop& loop, bool snapshot) : loop_(loop), snapshot_(snapshot) {}

  /// What -drive says. Gives the disk's id if the machine is to make a device for it (if=virtio).
  Result<std::optional<std::string>> add_drive(const std::string& text);
  /// What -blockdev says, as properties or as JSON.
  Result<void> add_block_device(const std::string& text);

  /// The disk for a device, which is then the only one that has it.
  Result<block::Node*> take(const std::string& id);

  /// For people: a line for each.
  std::vector<std::string> describe() const;

 private:
  struct Disk {
    std::shared_ptr<block::Node> node;
    bool used = false;
  };

  Result<void> open(const std::string& id, block::FileOptions options, bool probe, bool snapshot);
  Result<void> add_block_device(PropertyReader& p);
  Result<void> add_raw_node(const std::string& name, const std::string& file_node, PropertyReader& p);

  system::EventLoop& loop_;
  const bool snapshot_;
  std::map<std::string, Disk> disks_;
  unsigned unnamed_ = 0;
};

}  // namespace lyrebird::tools
