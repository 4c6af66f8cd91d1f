// SPDX-License-Identifier: Apache-2.0
/// The other side of a virtio device: a machine with RAM, a transport and a driver that keeps the rules
/// of Virtual I/O Device 1.2 for both layouts of rings. Written from the specification, not from the device.
#pragma once

#include <chrono>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/virtio/mmio.h"
#include "devices/virtio/virtio.h"
#include "system/address_space.h"
#include "system/event_loop.h"
#include "system/memory_region.h"
#include "system/ram_block.h"

namespace lyrebird::devices::test {

struct RingKind {
  bool packed = false, event_index = false, indirect = false;
};

inline constexpr uint64_t kRamBase = 0x4000'0000, kRamSize = 16 << 20, kMmioBase = 0x0a00'0000;

class CountingSink final : public system::IrqSink {
 public:
  void set_irq(unsigned, bool level) override {
    if (level && !level_) ++raised;
    level_ = level;
  }
  bool level() const { return level_; }
  unsigned raised = 0;

 private:
  bool level_ = false;
};

/// RAM, loop and bus of a machine with one device.
class Board {
 public:
  Board() {
    ram_ = system::RamBlock::create("ram", kRamSize).value();
    root_ = system::MemoryRegion::container("root", 1ull << 40);
    ram_region_ = system::MemoryRegion::ram("ram", *ram_);
    root_->add(*ram_region_, kRamBase);
    memory = std::make_unique<system::AddressSpace>("memory", *root_);
  }

  system::MemoryRegion& root() { return *root_; }
  system::RamBlock& ram() { return *ram_; }
  uint8_t* host(uint64_t address) { return ram_->host() + (address - kRamBase); }
  uint64_t allocate(uint64_t size, uint64_t alignment = 16) {
    next_ = (next_ + alignment - 1) & ~(alignment - 1);
    const uint64_t at = next_;
    next_ += size;
    return at;
  }
  void free_all() { next_ = kRamBase; }
  template <typename T>
  void put(uint64_t address, T value) {
    std::memcpy(host(address), &value, sizeof value);
  }
  template <typename T>
  T get(uint64_t address) {
    T value;
    std::memcpy(&value, host(address), sizeof value);
    return value;
  }
  /// Runs the loop until `done`; false after five seconds.
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      loop.run_once(5);
    }
    return true;
  }
  /// What has been posted.
  void settle() {
    for (int i = 0; i < 4; ++i) loop.run_once(0);
  }

  system::EventLoop loop;
  CountingSink irq;

 private:
  uint64_t next_ = kRamBase;
  std::unique_ptr<system::RamBlock> ram_;
  system::MemoryRegionPtr ram_region_, root_;

 public:
  std::unique_ptr<system::AddressSpace> memory;
};

struct Buffer {
  uint64_t address;
  uint32_t size;
  bool writable;
};
struct Used {
  uint16_t id;
  uint32_t written;
};

/// Where a ring is, as the transport is told.
struct RingPlace {
  uint64_t descriptors = 0, driver_area = 0, device_area = 0;
  uint16_t size = 0;
};

/// One ring as the driver sees it.
class DriverRing : public RingPlace {
 public:
  DriverRing(Board& board, RingKind kind, uint16_t slots)
      : RingPlace{.size = slots}, board_(board), kind_(kind) {
    descriptors = board.allocate(16 * size, 16);
    driver_area = board.allocate(kind.packed ? 4 : 6 + 2 * size, 4);
    device_area = board.allocate(kind.packed ? 4 : 6 + 8 * size, 4);
    std::memset(board.host(descriptors), 0, 16 * size);
    std::memset(board.host(driver_area), 0, kind.packed ? 4 : 6 + 2 * size);
    std::memset(board.host(device_area), 0, kind.packed ? 4 : 6 + 8 * size);
    for (uint16_t i = 0; i < size; ++i) free_.push_back(static_cast<uint16_t>(size - 1 - i));
    if (kind.event_index) want_interrupt_after(0);
  }

  size_t free_slots() const { return kind_.packed ? size - used_slots_ : free_.size(); }

