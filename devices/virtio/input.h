// SPDX-License-Identifier: Apache-2.0
/// virtio input device (Virtual I/O Device 1.2, 5.8): keyboard, mouse, tablet.
///
/// Events are Linux' (type, code, value). Queues: events to the guest, status (LEDs) from it. Events that the
/// guest has no buffers for are kept, up to 1024; then whole groups of them are lost.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "devices/virtio/virtio.h"

namespace lyrebird::devices {

struct InputEvent {
  uint16_t type, code;
  uint32_t value;
};

struct VirtioInputModel {
  std::string name, serial;
  uint16_t bus = 6, vendor = 0x0627, product = 1, version = 1;
  struct Bits {
    uint16_t type;
    std::vector<uint16_t> codes;
  };
  std::vector<Bits> events;
  struct Axis {
    uint16_t code;
    uint32_t low, high;
  };
  std::vector<Axis> axes;

  static VirtioInputModel keyboard();
  static VirtioInputModel mouse();
  static VirtioInputModel tablet();
};

class VirtioInput final : public VirtioDevice {
 public:
  VirtioInput(VirtioOptions options, VirtioInputModel model, system::AddressSpace& memory,
              system::EventLoop& loop);

  /// What the user did, ended by a SYN_REPORT, which is added. Any thread, without the mutex.
  void send(std::vector<InputEvent> events);
  /// LEDs and such, as the guest set them last: type, code, value.
  std::vector<InputEvent> status();

 private:
  void process(unsigned queue) override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void load_device(system::StateReader& from) override;

  void fill_config();
  std::vector<uint8_t> answer() const;
  void give();

  const VirtioInputModel model_;
  std::deque<InputEvent> waiting_;
  std::vector<InputEvent> status_;
};

}  // namespace lyrebird::devices
