// SPDX-License-Identifier: Apache-2.0
/// virtio over PCI, modern devices only (Virtual I/O Device 1.2, 4.1).
///
/// BAR 4 (64-bit, 16 KiB): common configuration at 0, ISR status at 0x1000, the device's configuration at
/// 0x2000, notifications at 0x3000 + 4 * queue. BAR 1: MSI-X, a vector for each queue and one for the
/// configuration. The capability VIRTIO_PCI_CAP_PCI_CFG reaches all of it without a BAR mapped. INTx while
/// MSI-X is off.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "devices/pci/pci_function.h"
#include "devices/virtio/virtio.h"

namespace lyrebird::devices {

class VirtioPci final : public PciFunction, private VirtioTransport {
 public:
  /// `device` outlives what the guest does with this; detach() before it goes earlier.
  explicit VirtioPci(VirtioDevice& device);
  ~VirtioPci() override;
  /// The device is gone: nothing is there any more.
  void detach();

  uint32_t config_read(unsigned offset, unsigned size) override;
  void config_write(unsigned offset, unsigned size, uint32_t value) override;
  void reset() override;
  void save_device(system::StateWriter& to) const override { registers_.save(to); }
  Result<void> load_device(system::StateReader& from) override { return registers_.load(from); }

  /// The registers in BAR 4; their save() and load() are those of the whole function.
  system::Device& registers() { return registers_; }

 private:
  class Registers final : public system::Device {
   public:
    explicit Registers(VirtioPci& pci) : pci_(pci) {}
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    void reset() override {}
    void save(system::StateWriter& to) const override;
    Result<void> load(system::StateReader& from) override;

   private:
    VirtioPci& pci_;
  };

  void queue_interrupt(unsigned queue) override;
  void config_interrupt() override;
  void device_was_reset() override;
  void interrupt(uint16_t vector, uint8_t isr);
  uint8_t take_isr();

  void add_capabilities();
  uint32_t read_common(uint64_t offset);
  void write_common(uint64_t offset, unsigned size, uint32_t value);
  void write_queue(Virtqueue& queue, uint64_t offset, unsigned size, uint32_t value);
  uint16_t checked_vector(uint32_t value) const;
  bool cfg_window(unsigned offset, unsigned size, uint64_t& at) const;

  VirtioDevice* device_;
  Registers registers_{*this};
  system::MemoryRegionPtr bar_, msix_bar_;
  unsigned cfg_capability_ = 0;
  uint32_t device_half_ = 0, driver_half_ = 0;
  uint16_t queue_ = 0, config_vector_;
  std::vector<uint16_t> queue_vectors_;
  std::mutex isr_mutex_;  // below the device's: the driver reads it while the device works
  uint8_t isr_ = 0;
};

}  // namespace lyrebird::devices
