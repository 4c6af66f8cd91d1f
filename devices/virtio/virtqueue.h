// SPDX-License-Identifier: Apache-2.0
/// The device's side of one virtqueue, split or packed (Virtual I/O Device 1.2, 2.7 and 2.8).
///
/// With indirect descriptors and the event index in both layouts. The rings are memory that the guest may
/// change at any time: every field is read once, each chain is bounded by kMaxChain pieces and 4 GiB, and
/// what breaks a rule makes the queue broken() (told to the owner once by on_broken) until reset().
///
/// Not thread-safe: under the lock of its VirtioDevice. The order of stores against the guest is this
/// class's own business.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "devices/virtio/guest_memory.h"

namespace lyrebird::devices {

/// One buffer that the driver offered. Readable by the device comes first, then writable.
struct Chain {
  uint16_t id = 0;     // what the driver knows it by
  uint16_t slots = 0;  // of the ring (packed layout)
  std::vector<Piece> readable, writable;
  uint64_t readable_size = 0, writable_size = 0;

  /// Copies from the readable part from `offset` on; how many bytes there were.
  size_t read(uint64_t offset, void* to, size_t size) const;
  /// Copies into the writable part from `offset` on; how many bytes fit.
  size_t write(uint64_t offset, const void* from, size_t size) const;
  /// The pieces of `size` bytes from `offset` on (as much of it as there is).
  static void slice(const std::vector<Piece>& from, uint64_t offset, uint64_t size, std::vector<Piece>& to);
};

class Virtqueue {
 public:
  /// Pieces in one chain, all indirect ones included; more than that is refused.
  static constexpr unsigned kMaxChain = 1024;

  Virtqueue(GuestMemory& memory, uint16_t max_size, std::function<void(std::string_view)> on_broken);

  // What the transport's registers hold. Size, addresses and layout count from enable() on.
  uint16_t max_size() const { return max_size_; }
  uint16_t size = 0;
  uint64_t descriptors = 0, driver_area = 0, device_area = 0;
  struct Layout {
    bool packed = false, event_index = false, indirect = false;
  };
  /// False: size or alignment are not allowed, the queue stays disabled (and is broken).
  bool enable(Layout layout);
  bool enabled() const { return enabled_; }
  void reset();
  bool broken() const { return broken_; }

  /// The next buffer; false: none there, not enabled or broken.
  bool pop(Chain& chain);
  /// As pop(), but the buffer is offered again afterwards: nothing was done with it. Only the newest.
  void unpop(const Chain& chain);
  bool empty();
  /// The device is done with `chain` and wrote `written` bytes from the start of its writable part
  /// (what it wrote beyond that is seen by the guest too, but not promised).
  void push(const Chain& chain, uint32_t written);
  /// Whether the driver wants an interrupt for what was pushed since this was asked last.
  bool wants_interrupt();
  unsigned in_flight() const { return in_flight_; }

  /// Whether the driver shall notify of new buffers. set_notification(true) says whether some came before
  /// the driver could know; the caller then looks again.
  bool set_notification(bool on);

  /// Says that the driver broke a rule: the device needs a reset.
  void fail(std::string_view why);

  struct Indexes {  // for the state stream; in_flight is not kept, those requests are offered again
    uint16_t avail = 0, used = 0;
    bool avail_wrap = true, used_wrap = true;
  };
  Indexes indexes() const { return {avail_, used_, avail_wrap_, used_wrap_}; }
  void set_indexes(const Indexes& indexes);

 private:
  struct Descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;  // packed: id, flags
  };
  struct Area {
    uint64_t address = 0, size = 0;
    Piece piece;
  };

  bool map();
  bool map(Area& area, bool write);
  bool pop_split(Chain& chain);
  bool pop_packed(Chain& chain);
  bool walk_split(Chain& chain, uint16_t head);
  bool walk_indirect(Chain& chain, const Descriptor& table);
  bool add(Chain& chain, uint64_t address, uint32_t length, bool writable);
  bool packed_available(uint16_t flags) const;
  void step_avail(uint16_t slots);
  void mark(const Area& area, uint64_t offset, uint64_t size);

  GuestMemory& memory_;
  const uint16_t max_size_;
  const std::function<void(std::string_view)> on_broken_;
  Layout layout_;
  bool enabled_ = false, broken_ = false, notify_ = true;
  Area ring_, driver_, device_;
  uint64_t generation_ = 0;
  uint16_t avail_ = 0, used_ = 0;
  bool avail_wrap_ = true, used_wrap_ = true;
  uint32_t pushed_ = 0;  // ring entries since wants_interrupt()
  unsigned in_flight_ = 0;
};

}  // namespace lyrebird::devices
