// SPDX-License-Identifier: Apache-2.0
#include "devices/intc/gicv2.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "base/bits.h"
#include "devices/intc/gic_common.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint32_t kSpurious = 1023, kSpuriousGroup1 = 1022;
constexpr uint32_t kIidr = 0x0200143b;           // GIC-400 r0p0
constexpr uint32_t kInterfaceIidr = 0x0202143b;  // GICv2
constexpr uint8_t kIds[] = {0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1};

// CTLR of a CPU interface without Security Extensions (4.4.1).
constexpr uint32_t kEnable0 = 1 << 0, kEnable1 = 1 << 1, kAckCtl = 1 << 2, kFiqEn = 1 << 3, kCbpr = 1 << 4,
                   kEoiMode = 1 << 9;
constexpr uint32_t kCtlrMask = kEnable0 | kEnable1 | kAckCtl | kFiqEn | kCbpr | 0x1e0 | kEoiMode;

}  // namespace

class GicV2::Distributor final : public system::Device {
 public:
  Distributor(GicV2& gic, unsigned cpu) : gic_(gic), cpu_(cpu) {}
  uint64_t read(uint64_t offset, unsigned size) override { return gic_.read_distributor(cpu_, offset, size); }
  void write(uint64_t offset, unsigned size, uint64_t value) override {
    gic_.write_distributor(cpu_, offset, size, static_cast<uint32_t>(value));
  }
  void reset() override {}  // GicV2's own does it
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
  std::mutex& mutex() override { return gic_.mutex_; }

 private:
  GicV2& gic_;
  const unsigned cpu_;
};

class GicV2::CpuInterface final : public system::Device {
 public:
  CpuInterface(GicV2& gic, unsigned cpu) : gic_(gic), cpu_(cpu) {}
  uint64_t read(uint64_t offset, unsigned) override { return gic_.read_interface(cpu_, offset); }
  void write(uint64_t offset, unsigned, uint64_t value) override {
    gic_.write_interface(cpu_, offset, static_cast<uint32_t>(value));
  }
  void reset() override {}  // as above
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }
  std::mutex& mutex() override { return gic_.mutex_; }

 private:
  GicV2& gic_;
  const unsigned cpu_;
};

class GicV2::PpiSink final : public system::IrqSink {
 public:
  PpiSink(GicV2& gic, unsigned cpu) : gic_(gic), cpu_(cpu) {}
  void set_irq(unsigned id, bool level) override { gic_.set_ppi(cpu_, id, level); }

 private:
  GicV2& gic_;
  const unsigned cpu_;
};

GicV2::GicV2(unsigned interrupts, std::vector<CpuLines> cpus)
    : count_(interrupts), shared_(interrupts - 32), candidates_((interrupts - 32 + 63) / 64) {
  assert(interrupts % 32 == 0 && interrupts >= 64 && interrupts <= 1024);
  assert(!cpus.empty() && cpus.size() <= kMaxCpus);
  for (unsigned i = 0; i < cpus.size(); ++i) {
    cpus_.push_back({.lines = cpus[i]});
    distributors_.push_back(std::make_unique<Distributor>(*this, i));
    interfaces_.push_back(std::make_unique<CpuInterface>(*this, i));
    ppis_.push_back(std::make_unique<PpiSink>(*this, i));
  }
  reset();
}

GicV2::~GicV2() = default;

system::Device& GicV2::distributor(unsigned cpu) { return *distributors_[cpu]; }
system::Device& GicV2::cpu_interface(unsigned cpu) { return *interfaces_[cpu]; }
system::IrqLine GicV2::ppi(unsigned cpu, unsigned id) { return {*ppis_[cpu], id}; }

void GicV2::reset() {
  const std::lock_guard lock(mutex_);
  ctlr_ = 0;
  const auto clear = [](Irq& i, bool edge) {
    const bool level = i.level;  // the line is its device's
    i = {};
    i.level = level;
    i.edge = edge;
  };
  for (Irq& i : shared_) clear(i, false);
  for (Cpu& c : cpus_) {
    c.ctlr = c.apr = c.nsapr = 0;
    c.pmr = 0;
    c.bpr = 2;
    c.abpr = 3;
    for (unsigned id = 0; id < 32; ++id) {
      clear(c.own[id], id < 16);
      c.own[id].enabled = id < 16;
    }
  }
  refresh_all();
}

