// SPDX-License-Identifier: Apache-2.0
#include "devices/intc/gicv3_its.h"

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint8_t kIds[] = {0x44, 0, 0, 0, 0x94, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};
/// Physical LPIs; entries of 8 bytes; events and devices of 16 bits; collections of 16 bits in memory.
constexpr uint64_t kTyper = 1 | 7u << 4 | 15u << 8 | 15u << 13 | uint64_t{1} << 36 | uint64_t{15} << 32;
constexpr uint64_t kBaserFixed[] = {uint64_t{1} << 56 | uint64_t{7} << 48,
                                    uint64_t{4} << 56 | uint64_t{7} << 48};
constexpr uint64_t kBaserWritable = 0xf8e0'ffff'ffff'ffff & ~(uint64_t{1} << 62);  // flat tables only

enum Number : uint8_t {
  kMovi = 0x01,
  kInt = 0x03,
  kClear = 0x04,
  kSync = 0x05,
  kMapd = 0x08,
  kMapc = 0x09,
  kMapti = 0x0a,
  kMapi = 0x0b,
  kInv = 0x0c,
  kInvall = 0x0d,
  kMovall = 0x0e,
  kDiscard = 0x0f,
};

}  // namespace

void GicV3Its::reset() {
  enabled_ = false;
  cbaser_ = cwriter_ = creadr_ = baser_[0] = baser_[1] = 0;
  devices_.clear();
  collections_.clear();
  mappings_ = 0;
}

GicV3Its::Mapping* GicV3Its::find(uint32_t device, uint32_t event) {
  const auto mapped = devices_.find(device);
  if (mapped == devices_.end()) return nullptr;
  const auto found = mapped->second.events.find(event);
  return found == mapped->second.events.end() ? nullptr : &found->second;
}

unsigned GicV3Its::cpu_of(const Mapping& m) const {
  const auto found = collections_.find(m.collection);
  return found == collections_.end() ? gic_.cpu_count() : found->second;
}

void GicV3Its::send(uint64_t address, uint32_t data, uint32_t requester) {
  const std::lock_guard lock(mutex());
  if (address != base_ + kTranslater || !enabled_) return;
  if (const Mapping* const m = find(requester, data)) gic_.set_lpi(cpu_of(*m), m->lpi, true);
}

void GicV3Its::map_device(const Command& c) {
  const auto device = static_cast<uint32_t>(c[0] >> 32);
  if (const auto old = devices_.find(device); old != devices_.end()) {
    mappings_ -= old->second.events.size() + 1;
    devices_.erase(old);
  }
  if (!(c[2] >> 63) || device > 0xffff || mappings_ >= kMaxMappings) return;
  devices_[device].event_bits = static_cast<unsigned>(bits(c[1], 0, 5)) + 1;
  ++mappings_;
}

void GicV3Its::map_event(const Command& c, uint32_t lpi) {
  const auto mapped = devices_.find(static_cast<uint32_t>(c[0] >> 32));
  const auto event = static_cast<uint32_t>(c[1]);
  if (mapped == devices_.end() || event >> std::min(mapped->second.event_bits, 16u) ||
      lpi < GicV3::kFirstLpi || lpi >= GicV3::kLpiEnd || mappings_ >= kMaxMappings)
    return;
  if (mapped->second.events.insert_or_assign(event, Mapping{lpi, static_cast<uint16_t>(c[2])}).second)
    ++mappings_;
}

void GicV3Its::move_event(const Command& c) {
  Mapping* const m = find(static_cast<uint32_t>(c[0] >> 32), static_cast<uint32_t>(c[1]));
  if (!m) return;
  const unsigned from = cpu_of(*m);
  m->collection = static_cast<uint16_t>(c[2]);
  gic_.move_lpi(from, cpu_of(*m), m->lpi);
}

/// 5.3. A command that names what is not there is ignored, as the architecture allows.
void GicV3Its::execute(const Command& c) {
  const auto device = static_cast<uint32_t>(c[0] >> 32), event = static_cast<uint32_t>(c[1]);
  const auto collection = static_cast<uint16_t>(c[2]);
  const auto target = static_cast<uint32_t>(bits(c[2], 16, 35));
  const Mapping* const m = find(device, event);
  switch (c[0] & 0xff) {
    case kMapd:
      return map_device(c);
    case kMapc:
      if (c[2] >> 63 && target < gic_.cpu_count())
        collections_[collection] = target;
      else
        collections_.erase(collection);
      return;
    case kMapti:
      return map_event(c, static_cast<uint32_t>(c[1] >> 32));
    case kMapi:
      return map_event(c, event);
    case kMovi:
      return move_event(c);
    case kInt:
    case kClear:
      if (m) gic_.set_lpi(cpu_of(*m), m->lpi, (c[0] & 0xff) == kInt);
      return;
    case kInv:
      if (m) gic_.reload_lpi(cpu_of(*m), m->lpi);
      return;
    case kInvall:
      return gic_.reload_lpis(cpu_of({0, collection}));
    case kMovall:
      return gic_.move_lpis(target, static_cast<uint32_t>(bits(c[3], 16, 35)));
    case kDiscard:
      if (!m) return;
      gic_.set_lpi(cpu_of(*m), m->lpi, false);
      devices_[device].events.erase(event);
      --mappings_;
      return;
    default:  // SYNC: everything is done in order anyway
      return;
  }
}