  /// Offers a buffer; its id. Needs as many free slots as there are pieces (one if indirect).
  uint16_t add(const std::vector<Buffer>& pieces) {
    const bool indirect = kind_.indirect && pieces.size() > 1;
    return kind_.packed ? add_packed(pieces, indirect) : add_split(pieces, indirect);
  }

  std::optional<Used> get() {
    const auto used = kind_.packed ? get_packed() : get_split();
    if (used && kind_.event_index && interrupts_) want_interrupt_after(0);
    return used;
  }

  /// Whether the device wants to hear of what was added since this was asked last.
  bool must_notify() {
    const uint16_t added = std::exchange(added_, 0);
    if (!kind_.packed) {
      if (!kind_.event_index) return !(get16(device_area) & 1);
      const uint16_t event = get16(device_area + 4 + 8 * size);
      return static_cast<uint16_t>(avail_ - event - 1) < added;
    }
    const uint16_t flags = get16(device_area + 2);
    if (flags != 2) return flags == 0;
    const uint16_t off_wrap = get16(device_area);
    int event = off_wrap & 0x7fff;
    if ((off_wrap >> 15 != 0) != avail_wrap_) event -= size;
    return static_cast<uint16_t>(avail_ - event - 1) < added;
  }

  void disable_interrupts() {
    interrupts_ = false;
    if (kind_.packed) {
      put16(driver_area + 2, 1);
    } else if (!kind_.event_index) {
      put16(driver_area, 1);
    }
  }
  /// Event index: interrupt me when `more` more than the next have been used.
  void want_interrupt_after(uint16_t more) {
    interrupts_ = true;
    if (!kind_.packed) {
      put16(driver_area + 4 + 2 * size, static_cast<uint16_t>(used_ + more));
      return;
    }
    uint16_t at = used_ + more;
    bool wrap = used_wrap_;
    if (at >= size) {
      at -= size;
      wrap = !wrap;
    }
    put16(driver_area, static_cast<uint16_t>(at | wrap << 15));
    put16(driver_area + 2, 2);
  }

 private:
  uint16_t get16(uint64_t at) { return board_.get<uint16_t>(at); }
  void put16(uint64_t at, uint16_t value) { board_.put<uint16_t>(at, value); }
  void put_descriptor(uint64_t at, const Buffer& piece, uint16_t third, uint16_t fourth) {
    board_.put<uint64_t>(at, piece.address);
    board_.put<uint32_t>(at + 8, piece.size);
    put16(at + 12, third);
    put16(at + 14, fourth);
  }
  uint64_t table(const std::vector<Buffer>& pieces) {
    const uint64_t at = board_.allocate(16 * pieces.size(), 16);
    for (size_t i = 0; i < pieces.size(); ++i) {
      const uint16_t write = pieces[i].writable ? 2 : 0;
      if (kind_.packed) {
        put_descriptor(at + 16 * i, pieces[i], 0, write);
      } else {
        const bool last = i + 1 == pieces.size();
        put_descriptor(at + 16 * i, pieces[i], write | (last ? 0 : 1),
                       static_cast<uint16_t>(last ? 0 : i + 1));
      }
    }
    return at;
  }

  uint16_t add_split(const std::vector<Buffer>& pieces, bool indirect) {
    std::vector<uint16_t> slots;
    const size_t count = indirect ? 1 : pieces.size();
    for (size_t i = 0; i < count; ++i) {
      slots.push_back(free_.back());
      free_.pop_back();
    }
    if (indirect) {
      const Buffer whole{table(pieces), static_cast<uint32_t>(16 * pieces.size()), false};
      put_descriptor(descriptors + 16 * slots[0], whole, 4, 0);
    } else {
      for (size_t i = 0; i < count; ++i) {
        const bool last = i + 1 == count;
        put_descriptor(descriptors + 16 * slots[i], pieces[i],
                       static_cast<uint16_t>((pieces[i].writable ? 2 : 0) | (last ? 0 : 1)),
                       last ? 0 : slots[i + 1]);
      }
    }
    put16(driver_area + 4 + 2 * (avail_ % size), slots[0]);
    put16(driver_area + 2, ++avail_);
    ++added_;
    const uint16_t head = slots[0];
    chains_[head] = std::move(slots);
    return head;
  }

