// SPDX-License-Identifier: Apache-2.0
/// -chardev, and what -serial and -monitor say in short.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "system/chardev/back_ends.h"

namespace lyrebird::tools {

/// "socket,id=c0,path=/run/x,server=on,wait=off".
Result<system::CharOptions> parse_chardev(const std::string& text);
/// "file:PATH", "pipe:PATH", "pty", "unix:PATH,server=on", "tcp:HOST:PORT,server=on,wait=off", "null".
Result<system::CharOptions> parse_short_chardev(const std::string& text);

/// Those that are open, by id.
class CharDevices {
 public:
  explicit CharDevices(system::EventLoop& loop) : loop_(loop) {}
  Result<void> open(const std::string& chardev);
  /// As -serial has it; also "chardev:ID". `label`: what it is for.
  Result<system::CharBackend*> open_short(const std::string& text, const std::string& label);
  system::CharBackend* find(const std::string& id) const;

 private:
  Result<system::CharBackend*> keep(const system::CharOptions& options);

  system::EventLoop& loop_;
  std::map<std::string, std::unique_ptr<system::CharBackend>> open_;
};

}  // namespace lyrebird::tools
