// SPDX-License-Identifier: Apache-2.0
/// A device: a block of registers somewhere in the guest's physical memory.
///
/// A device does not know its address, nor which CPU asks: what is banked by CPU is one Device (a
/// view) per CPU, mapped in that CPU's own AddressSpace. Every read() and write() is made by the
/// AddressSpace with mutex() held; views of one device return the same mutex. Callbacks of timers and
/// of the event loop come without it: the device locks it there itself.
///
/// Lock order: topology (memory_region.h) > any device > interrupt controller > what a vCPU offers
/// to others (atomics, no lock). A device that does DMA holds its own lock while it does; so it must
/// never be asked to do DMA into another device that does DMA: AddressSpace::read_bytes() and
/// write_bytes() reach RAM only and refuse everything else.
#pragma once

#include <cstdint>
#include <mutex>

#include "base/result.h"

namespace lyrebird::system {

class StateReader;
class StateWriter;

class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  virtual ~Device() = default;

  /// `offset` is from the start of the region; `size` is 1, 2, 4 or 8 as the region's IoSizes allow,
  /// offset is a multiple of it. The value is little-endian and zero-extended.
  virtual uint64_t read(uint64_t offset, unsigned size) = 0;
  virtual void write(uint64_t offset, unsigned size, uint64_t value) = 0;
  /// As after power-on. Without the mutex held; vCPUs are stopped.
  virtual void reset() = 0;
  virtual void save(StateWriter& to) const = 0;
  virtual Result<void> load(StateReader& from) = 0;

  virtual std::mutex& mutex() { return mutex_; }

 private:
  std::mutex mutex_;
};

}  // namespace lyrebird::system
