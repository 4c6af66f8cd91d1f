// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio.h"

#include <bit>
#include <cassert>
#include <utility>

#include "base/log.h"

namespace lyrebird::devices {

VirtioDevice::VirtioDevice(VirtioType type, VirtioOptions options, std::vector<uint16_t> queue_sizes,
                           size_t config_size, system::AddressSpace& memory, system::EventLoop& loop)
    : type_(type),
      options_(std::move(options)),
      memory_(memory),
      loop_(loop),
      config_(config_size),
      offered_(kVirtioVersion1 | kVirtioRingReset),
      life_(std::make_shared<Life>()) {
  if (options_.packed) offer(kVirtioPacked);
  if (options_.event_index) offer(kVirtioEventIndex);
  if (options_.indirect) offer(kVirtioIndirect);
  life_->device = this;
  assert(queue_sizes.size() <= pending_.size() * 64);
  for (unsigned n = 0; n < queue_sizes.size(); ++n) {
    queues_.push_back(std::make_unique<Virtqueue>(memory_, queue_sizes[n], [this, n](std::string_view why) {
      fail(fmt::format("queue {}: {}", n, why));
    }));
  }
}

VirtioDevice::~VirtioDevice() {
  const std::lock_guard lock(life_->mutex);
  life_->device = nullptr;
}

void VirtioDevice::set_driver_features(unsigned half, uint32_t value) {
  if (half > 1 || (status_ & kStatusFeaturesOk)) return;
  const uint64_t mask = 0xffffffffull << 32 * half;
  driver_features_ = (driver_features_ & ~mask) | static_cast<uint64_t>(value) << 32 * half;
}

void VirtioDevice::set_status(uint8_t value) {
  if (value == 0) {
    reset();
    return;
  }
  uint8_t wanted = value & ~kStatusNeedsReset;
  if (wanted & ~status_ & kStatusFeaturesOk) {
    const bool possible = !(driver_features_ & ~offered_) && (driver_features_ & kVirtioVersion1);
    if (!possible) wanted &= ~kStatusFeaturesOk;
  }
  const bool starts = (wanted & ~status_ & kStatusDriverOk) && (wanted & kStatusFeaturesOk);
  if (!(wanted & kStatusFeaturesOk)) wanted &= ~kStatusDriverOk;
  status_ |= wanted;  // a driver never takes bits back, except all of them
  if (!starts || needs_reset()) return;
  started();
  // What was made available before counts as notified.
  for (unsigned n = 0; n < queue_count(); ++n) {
    if (queues_[n]->enabled()) notify(n);
  }
}

void VirtioDevice::enable_queue(unsigned n) {
  queues_[n]->enable({.packed = has(kVirtioPacked),
                      .event_index = has(kVirtioEventIndex),
                      .indirect = has(kVirtioIndirect)});
}

void VirtioDevice::reset_queue(unsigned n) {
  drain();
  queues_[n]->reset();
}

void VirtioDevice::reset() {
  drain();
  device_reset();
  for (auto& queue : queues_) queue->reset();
  for (auto& word : pending_) word = 0;
  driver_features_ = 0;
  status_ = 0;
  if (transport_) transport_->device_was_reset();
}

uint32_t VirtioDevice::read_config(uint64_t offset, unsigned size) {
  config_read();
  uint32_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    if (offset + i < config_.size()) value |= static_cast<uint32_t>(config_[offset + i]) << 8 * i;
  }
  return value;
}

void VirtioDevice::write_config(uint64_t offset, unsigned size, uint32_t value) {
  if (offset >= config_.size() || size > config_.size() - offset) return;
  for (unsigned i = 0; i < size; ++i) config_[offset + i] = static_cast<uint8_t>(value >> 8 * i);
  // A device takes over what may be written and restores the rest.
  config_written(offset, size);
}

void VirtioDevice::config_changed() {
  ++generation_;
  if ((status_ & kStatusDriverOk) && transport_) transport_->config_interrupt();
}

void VirtioDevice::interrupt(unsigned queue) {
  if (transport_ && running() && queues_[queue]->wants_interrupt()) transport_->queue_interrupt(queue);
}

void VirtioDevice::fail(std::string_view why) {
  if (needs_reset()) return;
  status_ |= kStatusNeedsReset;
  log_always(
      fmt::format("lyrebird: virtio device {}: the guest's driver made a mistake: {}; it needs a reset\n",
                  options_.id.empty() ? "(without id)" : options_.id, why));
  if ((status_ & kStatusDriverOk) && transport_) transport_->config_interrupt();
}

