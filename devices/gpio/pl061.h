// SPDX-License-Identifier: Apache-2.0
/// ARM PrimeCell GPIO (PL061), DDI 0190B: eight lines.
///
/// Registers (4 KiB, 8-bit in words): DATA 0x000-0x3fc (address bits 9:2 are the mask), DIR 0x400, IS 0x404,
/// IBE 0x408, IEV 0x40c, IE 0x410, RIS 0x414 ro, MIS 0x418 ro, IC 0x41c wo, AFSEL 0x420, id 0xfe0-0xffc ro.
/// Interrupt: GPIOINTR, level, high while MIS != 0.
/// Lines come in through set_irq(line, level), from any thread; outputs go to the lines given.
#pragma once

#include <array>

#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class Pl061 final : public system::Device, public system::IrqSink {
 public:
  explicit Pl061(system::IrqLine irq, std::array<system::IrqLine, 8> outputs = {});

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;
  void set_irq(unsigned number, bool level) override;

 private:
  uint8_t data() const { return static_cast<uint8_t>((out_ & dir_) | (in_ & ~dir_)); }
  void update(uint8_t before);
  uint8_t masked() const { return ris_ & ie_; }

  const system::IrqLine irq_;
  const std::array<system::IrqLine, 8> outputs_;
  uint8_t in_ = 0, out_ = 0, dir_ = 0, is_ = 0, ibe_ = 0, iev_ = 0, ie_ = 0, ris_ = 0, afsel_ = 0;
};

}  // namespace lyrebird::devices
