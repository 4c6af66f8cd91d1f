// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/input.h"

#include <linux/input-event-codes.h>

#include <algorithm>
#include <cstring>

namespace lyrebird::devices {

namespace {

// Configuration (5.8.4): select, subsel, size, reserved, then 128 bytes.
constexpr size_t kSelectAt = 0, kSubselectAt = 1, kSizeAt = 2, kDataAt = 8, kConfigSize = 136;
enum Select : uint8_t {
  IdName = 1,
  IdSerial = 2,
  IdDevids = 3,
  PropBits = 0x10,
  EvBits = 0x11,
  AbsInfo = 0x12
};
constexpr unsigned kEvents = 0;
constexpr size_t kMaxWaiting = 1024, kMaxStatus = 64;

std::vector<uint16_t> range(uint16_t first, uint16_t last) {
  std::vector<uint16_t> codes;
  for (uint16_t code = first; code <= last; ++code) codes.push_back(code);
  return codes;
}

template <typename T>
void put(std::vector<uint8_t>& to, T value) {
  for (size_t i = 0; i < sizeof value; ++i) to.push_back(static_cast<uint8_t>(value >> 8 * i));
}

}  // namespace

VirtioInputModel VirtioInputModel::keyboard() {
  return {.name = "Lyrebird virtio keyboard",
          .serial = "",
          .product = 1,
          .events = {
              {EV_KEY, range(KEY_ESC, KEY_MICMUTE)}, {EV_REP, {}}, {EV_LED, range(LED_NUML, LED_SCROLLL)}}};
}
VirtioInputModel VirtioInputModel::mouse() {
  return {.name = "Lyrebird virtio mouse",
          .serial = "",
          .product = 2,
          .events = {{EV_KEY, range(BTN_LEFT, BTN_EXTRA)}, {EV_REL, {REL_X, REL_Y, REL_WHEEL}}}};
}
VirtioInputModel VirtioInputModel::tablet() {
  return {.name = "Lyrebird virtio tablet",
          .serial = "",
          .product = 3,
          .events = {{EV_KEY, range(BTN_LEFT, BTN_EXTRA)}, {EV_REL, {REL_WHEEL}}, {EV_ABS, {ABS_X, ABS_Y}}},
          .axes = {{ABS_X, 0, 0x7fff}, {ABS_Y, 0, 0x7fff}}};
}

VirtioInput::VirtioInput(VirtioOptions options, VirtioInputModel model, system::AddressSpace& memory,
                         system::EventLoop& loop)
    : VirtioDevice(VirtioType::Input, std::move(options), {64, 64}, kConfigSize, memory, loop),
      model_(std::move(model)) {
  fill_config();
}

std::vector<uint8_t> VirtioInput::answer() const {
  auto& bytes = const_cast<VirtioInput&>(*this).config();
  const uint8_t select = bytes[kSelectAt], subselect = bytes[kSubselectAt];
  std::vector<uint8_t> data;
  if (select == IdName && subselect == 0) data.assign(model_.name.begin(), model_.name.end());
  if (select == IdSerial && subselect == 0) data.assign(model_.serial.begin(), model_.serial.end());
  if (select == IdDevids && subselect == 0) {
    for (const uint16_t id : {model_.bus, model_.vendor, model_.product, model_.version}) put(data, id);
  }
  for (const auto& bits : model_.events) {
    if (select != EvBits || subselect != bits.type) continue;
    data.resize(1);  // a type without codes is there all the same
    for (const uint16_t code : bits.codes) {
      data.resize(std::max<size_t>(data.size(), code / 8 + 1));
      data[code / 8] |= static_cast<uint8_t>(1 << code % 8);
    }
  }
  for (const auto& axis : model_.axes) {
    if (select != AbsInfo || subselect != axis.code) continue;
    for (const uint32_t value : {axis.low, axis.high, 0u, 0u, 0u}) put(data, value);
  }
  if (data.size() > kConfigSize - kDataAt) data.resize(kConfigSize - kDataAt);
  return data;
}

void VirtioInput::fill_config() {
  const std::vector<uint8_t> data = answer();
  std::fill(config().begin() + kSizeAt, config().end(), 0);
  config()[kSizeAt] = static_cast<uint8_t>(data.size());
  std::copy(data.begin(), data.end(), config().begin() + kDataAt);
}

void VirtioInput::config_written(uint64_t, unsigned) { fill_config(); }
void VirtioInput::load_device(system::StateReader&) { fill_config(); }

void VirtioInput::device_reset() {
  config()[kSelectAt] = config()[kSubselectAt] = 0;
  fill_config();
  waiting_.clear();
  status_.clear();
}

void VirtioInput::send(std::vector<InputEvent> events) {
  const std::lock_guard lock(mutex());
  if (!running() || waiting_.size() + events.size() + 1 > kMaxWaiting) return;
  waiting_.insert(waiting_.end(), events.begin(), events.end());
  waiting_.push_back({EV_SYN, SYN_REPORT, 0});
  give();
}

std::vector<InputEvent> VirtioInput::status() {
  const std::lock_guard lock(mutex());
  return status_;
}

void VirtioInput::give() {
  for_each_chain(kEvents, [&](const Chain& chain) {
    if (waiting_.empty()) return false;
    if (chain.writable_size < sizeof(InputEvent)) {
      fail("a buffer has no room for an event");
      return true;
    }
    complete(kEvents, chain, static_cast<uint32_t>(chain.write(0, &waiting_.front(), sizeof(InputEvent))));
    waiting_.pop_front();
    return true;
  });
}

void VirtioInput::process(unsigned n) {
  if (n == kEvents) return give();
  for_each_chain(n, [&](const Chain& chain) {
    InputEvent event;
    if (chain.read(0, &event, sizeof event) == sizeof event) {
      std::erase_if(status_,
                    [&](const InputEvent& e) { return e.type == event.type && e.code == event.code; });
      if (status_.size() < kMaxStatus) status_.push_back(event);
    }
    complete(n, chain, 0);
    return true;
  });
}

}  // namespace lyrebird::devices
