// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/address_space_memory.h"

#include <algorithm>

namespace lyrebird::devices {

Piece AddressSpaceMemory::piece(uint64_t address, uint64_t size, bool write) {
  const uint64_t generation = space_.generation();
  if (generation != generation_ || address - start_ >= last_.size) {
    const auto host = space_.host(address);
    if (!host) return {};
    last_ = *host;
    start_ = address;
    generation_ = generation;
  }
  if (write && !last_.writable) return {};
  const uint64_t offset = address - start_;
  return {last_.pointer + offset, std::min(size, last_.size - offset), last_.ram, last_.ram_offset + offset};
}

void AddressSpaceMemory::written(const Piece& piece, uint64_t size) {
  piece.ram->mark(piece.ram_offset, size);
}

}  // namespace lyrebird::devices
