// SPDX-License-Identifier: Apache-2.0
/// Distributor, redistributors and what decides who is interrupted; gicv3_cpu.cpp has the CPU interface.
#include "devices/intc/gicv3.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "base/bits.h"
#include "devices/intc/gic_common.h"
#include "devices/intc/gicv3_parts.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint32_t kIidr = 0x0200'043b | 3 << 24;  // GIC-600's product number would promise what is not here
constexpr uint8_t kIds[] = {0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};  // 0xffd0 on
constexpr uint32_t kCtlrAre = 1 << 4, kCtlrDs = 1 << 6;
constexpr uint64_t kIrouterMask = 0xff'00ff'ffff;
constexpr unsigned kIdBits = 16;

}  // namespace

GicV3::GicV3(unsigned interrupts, std::vector<CpuConfig> cpus, system::AddressSpace& memory)
    : count_(interrupts),
      memory_(memory),
      shared_(interrupts - 32),
      candidates_((interrupts - 32 + 63) / 64),
      distributor_(std::make_unique<Distributor>(*this)) {
  assert(interrupts % 32 == 0 && interrupts >= 64 && interrupts <= 1024 && !cpus.empty());
  for (unsigned i = 0; i < cpus.size(); ++i) {
    cpus_.push_back({.config = cpus[i]});
    redistributors_.push_back(std::make_unique<Redistributor>(*this, i));
    ppis_.push_back(std::make_unique<PpiSink>(*this, i));
  }
  reset();
}

GicV3::~GicV3() = default;

system::Device& GicV3::distributor() { return *distributor_; }
system::Device& GicV3::redistributor(unsigned cpu) { return *redistributors_[cpu]; }
system::IrqLine GicV3::ppi(unsigned cpu, unsigned id) { return {*ppis_[cpu], id}; }

void GicV3::reset() {
  const std::lock_guard lock(mutex_);
  ctlr_ = 0;
  const auto clear = [](Irq& i, bool edge) {
    const bool level = i.level;  // the line is its device's
    i = {};
    i.level = level;
    i.edge = edge;
  };
  for (Irq& i : shared_) {
    clear(i, false);
    i.target = cpu_of(0);
  }
  for (Cpu& c : cpus_) {
    for (unsigned id = 0; id < 32; ++id) clear(c.own[id], id < 16);
    const std::array<Irq, 32> own = c.own;
    c = {.config = c.config};
    c.own = own;
  }
  refresh_all();
}

int GicV3::cpu_of(uint64_t affinity) const {
  for (unsigned i = 0; i < cpus_.size(); ++i)
    if (((cpus_[i].config.affinity ^ affinity) & kIrouterMask) == 0) return static_cast<int>(i);
  return -1;
}

void GicV3::refresh(unsigned cpu, unsigned id) {
  note_candidate(irq(cpu, id), id, cpus_[cpu].candidates, candidates_);
}

void GicV3::refresh_all() {
  for_each_interrupt(cpus_.size(), count_, [this](unsigned cpu, unsigned id) { refresh(cpu, id); });
  update_all();
}

GicV3::Best GicV3::highest_pending(unsigned cpu) const {
  const Cpu& c = cpus_[cpu];
  Best best{kSpurious, 0xff, false};
  const auto consider = [&](unsigned id, uint8_t priority, bool group1) {
    if ((ctlr_ >> group1 & 1) && c.group_enabled[group1] &&
        (best.id == kSpurious || priority < best.priority))
      best = {id, priority, group1};
  };
  for (uint64_t word = c.candidates; word; word &= word - 1) {
    const auto id = static_cast<unsigned>(std::countr_zero(word));
    consider(id, c.own[id].priority, c.own[id].group1);
  }
  for (unsigned n = 0; n < candidates_.size(); ++n)
    for (uint64_t word = candidates_[n]; word; word &= word - 1) {
      const unsigned index = 64 * n + static_cast<unsigned>(std::countr_zero(word));
      if (shared_[index].target == static_cast<int>(cpu))
        consider(32 + index, shared_[index].priority, shared_[index].group1);
    }
  if (c.lpis_enabled)
    for (const uint16_t lpi : c.lpis_pending)
      if (lpi - kFirstLpi < c.lpi_config.size() && (c.lpi_config[lpi - kFirstLpi] & 1))
        consider(lpi, c.lpi_config[lpi - kFirstLpi] & 0xf8, true);
  return best;
}

