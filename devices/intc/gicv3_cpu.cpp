// SPDX-License-Identifier: Apache-2.0
/// The CPU interface of the GICv3: its system registers (IHI 0069, 12.2), and its part of the state.
#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "devices/intc/gic_common.h"
#include "devices/intc/gicv3.h"
#include "devices/intc/gicv3_parts.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint16_t key(unsigned op0, unsigned op1, unsigned crn, unsigned crm, unsigned op2) {
  return static_cast<uint16_t>(op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2);
}

enum : uint16_t {
  kPmr = key(3, 0, 4, 6, 0),
  kIar0 = key(3, 0, 12, 8, 0),
  kEoir0 = key(3, 0, 12, 8, 1),
  kHppir0 = key(3, 0, 12, 8, 2),
  kBpr0 = key(3, 0, 12, 8, 3),
  kAp0r0 = key(3, 0, 12, 8, 4),
  kAp1r0 = key(3, 0, 12, 9, 0),
  kDir = key(3, 0, 12, 11, 1),
  kRpr = key(3, 0, 12, 11, 3),
  kSgi1r = key(3, 0, 12, 11, 5),
  kAsgi1r = key(3, 0, 12, 11, 6),
  kSgi0r = key(3, 0, 12, 11, 7),
  kIar1 = key(3, 0, 12, 12, 0),
  kEoir1 = key(3, 0, 12, 12, 1),
  kHppir1 = key(3, 0, 12, 12, 2),
  kBpr1 = key(3, 0, 12, 12, 3),
  kCtlr = key(3, 0, 12, 12, 4),
  kSreEl1 = key(3, 0, 12, 12, 5),
  kIgrpen0 = key(3, 0, 12, 12, 6),
  kIgrpen1 = key(3, 0, 12, 12, 7),
  kSreEl2 = key(3, 4, 12, 9, 5),
  kCtlrEl3 = key(3, 6, 12, 12, 4),
  kSreEl3 = key(3, 6, 12, 12, 5),
  kIgrpen1El3 = key(3, 6, 12, 12, 7),
};

constexpr uint32_t kCbpr = 1 << 0, kEoiMode = 1 << 1;
constexpr uint32_t kCtlrFixed = 4u << 8 | 1u << 15;  // 5 bits of priority, 16 of INTID, Aff3

}  // namespace

uint8_t GicV3::running_priority(const Cpu& c) const {
  const uint32_t active = c.apr[0] | c.apr[1];
  return active ? static_cast<uint8_t>(std::countr_zero(active) << 3) : 0xff;
}

/// The part of the priority that decides about preemption (4.8.2).
uint8_t GicV3::group_priority(const Cpu& c, uint8_t priority, bool group1) const {
  const unsigned point = group1 && !(c.ctlr & kCbpr) ? c.bpr[1] : c.bpr[0] + 1u;
  return point >= 8 ? 0 : static_cast<uint8_t>(priority & ~low_mask(point));
}

bool GicV3::deliverable(const Cpu& c, const Best& best) const {
  if (best.id == kSpurious || best.priority >= c.pmr) return false;
  return (c.apr[0] | c.apr[1]) == 0 || group_priority(c, best.priority, best.group1) < running_priority(c);
}

uint64_t GicV3::highest(unsigned cpu, bool group1) const {
  const Best best = highest_pending(cpu);
  return best.id == kSpurious || best.group1 != group1 ? kSpurious : best.id;
}

uint64_t GicV3::acknowledge(unsigned cpu, bool group1) {
  Cpu& c = cpus_[cpu];
  const Best best = highest_pending(cpu);
  if (best.group1 != group1 || !deliverable(c, best)) return kSpurious;
  c.apr[group1] |= 1u << (group_priority(c, best.priority, group1) >> 3);
  if (best.id >= kFirstLpi) {  // LPIs are never active
    c.lpis_pending.erase(static_cast<uint16_t>(best.id));
  } else {
    Irq& i = irq(cpu, best.id);
    i.latched = false;
    i.active = true;
    refresh(cpu, best.id);
  }
  update(cpu);
  return best.id;
}

