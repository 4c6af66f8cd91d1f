// SPDX-License-Identifier: Apache-2.0
/// virtio_driver.h's transport over PCI.
#pragma once

#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "devices/pci/pci_host.h"
#include "devices/virtio/pci.h"
#include "tests/unit/devices/virtio_driver.h"

namespace lyrebird::devices::test {

inline constexpr uint64_t kEcam = 0x40'1000'0000, kWindow = 0x1000'0000;
inline constexpr uint32_t kDevfn = 1 << 3;

class Messages final : public system::MsiSink {
 public:
  void send(uint64_t address, uint32_t data, uint32_t) override { sent.emplace_back(address, data); }
  std::vector<std::pair<uint64_t, uint32_t>> sent;
};

/// A driver's view: finds the structures by their capabilities, as a real one does.
class PciTransport final : public Transport {
 public:
  PciTransport(Board& board, VirtioDevice& device)
      : pci(device),
        host({system::IrqLine(), system::IrqLine(board.irq, 0), {}, {}}, &messages),
        board_(board) {
    ecam_ = system::MemoryRegion::io("ecam", PciHost::kEcamSize, host, {1, 4});
    window_ = system::MemoryRegion::alias("window", host.memory_space(), kWindow, 0x100'0000);
    board.root().add(*ecam_, kEcam);
    board.root().add(*window_, kWindow);
    if (!host.plug(pci, 1)) std::abort();
    map();
    for (unsigned at = read_config(0x34, 1); at; at = read_config(at + 1, 1)) {
      if (read_config(at, 1) == 0x11) msix = at;
      if (read_config(at, 1) != 9) continue;
      const unsigned type = read_config(at + 3, 1);
      capability[type] = at;
      where[type] = kWindow + 0x10'0000 + read_config(at + 8, 4);
      if (type == 2) multiplier_ = read_config(at + 16, 4);
    }
  }
  ~PciTransport() override {
    host.unplug(pci);
    board_.root().remove(*window_);
    board_.root().remove(*ecam_);
  }

  /// Gives the BARs their addresses, which a driver that does what it likes may have taken away.
  void map() {
    write_config(0x14, kWindow, 4);              // BAR 1
    write_config(0x20, kWindow + 0x10'0000, 4);  // BAR 4
    write_config(0x24, 0, 4);
    write_config(4, 2 | 4, 2);
  }

  uint32_t read_config(unsigned offset, unsigned size) {
    return static_cast<uint32_t>(board_.memory->read(kEcam + (kDevfn << 12) + offset, size).value);
  }
  void write_config(unsigned offset, uint32_t value, unsigned size) {
    board_.memory->write(kEcam + (kDevfn << 12) + offset, size, value);
  }
  uint32_t read(unsigned offset, unsigned size) {
    return static_cast<uint32_t>(board_.memory->read(where[1] + offset, size).value);
  }
  void write(unsigned offset, uint64_t value, unsigned size) {
    board_.memory->write(where[1] + offset, size, value);
  }

  uint64_t features() override {
    write(0, 1, 4);
    const uint64_t high = read(4, 4);
    write(0, 0, 4);
    return high << 32 | read(4, 4);
  }
  void set_features(uint64_t features) override {
    for (unsigned half = 0; half < 2; ++half) {
      write(8, half, 4);
      write(12, static_cast<uint32_t>(features >> 32 * half), 4);
    }
  }
  uint8_t status() override { return static_cast<uint8_t>(read(20, 1)); }
  void set_status(uint8_t status) override { write(20, status, 1); }
  uint16_t queue_max(unsigned queue) override {
    if (queue >= read(18, 2)) return 0;
    write(22, queue, 2);
    return static_cast<uint16_t>(read(24, 2));
  }
  void set_queue(unsigned queue, const RingPlace& ring) override {
    write(22, queue, 2);
    write(24, ring.size, 2);
    if (vectors) write(26, queue + 1, 2);
    write(32, ring.descriptors, 8);
    write(40, ring.driver_area, 8);
    write(48, ring.device_area, 8);
    write(28, 1, 2);
  }
  void notify(unsigned queue) override {
    write(22, queue, 2);
    board_.memory->write(where[2] + read(30, 2) * multiplier_, 2, queue);
  }
  uint32_t config(uint64_t offset, unsigned size) override {
    return static_cast<uint32_t>(board_.memory->read(where[4] + offset, size).value);
  }
  void set_config(uint64_t offset, unsigned size, uint32_t value) override {
    board_.memory->write(where[4] + offset, size, value);
  }
  uint32_t interrupts() override { return static_cast<uint32_t>(board_.memory->read(where[3], 1).value); }

  void enable_msix() {
    for (unsigned vector = 0; vector < 2; ++vector) {
      board_.memory->write(kWindow + 16 * vector, 8, 0xfee0'0000 + 4 * vector);
      board_.memory->write(kWindow + 16 * vector + 8, 4, 100 + vector);
      board_.memory->write(kWindow + 16 * vector + 12, 4, 0);
    }
    write_config(msix + 2, 0x8000, 2);
    vectors = true;
  }

  Messages messages;
  VirtioPci pci;
  PciHost host;
  std::array<uint64_t, 16> where{};
  std::array<unsigned, 16> capability{};
  unsigned msix = 0;
  bool vectors = false;

 private:
  Board& board_;
  system::MemoryRegionPtr ecam_, window_;
  uint32_t multiplier_ = 0;
};

}  // namespace lyrebird::devices::test
