// SPDX-License-Identifier: Apache-2.0
#include "machines/mp_table.h"

#include <numeric>
#include <string_view>

namespace lyrebird::machines {
namespace {

using Bytes = std::vector<uint8_t>;

void append(Bytes& to, uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}
void append(Bytes& to, std::string_view text) { to.insert(to.end(), text.begin(), text.end()); }

/// Makes the bytes sum to zero by the one at `at`.
void set_checksum(Bytes& data, size_t at) {
  data[at] = 0;
  data[at] = static_cast<uint8_t>(-std::accumulate(data.begin(), data.end(), 0));
}

enum Entry : uint8_t { kProcessor, kBus, kIoApic, kIoInterrupt, kLocalInterrupt };
enum InterruptType : uint8_t { kVectored = 0, kNmi = 1, kExternal = 3 };
constexpr uint8_t kIsaBus = 0, kApicVersion = 0x14;
constexpr uint16_t kConforms = 0, kActiveHighLevel = 0xd;
constexpr uint8_t kIoApicVersion = 0x11;

void append_interrupt(Bytes& to, Entry entry, InterruptType type, uint16_t flags, uint8_t source,
                      uint8_t apic, uint8_t pin) {
  append(to, entry, 1);
  append(to, type, 1);
  append(to, flags, 2);
  append(to, kIsaBus, 1);
  append(to, source, 1);
  append(to, apic, 1);
  append(to, pin, 1);
}

}  // namespace

Bytes make_mp_table(uint64_t address, const MpTable& what) {
  Bytes entries;
  uint16_t count = 0;
  for (unsigned cpu = 0; cpu < what.cpus; ++cpu, ++count) {
    constexpr uint8_t kEnabled = 1, kBootstrap = 2;
    append(entries, kProcessor, 1);
    append(entries, cpu, 1);
    append(entries, kApicVersion, 1);
    append(entries, kEnabled | (cpu == 0 ? kBootstrap : 0), 1);
    append(entries, 0x600, 4);  // family 6
    append(entries, 0x201, 4);  // an APIC and an FPU
    append(entries, 0, 8);
  }
  append(entries, kBus, 1);
  append(entries, kIsaBus, 1);
  append(entries, "ISA   ");
  append(entries, kIoApic, 1);
  append(entries, what.ioapic_id, 1);
  append(entries, kIoApicVersion, 1);
  append(entries, 1, 1);
  append(entries, what.ioapic, 4);
  count += 2;
  for (unsigned pin = 0; pin < what.pins; ++pin) {
    if (pin == 2) continue;  // the timer's, whose ISA interrupt is 0
    append_interrupt(entries, kIoInterrupt, kVectored, pin < 16 ? kConforms : kActiveHighLevel,
                     static_cast<uint8_t>(pin), what.ioapic_id, static_cast<uint8_t>(pin == 0 ? 2 : pin));
    ++count;
  }
  append_interrupt(entries, kLocalInterrupt, kExternal, kConforms, 0, 0, 0);
  append_interrupt(entries, kLocalInterrupt, kNmi, kConforms, 0, 0xff, 1);
  count += 2;

  Bytes table;
  append(table, "PCMP");
  append(table, 44 + entries.size(), 2);
  append(table, 4, 1);  // version 1.4
  append(table, 0, 1);
  append(table, "LYREBIRDMICROVM     ");
  append(table, 0, 6);
  append(table, count, 2);
  append(table, what.lapic, 4);
  append(table, 0, 4);
  table.insert(table.end(), entries.begin(), entries.end());
  set_checksum(table, 7);

  Bytes all;
  append(all, "_MP_");
  append(all, address + 16, 4);
  append(all, 1, 1);  // its length in units of 16 bytes
  append(all, 4, 1);
  append(all, 0, 6);
  set_checksum(all, 10);
  all.insert(all.end(), table.begin(), table.end());
  return all;
}

}  // namespace lyrebird::machines