void GicV3::update(unsigned cpu) {
  const Cpu& c = cpus_[cpu];
  const Best best = highest_pending(cpu);
  const bool up = deliverable(c, best);
  c.config.irq.set(up && best.group1);
  c.config.fiq.set(up && !best.group1);
}

void GicV3::update_all() {
  for (unsigned cpu = 0; cpu < cpus_.size(); ++cpu) update(cpu);
}

void GicV3::set_irq(unsigned spi, bool level) {
  const std::lock_guard lock(mutex_);
  assert(spi < shared_.size());
  Irq& i = shared_[spi];
  if (i.level == level) return;
  i.level = level;
  if (level && i.edge) i.latched = true;
  refresh(0, 32 + spi);
  if (i.target >= 0) update(static_cast<unsigned>(i.target));
}

void GicV3::set_ppi(unsigned cpu, unsigned id, bool level) {
  const std::lock_guard lock(mutex_);
  assert(id >= 16 && id < 32);
  Irq& i = cpus_[cpu].own[id];
  if (i.level == level) return;
  i.level = level;
  if (level && i.edge) i.latched = true;
  refresh(cpu, id);
  update(cpu);
}

// Registers with a bit, two bits or a byte for each interrupt: the distributor has those of 32 on, each
// redistributor those below.

bool GicV3::read_common(unsigned cpu, bool own, uint64_t offset, unsigned size, uint64_t& value) {
  const auto visible = [&](unsigned id) { return id < count_ && (id < 32) == own; };
  value = 0;
  if (offset >= 0x400 && offset < 0x800) {
    for (unsigned n = 0; n < size; ++n) {
      const unsigned id = static_cast<unsigned>(offset - 0x400) + n;
      if (visible(id)) value |= uint64_t{irq(cpu, id).priority} << (8 * n);
    }
    return true;
  }
  if (size != 4) return false;
  if (offset >= 0x080 && offset < 0x400) {
    const unsigned first = static_cast<unsigned>(offset & 0x7f) * 8;
    for (unsigned n = 0; n < 32; ++n) {
      if (!visible(first + n)) continue;
      const Irq& i = irq(cpu, first + n);
      const uint64_t kind = offset & ~uint64_t{0x7f};
      const bool set = kind == 0x080  ? i.group1
                       : kind < 0x200 ? i.enabled
                       : kind < 0x300 ? i.pending()
                                      : i.active;
      value |= uint64_t{set} << n;
    }
    return true;
  }
  if (offset >= 0xc00 && offset < 0xd00) {
    const unsigned first = static_cast<unsigned>(offset - 0xc00) * 4;
    for (unsigned n = 0; n < 16; ++n)
      if (visible(first + n)) value |= (irq(cpu, first + n).edge ? uint64_t{2} : 0) << (2 * n);
    return true;
  }
  return false;
}

bool GicV3::write_common(unsigned cpu, bool own, uint64_t offset, unsigned size, uint64_t value) {
  const auto visible = [&](unsigned id) { return id < count_ && (id < 32) == own; };
  if (offset >= 0x400 && offset < 0x800) {
    for (unsigned n = 0; n < size; ++n) {
      const unsigned id = static_cast<unsigned>(offset - 0x400) + n;
      if (visible(id)) irq(cpu, id).priority = static_cast<uint8_t>(value >> (8 * n)) & 0xf8;
    }
  } else if (size != 4) {
    return false;
  } else if (offset >= 0x080 && offset < 0x400) {
    const unsigned first = static_cast<unsigned>(offset & 0x7f) * 8;
    const uint64_t kind = offset & ~uint64_t{0x7f};
    for (unsigned n = 0; n < 32; ++n) {
      const bool set = bit(value, n);
      if (!visible(first + n) || (!set && kind != 0x080)) continue;
      Irq& i = irq(cpu, first + n);
      if (kind == 0x080) i.group1 = set;
      if (kind == 0x100) i.enabled = true;
      if (kind == 0x180) i.enabled = false;
      if (kind == 0x200) i.latched = true;
      if (kind == 0x280) i.latched = false;
      if (kind == 0x300) i.active = true;
      if (kind == 0x380) i.active = false;
      refresh(cpu, first + n);
    }
  } else if (offset >= 0xc00 && offset < 0xd00) {
    const unsigned first = static_cast<unsigned>(offset - 0xc00) * 4;
    for (unsigned n = 0; n < 16; ++n) {
      if (!visible(first + n) || first + n < 16) continue;  // SGIs are edges
      irq(cpu, first + n).edge = bit(value, 2 * n + 1);
      refresh(cpu, first + n);
    }
  } else {
    return false;
  }
  if (own)
    update(cpu);
  else
    update_all();
  return true;
}

