// SPDX-License-Identifier: Apache-2.0
#include "devices/intc/ioapic.h"

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kSelect = 0x00, kWindow = 0x10, kEoi = 0x40;
constexpr uint8_t kId = 0, kVersion = 1, kArbitration = 2, kEntries = 0x10;
/// Bits of a redirection entry (3.2.4).
constexpr uint64_t kLogical = 1 << 11, kRemoteIrr = 1 << 14, kLevel = 1 << 15, kMasked = 1 << 16,
                   kReadOnly = 1 << 12 | kRemoteIrr, kWritable = 0xff00'0000'0001'ffff;
constexpr uint64_t kMessageBase = 0xfee0'0000;

}  // namespace

IoApic::Message IoApic::message(unsigned pin) const {
  const uint64_t entry = entries_[pin];
  const bool level = entry & kLevel;
  Message message;
  message.address = kMessageBase | (entry >> 56) << 12 | (entry & kLogical ? 1 << 2 : 0);
  // Vector and delivery mode lie where messages have them.
  message.data = static_cast<uint32_t>(entry & 0x7ff) | (level ? 1u << 15 | 1u << 14 : 0);
  return message;
}

void IoApic::tell(unsigned pin) {
  if (routed_) routed_(pin, entries_[pin] & kMasked, message(pin));
}

void IoApic::deliver(unsigned pin) {
  uint64_t& entry = entries_[pin];
  if (entry & kMasked) return;
  if (entry & kLevel) {
    if (!bit(up_, pin) || (entry & kRemoteIrr)) return;
    entry |= kRemoteIrr;
  }
  const Message m = message(pin);
  to_.send(m.address, m.data, 0);
}

void IoApic::set_irq(unsigned pin, bool level) {
  if (pin >= kPins) return;
  const std::lock_guard lock(mutex());
  const bool before = bit(up_, pin);
  up_ = level ? up_ | 1u << pin : up_ & ~(1u << pin);
  if (level && (!before || (entries_[pin] & kLevel))) deliver(pin);
}

void IoApic::end(uint8_t vector) {
  for (unsigned pin = 0; pin < kPins; ++pin) {
    uint64_t& entry = entries_[pin];
    if (!(entry & kLevel) || !(entry & kRemoteIrr) || (entry & 0xff) != vector) continue;
    entry &= ~kRemoteIrr;
    deliver(pin);
  }
}

void IoApic::end_of_interrupt(uint8_t vector) {
  const std::lock_guard lock(mutex());
  end(vector);
}

uint32_t IoApic::read_register() const {
  if (select_ == kId || select_ == kArbitration) return uint32_t{id_} << 24;
  if (select_ == kVersion) return (kPins - 1) << 16 | 0x20;
  const unsigned index = select_ - kEntries;
  if (select_ < kEntries || index / 2 >= kPins) return 0;
  return static_cast<uint32_t>(entries_[index / 2] >> (index % 2 ? 32 : 0));
}

void IoApic::write_register(uint32_t value) {
  if (select_ == kId) id_ = value >> 24 & 15;
  const unsigned index = select_ - kEntries, pin = index / 2;
  if (select_ < kEntries || pin >= kPins) return;
  uint64_t& entry = entries_[pin];
  const uint64_t changed =
      index % 2 ? (entry & low_mask(32)) | uint64_t{value} << 32 : (entry & ~low_mask(32)) | value;
  entry = (changed & kWritable & ~kReadOnly) | (entry & kReadOnly);
  // An edge-triggered interrupt has no end that anybody waits for.
  if (!(entry & kLevel)) entry &= ~kRemoteIrr;
  tell(pin);
  if (entry & kLevel) deliver(pin);
}

uint64_t IoApic::read(uint64_t offset, unsigned) {
  if (offset == kSelect) return select_;
  return offset == kWindow ? read_register() : 0;
}

void IoApic::write(uint64_t offset, unsigned, uint64_t value) {
  if (offset == kSelect) select_ = static_cast<uint8_t>(value);
  if (offset == kWindow) write_register(static_cast<uint32_t>(value));
  if (offset == kEoi) end(static_cast<uint8_t>(value));
}

void IoApic::reset() {
  const std::lock_guard lock(mutex());
  select_ = id_ = 0;
  entries_ = filled();
  for (unsigned pin = 0; pin < kPins; ++pin) tell(pin);
}

// Lines are their devices' to save and to raise again.
void IoApic::save(system::StateWriter& to) const {
  to.begin("ioapic", 1);
  to.field("select", select_);
  to.field("id", id_);
  to.field("up", up_);
  to.array("entries", std::span<const uint64_t>(entries_));
  to.end();
}

Result<void> IoApic::load(system::StateReader& from) {
  from.begin("ioapic", 1);
  from.field("select", select_);
  from.field("id", id_);
  from.field("up", up_);
  from.array("entries", std::span<uint64_t>(entries_));
  from.end();
  if (!from.ok()) return from.status();
  for (unsigned pin = 0; pin < kPins; ++pin) {
    entries_[pin] &= kWritable | kReadOnly;
    tell(pin);
  }
  return {};
}

}  // namespace lyrebird::devices
