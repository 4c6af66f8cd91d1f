// SPDX-License-Identifier: Apache-2.0
/// Code that changes under a guest which says nothing about it: pages from which code was fetched are
/// read-only on the host until the guest writes to them.
#include <sys/mman.h>

#include <algorithm>
#include <mutex>

#include "base/bits.h"
#include "user/memory/address_space.h"

namespace lyrebird::user {
namespace {
thread_local unsigned unwatched_fetches = 0;
}  // namespace

AddressSpace::UnwatchedFetch::UnwatchedFetch() { ++unwatched_fetches; }
AddressSpace::UnwatchedFetch::~UnwatchedFetch() { --unwatched_fetches; }

bool AddressSpace::same_file(const Region& a, const Region& b) {
  return a.shared && b.shared && a.inode != 0 && a.inode == b.inode && a.device == b.device;
}

/// Calls f(region, page) for `page` of `region` and wherever else the guest has mapped the same memory.
template <typename F>
void AddressSpace::each_alias_locked(const Region& region, uint64_t page, F f) const {
  f(region, page);
  if (!region.shared || region.inode == 0) return;
  const uint64_t offset = region.offset + (page - region.start);
  for (const auto& [start, other] : regions_) {
    if (!same_file(region, other) || offset < other.offset || offset - other.offset >= other.end - start)
      continue;
    const uint64_t alias = start + (offset - other.offset);
    if (alias != page) f(other, alias);
  }
}

void AddressSpace::watch_code_locked(const Region& region, uint64_t from, uint64_t to) {
  if (!coherent_code_ || unwatched_fetches != 0) return;
  if (!(region.prot & PROT_WRITE) && !region.shared) return;
  for (uint64_t page = align_down(from, kPage); page < to; page += kPage)
    each_alias_locked(region, page, [this](const Region& at, uint64_t alias) {
      if (!(at.prot & PROT_WRITE)) return;
      const std::lock_guard lock(watched_mutex_);
      if (!watched_.insert(alias).second) return;
      ::mprotect(host(alias), kPage, PROT_READ);
      watched_count_.store(watched_.size(), std::memory_order_relaxed);
    });
}

void AddressSpace::unwatch_locked(uint64_t start, uint64_t size, bool restore) {
  if (watched_count_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(watched_mutex_);
  for (auto it = watched_.lower_bound(align_down(start, kPage));
       it != watched_.end() && *it < start + size;) {
    if (restore) ::mprotect(host(*it), kPage, PROT_READ | PROT_WRITE);
    it = watched_.erase(it);
  }
  watched_count_.store(watched_.size(), std::memory_order_relaxed);
}

bool AddressSpace::code_written(uint64_t address) {
  if (!coherent_code_) return false;
  const std::shared_lock lock(mutex_);
  const auto found = find_locked(address);
  if (found == regions_.end() || !(found->second.prot & PROT_WRITE)) return false;
  const uint64_t page = align_down(address, kPage);
  unwatch_locked(page, kPage, true);
  each_alias_locked(found->second, page, [this](const Region& at, uint64_t alias) {
    if ((at.prot & PROT_EXEC) && code_changed_) code_changed_(code_changed_context_, alias, kPage);
  });
  return true;
}

void AddressSpace::before_write(uint64_t address, uint64_t size) const {
  if (watched_count_.load(std::memory_order_relaxed) == 0) return;
  std::vector<uint64_t> pages;
  {
    const std::lock_guard lock(watched_mutex_);
    for (auto it = watched_.lower_bound(align_down(address, kPage));
         it != watched_.end() && *it < address + size; ++it)
      pages.push_back(*it);
  }
  // What is watched is a cache of the guest's rights: nothing that the guest sees changes.
  for (const uint64_t page : pages) const_cast<AddressSpace*>(this)->code_written(page);
}

/// A new way to write to code that is mapped elsewhere: what was made of it is forgotten, so that the
/// next fetch watches this way, too.
void AddressSpace::new_alias_locked(const Region& region) {
  if (!coherent_code_ || !region.shared || region.inode == 0 || !(region.prot & PROT_WRITE)) return;
  for (const auto& [start, other] : regions_)
    if (same_file(region, other) && (other.prot & PROT_EXEC) && start != region.start)
      code_changed(start, other.end - start);
}

}  // namespace lyrebird::user
