// SPDX-License-Identifier: Apache-2.0
/// Real-time clock and CMOS memory of a PC (Motorola MC146818, datasheet of 1984; ICH9 has the same).
///
/// Ports (2 bytes): 0 index wo (bit 7, which masks NMIs on a PC, is ignored), 1 data. Behind the index:
///     0 seconds  2 minutes  4 hours  6 day of week  7 day  8 month  9 year  0x32 century    1, 3, 5 their
///     alarm 0x0a A: UIP, divider, rate   0x0b B: SET, PIE, AIE, UIE, DM, 24/12   0x0c C ro: flags, reading
///     clears them 0x0d D ro: VRT               0x0e-0x7f memory
/// Interrupt: level, high while a flag in C and its enable in B are set.
///
/// Time is the machine's clock: `epoch` is the time of day, in seconds since 1970, when it showed 0. UIP is
/// never seen: an update takes no time. Rates are those of the 32,768 Hz crystal, whatever the divider says.
#pragma once

#include <array>
#include <ctime>

#include "system/clock.h"
#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class Mc146818 final : public system::Device {
 public:
  static constexpr uint64_t kSize = 2;

  Mc146818(system::Clock& clock, int64_t epoch, system::IrqLine irq);

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

 private:
  int64_t second() const;
  /// Of the time registers: as they tick, or held while SET is on.
  tm time() const;
  uint8_t encode(int value) const;
  int decode(uint8_t value) const;
  uint8_t encode_hour(int hour) const;
  int decode_hour(uint8_t value) const;
  uint8_t read_time(unsigned index) const;
  void write_time(unsigned index, uint8_t value);
  void write_b(uint8_t value);
  /// A register that has neither time nor alarm.
  void write_other(uint8_t value);
  /// Sets the flags of what has happened since it was called last, raises or lowers the line, arms the timer.
  void update();
  bool alarm_matches(int64_t second) const;
  int64_t period() const;  ///< of the periodic interrupt in nanoseconds; 0: none

  system::Clock& clock_;
  const system::IrqLine irq_;
  int64_t offset_;  ///< time of day less the clock's seconds
  uint8_t index_ = 0, a_ = 0x26, b_ = 0x02, c_ = 0;
  std::array<uint8_t, 3> alarm_{};  ///< as written: seconds, minutes, hours
  std::array<uint8_t, 128> memory_{};
  tm held_{};
  int64_t seen_second_, seen_period_ = 0;
  system::Timer timer_;
};

}  // namespace lyrebird::devices
