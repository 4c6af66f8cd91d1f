// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/mmio.h"

namespace lyrebird::devices {

namespace {

enum Register : uint64_t {
  MagicValue = 0x000,
  Version = 0x004,
  DeviceId = 0x008,
  VendorId = 0x00c,
  DeviceFeatures = 0x010,
  DeviceFeaturesSel = 0x014,
  DriverFeatures = 0x020,
  DriverFeaturesSel = 0x024,
  QueueSel = 0x030,
  QueueNumMax = 0x034,
  QueueNum = 0x038,
  QueueReady = 0x044,
  QueueNotify = VirtioMmio::kQueueNotify,
  InterruptStatus = 0x060,
  InterruptAck = 0x064,
  Status = 0x070,
  QueueDescLow = 0x080,
  QueueDescHigh = 0x084,
  QueueDriverLow = 0x090,
  QueueDriverHigh = 0x094,
  QueueDeviceLow = 0x0a0,
  QueueDeviceHigh = 0x0a4,
  ShmLenLow = 0x0b0,
  ShmLenHigh = 0x0b4,
  ShmBaseLow = 0x0b8,
  ShmBaseHigh = 0x0bc,
  QueueReset = 0x0c0,
  ConfigGeneration = 0x0fc,
  Config = 0x100,
};

constexpr uint32_t kMagic = 0x74726976;   // "virt"
constexpr uint32_t kVendor = 0x4252594c;  // "LYRB"
constexpr uint32_t kQueueInterrupt = 1, kConfigInterrupt = 2;

uint64_t with_low(uint64_t old, uint32_t value) { return (old & ~0xffffffffull) | value; }
uint64_t with_high(uint64_t old, uint32_t value) {
  return (old & 0xffffffffull) | static_cast<uint64_t>(value) << 32;
}

}  // namespace

void VirtioMmio::plug(VirtioDevice& device) {
  device_ = &device;
  device.set_transport(this);
}

void VirtioMmio::set_interrupt(uint32_t clear, uint32_t set) {
  const std::lock_guard lock(irq_mutex_);
  interrupt_status_ = (interrupt_status_ & ~clear) | set;
  irq_.set(interrupt_status_ != 0);
}

void VirtioMmio::queue_interrupt(unsigned) { set_interrupt(0, kQueueInterrupt); }
void VirtioMmio::config_interrupt() { set_interrupt(0, kConfigInterrupt); }
void VirtioMmio::device_was_reset() {
  set_interrupt(~0u, 0);
  device_half_ = driver_half_ = queue_ = 0;
}

void VirtioMmio::reset() {
  if (!device_) return;
  const std::lock_guard transport(mutex());
  const std::lock_guard lock(device_->mutex());
  device_->reset();
}

uint64_t VirtioMmio::read(uint64_t offset, unsigned size) {
  if (offset >= Config) {
    if (!device_ || size > 4) return 0;
    const std::lock_guard lock(device_->mutex());
    return device_->read_config(offset - Config, size);
  }
  return size == 4 ? read_register(offset) : 0;
}

uint32_t VirtioMmio::read_register(uint64_t offset) {
  switch (offset) {
    case MagicValue:
      return kMagic;
    case Version:
      return 2;
    case DeviceId:
      return device_ ? static_cast<uint32_t>(device_->type()) : 0;
    case VendorId:
      return kVendor;
    case ShmLenLow:
    case ShmLenHigh:
    case ShmBaseLow:
    case ShmBaseHigh:
      return ~0u;  // no such region
    case InterruptStatus: {
      const std::lock_guard lock(irq_mutex_);
      return interrupt_status_;
    }
    default:
      break;
  }
  if (!device_) return 0;
  const std::lock_guard lock(device_->mutex());
  const bool there = queue_ < device_->queue_count();
  switch (offset) {
    case DeviceFeatures:
      return device_half_ > 1 ? 0 : static_cast<uint32_t>(device_->offered() >> 32 * device_half_);
    case QueueNumMax:
      return there ? device_->queue(queue_).max_size() : 0;
    case QueueReady:
      return there && device_->queue(queue_).enabled();
    case Status:
      return device_->status();
    case ConfigGeneration:
      return device_->generation();
    default:
      return 0;
  }
}

void VirtioMmio::write(uint64_t offset, unsigned size, uint64_t value) {
  if (!device_ || size > 4) return;
  if (offset == QueueNotify) {
    // The upper half is there with VIRTIO_F_NOTIFICATION_DATA only, which is not offered.
    device_->notify(value & 0xffff);
    return;
  }
  if (offset == InterruptAck) {
    set_interrupt(static_cast<uint32_t>(value), 0);
    return;
  }
  const std::lock_guard lock(device_->mutex());
  if (offset >= Config) {
    device_->write_config(offset - Config, size, static_cast<uint32_t>(value));
  } else if (size == 4) {
    write_register(offset, static_cast<uint32_t>(value));
  }
}

void VirtioMmio::write_register(uint64_t offset, uint32_t value) {
  switch (offset) {
    case DeviceFeaturesSel:
      device_half_ = value;
      return;
    case DriverFeaturesSel:
      driver_half_ = value;
      return;
    case DriverFeatures:
      device_->set_driver_features(driver_half_, value);
      return;
    case QueueSel:
      queue_ = value;
      return;
    case Status:
      device_->set_status(static_cast<uint8_t>(value));
      return;
    default:
      break;
  }
  if (queue_ < device_->queue_count()) write_queue(device_->queue(queue_), offset, value);
}

void VirtioMmio::write_queue(Virtqueue& queue, uint64_t offset, uint32_t value) {
  if (offset == QueueReady) {
    if (value & 1) {
      device_->enable_queue(queue_);
    } else if (queue.enabled()) {
      device_->reset_queue(queue_);
    }
    return;
  }
  if (offset == QueueReset) {
    if (value & 1) device_->reset_queue(queue_);
    return;
  }
  if (queue.enabled()) return;  // a driver must not change an enabled queue
  switch (offset) {
    case QueueNum:
      queue.size = static_cast<uint16_t>(value > 0xffff ? 0 : value);
      return;
    case QueueDescLow:
      queue.descriptors = with_low(queue.descriptors, value);
      return;
    case QueueDescHigh:
      queue.descriptors = with_high(queue.descriptors, value);
      return;
    case QueueDriverLow:
      queue.driver_area = with_low(queue.driver_area, value);
      return;
    case QueueDriverHigh:
      queue.driver_area = with_high(queue.driver_area, value);
      return;
    case QueueDeviceLow:
      queue.device_area = with_low(queue.device_area, value);
      return;
    case QueueDeviceHigh:
      queue.device_area = with_high(queue.device_area, value);
      return;
    default:
      return;
  }
}

void VirtioMmio::save(system::StateWriter& to) const {
  to.begin("virtio-mmio", 1);
  to.field("plugged", device_ != nullptr);
  to.field("device_half", device_half_);
  to.field("driver_half", driver_half_);
  to.field("queue", queue_);
  if (device_) device_->save(to);
  const std::lock_guard lock(irq_mutex_);
  to.field("interrupt_status", interrupt_status_);
  to.end();
}

Result<void> VirtioMmio::load(system::StateReader& from) {
  bool plugged = false;
  uint32_t device_half = 0, driver_half = 0, queue = 0, status = 0;
  from.begin("virtio-mmio", 1);
  from.field("plugged", plugged);
  if (from.ok() && plugged != (device_ != nullptr))
    from.fail("another slot has a device than in this machine");
  from.field("device_half", device_half);
  from.field("driver_half", driver_half);
  from.field("queue", queue);
  if (from.ok() && device_) {
    if (auto loaded = device_->load(from); !loaded) return loaded;
  }
  from.field("interrupt_status", status);
  from.end();
  if (!from.ok()) return from.status();
  device_half_ = device_half;
  driver_half_ = driver_half;
  queue_ = queue;
  set_interrupt(~0u, status);
  return {};
}

}  // namespace lyrebird::devices
