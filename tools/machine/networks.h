// SPDX-License-Identifier: Apache-2.0
/// The networks that -netdev and -nic name: back ends of the host.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/backend.h"
#include "system/char_backend.h"
#include "system/event_loop.h"
#include "tools/machine/property_reader.h"

namespace lyrebird::tools {

/// A -chardev by its id, or null.
using FindCharacterDevice = std::function<system::CharBackend*(const std::string& id)>;

class Networks {
 public:
  Networks(system::EventLoop& loop, FindCharacterDevice character_device)
      : loop_(loop), character_device_(std::move(character_device)) {}

  /// What -netdev says.
  Result<void> add(const std::string& text);
  /// A network of the type, with what is left of the properties.
  Result<void> open(const std::string& id, const std::string& type, PropertyReader& p);
  /// Of type user, with nothing asked for.
  Result<void> open_default(const std::string& id);

  /// The network for a card, which is then the only one that has it.
  Result<net::Backend*> take(const std::string& id);

  /// For people: a line for each.
  std::vector<std::string> describe() const;

 private:
  struct Network {
    std::unique_ptr<net::Backend> backend;
    bool used = false;
  };

  Result<void> open_user(const std::string& id, PropertyReader& p);

  system::EventLoop& loop_;
  FindCharacterDevice character_device_;
  std::map<std::string, Network> networks_;
};

}  // namespace lyrebird::tools
