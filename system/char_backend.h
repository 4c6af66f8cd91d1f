// SPDX-License-Identifier: Apache-2.0
/// The host's end of a serial line: a terminal, a file, a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace lyrebird::system {

/// The guest's end. Called on the event loop's thread without locks: the device locks itself.
class CharReceiver {
 public:
  virtual ~CharReceiver() = default;
  /// How many bytes it can take now.
  virtual size_t room() = 0;
  /// At most room() bytes.
  virtual void receive(std::span<const uint8_t> bytes) = 0;
  virtual void receive_break() {}
  /// Somebody is, or no longer is, at the other end.
  virtual void connected(bool /*there*/) {}
};

class CharBackend {
 public:
  virtual ~CharBackend() = default;
  /// Any thread, also with a device's mutex held; does not call back. A back end that can't take
  /// everything at once keeps it, up to a limit of its own, and drops what is more.
  virtual void write(std::span<const uint8_t> bytes) = 0;
  /// Null: input is kept. One receiver; set while the machine is built or stopped.
  virtual void set_receiver(CharReceiver* receiver) = 0;
  /// room() was 0 and is no longer: input that waits may be given. Any thread, also with the device's mutex
  /// held: the call comes later, on the loop's thread.
  virtual void accept_input() = 0;
};

/// Takes everything and gives nothing (-serial null).
class NullBackend final : public CharBackend {
 public:
  void write(std::span<const uint8_t>) override {}
  void set_receiver(CharReceiver*) override {}
  void accept_input() override {}
};

}  // namespace lyrebird::system
