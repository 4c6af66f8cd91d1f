// SPDX-License-Identifier: Apache-2.0
/// A function on a PCI bus (PCI Local Bus 3.0, chapter 6): configuration space, base addresses, INTx, MSI-X.
///
/// A device has one, or is derived from it; it describes itself in its constructor with set_bar(),
/// add_capability() and add_msix(), and is then plugged into a PciHost. What a BAR shows are memory regions,
/// so nothing here knows addresses.
///
/// Threads: configuration accesses come with the host's mutex held. send_msix() and set_intx() are for any
/// thread. Lock order: the host's mutex > this one's own > interrupt controller.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "system/device.h"
#include "system/irq_line.h"
#include "system/memory_region.h"

namespace lyrebird::devices {

struct PciIds {
  uint16_t vendor = 0, device = 0;
  uint8_t revision = 0;
  uint32_t class_code = 0;  ///< class, subclass, programming interface
  uint16_t subsystem_vendor = 0, subsystem = 0;
};

enum class PciBar : uint8_t { Memory32, Memory64, Memory64Prefetch, Io };

class PciFunction {
 public:
  static constexpr unsigned kBars = 6;
  static constexpr unsigned kConfigSize = 256;
  /// Bits of COMMAND.
  static constexpr uint16_t kIoEnable = 1, kMemoryEnable = 2, kBusMaster = 4, kIntxDisable = 1 << 10;

  /// `pin`: 1 to 4 for INTA to INTD, 0 for none.
  PciFunction(std::string name, PciIds ids, unsigned pin);
  virtual ~PciFunction();
  PciFunction(const PciFunction&) = delete;
  PciFunction& operator=(const PciFunction&) = delete;

  const std::string& name() const { return name_; }

  /// Aligned, 1, 2 or 4 bytes, below kConfigSize. A derived class that has registers of its own in
  /// a capability looks at the offset first.
  virtual uint32_t config_read(unsigned offset, unsigned size);
  virtual void config_write(unsigned offset, unsigned size, uint32_t value);
  /// As after RST#: BARs and COMMAND 0, MSI-X off.
  virtual void reset();

  bool bus_master() const { return command() & kBusMaster; }
  uint16_t command() const;
  /// Raises or lowers INTx, unless MSI-X is on.
  void set_intx(bool level);
  bool msix_enabled() const;
  /// Sends the message of a vector, or keeps it pending while it is masked.
  void send_msix(unsigned vector);

  /// Everything of the device that this is; called by the host's save() and load().
  virtual void save_device(system::StateWriter& to) const { save_function(to); }
  virtual Result<void> load_device(system::StateReader& from);

  void save_function(system::StateWriter& to) const;
  void load_function(system::StateReader& from);

 protected:
  /// `region`'s size is a power of two, at least 16 (4 for I/O). 64-bit ones take two BARs.
  void set_bar(unsigned index, PciBar kind, system::MemoryRegion& region);
  /// Puts a capability into the list: id, pointer, then `body`. Returns where it begins.
  unsigned add_capability(uint8_t id, std::span<const uint8_t> body);
  /// Vectors with table and pending bits in the BAR's container at `offset`, of msix_size(vectors) bytes.
  void add_msix(unsigned vectors, unsigned bar, system::MemoryRegion& container, uint64_t offset);
  static uint64_t msix_size(unsigned vectors);
  /// Which bits of the configuration the guest may write.
  void set_writable(unsigned offset, unsigned size, uint32_t mask);
  void set_config(unsigned offset, unsigned size, uint32_t value);

 private:
  friend class PciHost;
  class MsixTable;
  struct Bar {
    system::MemoryRegion* region = nullptr;
    PciBar kind = PciBar::Memory32;
    bool mapped = false;
  };
  /// From the host when it is plugged.
  struct Slot {
    system::MemoryRegion *memory = nullptr, *io = nullptr;
    system::MsiSink* msi = nullptr;
    system::IrqLine intx;
    uint32_t requester = 0;
  };
  void map_bars();
  uint64_t bar_address(unsigned index) const;
  void update_intx();

  const std::string name_;
  std::array<uint8_t, kConfigSize> config_{}, writable_{};
  std::array<Bar, kBars> bars_{};
  Slot slot_;
  unsigned last_capability_ = 0, capability_end_ = 0x40, msix_capability_ = 0;
  std::unique_ptr<MsixTable> msix_;
  system::MemoryRegionPtr msix_region_;
  mutable std::mutex mutex_;  ///< MSI-X, INTx and their bits in config_
  bool intx_ = false;
};

}  // namespace lyrebird::devices
