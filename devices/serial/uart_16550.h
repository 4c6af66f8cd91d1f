// SPDX-License-Identifier: Apache-2.0
/// 16550A UART (National Semiconductor PC16550D, 1995), as in every PC.
///
/// Registers (8 bytes, 8-bit): RBR/THR 0, IER 1, IIR (read) / FCR (write) 2, LCR 3, MCR 4, LSR 5 ro, MSR 6,
/// SCR 7; with LCR bit 7 set 0 and 1 are the divisor.
/// Interrupt: level, high while IIR bit 0 is 0.
/// What is sent goes to the back end at once, whatever the divisor: the transmitter is always empty. For
/// the same reason the receive timeout comes with the byte.
#pragma once

#include <array>

#include "system/char_backend.h"
#include "system/device.h"
#include "system/irq_line.h"
#include "system/memory_region.h"

namespace lyrebird::devices {

class Uart16550 final : public system::Device, public system::CharReceiver {
 public:
  static constexpr uint64_t kSize = 8;
  static constexpr system::IoSizes kSizes{1, 1};

  /// `backend` outlives it.
  Uart16550(system::CharBackend& backend, system::IrqLine irq);
  ~Uart16550() override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

  size_t room() override;
  void receive(std::span<const uint8_t> bytes) override;
  void receive_break() override;

 private:
  static constexpr unsigned kFifoSize = 16;
  unsigned depth() const;
  unsigned trigger_level() const;
  void push(uint8_t byte, uint8_t errors);
  uint8_t take();
  void transmit(uint8_t byte);
  uint8_t modem_status() const;
  uint8_t interrupt_id() const;
  void update();

  system::CharBackend& backend_;
  const system::IrqLine irq_;

  std::array<uint16_t, kFifoSize> fifo_{};  ///< byte, and the bits of LSR that came with it above
  uint32_t head_ = 0, count_ = 0;
  uint8_t ier_ = 0, fcr_ = 0, lcr_ = 0, mcr_ = 0, lsr_errors_ = 0, msr_delta_ = 0, scr_ = 0;
  uint16_t divisor_ = 0;
  bool transmit_interrupt_ = false;
};

}  // namespace lyrebird::devices