void GicV3::deactivate(unsigned cpu, uint64_t id) {
  if (id >= count_) return;
  Irq& i = irq(cpu, static_cast<unsigned>(id));
  i.active = false;
  refresh(cpu, static_cast<unsigned>(id));
  if (id >= 32 && i.target >= 0 && i.target != static_cast<int>(cpu)) update(static_cast<unsigned>(i.target));
}

void GicV3::end_of_interrupt(unsigned cpu, uint64_t id, bool group1) {
  if (id >= 1020 && id < kFirstLpi) return;
  Cpu& c = cpus_[cpu];
  c.apr[group1] &= c.apr[group1] - 1;  // priority drop: the highest one
  if (!(c.ctlr & kEoiMode)) deactivate(cpu, id);
  update(cpu);
}

/// With one security state SGI1R is for SGIs in group 1 and SGI0R for those in group 0 (12.1.11).
void GicV3::send_sgi(unsigned cpu, uint64_t value, bool group1) {
  const auto id = static_cast<unsigned>(bits(value, 24, 4));
  const bool all_others = bit(value, 40);
  const uint64_t cluster = bits(value, 48, 8) << 32 | bits(value, 32, 8) << 16 | bits(value, 16, 8) << 8;
  const uint64_t list = value & 0xffff;
  for (unsigned target = 0; target < cpus_.size(); ++target) {
    const uint64_t affinity = cpus_[target].config.affinity;
    const uint64_t aff0 = affinity & 0xff;
    const bool listed =
        (affinity & ~uint64_t{0xff}) == cluster && aff0 / 16 == bits(value, 44, 4) && bit(list, aff0 % 16);
    if (all_others ? target == cpu : !listed) continue;
    Irq& i = cpus_[target].own[id];
    if (i.group1 != group1) continue;
    i.latched = true;
    refresh(target, id);
    update(target);
  }
}

bool GicV3::read_register(unsigned cpu, uint16_t k, uint64_t& value) {
  const std::lock_guard lock(mutex_);
  const Cpu& c = cpus_[cpu];
  switch (k) {
    case kPmr:
      value = c.pmr;
      return true;
    case kIar0:
    case kIar1:
      value = acknowledge(cpu, k == kIar1);
      return true;
    case kHppir0:
    case kHppir1:
      value = highest(cpu, k == kHppir1);
      return true;
    case kBpr0:
      value = c.bpr[0];
      return true;
    case kBpr1:
      value = c.ctlr & kCbpr ? std::min(c.bpr[0] + 1, 7) : c.bpr[1];
      return true;
    case kAp0r0:
      value = c.apr[0];
      return true;
    case kAp1r0:
      value = c.apr[1];
      return true;
    case kRpr:
      value = running_priority(c);
      return true;
    case kCtlr:
    case kCtlrEl3:
      value = c.ctlr | kCtlrFixed;
      return true;
    case kSreEl1:
    case kSreEl2:
    case kSreEl3:
      value =
          k == kSreEl1 ? 7 : 15;  // SRE, DFB, DIB and Enable are fixed: there is no memory-mapped interface
      return true;
    case kIgrpen0:
      value = c.group_enabled[0];
      return true;
    case kIgrpen1:
      value = c.group_enabled[1];
      return true;
    case kIgrpen1El3:
      value = c.group_enabled[1] ? 3 : 0;
      return true;
    default:
      return false;
  }
}