  uint16_t add_packed(const std::vector<Buffer>& pieces, bool indirect) {
    const uint16_t count = static_cast<uint16_t>(indirect ? 1 : pieces.size());
    const uint16_t id = free_.back();
    free_.pop_back();
    const uint16_t first = avail_;
    uint16_t first_flags = 0;
    for (uint16_t i = 0; i < count; ++i) {
      uint16_t flags = avail_wrap_ ? 1 << 7 : 1 << 15;
      Buffer piece = pieces[i];
      if (indirect) {
        piece = {table(pieces), static_cast<uint32_t>(16 * pieces.size()), false};
        flags |= 4;
      } else {
        flags |= (piece.writable ? 2 : 0) | (i + 1 < count ? 1 : 0);
      }
      if (i == 0) first_flags = flags;
      // The first one's flags come last: they hand over the chain.
      const uint64_t at = descriptors + 16 * avail_;
      put_descriptor(at, piece, id, i == 0 ? get16(at + 14) : flags);
      if (++avail_ == size) {
        avail_ = 0;
        avail_wrap_ = !avail_wrap_;
      }
    }
    put16(descriptors + 16 * first + 14, first_flags);
    used_slots_ += count;
    added_ += count;
    chains_[id] = std::vector<uint16_t>(count);
    return id;
  }

  std::optional<Used> get_split() {
    if (get16(device_area + 2) == used_) return {};
    const uint64_t at = device_area + 4 + 8 * (used_ % size);
    const Used used{static_cast<uint16_t>(board_.get<uint32_t>(at)), board_.get<uint32_t>(at + 4)};
    ++used_;
    for (uint16_t slot : chains_.at(used.id)) free_.push_back(slot);
    chains_.erase(used.id);
    return used;
  }

  std::optional<Used> get_packed() {
    const uint64_t at = descriptors + 16 * used_;
    const uint16_t flags = get16(at + 14);
    const bool avail = flags & 1 << 7, used_bit = flags & 1 << 15;
    if (avail != used_bit || used_bit != used_wrap_) return {};
    const Used used{get16(at + 12), board_.get<uint32_t>(at + 8)};
    const uint16_t slots = static_cast<uint16_t>(chains_.at(used.id).size());
    chains_.erase(used.id);
    free_.push_back(used.id);
    used_slots_ -= slots;
    used_ += slots;
    if (used_ >= size) {
      used_ -= size;
      used_wrap_ = !used_wrap_;
    }
    return used;
  }

  Board& board_;
  const RingKind kind_;
  std::vector<uint16_t> free_;  // slots, or ids of the packed layout
  std::map<uint16_t, std::vector<uint16_t>> chains_;
  uint16_t avail_ = 0, used_ = 0, added_ = 0, used_slots_ = 0;
  bool avail_wrap_ = true, used_wrap_ = true, interrupts_ = true;
};

/// Registers of a transport, as a driver uses them.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual uint64_t features() = 0;
  virtual void set_features(uint64_t features) = 0;
  virtual uint8_t status() = 0;
  virtual void set_status(uint8_t status) = 0;
  virtual uint16_t queue_max(unsigned queue) = 0;
  virtual void set_queue(unsigned queue, const RingPlace& ring) = 0;
  virtual void notify(unsigned queue) = 0;
  virtual uint32_t config(uint64_t offset, unsigned size) = 0;
  virtual void set_config(uint64_t offset, unsigned size, uint32_t value) = 0;
  /// Interrupts since this was asked last, acknowledged: bit 0 of a queue, bit 1 of the configuration.
  virtual uint32_t interrupts() = 0;
};

class MmioTransport final : public Transport {
 public:
  MmioTransport(Board& board, VirtioDevice& device) : board_(board), mmio(system::IrqLine(board.irq, 0)) {
    mmio.plug(device);
    region_ = system::MemoryRegion::io("virtio-mmio", VirtioMmio::kSize, mmio);
    board.root().add(*region_, kMmioBase);
  }
  ~MmioTransport() override { board_.root().remove(*region_); }