void GicV2::refresh(unsigned cpu, unsigned id) {
  note_candidate(irq(cpu, id), id, cpus_[cpu].candidates, candidates_);
}

void GicV2::refresh_all() {
  for_each_interrupt(cpus_.size(), count_, [this](unsigned cpu, unsigned id) { refresh(cpu, id); });
  update_all();
}

unsigned GicV2::highest_pending(unsigned cpu) const {
  unsigned best = kSpurious;
  unsigned priority = 256;
  const auto consider = [&](unsigned id) {
    const Irq& i = irq(cpu, id);
    if (!(ctlr_ >> i.group1 & 1) || i.priority >= priority) return;
    // With one CPU ITARGETSR is RAZ/WI (4.3.12).
    if (id >= 32 && cpus_.size() > 1 && !(i.targets >> cpu & 1)) return;
    best = id;
    priority = i.priority;
  };
  for (uint64_t word = cpus_[cpu].candidates; word; word &= word - 1)
    consider(static_cast<unsigned>(std::countr_zero(word)));
  for (unsigned n = 0; n < candidates_.size(); ++n)
    for (uint64_t word = candidates_[n]; word; word &= word - 1)
      consider(32 + 64 * n + static_cast<unsigned>(std::countr_zero(word)));
  return best;
}

uint8_t GicV2::running_priority(const Cpu& c) const {
  const uint32_t active = c.apr | c.nsapr;
  return active ? static_cast<uint8_t>(std::countr_zero(active) << 3) : 0xff;
}

/// The part of the priority that decides about preemption (3.3.3).
uint8_t GicV2::group_priority(const Cpu& c, const Irq& i) const {
  unsigned point = c.bpr + 1u;
  if (i.group1 && !(c.ctlr & kCbpr)) point = c.abpr;
  return point >= 8 ? 0 : static_cast<uint8_t>(i.priority & ~low_mask(point));
}

bool GicV2::deliverable(const Cpu& c, const Irq& i) const {
  if (!(c.ctlr & (i.group1 ? kEnable1 : kEnable0)) || i.priority >= c.pmr) return false;
  return (c.apr | c.nsapr) == 0 || group_priority(c, i) < running_priority(c);
}

void GicV2::update(unsigned cpu) {
  Cpu& c = cpus_[cpu];
  const unsigned id = highest_pending(cpu);
  bool raise_irq = false, raise_fiq = false;
  if (id != kSpurious && deliverable(c, irq(cpu, id))) {
    raise_fiq = !irq(cpu, id).group1 && (c.ctlr & kFiqEn);
    raise_irq = !raise_fiq;
  }
  c.lines.irq.set(raise_irq);
  c.lines.fiq.set(raise_fiq);
}

void GicV2::update_all() {
  for (unsigned cpu = 0; cpu < cpus_.size(); ++cpu) update(cpu);
}

void GicV2::set_irq(unsigned spi, bool level) {
  const std::lock_guard lock(mutex_);
  assert(spi < shared_.size());
  Irq& i = shared_[spi];
  if (i.level == level) return;
  i.level = level;
  if (level && i.edge) i.latched = true;
  refresh(0, 32 + spi);
  update_all();
}

void GicV2::set_ppi(unsigned cpu, unsigned id, bool level) {
  const std::lock_guard lock(mutex_);
  assert(id >= 16 && id < 32);
  Irq& i = cpus_[cpu].own[id];
  if (i.level == level) return;
  i.level = level;
  if (level && i.edge) i.latched = true;
  refresh(cpu, id);
  update(cpu);
}

// The distributor: registers of one bit per interrupt from 0x080 to 0x3ff.

uint32_t GicV2::read_bits(unsigned cpu, uint64_t offset) {
  const unsigned first = static_cast<unsigned>(offset & 0x7f) / 4 * 32;
  uint32_t value = 0;
  for (unsigned n = 0; n < 32 && first + n < count_; ++n) {
    const Irq& i = irq(cpu, first + n);
    bool set = false;
    switch (offset & ~uint64_t{0x7f}) {
      case 0x080:
        set = i.group1;
        break;
      case 0x100:
      case 0x180:
        set = i.enabled;
        break;
      case 0x200:
      case 0x280:
        set = i.pending();
        break;
      default:
        set = i.active;
    }
    value |= uint32_t{set} << n;
  }
  return value;
}

