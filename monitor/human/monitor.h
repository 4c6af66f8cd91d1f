// SPDX-License-Identifier: Apache-2.0
/// The monitor for people: lines of text in, lines of text out, on a character back end.
///
/// One table of commands (monitor.cpp) parses, explains and corrects. Everything runs on the event loop's
/// thread; commands that look at CPUs pause the machine while they do.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "machines/machine.h"
#include "system/char_backend.h"

namespace lyrebird::monitor {

class HumanMonitor final : public system::CharReceiver {
 public:
  HumanMonitor(machines::Machine& machine, system::CharBackend& backend, std::function<void()> on_quit);
  ~HumanMonitor() override;

  /// What a command prints. For tests and other front ends.
  std::string execute(std::string_view line);

  size_t room() override { return 256; }
  void receive(std::span<const uint8_t> bytes) override;
  void connected(bool there) override;

  machines::Machine& machine() { return machine_; }
  void quit() { on_quit_(); }
  size_t current_cpu = 0;

 private:
  void print(std::string_view text);

  machines::Machine& machine_;
  system::CharBackend& backend_;
  const std::function<void()> on_quit_;
  std::string line_;
  bool greeted_ = false;
};

}  // namespace lyrebird::monitor
