// SPDX-License-Identifier: Apache-2.0
/// GuestMemory over an AddressSpace. Remembers the piece of RAM it found last; so one per device, used under
/// that device's lock.
#pragma once

#include "devices/virtio/guest_memory.h"
#include "system/address_space.h"

namespace lyrebird::devices {

class AddressSpaceMemory final : public GuestMemory {
 public:
  explicit AddressSpaceMemory(system::AddressSpace& space) : space_(space) {}

  Piece piece(uint64_t address, uint64_t size, bool write) override;
  void written(const Piece& piece, uint64_t size) override;
  uint64_t generation() const override { return space_.generation(); }

 private:
  system::AddressSpace& space_;
  // The last answer: [start_, start_ + last_.size).
  uint64_t start_ = 0, generation_ = 0;
  system::AddressSpace::Host last_ = {};
};

}  // namespace lyrebird::devices