uint64_t GicV3::read_distributor(uint64_t offset, unsigned size) {
  uint64_t value = 0;
  if (read_common(0, false, offset, size, value)) return value;
  if (offset >= 0x6000 && offset < 0x8000) {
    const auto id = static_cast<unsigned>((offset - 0x6000) / 8);
    return id >= 32 && id < count_ ? shared_[id - 32].route >> (8 * (offset & 4)) : 0;
  }
  if (offset >= 0xffd0 && offset < 0x10000) return kIds[(offset - 0xffd0) / 4];
  switch (offset) {
    case 0x0000:
      return ctlr_ | kCtlrAre | kCtlrDs;
    case 0x0004:  // no 1 of N; LPIs; message-based SPIs; INTIDs of 16 bits
      return (count_ / 32 - 1) | 1u << 25 | (kIdBits - 1) << 19 | 1u << 17 | 1u << 16;
    case 0x0008:
      return kIidr;
    default:
      return 0;
  }
}

void GicV3::write_distributor(uint64_t offset, unsigned size, uint64_t value) {
  if (write_common(0, false, offset, size, value)) return;
  if (offset >= 0x6000 && offset < 0x8000) {
    const auto id = static_cast<unsigned>((offset - 0x6000) / 8);
    if (id < 32 || id >= count_ || size < 4) return;
    Irq& i = shared_[id - 32];
    if (size == 8)
      i.route = value & kIrouterMask;
    else if (offset & 4)
      i.route = ((value << 32) & kIrouterMask) | (i.route & 0xffff'ffff);
    else
      i.route = (i.route & ~uint64_t{0xffff'ffff}) | (value & kIrouterMask);
    i.target = cpu_of(i.route);
    return update_all();
  }
  const unsigned spi = value & 0x3ff;
  switch (offset) {
    case 0x0000:
      ctlr_ = value & 3;
      return update_all();
    case 0x0040:
    case 0x0048:
      if (spi < 32 || spi >= count_) return;
      shared_[spi - 32].latched = offset == 0x0040;
      refresh(0, spi);
      return update_all();
    default:
      return;
  }
}

uint64_t GicV3::read_redistributor(unsigned cpu, uint64_t offset, unsigned size) {
  const Cpu& c = cpus_[cpu];
  uint64_t value = 0;
  if (offset >= 0x10000) {
    if (offset < 0x1'1000) read_common(cpu, true, offset - 0x10000, size, value);
    return value;
  }
  if (offset >= 0xffd0) return kIds[(offset - 0xffd0) / 4];
  const uint64_t affinity = (c.config.affinity >> 32 & 0xff) << 24 | (c.config.affinity & 0xff'ffff);
  switch (offset & ~uint64_t{4}) {
    case 0x0000:
      return offset == 0 ? c.lpis_enabled : kIidr;
    case 0x0008:  // affinity, number, Last, PLPIS
      value = affinity << 32 | uint64_t{cpu} << 8 | uint64_t{cpu + 1 == cpus_.size()} << 4 | 1;
      break;
    case 0x0010:
      return offset == 0x0014 && c.asleep ? 6 : 0;
    case 0x0070:
      value = c.propbaser;
      break;
    case 0x0078:
      value = c.pendbaser;
      break;
    default:
      return 0;
  }
  return value >> (8 * (offset & 4));
}

void GicV3::write_redistributor(unsigned cpu, uint64_t offset, unsigned size, uint64_t value) {
  Cpu& c = cpus_[cpu];
  if (offset >= 0x10000) {
    if (offset < 0x1'1000) write_common(cpu, true, offset - 0x10000, size, value);
    return;
  }
  const auto merge = [&](uint64_t& to, uint64_t mask) {
    if (c.lpis_enabled) return;  // unpredictable; kept
    const uint64_t part = size == 8 ? ~uint64_t{0} : uint64_t{0xffff'ffff} << (8 * (offset & 4));
    to = ((to & ~part) | ((value << (8 * (offset & 4))) & part)) & mask;
  };
  switch (offset) {
    case 0x0000:
      if ((value & 1) && !c.lpis_enabled) enable_lpis(c);
      if (!(value & 1)) c.lpis_enabled = false;
      return update(cpu);
    case 0x0014:
      c.asleep = value & 2;
      return;
    case 0x0070:
    case 0x0074:
      return merge(c.propbaser, 0x070f'ffff'ffff'ff9f);
    case 0x0078:
    case 0x007c:
      return merge(c.pendbaser, 0x470f'ffff'ffff'0f80);
    default:
      return;
  }
}

// LPIs: configuration is a byte each in memory, read when LPIs are enabled and when the ITS says so.

void GicV3::read_lpi_config(Cpu& c, unsigned first, unsigned count) {
  const uint64_t base = c.propbaser & 0xf'ffff'ffff'f000;
  // What can't be read stays disabled.
  for (unsigned i = 0; i < count; ++i) c.lpi_config[first + i] = 0;
  memory_.read_bytes(base + first, c.lpi_config.data() + first, count);
}

void GicV3::enable_lpis(Cpu& c) {
  c.lpis_enabled = true;
  const unsigned bits = std::min<unsigned>((c.propbaser & 0x1f) + 1, kIdBits);
  const unsigned end = 1u << bits;
  c.lpi_config.assign(end > kFirstLpi ? end - kFirstLpi : 0, 0);
  if (!c.lpi_config.empty()) read_lpi_config(c, 0, static_cast<unsigned>(c.lpi_config.size()));
  c.lpis_pending.clear();
  if (c.pendbaser >> 62 & 1 || c.lpi_config.empty()) return;  // PTZ: nothing is pending
  std::vector<uint8_t> pending(end / 8);
  if (!memory_.read_bytes(c.pendbaser & 0xf'ffff'ffff'0000, pending.data(), pending.size())) return;
  for (unsigned lpi = kFirstLpi; lpi < end; ++lpi)
    if (pending[lpi / 8] >> (lpi % 8) & 1) c.lpis_pending.insert(static_cast<uint16_t>(lpi));
}

void GicV3::set_lpi(unsigned cpu, unsigned lpi, bool pending) {
  const std::lock_guard lock(mutex_);
  if (cpu >= cpus_.size() || lpi < kFirstLpi || lpi >= kLpiEnd) return;
  Cpu& c = cpus_[cpu];
  if (!c.lpis_enabled) return;
  if (pending)
    c.lpis_pending.insert(static_cast<uint16_t>(lpi));
  else
    c.lpis_pending.erase(static_cast<uint16_t>(lpi));
  update(cpu);
}

void GicV3::reload_lpi(unsigned cpu, unsigned lpi) {
  const std::lock_guard lock(mutex_);
  if (cpu >= cpus_.size() || lpi < kFirstLpi || lpi - kFirstLpi >= cpus_[cpu].lpi_config.size()) return;
  read_lpi_config(cpus_[cpu], lpi - kFirstLpi, 1);
  update(cpu);
}

void GicV3::reload_lpis(unsigned cpu) {
  const std::lock_guard lock(mutex_);
  if (cpu >= cpus_.size() || cpus_[cpu].lpi_config.empty()) return;
  read_lpi_config(cpus_[cpu], 0, static_cast<unsigned>(cpus_[cpu].lpi_config.size()));
  update(cpu);
}

void GicV3::move_lpi(unsigned from, unsigned to, unsigned lpi) {
  const std::lock_guard lock(mutex_);
  if (from >= cpus_.size() || to >= cpus_.size() ||
      !cpus_[from].lpis_pending.erase(static_cast<uint16_t>(lpi)))
    return;
  cpus_[to].lpis_pending.insert(static_cast<uint16_t>(lpi));
  update(from);
  update(to);
}

void GicV3::move_lpis(unsigned from, unsigned to) {
  const std::lock_guard lock(mutex_);
  if (from >= cpus_.size() || to >= cpus_.size() || from == to) return;
  cpus_[to].lpis_pending.merge(cpus_[from].lpis_pending);
  cpus_[from].lpis_pending.clear();
  update(from);
  update(to);
}

}  // namespace lyrebird::devices
