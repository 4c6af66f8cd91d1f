// SPDX-License-Identifier: Apache-2.0
/// virtio entropy device (Virtual I/O Device 1.2, 5.4): random bytes of the host's kernel.
#pragma once

#include <functional>
#include <span>

#include "devices/virtio/virtio.h"

namespace lyrebird::devices {

class VirtioRng final : public VirtioDevice {
 public:
  /// Fills the bytes; for tests and for runs that must repeat. Empty: the host's getrandom().
  using Source = std::function<void(std::span<uint8_t>)>;
  VirtioRng(VirtioOptions options, system::AddressSpace& memory, system::EventLoop& loop, Source source = {});

 private:
  void process(unsigned queue) override;

  const Source source_;
};

}  // namespace lyrebird::devices
