// SPDX-License-Identifier: Apache-2.0
/// Standard input and output as the other end of a serial line, shared with the monitor.
///
/// In shared mode every key goes to whoever is in front, the serial line at first, but for those after
/// Ctrl-A:
///     x  end the emulator          c  the other one comes to the front     b  send a break
///     h  say this                  Ctrl-A  send Ctrl-A
/// A terminal is raw from construction to destruction, and is put back on every other way out too: exit(),
/// fatal signals, being stopped by SIGTSTP.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "system/char_backend.h"
#include "system/event_loop.h"

namespace lyrebird::system {

class Terminal {
 public:
  enum class Mode {
    Shared,   ///< as above; Ctrl-C goes to the guest
    Private,  ///< only first() is there, no escapes; Ctrl-C ends the emulator
  };
  /// One per process: it owns the terminal.
  Terminal(EventLoop& loop, Mode mode, std::function<void()> on_quit);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// The serial line.
  CharBackend& first() { return ends_[0]; }
  /// The monitor.
  CharBackend& second() { return ends_[1]; }
  void bring_to_front(unsigned end) { front_ = end; }
  /// Everything written is out.
  void flush();

 private:
  class End final : public CharBackend {
   public:
    void write(std::span<const uint8_t> bytes) override { owner->write(bytes); }
    void set_receiver(CharReceiver* r) override { receiver = r; }
    void accept_input() override { owner->accept_input(); }
    Terminal* owner = nullptr;
    CharReceiver* receiver = nullptr;
    std::string waiting;  ///< typed, and not taken yet
  };
  void write(std::span<const uint8_t> bytes);
  void accept_input();
  void on_input();
  void on_key(uint8_t key);
  void deliver();
  void watch(bool on);

  EventLoop& loop_;
  const Mode mode_;
  const std::function<void()> on_quit_;
  std::array<End, 2> ends_;
  unsigned front_ = 0;
  bool escape_ = false, watching_ = false, ended_ = false;
  std::mutex out_mutex_;
  std::string out_;
  /// What is posted to the loop may come after the end of this.
  std::shared_ptr<bool> alive_;
};

}  // namespace lyrebird::system
