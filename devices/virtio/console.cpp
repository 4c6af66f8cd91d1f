// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace lyrebird::devices {

namespace {

constexpr uint64_t kMultiport = 1 << 1, kEmergencyWrite = 1 << 2;
constexpr size_t kMaxPortsAt = 4, kEmergencyAt = 8, kConfigSize = 12;
constexpr unsigned kControlReceive = 2, kControlTransmit = 3;
constexpr size_t kMaxInput = 4096, kMaxMessages = 1024;

enum Event : uint16_t {
  DeviceReady = 0,
  PortAdd = 1,
  PortReady = 3,
  ConsolePort = 4,
  PortOpen = 6,
  PortName = 7,
};
struct Message {
  uint32_t port;
  uint16_t event, value;
};

std::vector<uint16_t> queue_sizes(size_t ports) {
  return std::vector<uint16_t>(2 + 2 * std::max<size_t>(ports, 1), 128);
}

}  // namespace

VirtioConsole::VirtioConsole(VirtioOptions options, std::vector<VirtioConsolePort> ports,
                             system::AddressSpace& memory, system::EventLoop& loop)
    : VirtioDevice(VirtioType::Console, std::move(options), queue_sizes(ports.size()), kConfigSize, memory,
                   loop) {
  offer(kMultiport | kEmergencyWrite);
  set_config<uint32_t>(kMaxPortsAt, static_cast<uint32_t>(ports.size()));
  for (unsigned n = 0; n < ports.size(); ++n) {
    ports_.push_back(std::make_unique<Port>(*this, n, std::move(ports[n])));
    if (ports_[n]->backend) ports_[n]->backend->set_receiver(ports_[n].get());
  }
}

VirtioConsole::~VirtioConsole() {
  for (const auto& port : ports_) {
    if (port->backend) port->backend->set_receiver(nullptr);
  }
}

void VirtioConsole::device_reset() {
  messages_.clear();
  for (const auto& port : ports_) {
    port->guest_open = false;
    port->input.clear();
  }
}

void VirtioConsole::config_written(uint64_t offset, unsigned) {
  if (offset == kEmergencyAt && !ports_.empty() && ports_[0]->backend) {
    ports_[0]->backend->write({config().data() + kEmergencyAt, 1});
  }
  set_config<uint32_t>(0, 0);
  set_config<uint32_t>(kMaxPortsAt, static_cast<uint32_t>(ports_.size()));
  set_config<uint32_t>(kEmergencyAt, 0);
}

// --- queues ---

void VirtioConsole::process(unsigned n) {
  if (n == kControlReceive) return give_control();
  if (n == kControlTransmit) {
    for_each_chain(n, [&](const Chain& chain) {
      control(chain);
      complete(n, chain, 0);
      return true;
    });
    return give_control();
  }
  const unsigned number = n < 2 ? 0 : n / 2 - 1;
  if (number >= ports_.size()) return;
  Port& port = *ports_[number];
  if (n % 2 == 0) {
    give_input(port);
    if (port.backend && takes_input(port)) port.backend->accept_input();
    return;
  }
  for_each_chain(n, [&](const Chain& chain) {
    for (const Piece& piece : chain.readable) {
      if (port.backend) port.backend->write({piece.data, piece.size});
    }
    complete(n, chain, 0);
    return true;
  });
}

bool VirtioConsole::takes_input(const Port& port) const {
  return running() && port.input.empty() && (port.guest_open || !has(kMultiport));
}

void VirtioConsole::give_input(Port& port) {
  const unsigned n = receive_queue(port.number);
  for_each_chain(n, [&](const Chain& chain) {
    if (port.input.empty()) return false;
    if (chain.writable_size == 0) {
      fail("a receive buffer cannot be written");
      return true;
    }
    std::vector<uint8_t> bytes(std::min<uint64_t>(chain.writable_size, port.input.size()));
    std::copy_n(port.input.begin(), bytes.size(), bytes.begin());
    port.input.erase(port.input.begin(), port.input.begin() + static_cast<ptrdiff_t>(bytes.size()));
    chain.write(0, bytes.data(), bytes.size());
    complete(n, chain, static_cast<uint32_t>(bytes.size()));
    return true;
  });
}

size_t VirtioConsole::Port::room() {
  const std::lock_guard lock(console.mutex());
  const unsigned queue = receive_queue(number);
  if (!console.takes_input(*this) || console.queue(queue).empty()) return 0;
  return kMaxInput;
}

void VirtioConsole::Port::receive(std::span<const uint8_t> bytes) {
  const std::lock_guard lock(console.mutex());
  input.insert(input.end(), bytes.begin(), bytes.end());
  if (console.running()) console.give_input(*this);
}

void VirtioConsole::Port::connected(bool there) {
  const std::lock_guard lock(console.mutex());
  host_open = there;
  if (console.running() && console.has(kMultiport)) console.send(number, PortOpen, there);
}

// --- control ---

void VirtioConsole::send(unsigned port, uint16_t event, uint16_t value, std::string_view text) {
  const Message message{port, event, value};
  std::vector<uint8_t> bytes(sizeof message + text.size());
  std::memcpy(bytes.data(), &message, sizeof message);
  std::copy(text.begin(), text.end(), bytes.begin() + sizeof message);
  if (messages_.size() < kMaxMessages) messages_.push_back(std::move(bytes));
  give_control();
}

void VirtioConsole::give_control() {
  for_each_chain(kControlReceive, [&](const Chain& chain) {
    if (messages_.empty()) return false;
    const std::vector<uint8_t> message = std::move(messages_.front());
    messages_.pop_front();
    complete(kControlReceive, chain, static_cast<uint32_t>(chain.write(0, message.data(), message.size())));
    return true;
  });
}

void VirtioConsole::announce(const Port& port) {
  if (port.is_console) send(port.number, ConsolePort, 1);
  if (!port.name.empty()) send(port.number, PortName, 1, port.name);
  if (port.host_open) send(port.number, PortOpen, 1);
}

void VirtioConsole::control(const Chain& chain) {
  Message message;
  if (!has(kMultiport) || chain.read(0, &message, sizeof message) != sizeof message) return;
  if (message.event == DeviceReady) {
    for (const auto& port : ports_) {
      if (message.value && port->backend) send(port->number, PortAdd, 1);
    }
    return;
  }
  if (message.port >= ports_.size() || !ports_[message.port]->backend) return;
  Port& port = *ports_[message.port];
  if (message.event == PortReady && message.value) announce(port);
  if (message.event == PortOpen) {
    port.guest_open = message.value;
    if (port.guest_open) port.backend->accept_input();
  }
}

// --- state ---

void VirtioConsole::save_device(system::StateWriter& to) const {
  for (const auto& port : ports_) {
    to.field("guest_open", port->guest_open);
    to.bytes("input", std::vector<uint8_t>(port->input.begin(), port->input.end()));
  }
  to.field("messages", static_cast<uint32_t>(messages_.size()));
  for (const auto& message : messages_) to.bytes("message", message);
}

void VirtioConsole::load_device(system::StateReader& from) {
  for (const auto& port : ports_) {
    from.field("guest_open", port->guest_open);
    const auto input = from.bytes("input", kMaxInput);
    port->input.assign(input.begin(), input.end());
  }
  uint32_t messages = 0;
  from.field("messages", messages);
  if (messages > kMaxMessages) from.fail("too many control messages");
  for (uint32_t i = 0; i < messages && from.ok(); ++i) messages_.push_back(from.bytes("message", 4096));
}

}  // namespace lyrebird::devices
