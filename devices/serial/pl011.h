// SPDX-License-Identifier: Apache-2.0
/// ARM PrimeCell UART (PL011), DDI 0183G, r1p5.
///
/// Registers (4 KiB, 32-bit): DR 0x000, RSR/ECR 0x004, FR 0x018 ro, ILPR 0x020, IBRD 0x024, FBRD 0x028,
/// LCR_H 0x02c, CR 0x030, IFLS 0x034, IMSC 0x038, RIS 0x03c ro, MIS 0x040 ro, ICR 0x044 wo, DMACR 0x048,
/// id 0xfe0-0xffc ro.
/// Interrupt: UARTINTR, level, high while MIS != 0.
/// What is sent goes to the back end at once, whatever the baud rate: the transmit FIFO is always empty.
/// The UART need not be enabled in CR to send (firmware and early consoles do not do it).
#pragma once

#include <array>

#include "system/char_backend.h"
#include "system/device.h"
#include "system/irq_line.h"

namespace lyrebird::devices {

class Pl011 final : public system::Device, public system::CharReceiver {
 public:
  /// `backend` outlives it.
  Pl011(system::CharBackend& backend, system::IrqLine irq);
  ~Pl011() override;

  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  void reset() override;
  void save(system::StateWriter& to) const override;
  Result<void> load(system::StateReader& from) override;

  size_t room() override;
  void receive(std::span<const uint8_t> bytes) override;
  void receive_break() override;

 private:
  static constexpr unsigned kFifoSize = 16;  // 32 from r1p5 on; Linux goes by the id registers
  unsigned depth() const;
  unsigned receive_level() const;
  void push(uint16_t data);
  uint32_t take();
  void send(uint8_t byte);
  void update();

  system::CharBackend& backend_;
  const system::IrqLine irq_;

  std::array<uint16_t, kFifoSize> fifo_{};  ///< data and error bits 11:8
  uint32_t head_ = 0, count_ = 0;
  uint32_t rsr_ = 0, ilpr_ = 0, ibrd_ = 0, fbrd_ = 0, lcr_ = 0, cr_ = 0, ifls_ = 0, imsc_ = 0, ris_ = 0;
  uint32_t dmacr_ = 0;
};

}  // namespace lyrebird::devices