bool GicV3::write_register(unsigned cpu, uint16_t k, uint64_t value) {
  const std::lock_guard lock(mutex_);
  Cpu& c = cpus_[cpu];
  switch (k) {
    case kPmr:
      c.pmr = value & 0xf8;
      break;
    case kEoir0:
    case kEoir1:
      end_of_interrupt(cpu, value & 0xff'ffff, k == kEoir1);
      return true;
    case kBpr0:
      c.bpr[0] = static_cast<uint8_t>(std::max<uint64_t>(value & 7, 2));
      break;
    case kBpr1:
      if (!(c.ctlr & kCbpr)) c.bpr[1] = static_cast<uint8_t>(std::max<uint64_t>(value & 7, 3));
      break;
    case kAp0r0:
      c.apr[0] = static_cast<uint32_t>(value);
      break;
    case kAp1r0:
      c.apr[1] = static_cast<uint32_t>(value);
      break;
    case kDir:
      if (c.ctlr & kEoiMode) deactivate(cpu, value & 0xff'ffff);
      break;
    case kSgi1r:
    case kAsgi1r:  // the other security state's: with one state there is none, and it does what SGI1R does
      send_sgi(cpu, value, true);
      return true;
    case kSgi0r:
      send_sgi(cpu, value, false);
      return true;
    case kCtlr:
    case kCtlrEl3:
      c.ctlr = value & (kCbpr | kEoiMode);
      break;
    case kSreEl1:
    case kSreEl2:
    case kSreEl3:
      return true;  // fixed
    case kIgrpen0:
      c.group_enabled[0] = value & 1;
      break;
    case kIgrpen1:
      c.group_enabled[1] = value & 1;
      break;
    case kIgrpen1El3:
      c.group_enabled[1] = value & 3;
      break;
    default:
      return false;
  }
  update(cpu);
  return true;
}

void GicV3::save(system::StateWriter& to) const {
  const std::lock_guard lock(mutex_);
  const auto put = [&to](const Irq& i) {
    to.field("irq", static_cast<uint32_t>(i.enabled | i.latched << 1 | i.level << 2 | i.active << 3 |
                                          i.group1 << 4 | i.edge << 5 | uint32_t{i.priority} << 8));
    to.field("route", i.route);
  };
  to.begin("gicv3", 1);
  to.field("interrupts", count_);
  to.field("cpus", static_cast<uint32_t>(cpus_.size()));
  to.field("ctlr", ctlr_);
  for (const Irq& i : shared_) put(i);
  for (const Cpu& c : cpus_) {
    for (const Irq& i : c.own) put(i);
    to.field("lpis_enabled", c.lpis_enabled);
    to.field("asleep", c.asleep);
    to.field("propbaser", c.propbaser);
    to.field("pendbaser", c.pendbaser);
    const std::vector<uint16_t> pending(c.lpis_pending.begin(), c.lpis_pending.end());
    to.array("lpis_pending", std::span<const uint16_t>(pending));
    to.bytes("lpi_config", c.lpi_config);
    to.array("apr", std::span<const uint32_t>(c.apr));
    to.field("groups", static_cast<uint8_t>(c.group_enabled[0] | c.group_enabled[1] << 1));
    to.field("pmr", c.pmr);
    to.array("bpr", std::span<const uint8_t>(c.bpr));
    to.field("ctlr", c.ctlr);
  }
  to.end();
}

Result<void> GicV3::load(system::StateReader& from) {
  const std::lock_guard lock(mutex_);
  const auto get = [&](Irq& i) {
    uint32_t v;
    from.field("irq", v);
    from.field("route", i.route);
    i.enabled = v & 1, i.latched = v >> 1 & 1, i.level = v >> 2 & 1, i.active = v >> 3 & 1;
    i.group1 = v >> 4 & 1, i.edge = v >> 5 & 1, i.priority = v >> 8 & 0xf8;
    i.target = cpu_of(i.route);
  };
  if (!begin_gic_state(from, "gicv3", count_, cpus_.size())) return from.status();
  from.field("ctlr", ctlr_);
  for (Irq& i : shared_) get(i);
  for (Cpu& c : cpus_) {
    for (Irq& i : c.own) get(i);
    from.field("lpis_enabled", c.lpis_enabled);
    from.field("asleep", c.asleep);
    from.field("propbaser", c.propbaser);
    from.field("pendbaser", c.pendbaser);
    const auto pending = from.bytes("lpis_pending", 2 * kLpiEnd);
    c.lpis_pending.clear();
    for (size_t i = 0; i + 1 < pending.size(); i += 2)
      c.lpis_pending.insert(load_unaligned<uint16_t>(&pending[i]));
    c.lpi_config = from.bytes("lpi_config", kLpiEnd - kFirstLpi);
    from.array("apr", std::span<uint32_t>(c.apr));
    uint8_t groups;
    from.field("groups", groups);
    c.group_enabled[0] = groups & 1, c.group_enabled[1] = groups >> 1 & 1;
    from.field("pmr", c.pmr);
    from.array("bpr", std::span<uint8_t>(c.bpr));
    from.field("ctlr", c.ctlr);
  }
  from.end();
  if (from.ok()) refresh_all();
  return from.status();
}

}  // namespace lyrebird::devices
