// SPDX-License-Identifier: Apache-2.0
#include "devices/serial/uart_16550.h"

#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

enum Register : uint64_t { kData, kIer, kIirFcr, kLcr, kMcr, kLsr, kMsr, kScr };

constexpr uint8_t kIerReceive = 1, kIerTransmit = 2, kIerLine = 4, kIerModem = 8;
constexpr uint8_t kIirNone = 1, kIirModem = 0, kIirTransmit = 2, kIirReceive = 4, kIirLine = 6,
                  kIirTimeout = 12, kIirFifos = 0xc0;
constexpr uint8_t kFcrEnable = 1, kFcrClearReceive = 2, kFcrClearTransmit = 4;
constexpr uint8_t kLcrDivisor = 0x80;
constexpr uint8_t kMcrLoop = 0x10;
constexpr uint8_t kLsrReady = 1, kLsrOverrun = 2, kLsrBreak = 0x10, kLsrEmpty = 0x60, kLsrFifoError = 0x80;
constexpr uint8_t kMsrCts = 0x10, kMsrDsr = 0x20, kMsrCarrier = 0x80;

}  // namespace

Uart16550::Uart16550(system::CharBackend& backend, system::IrqLine irq) : backend_(backend), irq_(irq) {
  Uart16550::reset();
  backend_.set_receiver(this);
}

Uart16550::~Uart16550() { backend_.set_receiver(nullptr); }

void Uart16550::reset() {
  head_ = count_ = 0;
  ier_ = fcr_ = lcr_ = lsr_errors_ = msr_delta_ = scr_ = 0;
  mcr_ = 8;  // OUT2, which lets interrupts out on a PC's board
  divisor_ = 12;
  transmit_interrupt_ = false;
  update();
}

unsigned Uart16550::depth() const { return fcr_ & kFcrEnable ? kFifoSize : 1; }

unsigned Uart16550::trigger_level() const {
  static constexpr uint8_t kLevels[] = {1, 4, 8, 14};
  return fcr_ & kFcrEnable ? kLevels[fcr_ >> 6] : 1;
}

uint8_t Uart16550::interrupt_id() const {
  if ((ier_ & kIerLine) && lsr_errors_) return kIirLine;
  if ((ier_ & kIerReceive) && count_ != 0) return count_ >= trigger_level() ? kIirReceive : kIirTimeout;
  if ((ier_ & kIerTransmit) && transmit_interrupt_) return kIirTransmit;
  if ((ier_ & kIerModem) && msr_delta_) return kIirModem;
  return kIirNone;
}

void Uart16550::update() { irq_.set(interrupt_id() != kIirNone); }

void Uart16550::push(uint8_t byte, uint8_t errors) {
  if (count_ >= depth()) {
    lsr_errors_ |= kLsrOverrun;
    return;
  }
  fifo_[(head_ + count_++) % kFifoSize] = static_cast<uint16_t>(byte | errors << 8);
  lsr_errors_ |= errors;
}

uint8_t Uart16550::take() {
  if (count_ == 0) return 0;
  const uint16_t entry = fifo_[head_];
  head_ = (head_ + 1) % kFifoSize;
  if (count_-- == depth()) backend_.accept_input();
  update();
  return static_cast<uint8_t>(entry);
}

void Uart16550::transmit(uint8_t byte) {
  if (mcr_ & kMcrLoop)
    push(byte, 0);
  else
    backend_.write({&byte, 1});
  transmit_interrupt_ = true;
  update();
}

/// In loopback the modem's outputs are its inputs: DTR is DSR, RTS is CTS, OUT1 is RI, OUT2 is DCD.
uint8_t Uart16550::modem_status() const {
  if (!(mcr_ & kMcrLoop)) return kMsrCts | kMsrDsr | kMsrCarrier;
  return static_cast<uint8_t>((mcr_ & 2) << 3 | (mcr_ & 1) << 5 | (mcr_ & 4) << 4 | (mcr_ & 8) << 4);
}

