// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtqueue.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <utility>

#include "base/guest_bytes.h"

static_assert(std::endian::native == std::endian::little, "rings are little-endian");

namespace lyrebird::devices {

namespace {

// Descriptor flags.
constexpr uint16_t kNext = 1, kWrite = 2, kIndirect = 4;
constexpr uint16_t kPackedAvail = 1 << 7, kPackedUsed = 1 << 15;
// Split: flags of the two rings.
constexpr uint16_t kNoInterrupt = 1, kNoNotify = 1;
// Packed: flags of the two event areas.
constexpr uint16_t kEventEnable = 0, kEventDisable = 1, kEventDescriptor = 2;

constexpr uint64_t kDescriptorSize = 16;

uint16_t load16(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const uint16_t*>(at), __ATOMIC_RELAXED);
}
uint16_t load16_acquire(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const uint16_t*>(at), __ATOMIC_ACQUIRE);
}
void store16(uint8_t* at, uint16_t value) {
  __atomic_store_n(reinterpret_cast<uint16_t*>(at), value, __ATOMIC_RELAXED);
}
void store16_release(uint8_t* at, uint16_t value) {
  __atomic_store_n(reinterpret_cast<uint16_t*>(at), value, __ATOMIC_RELEASE);
}
void store32(uint8_t* at, uint32_t value) {
  __atomic_store_n(reinterpret_cast<uint32_t*>(at), value, __ATOMIC_RELAXED);
}
uint32_t load32(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const uint32_t*>(at), __ATOMIC_RELAXED);
}
uint64_t load64(const uint8_t* at) {
  return __atomic_load_n(reinterpret_cast<const uint64_t*>(at), __ATOMIC_RELAXED);
}
void fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// Whether `event` lies in what was added between `old` and `now` (2.7.7.2).
bool passed(uint16_t event, uint16_t now, uint16_t old) {
  return static_cast<uint16_t>(now - event - 1) < static_cast<uint16_t>(now - old);
}

}  // namespace

// --- Chain ---

void Chain::slice(const std::vector<Piece>& from, uint64_t offset, uint64_t size, std::vector<Piece>& to) {
  for (const Piece& piece : from) {
    if (size == 0) return;
    if (offset >= piece.size) {
      offset -= piece.size;
      continue;
    }
    const uint64_t n = std::min(piece.size - offset, size);
    to.push_back({piece.data + offset, n, piece.ram, piece.ram_offset + offset});
    offset = 0;
    size -= n;
  }
}

size_t Chain::read(uint64_t offset, void* to, size_t size) const {
  size_t done = 0;
  if (size == 0) return 0;
  for (const Piece& piece : readable) {
    if (offset >= piece.size) {
      offset -= piece.size;
      continue;
    }
    const size_t n = std::min<uint64_t>(piece.size - offset, size - done);
    copy_guest_bytes(static_cast<uint8_t*>(to) + done, piece.data + offset, n);
    offset = 0;
    if ((done += n) == size) break;
  }
  return done;
}

size_t Chain::write(uint64_t offset, const void* from, size_t size) const {
  size_t done = 0;
  if (size == 0) return 0;
  for (const Piece& piece : writable) {
    if (offset >= piece.size) {
      offset -= piece.size;
      continue;
    }
    const size_t n = std::min<uint64_t>(piece.size - offset, size - done);
    copy_guest_bytes(piece.data + offset, static_cast<const uint8_t*>(from) + done, n);
    offset = 0;
    if ((done += n) == size) break;
  }
  return done;
}

// --- life ---

Virtqueue::Virtqueue(GuestMemory& memory, uint16_t max_size, std::function<void(std::string_view)> on_broken)
    : size(max_size), memory_(memory), max_size_(max_size), on_broken_(std::move(on_broken)) {}

void Virtqueue::reset() {
  size = max_size_;
  descriptors = driver_area = device_area = 0;
  layout_ = {};
  enabled_ = broken_ = false;
  notify_ = true;
  ring_ = driver_ = device_ = {};
  set_indexes({});
}

