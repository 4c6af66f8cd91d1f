// SPDX-License-Identifier: Apache-2.0
/// ACPI machine language, written in the order it is read (ACPI 6.3, chapter 20).
///
///     Aml dsdt;
///     dsdt.scope("\\_SB", [&](Aml& sb) {
///       sb.device("COM1", [&](Aml& uart) {
///         uart.name("_HID").eisa_id("PNP0501");
///         uart.name("_CRS").resources(Resources().port(0x3f8, 8).irq(4));
///       });
///     });
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace lyrebird::machines::acpi {

using Bytes = std::vector<uint8_t>;

/// A resource template (6.4).
class Resources {
 public:
  Resources& port(uint16_t base, uint8_t length);
  /// Edge, active high: an ISA interrupt.
  Resources& irq(unsigned line);
  Resources& memory32(uint32_t base, uint32_t length);
  enum class Trigger : uint8_t { Level = 0, Edge = 2 };
  Resources& interrupt(uint32_t gsi, Trigger trigger);
  const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

class Aml {
 public:
  using Body = std::function<void(Aml&)>;

  // Definitions. A path is of four-letter names, shorter ones are filled up: "\\_SB.PWRB".
  Aml& scope(std::string_view path, const Body& body);
  Aml& device(std::string_view name, const Body& body);
  Aml& method(std::string_view name, unsigned arguments, bool serialized, const Body& body);
  /// A value follows.
  Aml& name(std::string_view path);
  Aml& system_memory_region(std::string_view name, uint64_t address, uint64_t length);
  /// One field of 32 bits in the region.
  Aml& field32(std::string_view region, std::string_view field);

  // Values.
  Aml& integer(uint64_t value);
  Aml& string(std::string_view value);
  Aml& eisa_id(std::string_view id);
  Aml& package(unsigned count, const Body& body);
  Aml& resources(const Resources& resources);

  // Statements and their operands.
  Aml& path(std::string_view path);
  Aml& local(unsigned n);
  Aml& store(const Body& source, const Body& target);
  /// Runs the body if a & b is not zero.
  Aml& if_bits(const Body& a, uint64_t b, const Body& body);
  Aml& notify(std::string_view object, uint8_t value);

  const Bytes& bytes() const { return bytes_; }

 private:
  Aml& byte(uint8_t value);
  Aml& packed(std::initializer_list<uint8_t> opcode, const Body& body);
  Bytes bytes_;
};

}  // namespace lyrebird::machines::acpi