void GicV2::write_bits(unsigned cpu, uint64_t offset, unsigned size, uint32_t value) {
  const unsigned first = static_cast<unsigned>(offset & 0x7f) * 8;
  const uint64_t kind = offset & ~uint64_t{0x7f};
  for (unsigned n = 0; n < 8 * size && first + n < count_; ++n) {
    const unsigned id = first + n;
    const bool set = bit(value, n);
    if (!set && kind != 0x080) continue;
    Irq& i = irq(cpu, id);
    switch (kind) {
      case 0x080:
        i.group1 = set;
        break;
      case 0x100:
        i.enabled = true;
        break;
      case 0x180:
        if (id >= 16) i.enabled = false;  // SGIs are always enabled in this implementation
        break;
      case 0x200:
        if (id >= 16) i.latched = true;  // of SGIs only through SPENDSGIR (4.3.7)
        break;
      case 0x280:
        if (id >= 16) i.latched = false;
        break;
      case 0x300:
        i.active = true;
        break;
      default:
        i.active = false;
    }
    refresh(cpu, id);
  }
  update_all();
}

uint32_t GicV2::read_distributor(unsigned cpu, uint64_t offset, unsigned size) {
  if (offset >= 0x080 && offset < 0x400) {
    const uint32_t word = read_bits(cpu, offset & ~uint64_t{3});
    return static_cast<uint32_t>(bits(word, 8 * (offset & 3), 8 * size));
  }
  uint32_t value = 0;
  if (offset >= 0x400 && offset < 0xc00) {  // a byte for each interrupt
    const bool targets = offset >= 0x800;
    for (unsigned n = 0; n < size; ++n) {
      const unsigned id = static_cast<unsigned>(offset & 0x3ff) + n;
      if (id >= count_) break;
      const Irq& i = irq(cpu, id);
      uint32_t byte = i.priority;
      if (targets) byte = cpus_.size() == 1 ? 0 : id < 32 ? 1u << cpu : i.targets;
      value |= byte << (8 * n);
    }
    return value;
  }
  const uint64_t aligned = offset & ~uint64_t{3};
  if (aligned >= 0xc00 && aligned < 0xd00) {
    const unsigned first = static_cast<unsigned>(aligned - 0xc00) * 4;
    for (unsigned n = 0; n < 16 && first + n < count_; ++n)
      value |= (irq(cpu, first + n).edge ? 2u : 0u) << (2 * n);
  } else if (aligned == 0x000) {
    value = ctlr_;
  } else if (aligned == 0x004) {
    value = count_ / 32 - 1 | static_cast<uint32_t>(cpus_.size() - 1) << 5;
  } else if (aligned == 0x008) {
    value = kIidr;
  } else if (aligned >= 0xf10 && aligned < 0xf30) {
    const unsigned first = static_cast<unsigned>(aligned & 0xf);
    for (unsigned n = 0; n < 4; ++n) value |= uint32_t{cpus_[cpu].own[first + n].sources} << (8 * n);
  } else if (aligned >= 0xfd0) {
    value = kIds[(aligned - 0xfd0) / 4];
  }
  return static_cast<uint32_t>(bits(value, 8 * (offset & 3), 8 * size));
}

void GicV2::send_sgi(unsigned cpu, uint32_t value) {
  const unsigned id = value & 15;
  uint32_t targets = value >> 16 & 0xff;
  switch (value >> 24 & 3) {
    case 1:
      targets = ~(1u << cpu);
      break;
    case 2:
      targets = 1u << cpu;
      break;
    default:
      break;
  }
  for (unsigned target = 0; target < cpus_.size(); ++target) {
    if (!(targets >> target & 1)) continue;
    cpus_[target].own[id].sources |= static_cast<uint8_t>(1u << cpu);
    refresh(target, id);
    update(target);
  }
}

