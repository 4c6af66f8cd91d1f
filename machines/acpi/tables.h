// SPDX-License-Identifier: Apache-2.0
/// ACPI's tables (ACPI 6.3, 5.2), laid out one behind the other at a physical address.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "machines/acpi/aml.h"

namespace lyrebird::machines::acpi {

/// What is appended is little-endian.
class Table {
 public:
  /// With the header of 36 bytes.
  Table(std::string_view signature, uint8_t revision);
  Table& u8(uint8_t value) { return number(value, 1); }
  Table& u16(uint16_t value) { return number(value, 2); }
  Table& u32(uint32_t value) { return number(value, 4); }
  Table& u64(uint64_t value) { return number(value, 8); }
  Table& zeros(size_t count);
  Table& bytes(const Bytes& data);
  /// A register in memory, one byte wide (5.2.3.2).
  Table& register8(uint64_t address);
  /// Everything so far, with length and checksum set.
  Bytes finish() const;

 private:
  Table& number(uint64_t value, unsigned size);
  Bytes data_;
};

/// A machine with hardware-reduced ACPI.
struct ReducedHardware {
  uint64_t sleep_control = 0, sleep_status = 0, reset = 0;
  uint8_t reset_value = 0;
};
Bytes make_fadt(uint64_t dsdt, const ReducedHardware& hardware);

struct Interrupts {
  unsigned cpus = 1;
  uint32_t lapic = 0xfee0'0000, ioapic = 0xfec0'0000;
  uint8_t ioapic_id = 0;
  bool pic = false;  ///< there are the 8259s, too
};
Bytes make_madt(const Interrupts& interrupts);

/// RSDP at `address`, behind it XSDT, FADT, MADT, DSDT. Empty if it is more than `room` bytes.
Bytes lay_out(uint64_t address, size_t room, const Aml& dsdt, const ReducedHardware& hardware,
              const Interrupts& interrupts);

}  // namespace lyrebird::machines::acpi