void Virtqueue::set_indexes(const Indexes& indexes) {
  avail_ = indexes.avail;
  used_ = indexes.used;
  avail_wrap_ = indexes.avail_wrap;
  used_wrap_ = indexes.used_wrap;
  pushed_ = in_flight_ = 0;
}

void Virtqueue::fail(std::string_view why) {
  if (broken_) return;
  broken_ = true;
  on_broken_(why);
}

bool Virtqueue::enable(Layout layout) {
  if (enabled_) return true;
  layout_ = layout;
  const bool size_fits = size != 0 && size <= max_size_ && (layout.packed || std::has_single_bit(size));
  const uint64_t entries = size;
  ring_ = {descriptors, entries * kDescriptorSize, {}};
  driver_ = {driver_area, layout.packed ? 4 : 6 + 2 * entries, {}};
  device_ = {device_area, layout.packed ? 4 : 6 + 8 * entries, {}};
  const uint64_t driver_alignment = layout.packed ? 4 : 2;
  if (!size_fits || descriptors % 16 || driver_area % driver_alignment || device_area % 4) {
    fail(size_fits ? "its rings are not aligned" : "its size is not allowed");
    return false;
  }
  enabled_ = true;
  generation_ = memory_.generation() - 1;
  return true;
}

bool Virtqueue::map(Area& area, bool write) {
  area.piece = memory_.piece(area.address, area.size, write);
  // A host page is aligned as the guest's is, but RAM may be anywhere in the fuzzer or a test.
  return area.piece.size >= area.size && reinterpret_cast<uintptr_t>(area.piece.data) % 8 == area.address % 8;
}

bool Virtqueue::map() {
  if (!enabled_ || broken_) return false;
  const uint64_t generation = memory_.generation();
  if (generation == generation_) return true;
  if (!map(ring_, layout_.packed) || !map(driver_, false) || !map(device_, true)) {
    fail("its rings are not in RAM");
    return false;
  }
  generation_ = generation;
  return true;
}

void Virtqueue::mark(const Area& area, uint64_t offset, uint64_t size) {
  const Piece& piece = area.piece;
  memory_.written({piece.data + offset, size, piece.ram, piece.ram_offset + offset}, size);
}

// --- what the driver offers ---

bool Virtqueue::empty() {
  if (!map()) return true;
  if (layout_.packed) return !packed_available(load16(ring_.piece.data + avail_ * kDescriptorSize + 14));
  return load16_acquire(driver_.piece.data + 2) == avail_;
}

bool Virtqueue::pop(Chain& chain) {
  if (!map()) return false;
  chain.readable.clear();
  chain.writable.clear();
  chain.readable_size = chain.writable_size = 0;
  if (!(layout_.packed ? pop_packed(chain) : pop_split(chain))) return false;
  if (++in_flight_ > size) {
    fail("more buffers are in use than it has entries");
    return false;
  }
  return true;
}

void Virtqueue::unpop(const Chain& chain) {
  assert(in_flight_ > 0);
  --in_flight_;
  if (!layout_.packed) {
    --avail_;
    return;
  }
  if (avail_ < chain.slots) {
    avail_ += size;
    avail_wrap_ = !avail_wrap_;
  }
  avail_ -= chain.slots;
}

bool Virtqueue::pop_split(Chain& chain) {
  const uint8_t* available = driver_.piece.data;
  const uint16_t index = load16_acquire(available + 2);
  if (index == avail_) return false;
  if (static_cast<uint16_t>(index - avail_) > size) {
    fail("the available index moved by more than its size");
    return false;
  }
  const uint16_t head = load16(available + 4 + 2 * (avail_ % size));
  if (head >= size) {
    fail("the available ring names a descriptor that is not there");
    return false;
  }
  chain.id = head;
  chain.slots = 1;
  if (!walk_split(chain, head)) return false;
  ++avail_;
  if (layout_.event_index && notify_) {
    store16(device_.piece.data + 4 + 8 * size, avail_);
    mark(device_, 4 + 8 * size, 2);
  }
  return true;
}

