// SPDX-License-Identifier: Apache-2.0
#include "devices/timer/mc146818.h"

#include <algorithm>

#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr unsigned kCentury = 0x32, kA = 0x0a, kB = 0x0b, kC = 0x0c, kD = 0x0d;
constexpr uint8_t kSet = 0x80, kBinary = 0x04, k24Hours = 0x02, kAfternoon = 0x80, kAny = 0xc0;
/// Flags in C and enables in B.
constexpr uint8_t kPeriodic = 0x40, kAlarm = 0x20, kUpdated = 0x10, kEnables = 0x70, kAnyFlag = 0x80;
constexpr uint8_t kValid = 0x80;
constexpr int64_t kSecond = system::kNanosecondsPerSecond, kCrystal = 32768, kDay = 86400;

bool is_alarm(unsigned index) { return index == 1 || index == 3 || index == 5; }
bool is_time(unsigned index) { return (index < kA && !is_alarm(index)) || index == kCentury; }

}  // namespace

Mc146818::Mc146818(system::Clock& clock, int64_t epoch, system::IrqLine irq)
    : clock_(clock), irq_(irq), offset_(epoch), seen_second_(epoch), timer_(clock, [this] {
        const std::lock_guard lock(mutex());
        update();
      }) {}

int64_t Mc146818::second() const { return offset_ + clock_.now_ns() / kSecond; }

tm Mc146818::time() const {
  if (b_ & kSet) return held_;
  const time_t now = second();
  tm when{};
  gmtime_r(&now, &when);
  return when;
}

uint8_t Mc146818::encode(int value) const {
  return static_cast<uint8_t>(b_ & kBinary ? value : value / 10 << 4 | value % 10);
}

int Mc146818::decode(uint8_t value) const { return b_ & kBinary ? value : (value >> 4) * 10 + (value & 15); }

uint8_t Mc146818::encode_hour(int hour) const {
  if (b_ & k24Hours) return encode(hour);
  return static_cast<uint8_t>(encode((hour + 11) % 12 + 1) | (hour >= 12 ? kAfternoon : 0));
}

int Mc146818::decode_hour(uint8_t value) const {
  if (b_ & k24Hours) return decode(value);
  return decode(value & ~kAfternoon) % 12 + (value & kAfternoon ? 12 : 0);
}

uint8_t Mc146818::read_time(unsigned index) const {
  const tm when = time();
  switch (index) {
    case 0:
      return encode(when.tm_sec);
    case 2:
      return encode(when.tm_min);
    case 4:
      return encode_hour(when.tm_hour);
    case 6:
      return encode(when.tm_wday + 1);
    case 7:
      return encode(when.tm_mday);
    case 8:
      return encode(when.tm_mon + 1);
    case 9:
      return encode(when.tm_year % 100);
    default:
      return encode((when.tm_year + 1900) / 100);
  }
}

void Mc146818::write_time(unsigned index, uint8_t value) {
  tm when = time();
  switch (index) {
    case 0:
      when.tm_sec = decode(value);
      break;
    case 2:
      when.tm_min = decode(value);
      break;
    case 4:
      when.tm_hour = decode_hour(value);
      break;
    case 6:
      when.tm_wday = decode(value) - 1;
      break;
    case 7:
      when.tm_mday = decode(value);
      break;
    case 8:
      when.tm_mon = decode(value) - 1;
      break;
    case 9:
      when.tm_year = when.tm_year / 100 * 100 + decode(value) % 100;
      break;
    default:
      when.tm_year = decode(value) * 100 - 1900 + when.tm_year % 100;
  }
  if (b_ & kSet)
    held_ = when;
  else
    offset_ += timegm(&when) - second();
  seen_second_ = second();
}

void Mc146818::write_b(uint8_t value) {
  const bool was_set = b_ & kSet;
  if (!was_set && (value & kSet)) held_ = time();
  b_ = value;
  if (value & kSet) b_ &= static_cast<uint8_t>(~kUpdated);  // as the datasheet has it
  if (was_set && !(value & kSet)) {
    tm when = held_;
    offset_ += timegm(&when) - second();
    seen_second_ = second();
  }
}

int64_t Mc146818::period() const {
  const unsigned rate = a_ & 15;
  if (rate == 0) return 0;
  // 1 and 2 are as 8 and 9.
  return (int64_t{1} << ((rate < 3 ? rate + 7 : rate) - 1)) * kSecond / kCrystal;
}

