// SPDX-License-Identifier: Apache-2.0
#include "accel/kvm/slots.h"

#include <fmt/core.h>
#include <sched.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "accel/kvm/linux_kvm.h"
#include "base/bits.h"

namespace lyrebird::accel::kvm {
namespace {

constexpr uint64_t kPage = 4096;

/// The whole pages of a range: KVM knows no smaller pieces. Size 0 if there are none.
struct Piece {
  uint64_t start, size, skipped;
};
Piece whole_pages(const system::FlatRange& range) {
  const uint64_t start = align_up(range.start, kPage), end = align_down(range.start + range.size, kPage);
  return {start, end > start ? end - start : 0, start - range.start};
}

}  // namespace

MemorySlots::MemorySlots(const Fd& vm, unsigned count, bool manual_protect)
    : vm_(vm), count_(count), manual_protect_(manual_protect) {}

void MemorySlots::begin_change() {
  if (changes_.load(std::memory_order_relaxed) % 2 == 0) changes_.fetch_add(1, std::memory_order_acq_rel);
}

void MemorySlots::changed() {
  if (changes_.load(std::memory_order_relaxed) % 2 != 0) changes_.fetch_add(1, std::memory_order_acq_rel);
}

bool MemorySlots::settle(uint32_t& seen) const {
  uint32_t now;
  while ((now = changes()) % 2 != 0) sched_yield();
  return std::exchange(seen, now) != now;
}

Result<void> MemorySlots::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool MemorySlots::set(uint64_t start, const Slot& slot, bool present) {
  kvm_userspace_memory_region region{};
  region.slot = slot.id;
  region.flags = (slot.read_only ? KVM_MEM_READONLY : 0) | (following_ ? KVM_MEM_LOG_DIRTY_PAGES : 0);
  region.guest_phys_addr = start;
  region.memory_size = present ? slot.size : 0;
  region.userspace_addr = reinterpret_cast<uint64_t>(slot.ram->host() + slot.ram_offset);
  const int result = vm_.control(KVM_SET_USER_MEMORY_REGION, &region);
  if (result < 0 && status_.ok())
    status_ = Error{fmt::format("KVM: {} bytes of memory at {:#x} cannot be shown to the guest: {}{}",
                                slot.size, start, std::strerror(-result),
                                result == -ENOMEM ? "; give the machine less with -m" : "")};
  return result >= 0;
}

void MemorySlots::range_added(const system::FlatRange& range) {
  const Piece piece = whole_pages(range);
  if (!range.direct_read() || piece.size == 0) return;
  begin_change();
  const std::lock_guard lock(mutex_);
  Slot slot{};
  slot.size = piece.size;
  slot.ram = range.region->ram_block();
  slot.ram_offset = range.region->ram_offset() + range.region_offset + piece.skipped;
  slot.read_only = !range.direct_write();
  if (!free_.empty()) {
    slot.id = free_.back();
    free_.pop_back();
  } else if (next_ < count_) {
    slot.id = next_++;
  } else {
    if (status_.ok()) status_ = Error{fmt::format("KVM: more than {} pieces of memory", count_)};
    return;
  }
  if (set(piece.start, slot, true))
    slots_.emplace(piece.start, slot);
  else
    free_.push_back(slot.id);
}

void MemorySlots::range_removed(const system::FlatRange& range) {
  const Piece piece = whole_pages(range);
  if (!range.direct_read() || piece.size == 0) return;
  begin_change();
  const std::lock_guard lock(mutex_);
  const auto at = slots_.find(piece.start);
  if (at == slots_.end()) return;
  if (following_) collect(at->first, at->second);
  set(at->first, at->second, false);
  free_.push_back(at->second.id);
  slots_.erase(at);
}

void MemorySlots::follow_writes(bool on) {
  const std::lock_guard lock(mutex_);
  if (following_ == on) return;
  if (!on)
    for (const auto& [start, slot] : slots_) collect(start, slot);
  following_ = on;
  for (const auto& [start, slot] : slots_) set(start, slot, true);
}

void MemorySlots::collect() {
  const std::lock_guard lock(mutex_);
  if (!following_) return;
  for (const auto& [start, slot] : slots_) collect(start, slot);
}

void MemorySlots::collect(uint64_t, const Slot& slot) {
  if (slot.read_only) return;
  const uint64_t pages = slot.size / kPage;
  std::vector<uint64_t> bitmap((pages + 63) / 64);
  kvm_dirty_log log{};
  log.slot = slot.id;
  log.dirty_bitmap = bitmap.data();
  // With dirty rings there is no log: the rings are harvested by the vCPUs' owner.
  if (vm_.control(KVM_GET_DIRTY_LOG, &log) < 0) return;
  for (size_t word = 0; word < bitmap.size(); ++word)
    for (uint64_t left = bitmap[word]; left != 0; left &= left - 1)
      slot.ram->mark(slot.ram_offset + (64 * word + static_cast<unsigned>(std::countr_zero(left))) * kPage,
                     kPage);
  if (!manual_protect_) return;
  // The kernel clears what was read, no more: a page written meanwhile stays for the next time.
  kvm_clear_dirty_log clear{};
  clear.slot = slot.id;
  clear.num_pages = static_cast<__u32>(pages);
  clear.dirty_bitmap = bitmap.data();
  vm_.control(KVM_CLEAR_DIRTY_LOG, &clear);
}

void MemorySlots::mark(uint32_t id, uint64_t page) {
  const std::lock_guard lock(mutex_);
  for (const auto& [start, slot] : slots_)
    if (slot.id == id && page < slot.size / kPage) slot.ram->mark(slot.ram_offset + page * kPage, kPage);
}

}  // namespace lyrebird::accel::kvm
