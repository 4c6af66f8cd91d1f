// SPDX-License-Identifier: Apache-2.0
/// The tables by which kernels find processors and interrupts where there is no ACPI (Intel MultiProcessor
/// Specification 1.4, chapter 4).
#pragma once

#include <cstdint>
#include <vector>

namespace lyrebird::machines {

struct MpTable {
  unsigned cpus = 1;  ///< at most 254
  uint32_t lapic = 0xfee0'0000, ioapic = 0xfec0'0000;
  uint8_t ioapic_id = 0;
  unsigned pins = 24;  ///< of the I/O APIC; pin n is ISA interrupt n below 16, level-triggered from there on
};

/// The floating pointer, and the table behind it, at `address` (a multiple of 16).
std::vector<uint8_t> make_mp_table(uint64_t address, const MpTable& what);

}  // namespace lyrebird::machines