bool Mc146818::alarm_matches(int64_t at) const {
  const time_t moment = at;
  tm when{};
  gmtime_r(&moment, &when);
  const auto same = [](uint8_t alarm, uint8_t now) { return (alarm & kAny) == kAny || alarm == now; };
  return same(alarm_[0], encode(when.tm_sec)) && same(alarm_[1], encode(when.tm_min)) &&
         same(alarm_[2], encode_hour(when.tm_hour));
}

void Mc146818::update() {
  const int64_t now = clock_.now_ns();
  if (!(b_ & kSet)) {
    const int64_t current = second();
    if (current != seen_second_) c_ |= kUpdated;
    // Every alarm comes once a day.
    for (int64_t at = std::max(seen_second_ + 1, current - kDay); at <= current && !(c_ & kAlarm); ++at)
      if (alarm_matches(at)) c_ |= kAlarm;
    seen_second_ = current;
  }
  const int64_t every = period();
  if (every != 0) {
    if (now / every != seen_period_) c_ |= kPeriodic;
    seen_period_ = now / every;
  }
  const bool wanted = c_ & b_ & kEnables;
  c_ = static_cast<uint8_t>(wanted ? c_ | kAnyFlag : c_ & ~kAnyFlag);
  irq_.set(wanted);
  int64_t next = system::kNever;
  // What is raised already can't be raised again before C has been read.
  if ((b_ & kPeriodic & ~c_) && every != 0) next = (now / every + 1) * every;
  if ((b_ & ~c_ & (kAlarm | kUpdated)) && !(b_ & kSet)) next = std::min(next, (now / kSecond + 1) * kSecond);
  if (next == system::kNever)
    timer_.cancel();
  else
    timer_.arm(next);
}

// Time and memory have a battery.
void Mc146818::reset() {
  b_ &= static_cast<uint8_t>(~kEnables & ~kSet);
  c_ = 0;
  seen_second_ = second();
  update();
}

uint64_t Mc146818::read(uint64_t offset, unsigned) {
  if (offset == 0) return 0xff;
  if (is_time(index_)) return read_time(index_);
  if (is_alarm(index_)) return alarm_[index_ / 2];
  switch (index_) {
    case kA:
      return a_;
    case kB:
      return b_;
    case kC: {
      update();
      const uint8_t flags = c_;
      c_ = 0;
      update();
      return flags;
    }
    case kD:
      return kValid;
    default:
      return memory_[index_];
  }
}

void Mc146818::write(uint64_t offset, unsigned, uint64_t value) {
  const auto v = static_cast<uint8_t>(value);
  if (offset == 0) {
    index_ = v & 0x7f;
    return;
  }
  update();
  if (is_time(index_))
    write_time(index_, v);
  else if (is_alarm(index_))
    alarm_[index_ / 2] = v;
  else
    write_other(v);
  update();
}

void Mc146818::write_other(uint8_t value) {
  switch (index_) {
    case kA:
      a_ = value & 0x7f;
      if (const int64_t every = period()) seen_period_ = clock_.now_ns() / every;
      break;
    case kB:
      write_b(value);
      break;
    case kC:
    case kD:
      break;
    default:
      memory_[index_] = value;
  }
}

void Mc146818::save(system::StateWriter& to) const {
  to.begin("mc146818", 1);
  to.field("second", second());
  to.field("index", index_);
  to.field("a", a_);
  to.field("b", b_);
  to.field("c", c_);
  to.bytes("alarm", alarm_);
  to.bytes("memory", memory_);
  tm held = held_;
  to.field("held", static_cast<int64_t>(timegm(&held)));
  to.end();
}

Result<void> Mc146818::load(system::StateReader& from) {
  int64_t now = 0, held = 0;
  from.begin("mc146818", 1);
  from.field("second", now);
  from.field("index", index_);
  from.field("a", a_);
  from.field("b", b_);
  from.field("c", c_);
  from.array("alarm", std::span<uint8_t>(alarm_));
  from.array("memory", std::span<uint8_t>(memory_));
  from.field("held", held);
  from.end();
  index_ &= 0x7f;
  constexpr int64_t kMostSeconds = int64_t{1} << 40;
  if (from.ok() && (now < 0 || now > kMostSeconds || held < -kMostSeconds || held > kMostSeconds))
    from.fail("its time is none");
  if (!from.ok()) return from.status();
  offset_ += now - second();
  seen_second_ = second();
  if (const int64_t every = period()) seen_period_ = clock_.now_ns() / every;
  const time_t moment = held;
  gmtime_r(&moment, &held_);
  update();
  return {};
}

}  // namespace lyrebird::devices
