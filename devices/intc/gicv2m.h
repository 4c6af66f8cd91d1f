// SPDX-License-Identifier: Apache-2.0
/// GICv2m: a frame that makes SPIs of messages (Server Base System Architecture, appendix E).
///
/// Registers (4 KiB, 32-bit): MSI_TYPER 0x008 ro, MSI_SETSPI_NS 0x040 wo, MSI_IIDR 0xfcc ro.
/// Interrupts out: one SPI for each message, by its edge.
#pragma once

#include <vector>

#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class GicV2m final : public system::Device, public system::MsiSink {
 public:
  /// `base`: where the frame is, for messages; `first_spi`: less 32; `spis`: the line of SPI first_spi + n.
  GicV2m(uint64_t base, unsigned first_spi, std::vector<system::IrqLine> spis)
      : base_(base), first_spi_(first_spi), spis_(std::move(spis)) {}

  uint64_t read(uint64_t offset, unsigned) override {
    if (offset == 0x008) return (first_spi_ + 32) << 16 | spis_.size();
    return offset == 0xfcc ? 0x00'4'0'43b : 0;
  }
  void write(uint64_t offset, unsigned, uint64_t value) override {
    const uint64_t spi = (value & 0x3ff) - 32 - first_spi_;
    if (offset == 0x040 && spi < spis_.size()) spis_[spi].pulse();
  }
  void send(uint64_t address, uint32_t data, uint32_t) override {
    if (address - base_ < 0x1000) write(address - base_, 4, data);
  }
  void reset() override {}  // no state
  void save(system::StateWriter&) const override {}
  Result<void> load(system::StateReader&) override { return {}; }

 private:
  const uint64_t base_;
  const unsigned first_spi_;
  const std::vector<system::IrqLine> spis_;
};

}  // namespace lyrebird::devices
