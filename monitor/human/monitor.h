// SPDX-License-Identifier: Apache-2.0
/// The monitor for people: lines of text in, lines of text out, on a character back end.
///
/// One table of commands (monitor.cpp) parses, explains and corrects. Everything runs on the event loop's
/// thread; commands that look at CPUs pause the machine while they do.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "accel/soft/soft.h"
#include "machines/machine.h"
#include "monitor/human/line_editor.h"
#include "system/char_backend.h"

namespace lyrebird::monitor {

class HumanMonitor final : public system::CharReceiver {
 public:
  HumanMonitor(machines::Machine& machine, system::CharBackend& backend, std::function<void()> on_quit);
  ~HumanMonitor() override;

  /// `info NAME` shows what `show` returns: for what is not the machine's (disks, networks).
  void add_info(std::string name, std::string help, std::function<std::string()> show) {
    more_info_.push_back({std::move(name), std::move(help), std::move(show)});
  }
  struct MoreInfo {
    std::string name, help;
    std::function<std::string()> show;
  };
  const std::vector<MoreInfo>& more_info() const { return more_info_; }
  /// The same for commands: `run` gets what follows the name, and returns what is printed.
  struct MoreCommand {
    std::string name, arguments, help;
    std::function<std::string(std::string_view)> run;
  };
  void add_command(MoreCommand command) { more_commands_.push_back(std::move(command)); }
  const std::vector<MoreCommand>& more_commands() const { return more_commands_; }

  /// For x/i; without one there is none.
  void set_disassembler(accel::Disassembler disassembler) { disassembler_ = disassembler; }
  accel::Disassembler disassembler() const { return disassembler_; }

  /// What a command prints. For tests and other front ends.
  std::string execute(std::string_view line);

  size_t room() override { return 256; }
  void receive(std::span<const uint8_t> bytes) override;
  void connected(bool there) override;

  machines::Machine& machine() { return machine_; }
  void quit() { on_quit_(); }
  size_t current_cpu = 0;
  std::string migration;  ///< how the last one ended, for `info migrate`

 private:
  void print(std::string_view text);
  std::vector<std::string> complete(std::string_view line) const;

  machines::Machine& machine_;
  system::CharBackend& backend_;
  const std::function<void()> on_quit_;
  accel::Disassembler disassembler_ = nullptr;
  LineEditor editor_;
  bool greeted_ = false;
  std::vector<MoreInfo> more_info_;
  std::vector<MoreCommand> more_commands_;
};

}  // namespace lyrebird::monitor