void GicV2::write_distributor(unsigned cpu, uint64_t offset, unsigned size, uint32_t value) {
  if (offset >= 0x080 && offset < 0x400) return write_bits(cpu, offset, size, value);
  if (offset >= 0x400 && offset < 0xc00) {
    for (unsigned n = 0; n < size; ++n) {
      const unsigned id = static_cast<unsigned>(offset & 0x3ff) + n;
      const auto byte = static_cast<uint8_t>(value >> (8 * n));
      if (id >= count_) break;
      if (offset < 0x800)
        irq(cpu, id).priority = byte & 0xf8;
      else if (id >= 32)
        irq(cpu, id).targets = static_cast<uint8_t>(byte & low_mask(static_cast<unsigned>(cpus_.size())));
    }
    return update_all();
  }
  if (offset >= 0xc00 && offset < 0xd00) {
    const unsigned first = static_cast<unsigned>(offset - 0xc00) * 4;
    for (unsigned n = 0; n < 4 * size && first + n < count_; ++n) {
      if (first + n < 16) continue;  // SGIs are edges
      irq(cpu, first + n).edge = value >> (2 * n + 1) & 1;
      refresh(cpu, first + n);
    }
    return update_all();
  }
  if (offset == 0x000) {
    ctlr_ = value & 3;
    return update_all();
  }
  if (offset == 0xf00) return send_sgi(cpu, value);
  if (offset >= 0xf10 && offset < 0xf30) {
    for (unsigned n = 0; n < size; ++n) {
      const unsigned id = static_cast<unsigned>(offset & 0xf) + n;
      const auto byte =
          static_cast<uint8_t>(value >> (8 * n) & low_mask(static_cast<unsigned>(cpus_.size())));
      uint8_t& sources = cpus_[cpu].own[id].sources;
      sources = static_cast<uint8_t>(offset < 0xf20 ? sources & ~byte : sources | byte);
      refresh(cpu, id);
    }
    update(cpu);
  }
}

// The CPU interface.

uint32_t GicV2::highest(unsigned cpu, bool group1) const {
  const Cpu& c = cpus_[cpu];
  const unsigned id = highest_pending(cpu);
  if (id == kSpurious || irq(cpu, id).priority >= c.pmr) return kSpurious;
  if (group1) return irq(cpu, id).group1 ? id : kSpurious;
  return irq(cpu, id).group1 && !(c.ctlr & kAckCtl) ? kSpuriousGroup1 : id;
}

uint32_t GicV2::acknowledge(unsigned cpu, bool group1) {
  Cpu& c = cpus_[cpu];
  const uint32_t id = highest(cpu, group1);
  if (id >= 1020 || !deliverable(c, irq(cpu, id))) return id == kSpuriousGroup1 ? id : kSpurious;
  Irq& i = irq(cpu, id);
  uint32_t value = id;
  if (id < 16) {
    const auto source = static_cast<unsigned>(std::countr_zero(i.sources));
    value |= source << 10;
    i.sources &= static_cast<uint8_t>(i.sources - 1);
  }
  i.latched = false;
  i.active = true;
  (i.group1 ? c.nsapr : c.apr) |= 1u << (group_priority(c, i) >> 3);
  refresh(cpu, id);
  if (id < 32)
    update(cpu);
  else
    update_all();
  return value;
}

void GicV2::deactivate(unsigned cpu, uint32_t value) {
  const unsigned id = value & 0x3ff;
  if (id >= count_) return;
  irq(cpu, id).active = false;
  refresh(cpu, id);
  if (id < 32)
    update(cpu);
  else
    update_all();
}

void GicV2::end_of_interrupt(unsigned cpu, uint32_t value, bool group1) {
  const unsigned id = value & 0x3ff;
  if (id >= count_) return;
  Cpu& c = cpus_[cpu];
  const bool of_group1 = group1 || (irq(cpu, id).group1 && (c.ctlr & kAckCtl));
  uint32_t& active = of_group1 ? c.nsapr : c.apr;
  active &= active - 1;  // priority drop: the highest one
  if (c.ctlr & kEoiMode)
    update(cpu);
  else
    deactivate(cpu, value);
}