bool Virtqueue::walk_split(Chain& chain, uint16_t head) {
  uint16_t at = head;
  for (unsigned n = 0; n < size; ++n) {
    const uint8_t* entry = ring_.piece.data + at * kDescriptorSize;
    const Descriptor d = {load64(entry), load32(entry + 8), load16(entry + 12), load16(entry + 14)};
    if (d.flags & kIndirect) {
      if (d.flags & kNext) {
        fail("a descriptor is indirect and has a next one");
        return false;
      }
      return walk_indirect(chain, d);
    }
    if (!add(chain, d.address, d.length, d.flags & kWrite)) return false;
    if (!(d.flags & kNext)) return true;
    if (d.next >= size) {
      fail("a descriptor's next one is not there");
      return false;
    }
    at = d.next;
  }
  fail("a chain of descriptors is a loop");
  return false;
}

bool Virtqueue::walk_indirect(Chain& chain, const Descriptor& table) {
  const uint64_t entries = table.length / kDescriptorSize;
  if (!layout_.indirect || entries == 0 || table.length % kDescriptorSize || entries > 65536) {
    fail("an indirect table is not allowed or has a wrong size");
    return false;
  }
  // The copy is what counts: the guest may change the table meanwhile.
  const uint64_t wanted = std::min<uint64_t>(entries, kMaxChain) * kDescriptorSize;
  std::vector<uint8_t> copy(wanted);
  for (uint64_t done = 0; done < wanted;) {
    const Piece piece = memory_.piece(table.address + done, wanted - done, false);
    if (piece.size == 0 || table.address + done < table.address) {
      fail("an indirect table is not in RAM");
      return false;
    }
    copy_guest_bytes(copy.data() + done, piece.data, piece.size);
    done += piece.size;
  }
  uint64_t at = 0;
  for (unsigned n = 0; n < kMaxChain; ++n) {
    Descriptor d;
    std::memcpy(&d.address, copy.data() + at * kDescriptorSize, 8);
    std::memcpy(&d.length, copy.data() + at * kDescriptorSize + 8, 4);
    // The layouts differ in the last four bytes.
    std::memcpy(&d.flags, copy.data() + at * kDescriptorSize + (layout_.packed ? 14 : 12), 2);
    std::memcpy(&d.next, copy.data() + at * kDescriptorSize + (layout_.packed ? 12 : 14), 2);
    if (d.flags & kIndirect) {
      fail("an indirect table holds an indirect descriptor");
      return false;
    }
    if (!add(chain, d.address, d.length, d.flags & kWrite)) return false;
    at = layout_.packed ? at + 1 : d.next;
    if (layout_.packed ? at == entries : !(d.flags & kNext)) return true;
    if (at >= entries || at >= wanted / kDescriptorSize) break;
  }
  fail("an indirect chain is too long, a loop, or leaves its table");
  return false;
}

bool Virtqueue::add(Chain& chain, uint64_t address, uint32_t length, bool writable) {
  if (!writable && !chain.writable.empty()) {
    fail("a readable descriptor follows a writable one");
    return false;
  }
  std::vector<Piece>& pieces = writable ? chain.writable : chain.readable;
  uint64_t& total = writable ? chain.writable_size : chain.readable_size;
  if (address + length < address) {
    fail("a buffer wraps around the end of memory");
    return false;
  }
  for (uint64_t done = 0; done < length;) {
    const Piece piece = memory_.piece(address + done, length - done, writable);
    if (piece.size == 0) {
      fail(writable ? "a buffer to write is not in RAM" : "a buffer to read is not in RAM");
      return false;
    }
    if (chain.readable.size() + chain.writable.size() >= kMaxChain) {
      fail("a chain has too many pieces");
      return false;
    }
    pieces.push_back(piece);
    done += piece.size;
  }
  total += length;
  if (chain.readable_size + chain.writable_size > UINT32_MAX) {
    fail("a chain is longer than 4 GiB");
    return false;
  }
  return true;
}

bool Virtqueue::packed_available(uint16_t flags) const {
  const bool avail = flags & kPackedAvail, used = flags & kPackedUsed;
  return avail == avail_wrap_ && used != avail_wrap_;
}

void Virtqueue::step_avail(uint16_t slots) {
  avail_ += slots;
  if (avail_ >= size) {
    avail_ -= size;
    avail_wrap_ = !avail_wrap_;
  }
}

