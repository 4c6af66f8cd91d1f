// SPDX-License-Identifier: Apache-2.0
/// virtio console (Virtual I/O Device 1.2, 5.3): consoles and other serial ports over system::CharBackend.
///
/// Queues: receive 0, transmit 0, control receive, control transmit, receive 1, transmit 1, ... Port 0 is
/// there for drivers without VIRTIO_CONSOLE_F_MULTIPORT too.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/virtio.h"
#include "system/char_backend.h"

namespace lyrebird::devices {

struct VirtioConsolePort {
  system::CharBackend* backend = nullptr;  // outlives the device; null: no such port
  std::string name;                        // /dev/virtio-ports/NAME
  bool console = true;                     // an hvc terminal; else a plain port
};

class VirtioConsole final : public VirtioDevice {
 public:
  VirtioConsole(VirtioOptions options, std::vector<VirtioConsolePort> ports, system::AddressSpace& memory,
                system::EventLoop& loop);
  ~VirtioConsole() override;

 private:
  /// One port; the back end's receiver.
  struct Port final : system::CharReceiver {
    Port(VirtioConsole& console, unsigned number, VirtioConsolePort what)
        : console(console),
          number(number),
          backend(what.backend),
          name(std::move(what.name)),
          is_console(what.console) {}
    size_t room() override;
    void receive(std::span<const uint8_t> bytes) override;
    void connected(bool there) override;

    VirtioConsole& console;
    const unsigned number;
    system::CharBackend* const backend;
    const std::string name;
    const bool is_console;
    bool guest_open = false, host_open = true;
    std::deque<uint8_t> input;  // what the guest had no buffers for
  };
  static unsigned receive_queue(unsigned port) { return port == 0 ? 0 : 2 + 2 * port; }

  void process(unsigned queue) override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void save_device(system::StateWriter& to) const override;
  void load_device(system::StateReader& from) override;

  bool takes_input(const Port& port) const;
  void give_input(Port& port);
  void send(unsigned port, uint16_t event, uint16_t value, std::string_view text = {});
  void give_control();
  void control(const Chain& chain);
  void announce(const Port& port);

  std::vector<std::unique_ptr<Port>> ports_;
  std::deque<std::vector<uint8_t>> messages_;  // to the driver
};

}  // namespace lyrebird::devices