uint32_t GicV2::read_interface(unsigned cpu, uint64_t offset) {
  const Cpu& c = cpus_[cpu];
  switch (offset) {
    case 0x00:
      return c.ctlr;
    case 0x04:
      return c.pmr;
    case 0x08:
      return c.bpr;
    case 0x0c:
      return acknowledge(cpu, false);
    case 0x14:
      return running_priority(c);
    case 0x18:
      return highest(cpu, false);
    case 0x1c:
      return c.abpr;
    case 0x20:
      return acknowledge(cpu, true);
    case 0x28:
      return highest(cpu, true);
    case 0xd0:
      return c.apr;
    case 0xe0:
      return c.nsapr;
    case 0xfc:
      return kInterfaceIidr;
    default:
      return 0;
  }
}

void GicV2::write_interface(unsigned cpu, uint64_t offset, uint32_t value) {
  Cpu& c = cpus_[cpu];
  switch (offset) {
    case 0x00:
      c.ctlr = value & kCtlrMask;
      break;
    case 0x04:
      c.pmr = value & 0xf8;
      break;
    case 0x08:
      c.bpr = static_cast<uint8_t>(std::max(value & 7, 2u));
      break;
    case 0x10:
      return end_of_interrupt(cpu, value, false);
    case 0x1c:
      c.abpr = static_cast<uint8_t>(std::max(value & 7, 3u));
      break;
    case 0x24:
      return end_of_interrupt(cpu, value, true);
    case 0xd0:
      c.apr = value;
      break;
    case 0xe0:
      c.nsapr = value;
      break;
    case 0x1000:
      return deactivate(cpu, value);
    default:
      return;
  }
  update(cpu);
}

// Saved: what software can see; lines are saved by their devices, which set them again.

namespace {

void save_irq(system::StateWriter& to, uint32_t flags, uint8_t priority, uint8_t targets, uint8_t sources) {
  to.field("irq", flags | uint32_t{priority} << 8 | uint32_t{targets} << 16 | uint32_t{sources} << 24);
}

}  // namespace

void GicV2::save(system::StateWriter& to) const {
  const std::lock_guard lock(mutex_);
  const auto put = [&to](const Irq& i) {
    save_irq(to, i.enabled | i.latched << 1 | i.level << 2 | i.active << 3 | i.group1 << 4 | i.edge << 5,
             i.priority, i.targets, i.sources);
  };
  to.begin("gicv2", 1);
  to.field("interrupts", count_);
  to.field("cpus", static_cast<uint32_t>(cpus_.size()));
  to.field("ctlr", ctlr_);
  for (const Irq& i : shared_) put(i);
  for (const Cpu& c : cpus_) {
    for (const Irq& i : c.own) put(i);
    to.field("ctlr", c.ctlr);
    to.field("apr", c.apr);
    to.field("nsapr", c.nsapr);
    to.field("pmr", c.pmr);
    to.field("bpr", c.bpr);
    to.field("abpr", c.abpr);
  }
  to.end();
}

Result<void> GicV2::load(system::StateReader& from) {
  const std::lock_guard lock(mutex_);
  const auto get = [&from](Irq& i) {
    uint32_t v;
    from.field("irq", v);
    i.enabled = v & 1, i.latched = v >> 1 & 1, i.level = v >> 2 & 1, i.active = v >> 3 & 1;
    i.group1 = v >> 4 & 1, i.edge = v >> 5 & 1;
    i.priority = v >> 8 & 0xf8, i.targets = static_cast<uint8_t>(v >> 16),
    i.sources = static_cast<uint8_t>(v >> 24);
  };
  if (!begin_gic_state(from, "gicv2", count_, cpus_.size())) return from.status();
  from.field("ctlr", ctlr_);
  for (Irq& i : shared_) get(i);
  for (Cpu& c : cpus_) {
    for (Irq& i : c.own) get(i);
    from.field("ctlr", c.ctlr);
    from.field("apr", c.apr);
    from.field("nsapr", c.nsapr);
    from.field("pmr", c.pmr);
    from.field("bpr", c.bpr);
    from.field("abpr", c.abpr);
    c.bpr &= 7, c.abpr &= 7;
  }
  from.end();
  if (from.ok()) refresh_all();
  return from.status();
}

}  // namespace lyrebird::devices
