// SPDX-License-Identifier: Apache-2.0
#include "devices/misc/acpi_events.h"

#include <utility>

#include "system/state_stream.h"

namespace lyrebird::devices {

void AcpiEvents::raise(AcpiEvent event) {
  const std::lock_guard lock(mutex());
  events_ |= event;
  irq_.pulse();
}

uint64_t AcpiEvents::read(uint64_t, unsigned) { return std::exchange(events_, 0); }

void AcpiEvents::save(system::StateWriter& to) const {
  to.begin("acpi-events", 1);
  to.field("events", events_);
  to.end();
}

Result<void> AcpiEvents::load(system::StateReader& from) {
  from.begin("acpi-events", 1);
  from.field("events", events_);
  from.end();
  return from.status();
}

void AcpiPower::write(uint64_t offset, unsigned, uint64_t value) {
  constexpr uint8_t kSleepEnable = 1 << 5;
  if (offset == kSleepControl && (value & kSleepEnable) && (value >> 2 & 7) == kSoftOff) power_off_();
  if (offset == kReset && value == kResetValue) reset_();
}

void AcpiPower::save(system::StateWriter& to) const {
  to.begin("acpi-power", 1);
  to.end();
}

Result<void> AcpiPower::load(system::StateReader& from) {
  from.begin("acpi-power", 1);
  from.end();
  return from.status();
}

void ResetPort::write(uint64_t, unsigned, uint64_t value) {
  constexpr uint8_t kPulseResetLine = 0xfe;
  if (value == kPulseResetLine) reset_();
}

void ResetPort::save(system::StateWriter& to) const {
  to.begin("reset-port", 1);
  to.end();
}

Result<void> ResetPort::load(system::StateReader& from) {
  from.begin("reset-port", 1);
  from.end();
  return from.status();
}

}  // namespace lyrebird::devices
