// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/pci.h"

#include <array>
#include <bit>

namespace lyrebird::devices {

namespace {

enum Common : uint64_t {
  DeviceFeatureSelect = 0,
  DeviceFeature = 4,
  DriverFeatureSelect = 8,
  DriverFeature = 12,
  ConfigMsixVector = 16,
  NumQueues = 18,
  DeviceStatus = 20,
  ConfigGeneration = 21,
  QueueSelect = 22,
  QueueSize = 24,
  QueueMsixVector = 26,
  QueueEnable = 28,
  QueueNotifyOff = 30,
  QueueDesc = 32,
  QueueDriver = 40,
  QueueDevice = 48,
  QueueNotifyData = 56,
  QueueReset = 58,
  CommonSize = 60,
};

constexpr uint64_t kIsrAt = 0x1000, kDeviceAt = 0x2000, kNotifyAt = 0x3000, kBarSize = 0x4000;
constexpr unsigned kBar = 4, kMsixBar = 1;
constexpr uint32_t kNotifyMultiplier = 4;
constexpr uint16_t kNoVector = 0xffff;
constexpr uint8_t kVendorCapability = 9, kCfgType = 5;
constexpr uint8_t kQueueIsr = 1, kConfigIsr = 2;

uint32_t class_of(VirtioType type) {
  switch (type) {
    case VirtioType::Net:
      return 0x020000;
    case VirtioType::Block:
      return 0x010000;
    case VirtioType::Console:
      return 0x078000;
    case VirtioType::Gpu:
      return 0x038000;
    case VirtioType::Input:
      return 0x098000;
    case VirtioType::Vsock:
      return 0x028000;
    default:
      return 0x00ff00;
  }
}

PciIds ids_of(VirtioType type) {
  const auto number = static_cast<uint16_t>(type);
  return {.vendor = 0x1af4,
          .device = static_cast<uint16_t>(0x1040 + number),
          .revision = 1,
          .class_code = class_of(type),
          .subsystem_vendor = 0x1af4,
          .subsystem = 0x1100};
}

}  // namespace

VirtioPci::VirtioPci(VirtioDevice& device)
    : PciFunction("virtio-" + device.id(), ids_of(device.type()), 1),
      device_(&device),
      bar_(system::MemoryRegion::io("virtio-pci", kBarSize, registers_, {1, 4})),
      config_vector_(kNoVector),
      queue_vectors_(device.queue_count(), kNoVector) {
  const unsigned vectors = device.queue_count() + 1;
  msix_bar_ = system::MemoryRegion::container("virtio-msix",
                                              std::bit_ceil(std::max<uint64_t>(msix_size(vectors), 4096)));
  set_bar(kMsixBar, PciBar::Memory32, *msix_bar_);
  set_bar(kBar, PciBar::Memory64Prefetch, *bar_);
  add_msix(vectors, kMsixBar, *msix_bar_, 0);
  add_capabilities();
  device.set_transport(this);
}

VirtioPci::~VirtioPci() { detach(); }

void VirtioPci::detach() {
  const std::lock_guard lock(registers_.mutex());
  if (device_) device_->set_transport(nullptr);
  device_ = nullptr;
}

void VirtioPci::add_capabilities() {
  struct Where {
    uint8_t type;
    uint64_t offset, length;
  };
  const Where kWhere[] = {{1, 0, CommonSize},
                          {3, kIsrAt, 1},
                          {4, kDeviceAt, 0x1000},
                          {2, kNotifyAt, uint64_t{kNotifyMultiplier} * device_->queue_count()},
                          {kCfgType, 0, 0}};
  for (const Where& where : kWhere) {
    // Length, type, BAR, id and padding, offset, length; then what some types add. The first two bytes are
    // there.
    std::vector<uint8_t> body(14 + (where.type == 2 || where.type == kCfgType ? 4 : 0));
    body[0] = static_cast<uint8_t>(body.size() + 2);
    body[1] = where.type;
    body[2] = where.type == kCfgType ? 0 : kBar;
    for (unsigned i = 0; i < 4; ++i) {
      body[6 + i] = static_cast<uint8_t>(where.offset >> 8 * i);
      body[10 + i] = static_cast<uint8_t>(where.length >> 8 * i);
    }
    if (where.type == 2) body[14] = kNotifyMultiplier;
    const unsigned at = add_capability(kVendorCapability, body);
    if (where.type == kCfgType) {
      cfg_capability_ = at;
      set_writable(at + 4, 1, 0xff);
      set_writable(at + 8, 4, ~0u);
      set_writable(at + 12, 4, ~0u);
    }
  }
}

// --- interrupts ---

void VirtioPci::interrupt(uint16_t vector, uint8_t isr) {
  if (msix_enabled()) {
    if (vector != kNoVector) send_msix(vector);
    return;
  }
  const std::lock_guard lock(isr_mutex_);
  isr_ |= isr;
  set_intx(true);
}

void VirtioPci::queue_interrupt(unsigned queue) { interrupt(queue_vectors_[queue], kQueueIsr); }
void VirtioPci::config_interrupt() { interrupt(config_vector_, kConfigIsr); }

uint8_t VirtioPci::take_isr() {
  const std::lock_guard lock(isr_mutex_);
  const uint8_t isr = isr_;
  isr_ = 0;
  set_intx(false);
  return isr;
}

void VirtioPci::device_was_reset() {
  take_isr();
  config_vector_ = kNoVector;
  std::fill(queue_vectors_.begin(), queue_vectors_.end(), kNoVector);
  device_half_ = driver_half_ = queue_ = 0;
}

void VirtioPci::reset() {
  {
    const std::lock_guard lock(registers_.mutex());
    if (device_) {
      const std::lock_guard device(device_->mutex());
      device_->reset();
    }
  }
  PciFunction::reset();
}

// --- configuration space ---

/// Whether it is the window's data, and where in the BAR that is.
bool VirtioPci::cfg_window(unsigned offset, unsigned size, uint64_t& at) const {
  if (offset < cfg_capability_ + 16 || offset + size > cfg_capability_ + 20) return false;
  // The rest of the capability is plain memory.
  auto& self = const_cast<VirtioPci&>(*this);
  const uint32_t bar = self.PciFunction::config_read(cfg_capability_ + 4, 1);
  at = self.PciFunction::config_read(cfg_capability_ + 8, 4);
  const uint32_t length = self.PciFunction::config_read(cfg_capability_ + 12, 4);
  return bar == kBar && length == size && at < kBarSize && at % size == 0;
}

uint32_t VirtioPci::config_read(unsigned offset, unsigned size) {
  uint64_t at;
  if (!cfg_window(offset, size, at)) return PciFunction::config_read(offset, size);
  const std::lock_guard lock(registers_.mutex());
  return static_cast<uint32_t>(registers_.read(at, size));
}

void VirtioPci::config_write(unsigned offset, unsigned size, uint32_t value) {
  uint64_t at;
  if (!cfg_window(offset, size, at)) return PciFunction::config_write(offset, size, value);
  const std::lock_guard lock(registers_.mutex());
  registers_.write(at, size, value);
}

// --- registers ---

uint64_t VirtioPci::Registers::read(uint64_t offset, unsigned size) {
  VirtioPci& pci = pci_;
  if (!pci.device_) return ~0ull;
  if (offset >= kNotifyAt) return 0;
  if (offset >= kIsrAt && offset < kDeviceAt) return offset == kIsrAt ? pci.take_isr() : 0;
  const std::lock_guard lock(pci.device_->mutex());
  if (offset >= kDeviceAt) return pci.device_->read_config(offset - kDeviceAt, size);
  // Registers are naturally aligned; a driver may read a part of one.
  const uint64_t low = offset & ~uint64_t{3};
  const uint64_t word = pci.read_common(low);
  return word >> 8 * (offset - low) & (size == 4 ? ~0u : (1u << 8 * size) - 1);
}

/// The 32 bits at an offset that is a multiple of 4.
uint32_t VirtioPci::read_common(uint64_t offset) {
  const bool there = queue_ < device_->queue_count();
  Virtqueue* const queue = there ? &device_->queue(queue_) : nullptr;
  switch (offset) {
    case DeviceFeatureSelect:
      return device_half_;
    case DeviceFeature:
      return device_half_ > 1 ? 0 : static_cast<uint32_t>(device_->offered() >> 32 * device_half_);
    case DriverFeatureSelect:
      return driver_half_;
    case DriverFeature:
      return driver_half_ > 1 ? 0 : static_cast<uint32_t>(device_->driver_features() >> 32 * driver_half_);
    case ConfigMsixVector:
      return config_vector_ | device_->queue_count() << 16;
    case DeviceStatus:
      return device_->status() | device_->generation() << 8 | uint32_t{queue_} << 16;
    case QueueSize:
      return there ? queue->size | uint32_t{queue_vectors_[queue_]} << 16 : uint32_t{kNoVector} << 16;
    case QueueEnable:
      return there ? queue->enabled() | uint32_t{queue_} << 16 : 0;
    case QueueDesc:
      return there ? static_cast<uint32_t>(queue->descriptors) : 0;
    case QueueDesc + 4:
      return there ? static_cast<uint32_t>(queue->descriptors >> 32) : 0;
    case QueueDriver:
      return there ? static_cast<uint32_t>(queue->driver_area) : 0;
    case QueueDriver + 4:
      return there ? static_cast<uint32_t>(queue->driver_area >> 32) : 0;
    case QueueDevice:
      return there ? static_cast<uint32_t>(queue->device_area) : 0;
    case QueueDevice + 4:
      return there ? static_cast<uint32_t>(queue->device_area >> 32) : 0;
    case QueueNotifyData:
      return queue_;
    default:
      return 0;
  }
}

void VirtioPci::Registers::write(uint64_t offset, unsigned size, uint64_t value) {
  VirtioPci& pci = pci_;
  if (!pci.device_) return;
  if (offset >= kNotifyAt) {
    // What is written is the queue as well; the address counts.
    pci.device_->notify(static_cast<unsigned>((offset - kNotifyAt) / kNotifyMultiplier));
    return;
  }
  const std::lock_guard lock(pci.device_->mutex());
  if (offset >= kDeviceAt) {
    pci.device_->write_config(offset - kDeviceAt, size, static_cast<uint32_t>(value));
  } else if (offset < kIsrAt) {
    pci.write_common(offset, size, static_cast<uint32_t>(value));
  }
}

uint16_t VirtioPci::checked_vector(uint32_t value) const {
  return static_cast<uint16_t>(value <= device_->queue_count() ? value : kNoVector);
}

void VirtioPci::write_common(uint64_t offset, unsigned size, uint32_t value) {
  switch (offset) {
    case DeviceFeatureSelect:
      device_half_ = value;
      return;
    case DriverFeatureSelect:
      driver_half_ = value;
      return;
    case DriverFeature:
      device_->set_driver_features(driver_half_, value);
      return;
    case ConfigMsixVector:
      config_vector_ = checked_vector(value & 0xffff);
      return;
    case DeviceStatus:
      device_->set_status(static_cast<uint8_t>(value));
      return;
    case QueueSelect:
      queue_ = static_cast<uint16_t>(value);
      return;
    default:
      break;
  }
  if (queue_ >= device_->queue_count()) return;
  if (offset == QueueMsixVector) {
    queue_vectors_[queue_] = checked_vector(value & 0xffff);
  } else {
    write_queue(device_->queue(queue_), offset, size, value);
  }
}

void VirtioPci::write_queue(Virtqueue& queue, uint64_t offset, unsigned size, uint32_t value) {
  if (offset == QueueEnable) {
    if (value & 1) device_->enable_queue(queue_);
    return;
  }
  if (offset == QueueReset) {
    if (value & 1) device_->reset_queue(queue_);
    return;
  }
  if (queue.enabled()) return;  // a driver must not change an enabled queue
  if (offset == QueueSize) {
    queue.size = static_cast<uint16_t>(value);
    return;
  }
  if (offset < QueueDesc || offset >= QueueNotifyData || size != 4) return;
  uint64_t& area = offset < QueueDriver   ? queue.descriptors
                   : offset < QueueDevice ? queue.driver_area
                                          : queue.device_area;
  const unsigned shift = offset % 8 ? 32 : 0;
  area = (area & ~(0xffffffffull << shift)) | static_cast<uint64_t>(value) << shift;
}

// --- state ---

void VirtioPci::Registers::save(system::StateWriter& to) const {
  to.begin("virtio-pci", 1);
  pci_.save_function(to);
  to.field("device_half", pci_.device_half_);
  to.field("driver_half", pci_.driver_half_);
  to.field("queue", pci_.queue_);
  to.field("config_vector", pci_.config_vector_);
  to.array<uint16_t>("queue_vectors", pci_.queue_vectors_);
  to.field("isr", pci_.isr_);
  if (pci_.device_) pci_.device_->save(to);
  to.end();
}

Result<void> VirtioPci::Registers::load(system::StateReader& from) {
  from.begin("virtio-pci", 1);
  pci_.load_function(from);
  uint32_t device_half = 0, driver_half = 0;
  uint16_t queue = 0, config_vector = kNoVector;
  uint8_t isr = 0;
  std::vector<uint16_t> vectors(pci_.queue_vectors_.size());
  from.field("device_half", device_half);
  from.field("driver_half", driver_half);
  from.field("queue", queue);
  from.field("config_vector", config_vector);
  from.array<uint16_t>("queue_vectors", vectors);
  from.field("isr", isr);
  if (from.ok() && pci_.device_) {
    if (auto loaded = pci_.device_->load(from); !loaded) return loaded;  // and resets what is here
  }
  from.end();
  if (!from.ok()) return from.status();
  pci_.device_half_ = device_half;
  pci_.driver_half_ = driver_half;
  pci_.queue_ = queue;
  pci_.config_vector_ = pci_.checked_vector(config_vector);
  for (size_t i = 0; i < vectors.size(); ++i) pci_.queue_vectors_[i] = pci_.checked_vector(vectors[i]);
  const std::lock_guard lock(pci_.isr_mutex_);
  pci_.isr_ = isr;
  if (isr) pci_.set_intx(true);
  return {};
}

}  // namespace lyrebird::devices
