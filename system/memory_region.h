// SPDX-License-Identifier: Apache-2.0
/// What guest physical memory is made of: a tree of regions, as on the board.
///
/// A container holds children at offsets; where children overlap the higher priority is seen, and of
/// equal ones the later added. An alias shows a piece of another region. RAM, ROM and I/O are leaves.
/// Where no child is, a container is transparent: what lies below it is seen.
///
/// Regions are owned by whoever creates them, and outlive what refers to them (parents, aliases,
/// address spaces). Changes are made under the topology lock (one for all regions of the process, taken by
/// every call that changes and by MemoryTransaction); address spaces show all changes of a transaction at
/// once when the outermost one ends. No device's mutex may be wanted by whoever holds it longer than
/// that: lock order is topology > device, except that a device may change its own mapping (a PCI BAR) from
/// write(), because listeners take no device's mutex.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "system/device.h"
#include "system/ram_block.h"

namespace lyrebird::system {

class AddressSpace;
class MemoryRegion;
using MemoryRegionPtr = std::unique_ptr<MemoryRegion>;

/// Sizes of access a device takes: larger ones are split, smaller ones read `min` bytes and give the
/// part (writes smaller than `min` are widened with zeros).
struct IoSizes {
  unsigned min = 1, max = 4;
};

class MemoryRegion {
 public:
  enum class Kind : uint8_t { Container, Ram, Rom, Io, RomDevice, Alias };

  static MemoryRegionPtr container(std::string name, uint64_t size);
  static MemoryRegionPtr ram(std::string name, RamBlock& block);
  /// [offset, offset + size) of the block.
  static MemoryRegionPtr ram(std::string name, RamBlock& block, uint64_t offset, uint64_t size);
  /// The guest can't write it: writes are ignored. Its host bytes are in the block.
  static MemoryRegionPtr rom(std::string name, RamBlock& block);
  static MemoryRegionPtr io(std::string name, uint64_t size, Device& device, IoSizes sizes = {});
  /// Reads and fetches come from the block while set_readable(true) (as at first), writes and all
  /// else go to the device: flash.
  static MemoryRegionPtr rom_device(std::string name, RamBlock& block, Device& device, IoSizes sizes = {});
  /// Shows `size` bytes of `target` from `offset` on.
  static MemoryRegionPtr alias(std::string name, MemoryRegion& target, uint64_t offset, uint64_t size);
  ~MemoryRegion();
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;

  void add(MemoryRegion& child, uint64_t offset, int priority = 0);
  void remove(MemoryRegion& child);
  /// Of this region inside of its parent.
  void move(uint64_t offset);
  void set_enabled(bool enabled);
  /// RomDevice only: false sends reads to the device.
  void set_readable(bool readable);

  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  uint64_t size() const { return size_; }
  bool enabled() const { return enabled_; }
  bool readable() const { return readable_; }
  RamBlock* ram_block() const { return ram_; }
  uint64_t ram_offset() const { return ram_offset_; }
  Device* device() const { return device_; }
  IoSizes sizes() const { return sizes_; }
  MemoryRegion* alias_target() const { return target_; }
  uint64_t alias_offset() const { return target_offset_; }
  MemoryRegion* parent() const { return parent_; }

  struct Child {
    MemoryRegion* region;
    uint64_t offset;
    int priority;
  };
  /// In the order in which they are seen: the first covers the later ones.
  const std::vector<Child>& children() const { return children_; }

 private:
  friend class AddressSpace;
  friend class MemoryTransaction;
  MemoryRegion(std::string name, Kind kind, uint64_t size);
  /// Something about it changed: its address spaces are to be rendered again.
  void changed();

  std::string name_;
  Kind kind_;
  uint64_t size_;
  bool enabled_ = true, readable_ = true, telling_ = false;
  RamBlock* ram_ = nullptr;
  uint64_t ram_offset_ = 0;
  Device* device_ = nullptr;
  IoSizes sizes_;
  MemoryRegion* target_ = nullptr;
  uint64_t target_offset_ = 0;
  MemoryRegion* parent_ = nullptr;
  std::vector<Child> children_;
  std::vector<MemoryRegion*> aliases_;  ///< that show this one
  std::vector<AddressSpace*> spaces_;   ///< whose root this is
};

/// Changes made while one lives are shown together at the end of the outermost. One thread at a time.
class MemoryTransaction {
 public:
  MemoryTransaction();
  ~MemoryTransaction();
  MemoryTransaction(const MemoryTransaction&) = delete;
  MemoryTransaction& operator=(const MemoryTransaction&) = delete;
};

}  // namespace lyrebird::system
