// SPDX-License-Identifier: Apache-2.0
#include "system/address_space.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "base/bits.h"
#include "base/guest_bytes.h"

namespace lyrebird::system {

namespace {

using u128 = unsigned __int128;

/// Renders a tree into ranges. Addresses are of 65 bits and may lie before 0, since an alias shows the
/// middle of a region.
class Renderer {
 public:
  std::vector<FlatRange> render(MemoryRegion& root) {
    show(root, 0, 0, root.size());
    std::sort(ranges_.begin(), ranges_.end(),
              [](const FlatRange& a, const FlatRange& b) { return a.start < b.start; });
    merge();
    return std::move(ranges_);
  }

 private:
  using Address = __int128;

  /// `base`: where offset 0 of the region is. Only [low, high) is seen.
  void show(MemoryRegion& region, Address base, Address low, Address high, unsigned depth = 0) {
    low = std::max(low, base);
    high = std::min(high, base + static_cast<Address>(region.size()));
    if (!region.enabled() || low >= high || depth > kMaxDepth) return;
    switch (region.kind()) {
      case MemoryRegion::Kind::Container:
        for (const MemoryRegion::Child& child : region.children())
          show(*child.region, base + static_cast<Address>(child.offset), low, high, depth + 1);
        break;
      case MemoryRegion::Kind::Alias:
        if (region.alias_target())
          show(*region.alias_target(), base - static_cast<Address>(region.alias_offset()), low, high,
               depth + 1);
        break;
      default:
        fill(region, base, low, high);
    }
  }

  /// Takes what of [low, high) nobody has yet.
  void fill(MemoryRegion& region, Address base, Address low, Address high) {
    std::vector<FlatRange> taken;
    for (const FlatRange& range : ranges_)
      if (Address{range.start} < high && Address{range.start} + Address{range.size} > low)
        taken.push_back(range);
    std::sort(taken.begin(), taken.end(),
              [](const FlatRange& a, const FlatRange& b) { return a.start < b.start; });
    for (const FlatRange& range : taken) {
      take(region, base, low, std::min(high, Address{range.start}));
      low = std::max(low, Address{range.start} + Address{range.size});
    }
    take(region, base, low, high);
  }

  void take(MemoryRegion& region, Address base, Address low, Address high) {
    if (low < high)
      ranges_.push_back({static_cast<uint64_t>(low), static_cast<uint64_t>(high - low), &region,
                         static_cast<uint64_t>(low - base), region.readable()});
  }

  void merge() {
    std::vector<FlatRange> merged;
    for (const FlatRange& range : ranges_) {
      if (!merged.empty()) {
        FlatRange& last = merged.back();
        if (last.region == range.region && last.end() == range.start &&
            last.region_offset + last.size == range.region_offset) {
          last.size += range.size;
          continue;
        }
      }
      merged.push_back(range);
    }
    ranges_ = std::move(merged);
  }

