// SPDX-License-Identifier: Apache-2.0
#include "machines/acpi/tables.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "base/bits.h"

namespace lyrebird::machines::acpi {
namespace {

constexpr size_t kLengthAt = 4, kChecksumAt = 9, kHeader = 36;

uint8_t checksum(const Bytes& data, size_t size) {
  return static_cast<uint8_t>(-std::accumulate(data.begin(), data.begin() + static_cast<long>(size), 0));
}

void append_text(Bytes& to, std::string_view text) { to.insert(to.end(), text.begin(), text.end()); }

}  // namespace

Table::Table(std::string_view signature, uint8_t revision) {
  assert(signature.size() == 4);
  append_text(data_, signature);
  u32(0).u8(revision).u8(0);
  append_text(data_, "LYREBDLYREBIRD");
  u32(1);
  append_text(data_, "LYRE");
  u32(1);
  assert(data_.size() == kHeader);
}

Table& Table::number(uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) data_.push_back(static_cast<uint8_t>(value >> 8 * i));
  return *this;
}

Table& Table::zeros(size_t count) {
  data_.resize(data_.size() + count);
  return *this;
}

Table& Table::bytes(const Bytes& data) {
  data_.insert(data_.end(), data.begin(), data.end());
  return *this;
}

Table& Table::register8(uint64_t address) {
  return u8(0).u8(8).u8(0).u8(1).u64(address);  // memory, 8 bits at bit 0, accessed as bytes
}

Bytes Table::finish() const {
  Bytes data = data_;
  store_unaligned(data.data() + kLengthAt, static_cast<uint32_t>(data.size()));
  data[kChecksumAt] = 0;
  data[kChecksumAt] = checksum(data, data.size());
  return data;
}

Bytes make_fadt(uint64_t dsdt, const ReducedHardware& hardware) {
  constexpr uint16_t kLegacyDevices = 1 << 0, kNoVga = 1 << 2, kNoRtc = 1 << 5;
  constexpr uint32_t kWbinvd = 1 << 0, kPowerButton = 1 << 4, kNoSleepButton = 1 << 5,
                     kResetRegister = 1 << 10, kHardwareReduced = 1 << 20;
  Table table("FACP", 6);
  table.u32(0).u32(static_cast<uint32_t>(dsdt)).zeros(109 - 44);
  table.u16(kLegacyDevices | kNoVga | kNoRtc).u8(0);
  table.u32(kWbinvd | kPowerButton | kNoSleepButton | kResetRegister | kHardwareReduced);
  table.register8(hardware.reset).u8(hardware.reset_value).u16(0).u8(3);  // of ACPI 6.3
  table.u64(0).u64(dsdt).zeros(244 - 148);
  table.register8(hardware.sleep_control).register8(hardware.sleep_status);
  table.u64(0);
  return table.finish();
}

Bytes make_madt(const Interrupts& interrupts) {
  Table table("APIC", 5);
  table.u32(interrupts.lapic).u32(interrupts.pic ? 1 : 0);
  for (unsigned cpu = 0; cpu < interrupts.cpus; ++cpu) {
    if (cpu < 255)
      table.u8(0).u8(8).u8(static_cast<uint8_t>(cpu)).u8(static_cast<uint8_t>(cpu)).u32(1);
    else
      table.u8(9).u8(16).u16(0).u32(cpu).u32(1).u32(cpu);
  }
  table.u8(1).u8(12).u8(interrupts.ioapic_id).u8(0).u32(interrupts.ioapic).u32(0);
  // The 8254 is on the second pin.
  if (interrupts.pic) table.u8(2).u8(10).u8(0).u8(0).u32(2).u16(0);
  table.u8(4).u8(6).u8(0xff).u16(0).u8(1);  // NMI: LINT1 of all
  return table.finish();
}

Bytes lay_out(uint64_t address, size_t room, const Aml& code, const ReducedHardware& hardware,
              const Interrupts& interrupts) {
  constexpr uint64_t kAlign = 64, kRsdp = 36;
  const Bytes dsdt = Table("DSDT", 2).bytes(code.bytes()).finish();
  const Bytes madt = make_madt(interrupts);
  const uint64_t xsdt_at = address + align_up(kRsdp, kAlign);
  const uint64_t fadt_at = xsdt_at + kAlign;
  const uint64_t fadt_size = make_fadt(0, hardware).size();
  const uint64_t madt_at = align_up(fadt_at + fadt_size, kAlign);
  const uint64_t dsdt_at = align_up(madt_at + madt.size(), kAlign);
  const Bytes fadt = make_fadt(dsdt_at, hardware);
  const Bytes xsdt = Table("XSDT", 1).u64(fadt_at).u64(madt_at).finish();
  const uint64_t end = dsdt_at + dsdt.size();
  if (end - address > room) return {};

  Bytes all(end - address);
  const auto put = [&](uint64_t at, const Bytes& data) {
    std::copy(data.begin(), data.end(), all.begin() + static_cast<long>(at - address));
  };
  Bytes rsdp;
  append_text(rsdp, "RSD PTR ");
  rsdp.push_back(0);
  append_text(rsdp, "LYREBD");
  rsdp.push_back(2);
  rsdp.resize(kRsdp);
  store_unaligned(rsdp.data() + 20, static_cast<uint32_t>(kRsdp));
  store_unaligned(rsdp.data() + 24, xsdt_at);
  rsdp[8] = checksum(rsdp, 20);
  rsdp[32] = checksum(rsdp, kRsdp);
  put(address, rsdp);
  put(xsdt_at, xsdt);
  put(fadt_at, fadt);
  put(madt_at, madt);
  put(dsdt_at, dsdt);
  return all;
}

}  // namespace lyrebird::machines::acpi
