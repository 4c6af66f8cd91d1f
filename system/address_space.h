// SPDX-License-Identifier: Apache-2.0
/// Physical memory as somebody on the bus sees it: a CPU, or a device that does DMA.
///
/// Look-ups take no lock and may run on any thread while the topology changes: each sees the flat
/// view of before or after a transaction, never a mixture.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "system/memory_region.h"

namespace lyrebird::system {

struct MemoryResult {
  bool ok;  ///< false: nothing there; the guest gets an external abort
  uint64_t value;
};

/// One piece of the flat view: [start, start + size) shows one region from region_offset on.
struct FlatRange {
  uint64_t start, size;
  MemoryRegion* region;
  uint64_t region_offset;
  bool readable;  ///< RomDevice: reads come from memory

  uint64_t end() const { return start + size; }  ///< 0 if it reaches 2^64
  bool direct_read() const {
    return region->kind() == MemoryRegion::Kind::Ram || region->kind() == MemoryRegion::Kind::Rom ||
           (region->kind() == MemoryRegion::Kind::RomDevice && readable);
  }
  bool direct_write() const { return region->kind() == MemoryRegion::Kind::Ram; }
  bool operator==(const FlatRange&) const = default;
};

/// Hears of each change of the flat view at the end of a transaction, under the topology lock, on the
/// thread that made it: what goes first, then what comes, then changed() once. New listeners are told of all
/// ranges. Must not change the topology nor take a device's mutex.
class MemoryListener {
 public:
  virtual ~MemoryListener() = default;
  virtual void range_removed(const FlatRange&) {}
  virtual void range_added(const FlatRange&) {}
  virtual void changed() {}
};

class AddressSpace {
 public:
  /// `root` outlives it.
  AddressSpace(std::string name, MemoryRegion& root);
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  const std::string& name() const { return name_; }
  MemoryRegion& root() const { return root_; }

  /// size 1..8, any alignment; what crosses regions or is not aligned for a device is split.
  MemoryResult read(uint64_t pa, unsigned size) const;
  /// Marks RAM as written. Writes to ROM are ignored (true).
  bool write(uint64_t pa, unsigned size, uint64_t value) const;

  // DMA: RAM (and ROM for reads) only. False if any byte is not; what was before it was done.
  bool read_bytes(uint64_t pa, void* to, uint64_t size) const;
  bool write_bytes(uint64_t pa, const void* from, uint64_t size) const;
  /// As write_bytes(), but also into ROM and flash: for loaders.
  bool load_bytes(uint64_t pa, const void* from, uint64_t size) const;

  struct Host {
    uint8_t* pointer;
    uint64_t size;  ///< bytes that follow in one piece from pa on
    bool writable;
    RamBlock* ram;
    uint64_t ram_offset;  ///< of pa
  };
  /// Memory at pa that can be read directly; nullopt: I/O or nothing. Who writes through the pointer
  /// calls ram->mark() afterwards. Valid until the flat view changes.
  std::optional<Host> host(uint64_t pa) const;

  /// What is at pa.
  std::optional<FlatRange> find(uint64_t pa) const;
  /// The whole view, sorted by address.
  std::vector<FlatRange> ranges() const;

  void add_listener(MemoryListener& listener);
  void remove_listener(MemoryListener& listener);
  /// Another number after every change, never the same twice in a process.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

 private:
  friend class MemoryTransaction;
  struct View {
    std::vector<FlatRange> ranges;
  };
  std::shared_ptr<const View> view() const;
  bool lookup(uint64_t pa, FlatRange& out) const;
  MemoryResult read_io(const FlatRange& range, uint64_t offset, unsigned size) const;
  void write_io(const FlatRange& range, uint64_t offset, unsigned size, uint64_t value) const;
  bool copy_in(uint64_t pa, const void* from, uint64_t size, bool rom) const;
  /// Under the topology lock.
  void update();

  std::string name_;
  MemoryRegion& root_;
  std::atomic<uint64_t> generation_{0};
  mutable std::mutex view_mutex_;  ///< view_ only; nothing is called under it
  std::shared_ptr<const View> view_;
  std::vector<MemoryListener*> listeners_;
};

}  // namespace lyrebird::system
