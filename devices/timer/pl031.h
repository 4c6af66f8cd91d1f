// SPDX-License-Identifier: Apache-2.0
/// ARM PrimeCell real-time clock (PL031), DDI 0224C.
///
/// Registers (4 KiB, 32-bit): DR 0x000 ro, MR 0x004, LR 0x008, CR 0x00c, IMSC 0x010, RIS 0x014 ro,
/// MIS 0x018 ro, ICR 0x01c wo, id 0xfe0-0xffc ro.
/// Interrupt: RTCINTR, level, high while MIS != 0.
/// Time comes from the machine's clock, never from the host directly: `epoch` is the time of day, in
/// seconds, when the clock showed 0.
#pragma once

#include "system/clock.h"
#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class Pl031 final : public system::Device {
 public:
  Pl031(system::Clock& clock, uint32_t epoch, system::IrqLine irq);

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  uint32_t seconds() const;
  /// Arms the alarm for the next time the counter shows MR.
  void schedule();
  void update();

  system::Clock& clock_;
  const system::IrqLine irq_;
  uint32_t offset_;  ///< counter less the clock's seconds
  uint32_t match_ = 0, load_ = 0, imsc_ = 0, ris_ = 0;
  system::Timer alarm_;
};

}  // namespace lyrebird::devices
