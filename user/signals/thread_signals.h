// SPDX-License-Identifier: Apache-2.0
/// One guest thread's signal state: mask, queue, alternate stack.
#pragma once

#include <atomic>

namespace lyrebird::user {

struct ThreadSignals {
  /// Some signal may have to be handled before guest code runs on. Set by handlers.
  std::atomic<bool> pending{false};
};

}  // namespace lyrebird::user
