// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_function.h"

#include <fmt/format.h>

#include <bit>
#include <cassert>
#include <cstring>

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr unsigned kCommand = 0x04, kStatus = 0x06, kBar0 = 0x10, kCapabilities = 0x34, kPin = 0x3d;
constexpr uint16_t kStatusCapabilities = 1 << 4, kStatusIntx = 1 << 3;
constexpr uint8_t kMsixId = 0x11;
constexpr uint16_t kMsixEnable = 1 << 15, kMsixMaskAll = 1 << 14;

}  // namespace

/// Table entries of 16 bytes (address, data, vector control), then a bit for each that is pending.
class PciFunction::MsixTable final : public system::Device {
 public:
  MsixTable(PciFunction& owner, unsigned vectors)
      : owner_(owner), vectors_(vectors), table_(vectors * 4), pending_((vectors + 63) / 64) {
    clear();
  }
  uint64_t pending_offset() const { return align_up(vectors_ * 16, 8); }

  uint64_t read(uint64_t offset, unsigned) override {
    const std::lock_guard lock(owner_.mutex_);
    if (offset / 4 < table_.size()) return table_[offset / 4];
    const uint64_t word = (offset - std::min(offset, pending_offset())) / 4;
    return word / 2 < pending_.size() ? static_cast<uint32_t>(pending_[word / 2] >> (32 * (word % 2))) : 0;
  }
  void write(uint64_t offset, unsigned, uint64_t value) override {
    if (offset / 4 >= table_.size()) return;  // pending bits are read-only
    {
      const std::lock_guard lock(owner_.mutex_);
      const auto mask = offset % 16 == 0 ? ~3u : offset % 16 == 12 ? 1u : ~0u;
      table_[offset / 4] = static_cast<uint32_t>(value) & mask;
    }
    flush();
  }
  void reset() override {}  // the function's own does it
  void save(system::StateWriter& to) const override {
    to.array("msix_table", std::span<const uint32_t>(table_));
    to.array("msix_pending", std::span<const uint64_t>(pending_));
  }
  Result<void> load(system::StateReader& from) override {
    from.array("msix_table", std::span<uint32_t>(table_));
    from.array("msix_pending", std::span<uint64_t>(pending_));
    return from.status();
  }

  void clear() {
    std::fill(table_.begin(), table_.end(), 0);
    std::fill(pending_.begin(), pending_.end(), 0);
    for (unsigned v = 0; v < vectors_; ++v) table_[4 * v + 3] = 1;  // masked
  }
  void send(unsigned vector) {
    if (vector >= vectors_) return;
    {
      const std::lock_guard lock(owner_.mutex_);
      pending_[vector / 64] |= uint64_t{1} << (vector % 64);
    }
    flush();
  }
  /// Sends what is pending and may be sent.
  void flush() {
    for (unsigned v = 0; v < vectors_; ++v) {
      uint64_t address;
      uint32_t data;
      {
        const std::lock_guard lock(owner_.mutex_);
        const uint64_t bit = uint64_t{1} << (v % 64);
        const uint16_t control = load_unaligned<uint16_t>(&owner_.config_[owner_.msix_capability_ + 2]);
        if (!(pending_[v / 64] & bit) || (table_[4 * v + 3] & 1) ||
            (control & (kMsixEnable | kMsixMaskAll)) != kMsixEnable)
          continue;
        pending_[v / 64] &= ~bit;
        address = table_[4 * v] | uint64_t{table_[4 * v + 1]} << 32;
        data = table_[4 * v + 2];
      }
      if (owner_.slot_.msi && owner_.bus_master())
        owner_.slot_.msi->send(address, data, owner_.slot_.requester);
    }
  }

 private:
  PciFunction& owner_;
  const unsigned vectors_;
  std::vector<uint32_t> table_;
  std::vector<uint64_t> pending_;
};

