// SPDX-License-Identifier: Apache-2.0
/// What a driver gives a virtio device by address: RAM of the machine, as the host sees it.
///
/// Only RAM: a descriptor that points at a device's registers, at ROM (to write) or at nothing is
/// the driver's mistake, never an access to that device. So no device's lock is taken from here.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lyrebird::system {
class RamBlock;
}

namespace lyrebird::devices {

/// A piece of guest RAM that is contiguous in the host.
struct Piece {
  uint8_t* data = nullptr;
  uint64_t size = 0;  // 0: no RAM there
  system::RamBlock* ram = nullptr;
  uint64_t ram_offset = 0;
};

class GuestMemory {
 public:
  virtual ~GuestMemory() = default;

  /// The RAM at `address`, at most `size` bytes of it; less if it ends or goes on elsewhere in the
  /// host. Size 0: no RAM there, or it cannot be written and `write` asks for that.
  virtual Piece piece(uint64_t address, uint64_t size, bool write) = 0;

  /// `size` bytes from the start of `piece` were written: who watches that RAM is told.
  virtual void written(const Piece& piece, uint64_t size) = 0;

  /// Another number: pieces asked for before may have moved.
  virtual uint64_t generation() const = 0;
};

}  // namespace lyrebird::devices
