// SPDX-License-Identifier: Apache-2.0
/// virtio over memory-mapped registers, version 2 (Virtual I/O Device 1.2, 4.2).
///
/// Registers (512 bytes, 32-bit; from 0x100 on the device's configuration, 8 to 32-bit): MagicValue 0x000 ro,
/// Version 0x004 ro, DeviceID 0x008 ro (0: empty slot), VendorID 0x00c ro, DeviceFeatures 0x010 ro (Sel 0x014
/// wo), DriverFeatures 0x020 wo (Sel 0x024 wo), QueueSel 0x030 wo, QueueNumMax 0x034 ro, QueueNum 0x038 wo,
/// QueueReady 0x044, QueueNotify 0x050 wo, InterruptStatus 0x060 ro, InterruptACK 0x064 wo, Status 0x070,
/// QueueDesc 0x080, QueueDriver 0x090, QueueDevice 0x0a0 (low, high; wo), SHM 0x0ac-0x0bc (none), QueueReset
/// 0x0c0, ConfigGeneration 0x0fc ro. Interrupt: level, high while InterruptStatus != 0.
#pragma once

#include <array>
#include <mutex>
#include <utility>

#include "devices/virtio/virtio.h"
#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class VirtioMmio final : public system::Device, private VirtioTransport {
 public:
  static constexpr uint64_t kSize = 0x200;
  static constexpr uint64_t kQueueNotify = 0x050;  // any thread may call VirtioDevice::notify() for it

  /// Writes to these only keep a value for what comes later: offset and bytes.
  static constexpr std::array<std::pair<uint64_t, uint64_t>, 5> kPlainRegisters = {
      {{0x014, 4}, {0x020, 8}, {0x030, 4}, {0x038, 4}, {0x080, 0x28}}};

  /// An empty slot until plug().
  explicit VirtioMmio(system::IrqLine irq) : irq_(irq) {}
  /// `device` outlives this.
  void plug(VirtioDevice& device);
  VirtioDevice* device() { return device_; }

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  void queue_interrupt(unsigned queue) override;
  void config_interrupt() override;
  void device_was_reset() override;
  void set_interrupt(uint32_t clear, uint32_t set);
  uint32_t read_register(uint64_t offset);
  void write_register(uint64_t offset, uint32_t value);
  void write_queue(Virtqueue& queue, uint64_t offset, uint32_t value);

  const system::IrqLine irq_;
  VirtioDevice* device_ = nullptr;
  uint32_t device_half_ = 0, driver_half_ = 0, queue_ = 0;
  // Under its own lock, which is below the device's: the driver acknowledges while the device works.
  mutable std::mutex irq_mutex_;
  uint32_t interrupt_status_ = 0;
};

}  // namespace lyrebird::devices