  uint32_t read(uint64_t offset, unsigned size = 4) {
    return static_cast<uint32_t>(board_.memory->read(kMmioBase + offset, size).value);
  }
  void write(uint64_t offset, uint32_t value, unsigned size = 4) {
    board_.memory->write(kMmioBase + offset, size, value);
  }

  uint64_t features() override {
    write(0x14, 1);
    const uint64_t high = read(0x10);
    write(0x14, 0);
    return high << 32 | read(0x10);
  }
  void set_features(uint64_t features) override {
    for (unsigned half = 0; half < 2; ++half) {
      write(0x24, half);
      write(0x20, static_cast<uint32_t>(features >> 32 * half));
    }
  }
  uint8_t status() override { return static_cast<uint8_t>(read(0x70)); }
  void set_status(uint8_t status) override { write(0x70, status); }
  uint16_t queue_max(unsigned queue) override {
    write(0x30, queue);
    return static_cast<uint16_t>(read(0x34));
  }
  void set_queue(unsigned queue, const RingPlace& ring) override {
    write(0x30, queue);
    write(0x38, ring.size);
    const uint64_t areas[] = {ring.descriptors, ring.driver_area, ring.device_area};
    for (unsigned i = 0; i < 3; ++i) {
      write(0x80 + 0x10 * i, static_cast<uint32_t>(areas[i]));
      write(0x84 + 0x10 * i, static_cast<uint32_t>(areas[i] >> 32));
    }
    write(0x44, 1);
  }
  void notify(unsigned queue) override { write(0x50, queue); }
  uint32_t config(uint64_t offset, unsigned size) override { return read(0x100 + offset, size); }
  void set_config(uint64_t offset, unsigned size, uint32_t value) override {
    write(0x100 + offset, value, size);
  }
  uint32_t interrupts() override {
    const uint32_t status = read(0x60);
    write(0x64, status);
    return status;
  }

 private:
  Board& board_;
  system::MemoryRegionPtr region_;

 public:
  VirtioMmio mmio;
};

/// A driver of any device: initialises it, and does one request after the other.
class Driver {
 public:
  Driver(Board& board, Transport& transport, RingKind kind)
      : board(board), transport(transport), kind_(kind) {}

  /// The start-up sequence (3.1.1) with all of `wanted` that is offered. False: the device refused.
  bool start(uint64_t wanted, uint16_t queue_size = 16) {
    transport.set_status(0);
    transport.set_status(1);
    transport.set_status(1 | 2);
    uint64_t features = transport.features() & (wanted | kVirtioVersion1);
    if (kind_.packed) features |= kVirtioPacked;
    if (kind_.event_index) features |= kVirtioEventIndex;
    if (kind_.indirect) features |= kVirtioIndirect;
    transport.set_features(features);
    transport.set_status(1 | 2 | 8);
    if (!(transport.status() & 8)) return false;
    rings.clear();
    for (unsigned n = 0; transport.queue_max(n) != 0; ++n) {
      rings.push_back(
          std::make_unique<DriverRing>(board, kind_, std::min(queue_size, transport.queue_max(n))));
      transport.set_queue(n, *rings.back());
    }
    transport.set_status(1 | 2 | 8 | 4);
    board.settle();
    return true;
  }

  void kick(unsigned queue) {
    if (rings[queue]->must_notify()) transport.notify(queue);
  }
  /// Offers a buffer and waits until it comes back.
  std::optional<Used> request(unsigned queue, const std::vector<Buffer>& pieces) {
    rings[queue]->add(pieces);
    kick(queue);
    std::optional<Used> used;
    board.run_until([&] { return (used = rings[queue]->get()).has_value() || (transport.status() & 64); });
    return used;
  }

  Board& board;
  Transport& transport;
  std::vector<std::unique_ptr<DriverRing>> rings;

 private:
  const RingKind kind_;
};

}  // namespace lyrebird::devices::test
