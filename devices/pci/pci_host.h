// SPDX-License-Identifier: Apache-2.0
/// A PCI Express host bridge without registers of its own: configuration space of bus 0 by ECAM (PCI Express
/// Base 5.0, 7.2.2), windows into PCI memory and I/O space, four interrupt lines. Linux:
/// pci-host-ecam-generic.
///
/// Registers (256 MiB): bits 27:20 bus, 19:15 device, 14:12 function, 11:0 offset; what is not there reads as
/// ones. Interrupts: INTA..INTD, level; pin p of device d is line (d + p - 1) % 4.
#pragma once

#include <array>

#include "devices/pci/pci_function.h"

namespace lyrebird::devices {

class PciHost final : public system::Device {
 public:
  static constexpr uint64_t kEcamSize = 256 << 20;

  /// `msi` is where functions' messages go; null: nowhere.
  PciHost(std::array<system::IrqLine, 4> lines, system::MsiSink* msi);
  ~PciHost() override;

  /// PCI memory space (64-bit) and I/O space (64 KiB): the machine shows windows of them.
  system::MemoryRegion& memory_space() { return *memory_; }
  system::MemoryRegion& io_space() { return *io_; }

  /// In device `slot` (1 to 31), or in the first that is free (0). The function outlives the host.
  Result<unsigned> plug(PciFunction& function, unsigned slot = 0);
  /// Takes it off the bus: its BARs are no longer shown.
  void unplug(PciFunction& function);
  /// By device (bits 7:3) and function (2:0) number; null: nothing there.
  PciFunction* function(unsigned devfn) const { return functions_[devfn]; }

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  /// A line is up while any function on it is.
  class Wire final : public system::IrqSink {
   public:
    void set_irq(unsigned devfn, bool level) override;
    system::IrqLine line;

   private:
    std::mutex mutex_;
    std::array<bool, 256> level_{};
    unsigned up_ = 0;
  };

  system::MemoryRegionPtr memory_, io_;
  system::MsiSink* const msi_;
  std::array<Wire, 4> wires_;
  std::array<PciFunction*, 256> functions_{};
  std::unique_ptr<PciFunction> bridge_;
};

}  // namespace lyrebird::devices