PciFunction::PciFunction(std::string name, PciIds ids, unsigned pin) : name_(std::move(name)) {
  set_config(0x00, 2, ids.vendor);
  set_config(0x02, 2, ids.device);
  set_config(0x08, 4, ids.class_code << 8 | ids.revision);
  set_config(0x2c, 2, ids.subsystem_vendor);
  set_config(0x2e, 2, ids.subsystem);
  set_config(kPin, 1, pin);
  set_writable(kCommand, 2, kIoEnable | kMemoryEnable | kBusMaster | kIntxDisable);
  set_writable(0x0c, 1, 0xff);  // cache line size
  set_writable(0x3c, 1, 0xff);  // interrupt line: for software to remember
}

PciFunction::~PciFunction() {
  for (Bar& bar : bars_)
    if (bar.mapped) bar.region->parent()->remove(*bar.region);
}

void PciFunction::set_config(unsigned offset, unsigned size, uint32_t value) {
  std::memcpy(&config_[offset], &value, size);
}
void PciFunction::set_writable(unsigned offset, unsigned size, uint32_t mask) {
  std::memcpy(&writable_[offset], &mask, size);
}

uint16_t PciFunction::command() const {
  const std::lock_guard lock(mutex_);
  return load_unaligned<uint16_t>(&config_[kCommand]);
}

void PciFunction::set_bar(unsigned index, PciBar kind, system::MemoryRegion& region) {
  const bool wide = kind == PciBar::Memory64 || kind == PciBar::Memory64Prefetch;
  assert(std::has_single_bit(region.size()) && index + wide < kBars);
  bars_[index] = {&region, kind, false};
  static constexpr uint8_t kType[] = {0, 4, 12, 1};
  set_config(kBar0 + 4 * index, 4, kType[static_cast<unsigned>(kind)]);
  const uint64_t mask = ~(region.size() - 1);
  set_writable(kBar0 + 4 * index, 4, static_cast<uint32_t>(mask) & (kind == PciBar::Io ? ~3u : ~15u));
  if (wide) set_writable(kBar0 + 4 * index + 4, 4, static_cast<uint32_t>(mask >> 32));
}

unsigned PciFunction::add_capability(uint8_t id, std::span<const uint8_t> body) {
  const unsigned at = capability_end_;
  assert(at + 2 + body.size() <= kConfigSize);
  config_[at] = id;
  config_[last_capability_ ? last_capability_ + 1 : kCapabilities] = static_cast<uint8_t>(at);
  std::copy(body.begin(), body.end(), config_.begin() + at + 2);
  set_config(kStatus, 2, kStatusCapabilities);
  last_capability_ = at;
  capability_end_ = static_cast<unsigned>(align_up(at + 2 + body.size(), 4));
  return at;
}

uint64_t PciFunction::msix_size(unsigned vectors) {
  return std::bit_ceil(align_up(vectors * 16, 8) + (vectors + 63) / 64 * 8);
}

void PciFunction::add_msix(unsigned vectors, unsigned bar, system::MemoryRegion& container, uint64_t offset) {
  assert(vectors >= 1 && vectors <= 2048 && !msix_);
  msix_ = std::make_unique<MsixTable>(*this, vectors);
  msix_region_ = system::MemoryRegion::io(name_ + "-msix", msix_size(vectors), *msix_, {4, 4});
  container.add(*msix_region_, offset);
  uint8_t body[10] = {};
  store_unaligned<uint16_t>(body, static_cast<uint16_t>(vectors - 1));
  store_unaligned<uint32_t>(body + 2, static_cast<uint32_t>(offset) | bar);
  store_unaligned<uint32_t>(body + 6, static_cast<uint32_t>(offset + msix_->pending_offset()) | bar);
  msix_capability_ = add_capability(kMsixId, body);
  set_writable(msix_capability_ + 2, 2, kMsixEnable | kMsixMaskAll);
}

bool PciFunction::msix_enabled() const {
  const std::lock_guard lock(mutex_);
  return msix_ && (load_unaligned<uint16_t>(&config_[msix_capability_ + 2]) & kMsixEnable);
}

void PciFunction::send_msix(unsigned vector) {
  if (msix_) msix_->send(vector);
}

void PciFunction::set_intx(bool level) {
  {
    const std::lock_guard lock(mutex_);
    intx_ = level;
  }
  update_intx();
}

