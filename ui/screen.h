// SPDX-License-Identifier: Apache-2.0
/// A screen of the guest, as its display device shows it to the host.
#pragma once

#include <string>

#include "ui/picture.h"

namespace lyrebird::ui {

class Screen {
 public:
  virtual ~Screen() = default;
  /// "ID" or "ID.N" for the Nth output of a device.
  virtual std::string name() const = 0;
  /// What is on it, the pointer included; empty while the guest shows nothing. Any thread.
  virtual Picture picture() = 0;
};

}  // namespace lyrebird::ui
