// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_host.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

/// The ids that guests know the peer's generic bridge by.
constexpr PciIds kBridge = {0x1b36, 0x0008, 0, 0x060000, 0x1af4, 0x1100};

}  // namespace

void PciHost::Wire::set_irq(unsigned devfn, bool level) {
  const std::lock_guard lock(mutex_);
  if (level_[devfn] == level) return;
  level_[devfn] = level;
  up_ += level ? 1 : -1u;
  line.set(up_ > 0);
}

PciHost::PciHost(std::array<system::IrqLine, 4> lines, system::MsiSink* msi)
    : memory_(system::MemoryRegion::container("pci-memory", ~uint64_t{0})),
      io_(system::MemoryRegion::container("pci-io", 0x10000)),
      msi_(msi),
      bridge_(std::make_unique<PciFunction>("host-bridge", kBridge, 0)) {
  for (unsigned i = 0; i < 4; ++i) wires_[i].line = lines[i];
  functions_[0] = bridge_.get();
}

PciHost::~PciHost() {
  // Functions outlive the host, and must not look for it.
  for (PciFunction* const function : functions_)
    if (function) unplug(*function);
}

void PciHost::unplug(PciFunction& function) {
  const std::lock_guard lock(mutex());
  function.reset();
  function.slot_ = {};
  std::replace(functions_.begin(), functions_.end(), &function, static_cast<PciFunction*>(nullptr));
}

Result<unsigned> PciHost::plug(PciFunction& function, unsigned slot) {
  if (slot == 0)
    for (slot = 1; slot < 32 && functions_[slot * 8]; ++slot) {
    }
  if (slot > 31) return Error{fmt::format("{}: every slot of the PCI bus is taken", function.name())};
  if (functions_[slot * 8])
    return Error{fmt::format("{}: slot {} of the PCI bus is taken", function.name(), slot)};
  const std::lock_guard lock(mutex());
  functions_[slot * 8] = &function;
  const unsigned pin = function.config_[0x3d];
  function.slot_ = {memory_.get(), io_.get(), msi_,
                    pin ? system::IrqLine(wires_[(slot + pin - 1) % 4], slot * 8) : system::IrqLine(),
                    slot * 8};
  return slot;
}

uint64_t PciHost::read(uint64_t offset, unsigned size) {
  const auto devfn = static_cast<unsigned>(bits(offset, 12, 8));
  const auto at = static_cast<unsigned>(offset & 0xfff);
  if (offset >> 20 || !functions_[devfn]) return low_mask(8 * size);
  // There is no extended configuration space: its first word says so.
  if (at >= PciFunction::kConfigSize) return 0;
  return functions_[devfn]->config_read(at, size);
}

void PciHost::write(uint64_t offset, unsigned size, uint64_t value) {
  const auto devfn = static_cast<unsigned>(bits(offset, 12, 8));
  const auto at = static_cast<unsigned>(offset & 0xfff);
  if (offset >> 20 || !functions_[devfn] || at >= PciFunction::kConfigSize) return;
  functions_[devfn]->config_write(at, size, static_cast<uint32_t>(value));
}

void PciHost::reset() {
  for (PciFunction* const function : functions_)
    if (function) function->reset();
}

void PciHost::save(system::StateWriter& to) const {
  to.begin("pci-host", 1);
  for (unsigned devfn = 0; devfn < functions_.size(); ++devfn) {
    if (!functions_[devfn]) continue;
    to.field("function", devfn);
    to.text("name", functions_[devfn]->name());
    functions_[devfn]->save_device(to);
  }
  to.end();
}

Result<void> PciHost::load(system::StateReader& from) {
  from.begin("pci-host", 1);
  for (unsigned devfn = 0; devfn < functions_.size() && from.ok(); ++devfn) {
    if (!functions_[devfn]) continue;
    unsigned saved = 0;
    from.field("function", saved);
    const std::string name = from.text("name", 255);
    if (from.ok() && (saved != devfn || name != functions_[devfn]->name()))
      from.fail(fmt::format("has {} as device {}, where this machine has {} as device {}", name, saved >> 3,
                            functions_[devfn]->name(), devfn >> 3));
    if (!from.ok()) break;
    if (auto loaded = functions_[devfn]->load_device(from); !loaded) return loaded;
  }
  from.end();
  return from.status();
}

}  // namespace lyrebird::devices
