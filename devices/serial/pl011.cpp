// SPDX-License-Identifier: Apache-2.0
#include "devices/serial/pl011.h"

#include "base/bits.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

enum Register : uint64_t {
  kDr = 0x000,
  kRsr = 0x004,
  kFr = 0x018,
  kIlpr = 0x020,
  kIbrd = 0x024,
  kFbrd = 0x028,
  kLcrH = 0x02c,
  kCr = 0x030,
  kIfls = 0x034,
  kImsc = 0x038,
  kRis = 0x03c,
  kMis = 0x040,
  kIcr = 0x044,
  kDmacr = 0x048,
  kId = 0xfe0,
};

constexpr uint32_t kFrRxEmpty = 1 << 4, kFrRxFull = 1 << 6, kFrTxEmpty = 1 << 7;
constexpr uint32_t kFrCts = 1 << 0, kFrDsr = 1 << 1, kFrDcd = 1 << 2;
constexpr uint32_t kLcrFifos = 1 << 4;
constexpr uint32_t kCrLoopback = 1 << 7;
constexpr uint32_t kIntRx = 1 << 4, kIntTx = 1 << 5, kIntRxTimeout = 1 << 6, kIntBreak = 1 << 9,
                   kIntOverrun = 1 << 10;
constexpr uint32_t kIntAll = 0x7ff;
constexpr uint16_t kDataBreak = 1 << 10;
constexpr uint8_t kIds[] = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

}  // namespace

Pl011::Pl011(system::CharBackend& backend, system::IrqLine irq) : backend_(backend), irq_(irq) {
  Pl011::reset();
  backend_.set_receiver(this);
}

Pl011::~Pl011() { backend_.set_receiver(nullptr); }

void Pl011::reset() {
  head_ = count_ = 0;
  rsr_ = ilpr_ = ibrd_ = fbrd_ = lcr_ = imsc_ = ris_ = dmacr_ = 0;
  cr_ = 0x300;   // both directions enabled, as 3.3.8 has it
  ifls_ = 0x12;  // half full
  update();
}

unsigned Pl011::depth() const { return lcr_ & kLcrFifos ? kFifoSize : 1; }

/// How full the FIFO is when it interrupts (3.3.9).
unsigned Pl011::receive_level() const {
  if (!(lcr_ & kLcrFifos)) return 1;
  static constexpr uint8_t kEighths[] = {1, 2, 4, 6, 7, 4, 4, 4};
  return kFifoSize * kEighths[bits(ifls_, 3, 3)] / 8;
}

void Pl011::update() { irq_.set((ris_ & imsc_) != 0); }

void Pl011::push(uint16_t data) {
  if (count_ >= depth()) {
    ris_ |= kIntOverrun;
    rsr_ |= 8;
    return;
  }
  fifo_[(head_ + count_++) % kFifoSize] = data;
  // The receive timeout stands for what waits below the level: there is no line on which to be silent
  // for 32 bits, so it comes at once.
  ris_ |= count_ >= receive_level() ? kIntRx | kIntRxTimeout : kIntRxTimeout;
}

uint32_t Pl011::take() {
  if (count_ == 0) return 0;
  const uint32_t data = fifo_[head_];
  head_ = (head_ + 1) % kFifoSize;
  if (count_-- == depth()) backend_.accept_input();
  if (count_ < receive_level()) ris_ &= ~kIntRx;
  if (count_ == 0) ris_ &= ~kIntRxTimeout;
  rsr_ = (rsr_ & 8) | (data >> 8 & 7);
  update();
  return data;
}

void Pl011::send(uint8_t byte) {
  if (cr_ & kCrLoopback)
    push(byte);
  else
    backend_.write({&byte, 1});
  ris_ |= kIntTx;
  update();
}

