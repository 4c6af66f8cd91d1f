// SPDX-License-Identifier: Apache-2.0
/// Keys by the names that `sendkey` has for them.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "devices/virtio/input.h"

namespace lyrebird::tools {

/// "ctrl-alt-f1": pressed in this order and let go in the other, as two groups of events.
struct KeyStroke {
  std::vector<devices::InputEvent> press, release;
};
Result<KeyStroke> parse_keys(std::string_view text);

}  // namespace lyrebird::tools