void GicV3Its::process() {
  if (!enabled_ || !(cbaser_ >> 63)) return;
  const uint64_t base = cbaser_ & 0xf'ffff'ffff'f000, size = ((cbaser_ & 0xff) + 1) * 4096;
  if (cwriter_ >= size) return;
  while (creadr_ != cwriter_) {
    Command command;
    if (!memory_.read_bytes(base + creadr_, command.data(), sizeof command)) return;
    execute(command);
    creadr_ = (creadr_ + sizeof command) % size;
  }
}

uint64_t GicV3Its::read(uint64_t offset, unsigned) {
  uint64_t value = 0;
  switch (offset & ~uint64_t{7}) {
    case 0x0000:
      return offset == 0 ? uint32_t{enabled_} | 1u << 31 : 0x0000'043b;
    case 0x0008:
      value = kTyper;
      break;
    case 0x0080:
      value = cbaser_;
      break;
    case 0x0088:
      value = cwriter_;
      break;
    case 0x0090:
      value = creadr_;
      break;
    case 0x0100:
    case 0x0108: {
      const unsigned n = offset >> 3 & 1;
      value = baser_[n] | kBaserFixed[n];
      break;
    }
    default:
      return offset >= 0xffd0 && offset < 0x10000 ? kIds[(offset - 0xffd0) / 4] : 0;
  }
  return value >> (8 * (offset & 4));
}

void GicV3Its::write(uint64_t offset, unsigned size, uint64_t value) {
  const auto merge = [&](uint64_t& to, uint64_t mask) {
    const uint64_t part = size == 8 ? ~uint64_t{0} : low_mask(8 * size) << (8 * (offset & 7));
    to = ((to & ~part) | ((value << (8 * (offset & 7))) & part)) & mask;
  };
  switch (offset & ~uint64_t{7}) {
    case 0x0000:
      if (offset != 0) return;
      enabled_ = value & 1;
      return process();
    case 0x0080:
      if (enabled_) return;
      merge(cbaser_, 0xb8ef'ffff'ffff'fcff);
      creadr_ = cwriter_ = 0;
      return;
    case 0x0088:
      merge(cwriter_, 0xf'ffe0);
      return process();
    case 0x0100:
    case 0x0108:
      if (!enabled_) merge(baser_[offset >> 3 & 1], kBaserWritable);
      return;
    default:
      return;
  }
}

void GicV3Its::save(system::StateWriter& to) const {
  to.begin("gicv3-its", 1);
  to.field("enabled", enabled_);
  to.field("cbaser", cbaser_);
  to.field("cwriter", cwriter_);
  to.field("creadr", creadr_);
  to.array("baser", std::span<const uint64_t>(baser_));
  to.field("collections", static_cast<uint32_t>(collections_.size()));
  for (const auto& [collection, cpu] : collections_) {
    to.field("collection", collection);
    to.field("cpu", cpu);
  }
  to.field("devices", static_cast<uint32_t>(devices_.size()));
  for (const auto& [id, device] : devices_) {
    to.field("device", id);
    to.field("event_bits", device.event_bits);
    to.field("events", static_cast<uint32_t>(device.events.size()));
    for (const auto& [event, m] : device.events) {
      to.field("event", event);
      to.field("lpi", m.lpi);
      to.field("collection", m.collection);
    }
  }
  to.end();
}

Result<void> GicV3Its::load(system::StateReader& from) {
  reset();
  uint32_t count, events;
  from.begin("gicv3-its", 1);
  from.field("enabled", enabled_);
  from.field("cbaser", cbaser_);
  from.field("cwriter", cwriter_);
  from.field("creadr", creadr_);
  from.array("baser", std::span<uint64_t>(baser_));
  from.field("collections", count);
  for (uint32_t i = 0; i < count && from.ok(); ++i) {
    uint16_t collection;
    uint32_t cpu;
    from.field("collection", collection);
    from.field("cpu", cpu);
    collections_[collection] = cpu;
  }
  from.field("devices", count);
  for (uint32_t i = 0; i < count && from.ok(); ++i) {
    uint32_t id;
    from.field("device", id);
    Mapped& device = devices_[id];
    from.field("event_bits", device.event_bits);
    from.field("events", events);
    for (uint32_t k = 0; k < events && from.ok() && mappings_ < kMaxMappings; ++k, ++mappings_) {
      uint32_t event;
      Mapping m;
      from.field("event", event);
      from.field("lpi", m.lpi);
      from.field("collection", m.collection);
      device.events[event] = m;
    }
    ++mappings_;
  }
  from.end();
  return from.status();
}

}  // namespace lyrebird::devices