uint64_t Pl011::read(uint64_t offset, unsigned) {
  switch (offset) {
    case kDr:
      return take();
    case kRsr:
      return rsr_;
    case kFr:
      return kFrTxEmpty | kFrCts | kFrDsr | kFrDcd | (count_ == 0 ? kFrRxEmpty : 0) |
             (count_ >= depth() ? kFrRxFull : 0);
    case kIlpr:
      return ilpr_;
    case kIbrd:
      return ibrd_;
    case kFbrd:
      return fbrd_;
    case kLcrH:
      return lcr_;
    case kCr:
      return cr_;
    case kIfls:
      return ifls_;
    case kImsc:
      return imsc_;
    case kRis:
      return ris_;
    case kMis:
      return ris_ & imsc_;
    case kDmacr:
      return dmacr_;
    default:
      if (offset >= kId && offset < 0x1000) return kIds[(offset - kId) / 4];
      return 0;
  }
}

void Pl011::write(uint64_t offset, unsigned, uint64_t value) {
  const auto v = static_cast<uint32_t>(value);
  switch (offset) {
    case kDr:
      send(static_cast<uint8_t>(v));
      return;
    case kRsr:
      rsr_ = 0;
      return;
    case kIlpr:
      ilpr_ = v & 0xff;
      return;
    case kIbrd:
      ibrd_ = v & 0xffff;
      return;
    case kFbrd:
      fbrd_ = v & 0x3f;
      return;
    case kLcrH:
      if ((lcr_ ^ v) & kLcrFifos) head_ = count_ = 0;
      lcr_ = v & 0xff;
      break;
    case kCr:
      cr_ = v & 0xff87;
      break;
    case kIfls:
      ifls_ = v & 0x3f;
      break;
    case kImsc:
      imsc_ = v & kIntAll;
      break;
    case kIcr:
      ris_ &= ~(v & kIntAll);
      break;
    case kDmacr:
      dmacr_ = v & 7;
      return;
    default:
      return;
  }
  update();
}

size_t Pl011::room() {
  const std::lock_guard lock(mutex());
  return depth() - std::min(count_, depth());
}

void Pl011::receive(std::span<const uint8_t> bytes) {
  const std::lock_guard lock(mutex());
  for (const uint8_t byte : bytes) push(byte);
  update();
}

void Pl011::receive_break() {
  const std::lock_guard lock(mutex());
  push(kDataBreak);
  ris_ |= kIntBreak;
  update();
}

void Pl011::save(system::StateWriter& to) const {
  to.begin("pl011", 1);
  to.array("fifo", std::span<const uint16_t>(fifo_));
  to.field("head", head_);
  to.field("count", count_);
  for (const auto& [name, value] : {std::pair{"rsr", rsr_},
                                    {"ilpr", ilpr_},
                                    {"ibrd", ibrd_},
                                    {"fbrd", fbrd_},
                                    {"lcr", lcr_},
                                    {"cr", cr_},
                                    {"ifls", ifls_},
                                    {"imsc", imsc_},
                                    {"ris", ris_},
                                    {"dmacr", dmacr_}})
    to.field(name, value);
  to.end();
}

Result<void> Pl011::load(system::StateReader& from) {
  from.begin("pl011", 1);
  from.array("fifo", std::span<uint16_t>(fifo_));
  from.field("head", head_);
  from.field("count", count_);
  for (const auto& [name, value] : {std::pair{"rsr", &rsr_},
                                    {"ilpr", &ilpr_},
                                    {"ibrd", &ibrd_},
                                    {"fbrd", &fbrd_},
                                    {"lcr", &lcr_},
                                    {"cr", &cr_},
                                    {"ifls", &ifls_},
                                    {"imsc", &imsc_},
                                    {"ris", &ris_},
                                    {"dmacr", &dmacr_}})
    from.field(name, *value);
  if (head_ >= kFifoSize || count_ > kFifoSize) from.fail("the FIFO holds more than it can");
  from.end();
  if (from.ok()) update();
  return from.status();
}

}  // namespace lyrebird::devices
