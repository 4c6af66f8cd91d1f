// SPDX-License-Identifier: Apache-2.0
/// I/O APIC (Intel 82093AA of 1996, with version 0x20's EOI register) for machines whose local APICs are
/// elsewhere: what it delivers are messages.
///
/// Registers (4 KiB, 32-bit): IOREGSEL 0x00, IOWIN 0x10, EOI 0x40 wo. Behind IOREGSEL: 0x00 ID, 0x01 version
/// ro, 0x02 arbitration ro, 0x10 + 2n and 0x11 + 2n the redirection entry of pin n. Interrupts: 24 pins; edge
/// or level as the entry says. A level-triggered one is sent again at its end if the line is still up
/// (end_of_interrupt(), or EOI).
#pragma once

#include <array>
#include <functional>

#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class IoApic final : public system::Device, public system::IrqSink {
 public:
  static constexpr uint64_t kSize = 0x1000;
  static constexpr unsigned kPins = 24;

  struct Message {
    uint64_t address = 0;
    uint32_t data = 0;
  };
  /// Told, with the mutex held, which message a pin sends from now on; masked: none.
  using Routed = std::function<void(unsigned pin, bool masked, const Message&)>;

  explicit IoApic(system::MsiSink& to, Routed routed = {}) : to_(to), routed_(std::move(routed)) {}

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

  /// Any thread.
  void set_irq(unsigned pin, bool level) override;
  /// A local APIC has ended the interrupt of this vector. Any thread.
  void end_of_interrupt(uint8_t vector);

 private:
  static constexpr uint64_t kPowerOn = 1 << 16;  ///< masked
  uint32_t read_register() const;
  void write_register(uint32_t value);
  Message message(unsigned pin) const;
  void tell(unsigned pin);
  /// Sends what the pin asks for, if it may.
  void deliver(unsigned pin);
  void end(uint8_t vector);

  system::MsiSink& to_;
  const Routed routed_;
  uint8_t select_ = 0, id_ = 0;
  std::array<uint64_t, kPins> entries_ = filled();
  uint32_t up_ = 0;  ///< lines

  static constexpr std::array<uint64_t, kPins> filled() {
    std::array<uint64_t, kPins> entries{};
    entries.fill(kPowerOn);
    return entries;
  }
};

}  // namespace lyrebird::devices
