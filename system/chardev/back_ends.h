// SPDX-License-Identifier: Apache-2.0
/// Where serial lines may end, beside the terminal: files, pipes, pseudo-terminals, sockets, memory.
///
/// What the other end does not take at once is kept up to a limit (1 MiB), and what is more is dropped: a
/// guest never waits for it. Input is read when the guest has room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "system/char_backend.h"
#include "system/event_loop.h"

namespace lyrebird::system {

struct CharOptions {
  enum class Kind : uint8_t { Null, File, Pipe, Pty, Unix, Tcp, Ring };
  Kind kind = Kind::Null;
  std::string label;        // for messages
  std::string path;         // File, Pipe (PATH or PATH.in and PATH.out), Unix
  std::string input_path;   // File: where input comes from
  bool append = false;      // File
  std::string host, port;   // Tcp
  bool server = false;      // Unix, Tcp: listens, for one at a time
  bool wait = true;         // server: open_char_backend() returns when somebody is there
  bool no_delay = false;    // Tcp
  size_t size = 64 * 1024;  // Ring
};

Result<std::unique_ptr<CharBackend>> open_char_backend(const CharOptions& options, EventLoop& loop);

/// The last bytes written: for looking at them later.
class RingBackend final : public CharBackend {
 public:
  explicit RingBackend(size_t size);
  void write(std::span<const uint8_t> bytes) override;
  void set_receiver(CharReceiver*) override {}
  void accept_input() override {}
  /// Takes out what is there, oldest first.
  std::string take();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace lyrebird::system
