// SPDX-License-Identifier: Apache-2.0
/// What a machine with "hardware-reduced" ACPI has instead of a chipset (ACPI 6.3, 4.8.3.7, 5.6.9): a generic
/// event device, and registers to sleep and to reset.
///
/// Registers of the events (4 bytes, 32-bit): 0 which events there were; reading clears it.
/// Registers of power (3 bytes, 8-bit): 0 sleep control, 1 sleep status, 2 reset (write 0x42).
/// Interrupt of the events: edge.
#pragma once

#include <functional>

#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

/// A bit for each event.
enum AcpiEvent : uint32_t { kAcpiPowerButton = 2 };

class AcpiEvents final : public system::Device {
 public:
  static constexpr uint64_t kSize = 4;
  explicit AcpiEvents(system::IrqLine irq) : irq_(irq) {}
  /// Tells the guest; any thread.
  void raise(AcpiEvent event);

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t, unsigned, uint64_t) override {}
  void reset() override { events_ = 0; }
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  const system::IrqLine irq_;
  uint32_t events_ = 0;
};

class AcpiPower final : public system::Device {
 public:
  static constexpr uint64_t kSize = 3;
  static constexpr uint64_t kSleepControl = 0, kSleepStatus = 1, kReset = 2;
  static constexpr uint8_t kResetValue = 0x42, kSoftOff = 5;  ///< the type that \_S5 names

  /// Both are called on a vCPU's thread, with the device's mutex held.
  AcpiPower(std::function<void()> power_off, std::function<void()> reset)
      : power_off_(std::move(power_off)), reset_(std::move(reset)) {}

  uint64_t read(uint64_t, unsigned) override { return 0; }
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override {}
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  const std::function<void()> power_off_, reset_;
};

/// Port 0x64 of a PC's keyboard controller, as far as it resets the machine: command 0xfe. Nobody answers
/// else: there is no keyboard.
class ResetPort final : public system::Device {
 public:
  explicit ResetPort(std::function<void()> reset) : reset_(std::move(reset)) {}
  uint64_t read(uint64_t, unsigned) override { return 0xff; }
  void write(uint64_t, unsigned, uint64_t value) override;
  void reset() override {}
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  const std::function<void()> reset_;
};

}  // namespace lyrebird::devices