bool Virtqueue::pop_packed(Chain& chain) {
  const uint8_t* ring = ring_.piece.data;
  uint16_t flags = load16_acquire(ring + avail_ * kDescriptorSize + 14);
  if (!packed_available(flags)) return false;
  uint16_t at = avail_;
  for (uint16_t slots = 1;; ++slots) {
    const uint8_t* entry = ring + at * kDescriptorSize;
    if (slots > 1) flags = load16(entry + 14);
    const Descriptor d = {load64(entry), load32(entry + 8), flags, load16(entry + 12)};
    if (flags & kIndirect) {
      if (slots > 1 || (flags & kNext)) {
        fail("an indirect descriptor is part of a chain");
        return false;
      }
      if (!walk_indirect(chain, d)) return false;
    } else if (!add(chain, d.address, d.length, flags & kWrite)) {
      return false;
    }
    if (!(flags & kNext)) {
      chain.id = d.next;
      chain.slots = slots;
      break;
    }
    if (slots == size) {
      fail("a chain is longer than the ring");
      return false;
    }
    if (++at == size) at = 0;
  }
  step_avail(chain.slots);
  return true;
}

// --- what the device gives back ---

void Virtqueue::push(const Chain& chain, uint32_t written) {
  assert(in_flight_ > 0);
  --in_flight_;
  for (const Piece& piece : chain.writable) memory_.written(piece, piece.size);
  if (!map()) return;
  if (!layout_.packed) {
    const uint64_t offset = 4 + 8 * (used_ % size);
    uint8_t* entry = device_.piece.data + offset;
    store32(entry, chain.id);
    store32(entry + 4, written);
    mark(device_, offset, 8);
    store16_release(device_.piece.data + 2, ++used_);
    mark(device_, 2, 2);
    ++pushed_;
    return;
  }
  const uint64_t offset = used_ * kDescriptorSize;
  uint8_t* entry = ring_.piece.data + offset;
  store32(entry + 8, written);
  store16(entry + 12, chain.id);
  uint16_t flags = written ? kWrite : 0;
  if (used_wrap_) flags |= kPackedAvail | kPackedUsed;
  store16_release(entry + 14, flags);
  mark(ring_, offset, kDescriptorSize);
  used_ += chain.slots;
  pushed_ += chain.slots;
  if (used_ >= size) {
    used_ -= size;
    used_wrap_ = !used_wrap_;
  }
}

bool Virtqueue::wants_interrupt() {
  if (pushed_ == 0 || !map()) return false;
  fence();  // the driver stores its event before it looks for what was pushed
  const uint32_t pushed = std::exchange(pushed_, 0);
  const uint16_t old = static_cast<uint16_t>(used_ - pushed);
  const uint8_t* driver = driver_.piece.data;
  if (!layout_.packed) {
    if (!layout_.event_index) return !(load16(driver) & kNoInterrupt);
    return pushed > UINT16_MAX || passed(load16(driver + 4 + 2 * size), used_, old);
  }
  const uint16_t flags = load16_acquire(driver + 2);
  if (flags != kEventDescriptor || !layout_.event_index) return flags != kEventDisable;
  const uint16_t event = load16(driver);
  uint16_t offset = event & 0x7fff;
  if ((event >> 15 != 0) != used_wrap_) offset -= size;
  return pushed >= size || passed(offset, used_, old);
}

bool Virtqueue::set_notification(bool on) {
  notify_ = on;
  if (!map()) return false;
  uint8_t* device = device_.piece.data;
  if (!layout_.packed) {
    if (!layout_.event_index) {
      store16(device, on ? 0 : kNoNotify);
      mark(device_, 0, 2);
    } else if (on) {
      store16(device + 4 + 8 * size, avail_);
      mark(device_, 4 + 8 * size, 2);
    }
  } else {
    if (on && layout_.event_index) {
      store16(device, static_cast<uint16_t>(avail_ | avail_wrap_ << 15));
      store16_release(device + 2, kEventDescriptor);
    } else {
      store16(device + 2, on ? kEventEnable : kEventDisable);
    }
    mark(device_, 0, 4);
  }
  if (!on) return false;
  fence();
  return !empty();
}

}  // namespace lyrebird::devices
