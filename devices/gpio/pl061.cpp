// SPDX-License-Identifier: Apache-2.0
#include "devices/gpio/pl061.h"

#include "system/state_stream.h"

namespace lyrebird::devices {

namespace {

constexpr uint64_t kDataEnd = 0x400, kDir = 0x400, kIs = 0x404, kIbe = 0x408, kIev = 0x40c, kIe = 0x410,
                   kRis = 0x414, kMis = 0x418, kIc = 0x41c, kAfsel = 0x420, kId = 0xfe0;
constexpr uint8_t kIds[] = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

}  // namespace

Pl061::Pl061(system::IrqLine irq, std::array<system::IrqLine, 8> outputs) : irq_(irq), outputs_(outputs) {}

/// `before`: what data() was. Edges are latched; levels follow the line (3.2.4).
void Pl061::update(uint8_t before) {
  const uint8_t now = data(), inputs = static_cast<uint8_t>(~dir_);
  const auto changed = static_cast<uint8_t>(before ^ now);
  const auto edges = static_cast<uint8_t>(changed & (ibe_ | ~(now ^ iev_)));
  ris_ |= static_cast<uint8_t>(edges & ~is_ & inputs);
  ris_ = static_cast<uint8_t>((ris_ & ~is_) | (~(now ^ iev_) & is_ & inputs));
  for (unsigned i = 0; i < 8; ++i)
    if (dir_ >> i & 1) outputs_[i].set(out_ >> i & 1);
  irq_.set(masked() != 0);
}

void Pl061::set_irq(unsigned number, bool level) {
  const std::lock_guard lock(mutex());
  const uint8_t before = data();
  in_ = static_cast<uint8_t>((in_ & ~(1u << number)) | (level ? 1u << number : 0));
  update(before);
}

void Pl061::reset() {
  out_ = dir_ = is_ = ibe_ = iev_ = ie_ = ris_ = afsel_ = 0;
  update(data());
}

uint64_t Pl061::read(uint64_t offset, unsigned) {
  if (offset < kDataEnd) return data() & (offset >> 2);
  switch (offset) {
    case kDir:
      return dir_;
    case kIs:
      return is_;
    case kIbe:
      return ibe_;
    case kIev:
      return iev_;
    case kIe:
      return ie_;
    case kRis:
      return ris_;
    case kMis:
      return masked();
    case kAfsel:
      return afsel_;
    default:
      if (offset >= kId && offset < 0x1000) return kIds[(offset - kId) / 4];
      return 0;
  }
}

void Pl061::write(uint64_t offset, unsigned, uint64_t value) {
  const auto v = static_cast<uint8_t>(value);
  const uint8_t before = data();
  if (offset < kDataEnd) {
    const auto mask = static_cast<uint8_t>((offset >> 2) & dir_);
    out_ = static_cast<uint8_t>((out_ & ~mask) | (v & mask));
    return update(before);
  }
  switch (offset) {
    case kDir:
      dir_ = v;
      break;
    case kIs:
      is_ = v;
      break;
    case kIbe:
      ibe_ = v;
      break;
    case kIev:
      iev_ = v;
      break;
    case kIe:
      ie_ = v;
      break;
    case kIc:
      ris_ &= static_cast<uint8_t>(~v);
      break;
    case kAfsel:
      afsel_ = v;
      break;
    default:
      return;
  }
  update(offset == kDir ? data() : before);
}

void Pl061::save(system::StateWriter& to) const {
  to.begin("pl061", 1);
  const uint8_t all[] = {in_, out_, dir_, is_, ibe_, iev_, ie_, ris_, afsel_};
  to.array("registers", std::span<const uint8_t>(all));
  to.end();
}

Result<void> Pl061::load(system::StateReader& from) {
  uint8_t all[9];
  from.begin("pl061", 1);
  from.array("registers", std::span<uint8_t>(all));
  from.end();
  if (!from.ok()) return from.status();
  in_ = all[0], out_ = all[1], dir_ = all[2], is_ = all[3], ibe_ = all[4], iev_ = all[5], ie_ = all[6];
  ris_ = all[7], afsel_ = all[8];
  update(data());
  return {};
}

}  // namespace lyrebird::devices