uint64_t Uart16550::read(uint64_t offset, unsigned) {
  switch (offset) {
    case kData:
      return lcr_ & kLcrDivisor ? divisor_ & 0xff : take();
    case kIer:
      return lcr_ & kLcrDivisor ? divisor_ >> 8 : ier_;
    case kIirFcr: {
      const uint8_t id = interrupt_id();
      if (id == kIirTransmit) {
        transmit_interrupt_ = false;
        update();
      }
      return id | (fcr_ & kFcrEnable ? kIirFifos : 0);
    }
    case kLcr:
      return lcr_;
    case kMcr:
      return mcr_;
    case kLsr: {
      const uint8_t value = static_cast<uint8_t>(kLsrEmpty | (count_ ? kLsrReady : 0) | lsr_errors_ |
                                                 (lsr_errors_ && (fcr_ & kFcrEnable) ? kLsrFifoError : 0));
      lsr_errors_ = 0;
      update();
      return value;
    }
    case kMsr: {
      const uint8_t value = modem_status() | msr_delta_;
      msr_delta_ = 0;
      update();
      return value;
    }
    case kScr:
      return scr_;
    default:
      return 0xff;
  }
}

void Uart16550::write(uint64_t offset, unsigned, uint64_t value) {
  const auto v = static_cast<uint8_t>(value);
  switch (offset) {
    case kData:
      if (lcr_ & kLcrDivisor)
        divisor_ = static_cast<uint16_t>((divisor_ & 0xff00) | v);
      else
        transmit(v);
      return;
    case kIer:
      if (lcr_ & kLcrDivisor) {
        divisor_ = static_cast<uint16_t>((divisor_ & 0xff) | v << 8);
        return;
      }
      // The transmitter is empty: enabling its interrupt raises it.
      if (v & ~ier_ & kIerTransmit) transmit_interrupt_ = true;
      ier_ = v & 0xf;
      break;
    case kIirFcr:
      if ((v ^ fcr_) & kFcrEnable || v & kFcrClearReceive) {
        const bool full = count_ >= depth();
        head_ = count_ = 0;
        if (full) backend_.accept_input();
      }
      if (v & kFcrClearTransmit) transmit_interrupt_ = true;
      fcr_ = v & kFcrEnable ? v & 0xc9 : 0;
      break;
    case kLcr:
      lcr_ = v;
      return;
    case kMcr: {
      const uint8_t before = modem_status();
      mcr_ = v & 0x1f;
      const uint8_t changed = modem_status() ^ before;
      // RI counts only as it falls.
      if (mcr_ & kMcrLoop)
        msr_delta_ |= static_cast<uint8_t>((changed >> 4 & 0xb) | ((changed & before) >> 4 & 4));
      break;
    }
    case kScr:
      scr_ = v;
      return;
    default:
      return;
  }
  update();
}

size_t Uart16550::room() {
  const std::lock_guard lock(mutex());
  return mcr_ & kMcrLoop || count_ >= depth() ? 0 : depth() - count_;
}

void Uart16550::receive(std::span<const uint8_t> bytes) {
  const std::lock_guard lock(mutex());
  for (const uint8_t byte : bytes) push(byte, 0);
  update();
}

void Uart16550::receive_break() {
  const std::lock_guard lock(mutex());
  push(0, kLsrBreak);
  update();
}

void Uart16550::save(system::StateWriter& to) const {
  to.begin("uart-16550", 1);
  to.array("fifo", std::span<const uint16_t>(fifo_));
  to.field("head", head_);
  to.field("count", count_);
  to.field("ier", ier_);
  to.field("fcr", fcr_);
  to.field("lcr", lcr_);
  to.field("mcr", mcr_);
  to.field("lsr_errors", lsr_errors_);
  to.field("msr_delta", msr_delta_);
  to.field("scr", scr_);
  to.field("divisor", divisor_);
  to.field("transmit_interrupt", transmit_interrupt_);
  to.end();
}

Result<void> Uart16550::load(system::StateReader& from) {
  from.begin("uart-16550", 1);
  from.array("fifo", std::span<uint16_t>(fifo_));
  from.field("head", head_);
  from.field("count", count_);
  from.field("ier", ier_);
  from.field("fcr", fcr_);
  from.field("lcr", lcr_);
  from.field("mcr", mcr_);
  from.field("lsr_errors", lsr_errors_);
  from.field("msr_delta", msr_delta_);
  from.field("scr", scr_);
  from.field("divisor", divisor_);
  from.field("transmit_interrupt", transmit_interrupt_);
  if (head_ >= kFifoSize || count_ > kFifoSize) from.fail("more bytes than the FIFO holds");
  from.end();
  if (from.ok()) update();
  return from.status();
}

}  // namespace lyrebird::devices
