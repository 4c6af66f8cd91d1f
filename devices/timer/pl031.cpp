// SPDX-License-Identifier: Apache-2.0
#include "devices/timer/pl031.h"

#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kDr = 0x00, kMr = 0x04, kLr = 0x08, kCr = 0x0c, kImsc = 0x10, kRis = 0x14, kMis = 0x18,
                   kIcr = 0x1c, kId = 0xfe0;
constexpr uint8_t kIds[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

}  // namespace

Pl031::Pl031(system::Clock& clock, uint32_t epoch, system::IrqLine irq)
    : clock_(clock), irq_(irq), offset_(epoch), load_(epoch), alarm_(clock, [this] {
        const std::lock_guard lock(mutex());
        if (seconds() != match_) return schedule();
        ris_ = 1;
        update();
      }) {}

uint32_t Pl031::seconds() const {
  return offset_ + static_cast<uint32_t>(clock_.now_ns() / system::kNanosecondsPerSecond);
}

void Pl031::update() { irq_.set((ris_ & imsc_) != 0); }

void Pl031::schedule() {
  const uint32_t ahead = match_ - seconds();
  if (ahead == 0) {
    alarm_.cancel();
    ris_ = 1;
    update();
    return;
  }
  const int64_t now = clock_.now_ns() / system::kNanosecondsPerSecond;
  alarm_.arm((now + ahead) * system::kNanosecondsPerSecond);
}

// The clock has a battery: time and alarm outlive a reset of the machine.
void Pl031::reset() {
  imsc_ = ris_ = 0;
  update();
}

uint64_t Pl031::read(uint64_t offset, unsigned) {
  switch (offset) {
    case kDr:
      return seconds();
    case kMr:
      return match_;
    case kLr:
      return load_;
    case kCr:
      return 1;
    case kImsc:
      return imsc_;
    case kRis:
      return ris_;
    case kMis:
      return ris_ & imsc_;
    default:
      if (offset >= kId && offset < 0x1000) return kIds[(offset - kId) / 4];
      return 0;
  }
}

void Pl031::write(uint64_t offset, unsigned, uint64_t value) {
  const auto v = static_cast<uint32_t>(value);
  switch (offset) {
    case kMr:
      match_ = v;
      schedule();
      break;
    case kLr:
      load_ = v;
      offset_ += v - seconds();
      schedule();
      break;
    case kImsc:
      imsc_ = v & 1;
      update();
      break;
    case kIcr:
      ris_ &= ~v;
      update();
      break;
    default:  // CR: once enabled it runs until reset; the rest is read-only
      break;
  }
}

void Pl031::save(system::StateWriter& to) const {
  to.begin("pl031", 1);
  to.field("counter", seconds());
  to.field("match", match_);
  to.field("load", load_);
  to.field("imsc", imsc_);
  to.field("ris", ris_);
  to.field("armed", alarm_.armed());
  to.end();
}

Result<void> Pl031::load(system::StateReader& from) {
  uint32_t counter;
  bool armed;
  from.begin("pl031", 1);
  from.field("counter", counter);
  from.field("match", match_);
  from.field("load", load_);
  from.field("imsc", imsc_);
  from.field("ris", ris_);
  from.field("armed", armed);
  from.end();
  if (!from.ok()) return from.status();
  offset_ += counter - seconds();
  alarm_.cancel();
  if (armed) schedule();
  update();
  return {};
}

}  // namespace lyrebird::devices
