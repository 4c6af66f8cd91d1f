// SPDX-License-Identifier: Apache-2.0
/// What tests of devices need: a line that remembers, a serial back end that does, saving and loading.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "system/char_backend.h"
#include "system/device.h"
#include "system/irq_line.h"
#include "system/state_stream.h"

namespace lyrebird::devices {

class Lines final : public system::IrqSink {
 public:
  void set_irq(unsigned number, bool level) override {
    if (level && !level_[number]) ++rises_[number];
    level_[number] = level;
  }
  system::IrqLine line(unsigned number) { return {*this, number}; }
  bool operator[](unsigned number) { return level_[number]; }
  unsigned rises(unsigned number) { return rises_[number]; }

 private:
  std::map<unsigned, bool> level_;
  std::map<unsigned, unsigned> rises_;
};

class TextBackend final : public system::CharBackend {
 public:
  void write(std::span<const uint8_t> bytes) override { sent.append(bytes.begin(), bytes.end()); }
  void set_receiver(system::CharReceiver* r) override { receiver = r; }
  void accept_input() override { ++accepts; }
  void type(std::string_view text) {
    receiver->receive({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }
  std::string sent;
  system::CharReceiver* receiver = nullptr;
  unsigned accepts = 0;
};

template <typename From, typename To>
void transfer(const From& from, To& to) {
  system::StateWriter writer;
  from.save(writer);
  system::StateReader reader(writer.data());
  const Result<void> result = to.load(reader);
  ASSERT_TRUE(result.ok()) << result.error().message;
}

inline uint32_t read32(system::Device& device, uint64_t offset) {
  return static_cast<uint32_t>(device.read(offset, 4));
}
inline void write32(system::Device& device, uint64_t offset, uint32_t value) {
  device.write(offset, 4, value);
}

}  // namespace lyrebird::devices