void PciFunction::update_intx() {
  const bool msix = msix_enabled();
  const std::lock_guard lock(mutex_);
  config_[kStatus] = static_cast<uint8_t>((config_[kStatus] & ~kStatusIntx) | (intx_ ? kStatusIntx : 0));
  slot_.intx.set(intx_ && !msix && !(load_unaligned<uint16_t>(&config_[kCommand]) & kIntxDisable));
}

uint32_t PciFunction::config_read(unsigned offset, unsigned size) {
  const std::lock_guard lock(mutex_);
  uint32_t value = 0;
  std::memcpy(&value, &config_[offset], size);
  return value;
}

void PciFunction::config_write(unsigned offset, unsigned size, uint32_t value) {
  bool remap = false, control = false;
  {
    const std::lock_guard lock(mutex_);
    for (unsigned i = 0; i < size; ++i) {
      const auto byte = static_cast<uint8_t>(value >> (8 * i));
      const uint8_t mask = writable_[offset + i];
      config_[offset + i] = static_cast<uint8_t>((config_[offset + i] & ~mask) | (byte & mask));
      const unsigned at = offset + i;
      remap |= at == kCommand || (at >= kBar0 && at < kBar0 + 4 * kBars);
      control |= at == kCommand + 1 || (msix_ && at == msix_capability_ + 3);
    }
  }
  if (remap) map_bars();
  if (control) {
    update_intx();
    if (msix_) msix_->flush();
  }
}

uint64_t PciFunction::bar_address(unsigned index) const {
  const Bar& bar = bars_[index];
  uint64_t address = load_unaligned<uint32_t>(&config_[kBar0 + 4 * index]);
  address &= bar.kind == PciBar::Io ? ~uint64_t{3} : ~uint64_t{15};
  if (bar.kind == PciBar::Memory64 || bar.kind == PciBar::Memory64Prefetch)
    address |= uint64_t{load_unaligned<uint32_t>(&config_[kBar0 + 4 * index + 4])} << 32;
  return address;
}

void PciFunction::map_bars() {
  if (!slot_.memory) return;
  const system::MemoryTransaction transaction;
  for (unsigned i = 0; i < kBars; ++i) {
    Bar& bar = bars_[i];
    if (!bar.region) continue;
    const bool io = bar.kind == PciBar::Io;
    system::MemoryRegion* const space = io ? slot_.io : slot_.memory;
    const uint64_t address = bar_address(i);
    // While software sizes a BAR it holds all ones: nothing is shown that would wrap around.
    const bool fits = address != 0 && address <= space->size() - bar.region->size();
    const bool wanted = fits && (command() & (io ? kIoEnable : kMemoryEnable));
    if (bar.mapped && !wanted) space->remove(*bar.region);
    if (wanted && bar.mapped) bar.region->move(address);
    if (wanted && !bar.mapped) space->add(*bar.region, address);
    bar.mapped = wanted;
  }
}

void PciFunction::reset() {
  {
    const std::lock_guard lock(mutex_);
    for (unsigned i = 0; i < kConfigSize; ++i) config_[i] = static_cast<uint8_t>(config_[i] & ~writable_[i]);
    if (msix_) msix_->clear();
    intx_ = false;
  }
  update_intx();
  map_bars();
}

Result<void> PciFunction::load_device(system::StateReader& from) {
  load_function(from);
  return from.status();
}

void PciFunction::save_function(system::StateWriter& to) const {
  const std::lock_guard lock(mutex_);
  to.begin("pci-function", 1);
  to.bytes("config", config_);
  to.field("intx", intx_);
  if (msix_) msix_->save(to);
  to.end();
}

void PciFunction::load_function(system::StateReader& from) {
  {
    const std::lock_guard lock(mutex_);
    std::array<uint8_t, kConfigSize> config;
    from.begin("pci-function", 1);
    from.array("config", std::span<uint8_t>(config));
    from.field("intx", intx_);
    if (msix_) (void)msix_->load(from);
    from.end();
    if (!from.ok()) return;
    for (unsigned i = 0; i < kConfigSize; ++i)
      config_[i] = static_cast<uint8_t>((config_[i] & ~writable_[i]) | (config[i] & writable_[i]));
  }
  update_intx();
  map_bars();
}

}  // namespace lyrebird::devices