  /// Of containers and aliases in each other, so that an alias of what it lies in ends.
  static constexpr unsigned kMaxDepth = 32;
  std::vector<FlatRange> ranges_;
};

uint64_t next_generation() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

/// The view that a thread used last: a shared_ptr need not be copied for each access.
template <typename View>
struct ViewCache {
  uint64_t generation = 0;
  std::shared_ptr<const View> view;
};

}  // namespace

AddressSpace::AddressSpace(std::string name, MemoryRegion& root) : name_(std::move(name)), root_(root) {
  const MemoryTransaction transaction;
  root.spaces_.push_back(this);
  update();
}

AddressSpace::~AddressSpace() {
  const MemoryTransaction transaction;
  std::erase(root_.spaces_, this);
}

void AddressSpace::update() {
  const std::shared_ptr<const View> old = view_;
  auto fresh = std::make_shared<View>();
  fresh->ranges = Renderer().render(root_);
  if (old && old->ranges == fresh->ranges) return;
  {
    const std::lock_guard lock(view_mutex_);
    view_ = fresh;
  }
  generation_.store(next_generation(), std::memory_order_release);
  if (listeners_.empty()) return;
  const auto missing = [](const FlatRange& range, const std::vector<FlatRange>& in) {
    return std::find(in.begin(), in.end(), range) == in.end();
  };
  static const std::vector<FlatRange> kNothing;
  const std::vector<FlatRange>& before = old ? old->ranges : kNothing;
  for (MemoryListener* const listener : listeners_) {
    for (const FlatRange& range : before)
      if (missing(range, fresh->ranges)) listener->range_removed(range);
    for (const FlatRange& range : fresh->ranges)
      if (missing(range, before)) listener->range_added(range);
    listener->changed();
  }
}

std::shared_ptr<const AddressSpace::View> AddressSpace::view() const {
  const std::lock_guard lock(view_mutex_);
  return view_;
}

bool AddressSpace::lookup(uint64_t pa, FlatRange& out) const {
  // Two spaces take turns where a CPU's own accesses start a device's DMA.
  thread_local ViewCache<View> caches[2];
  thread_local unsigned next = 0;
  const uint64_t now = generation();
  const View* seen = nullptr;
  for (const auto& cache : caches)
    if (cache.generation == now) seen = cache.view.get();
  if (!seen) {
    auto& cache = caches[next++ % 2];
    cache.view = view();
    // A change in between makes the view newer than its number says, never older.
    cache.generation = now;
    seen = cache.view.get();
  }
  const auto after = std::upper_bound(seen->ranges.begin(), seen->ranges.end(), pa,
                                      [](uint64_t a, const FlatRange& range) { return a < range.start; });
  if (after == seen->ranges.begin()) return false;
  const FlatRange& range = *(after - 1);
  if (pa - range.start >= range.size) return false;
  out = range;
  return true;
}

MemoryResult AddressSpace::read_io(const FlatRange& range, uint64_t offset, unsigned size) const {
  Device& device = *range.region->device();
  const IoSizes sizes = range.region->sizes();
  const std::lock_guard lock(device.mutex());
  if (size < sizes.min) {
    const uint64_t value = device.read(align_down(offset, sizes.min), sizes.min);
    return {true, bits(value, 8 * (offset % sizes.min), 8 * size)};
  }
  if (size <= sizes.max) return {true, device.read(offset, size) & low_mask(8 * size)};
  uint64_t value = 0;
  for (unsigned done = 0; done < size; done += sizes.max)
    value |= (device.read(offset + done, sizes.max) & low_mask(8 * sizes.max)) << (8 * done);
  return {true, value};
}

void AddressSpace::write_io(const FlatRange& range, uint64_t offset, unsigned size, uint64_t value) const {
  Device& device = *range.region->device();
  const IoSizes sizes = range.region->sizes();
  const std::lock_guard lock(device.mutex());
  if (size < sizes.min) {
    device.write(align_down(offset, sizes.min), sizes.min,
                 (value & low_mask(8 * size)) << (8 * (offset % sizes.min)));
    return;
  }
  if (size <= sizes.max) {
    device.write(offset, size, value & low_mask(8 * size));
    return;
  }
  for (unsigned done = 0; done < size; done += sizes.max)
    device.write(offset + done, sizes.max, value >> (8 * done) & low_mask(8 * sizes.max));
}

MemoryResult AddressSpace::read(uint64_t pa, unsigned size) const {
  assert(size >= 1 && size <= 8);
  FlatRange range;
  if (!lookup(pa, range)) return {false, 0};
  const uint64_t inside = pa - range.start, offset = range.region_offset + inside;
  if (range.size - inside >= size) {
    if (range.direct_read()) {
      uint64_t value = 0;
      copy_guest_bytes(&value, range.region->ram_block()->host() + range.region->ram_offset() + offset, size);
      return {true, value};
    }
    if (std::has_single_bit(size) && is_aligned(offset, size)) return read_io(range, offset, size);
  }
  if (size == 1) return read_io(range, offset, 1);
  const unsigned half = std::bit_floor(size - 1);
  const MemoryResult low = read(pa, half), high = read(pa + half, size - half);
  return {low.ok && high.ok, low.value | high.value << (8 * half)};
}

bool AddressSpace::write(uint64_t pa, unsigned size, uint64_t value) const {
  assert(size >= 1 && size <= 8);
  FlatRange range;
  if (!lookup(pa, range)) return false;
  const uint64_t inside = pa - range.start, offset = range.region_offset + inside;
  if (range.size - inside >= size) {
    if (range.region->kind() == MemoryRegion::Kind::Rom) return true;
    if (range.direct_write()) {
      RamBlock& ram = *range.region->ram_block();
      const uint64_t at = range.region->ram_offset() + offset;
      copy_guest_bytes(ram.host() + at, &value, size);
      ram.mark(at, size);
      return true;
    }
    if (size == 1 || (std::has_single_bit(size) && is_aligned(offset, size))) {
      write_io(range, offset, size, value);
      return true;
    }
  }
  const unsigned half = std::bit_floor(size - 1);
  const bool low = write(pa, half, value);
  return write(pa + half, size - half, value >> (8 * half)) && low;
}

bool AddressSpace::read_bytes(uint64_t pa, void* to, uint64_t size) const {
  auto* out = static_cast<uint8_t*>(to);
  while (size > 0) {
    const auto memory = host(pa);
    if (!memory) return false;
    const uint64_t piece = std::min(size, memory->size);
    copy_guest_bytes(out, memory->pointer, piece);
    pa += piece, out += piece, size -= piece;
  }
  return true;
}

bool AddressSpace::copy_in(uint64_t pa, const void* from, uint64_t size, bool rom) const {
  auto* in = static_cast<const uint8_t*>(from);
  while (size > 0) {
    const auto memory = host(pa);
    if (!memory || !(memory->writable || rom)) return false;
    const uint64_t piece = std::min(size, memory->size);
    copy_guest_bytes(memory->pointer, in, piece);
    memory->ram->mark(memory->ram_offset, piece);
    pa += piece, in += piece, size -= piece;
  }
  return true;
}

bool AddressSpace::write_bytes(uint64_t pa, const void* from, uint64_t size) const {
  return copy_in(pa, from, size, false);
}

bool AddressSpace::load_bytes(uint64_t pa, const void* from, uint64_t size) const {
  return copy_in(pa, from, size, true);
}

std::optional<AddressSpace::Host> AddressSpace::host(uint64_t pa) const {
  FlatRange range;
  if (!lookup(pa, range) || !range.direct_read()) return std::nullopt;
  const uint64_t inside = pa - range.start;
  RamBlock* const ram = range.region->ram_block();
  const uint64_t offset = range.region->ram_offset() + range.region_offset + inside;
  return Host{ram->host() + offset, range.size - inside, range.direct_write(), ram, offset};
}

std::optional<FlatRange> AddressSpace::find(uint64_t pa) const {
  FlatRange range;
  if (!lookup(pa, range)) return std::nullopt;
  return range;
}

std::vector<FlatRange> AddressSpace::ranges() const { return view()->ranges; }

void AddressSpace::add_listener(MemoryListener& listener) {
  const MemoryTransaction transaction;
  listeners_.push_back(&listener);
  for (const FlatRange& range : view_->ranges) listener.range_added(range);
  listener.changed();
}

void AddressSpace::remove_listener(MemoryListener& listener) {
  const MemoryTransaction transaction;
  std::erase(listeners_, &listener);
}

}  // namespace lyrebird::system