void VirtioDevice::post(std::function<void()> work) {
  loop_.post([life = life_, work = std::move(work)] {
    const std::lock_guard alive(life->mutex);
    if (!life->device) return;
    const std::lock_guard lock(life->device->mutex_);
    work();
  });
}

void VirtioDevice::notify(unsigned queue) {
  if (queue >= queues_.size()) return;
  pending_[queue / 64].fetch_or(1ull << queue % 64, std::memory_order_release);
  if (!posted_.exchange(true)) post([this] { process_pending(); });
}

void VirtioDevice::notified(unsigned queue) {
  assert(loop_.on_loop_thread());
  if (queue >= queues_.size()) return;
  const std::lock_guard lock(mutex_);
  if (running() && queues_[queue]->enabled()) process(queue);
}

void VirtioDevice::process_pending() {
  posted_ = false;
  for (unsigned word = 0; word * 64 < queues_.size(); ++word) {
    uint64_t bits = pending_[word].exchange(0, std::memory_order_acquire);
    for (; bits && running(); bits &= bits - 1) {
      const unsigned n = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
      if (queues_[n]->enabled()) process(n);
    }
  }
}

// --- state ---

void VirtioDevice::save(system::StateWriter& to) {
  const std::lock_guard lock(mutex_);
  drain();  // what was under way is done, or offered again
  to.begin("virtio", 1);
  to.field("type", static_cast<uint32_t>(type_));
  to.field("features", driver_features_);
  to.field("status", status_);
  to.field("generation", generation_);
  to.bytes("config", config_);
  for (const auto& queue : queues_) {
    const auto indexes = queue->indexes();
    to.begin("queue", 1);
    to.field("size", queue->size);
    to.field("enabled", queue->enabled());
    to.field("descriptors", queue->descriptors);
    to.field("driver_area", queue->driver_area);
    to.field("device_area", queue->device_area);
    to.field("avail", indexes.avail);
    to.field("used", indexes.used);
    to.field("avail_wrap", indexes.avail_wrap);
    to.field("used_wrap", indexes.used_wrap);
    to.end();
  }
  to.begin("device", 1);
  save_device(to);
  to.end();
  to.end();
  if (running()) {
    for (unsigned n = 0; n < queue_count(); ++n) notify(n);
  }
}

Result<void> VirtioDevice::load(system::StateReader& from) {
  const std::lock_guard lock(mutex_);
  reset();
  from.begin("virtio", 1);
  uint32_t type = 0;
  from.field("type", type);
  if (from.ok() && type != static_cast<uint32_t>(type_)) from.fail("is of another kind of virtio device");
  from.field("features", driver_features_);
  if (driver_features_ & ~offered_) from.fail("was saved with features this device does not have");
  from.field("status", status_);
  from.field("generation", generation_);
  std::vector<uint8_t> config = from.bytes("config", config_.size());
  if (config.size() == config_.size()) config_ = std::move(config);
  for (unsigned n = 0; n < queue_count() && from.ok(); ++n) {
    Virtqueue& queue = *queues_[n];
    bool enabled = false;
    Virtqueue::Indexes indexes;
    from.begin("queue", 1);
    from.field("size", queue.size);
    from.field("enabled", enabled);
    from.field("descriptors", queue.descriptors);
    from.field("driver_area", queue.driver_area);
    from.field("device_area", queue.device_area);
    from.field("avail", indexes.avail);
    from.field("used", indexes.used);
    from.field("avail_wrap", indexes.avail_wrap);
    from.field("used_wrap", indexes.used_wrap);
    from.end();
    if (!from.ok()) break;
    if (has(kVirtioPacked) && (indexes.avail >= queue.size || indexes.used >= queue.size)) {
      from.fail("a queue's index lies outside of its ring");
      break;
    }
    queue.set_indexes(indexes);
    if (enabled) enable_queue(n);
  }
  from.begin("device", 1);
  load_device(from);
  from.end();
  from.end();
  if (!from.ok()) {
    reset();
    return from.status();
  }
  if (running()) {
    for (unsigned n = 0; n < queue_count(); ++n) notify(n);
  }
  return {};
}

}  // namespace lyrebird::devices
