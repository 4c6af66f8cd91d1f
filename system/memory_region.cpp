// SPDX-License-Identifier: Apache-2.0
#include "system/memory_region.h"

#include <algorithm>
#include <cassert>
#include <mutex>

#include "system/address_space.h"

namespace lyrebird::system {

namespace {

/// Regions belong to no machine until they are in its tree, so the lock is one for all.
std::recursive_mutex& topology_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}
unsigned depth = 0;  // both under the mutex
std::vector<AddressSpace*> to_update;

}  // namespace

MemoryTransaction::MemoryTransaction() {
  topology_mutex().lock();
  ++depth;
}

MemoryTransaction::~MemoryTransaction() {
  if (depth == 1) {
    const std::vector<AddressSpace*> spaces = std::move(to_update);
    to_update.clear();
    for (AddressSpace* const space : spaces) space->update();
  }
  --depth;
  topology_mutex().unlock();
}

MemoryRegion::MemoryRegion(std::string name, Kind kind, uint64_t size)
    : name_(std::move(name)), kind_(kind), size_(size) {}

MemoryRegion::~MemoryRegion() {
  const MemoryTransaction transaction;
  assert(spaces_.empty());
  if (parent_) parent_->remove(*this);
  while (!children_.empty()) remove(*children_.back().region);
  // Whoever shows this one shows nothing from now on.
  for (MemoryRegion* const alias : aliases_) {
    alias->target_ = nullptr;
    alias->changed();
  }
  if (target_) std::erase(target_->aliases_, this);
}

MemoryRegionPtr MemoryRegion::container(std::string name, uint64_t size) {
  return MemoryRegionPtr(new MemoryRegion(std::move(name), Kind::Container, size));
}

MemoryRegionPtr MemoryRegion::ram(std::string name, RamBlock& block) {
  return ram(std::move(name), block, 0, block.size());
}

MemoryRegionPtr MemoryRegion::ram(std::string name, RamBlock& block, uint64_t offset, uint64_t size) {
  assert(offset <= block.size() && size <= block.size() - offset);
  MemoryRegionPtr region(new MemoryRegion(std::move(name), Kind::Ram, size));
  region->ram_ = &block;
  region->ram_offset_ = offset;
  return region;
}

MemoryRegionPtr MemoryRegion::rom(std::string name, RamBlock& block) {
  MemoryRegionPtr region(new MemoryRegion(std::move(name), Kind::Rom, block.size()));
  region->ram_ = &block;
  return region;
}

MemoryRegionPtr MemoryRegion::io(std::string name, uint64_t size, Device& device, IoSizes sizes) {
  MemoryRegionPtr region(new MemoryRegion(std::move(name), Kind::Io, size));
  region->device_ = &device;
  region->sizes_ = sizes;
  return region;
}

MemoryRegionPtr MemoryRegion::rom_device(std::string name, RamBlock& block, Device& device, IoSizes sizes) {
  MemoryRegionPtr region(new MemoryRegion(std::move(name), Kind::RomDevice, block.size()));
  region->ram_ = &block;
  region->device_ = &device;
  region->sizes_ = sizes;
  return region;
}

MemoryRegionPtr MemoryRegion::alias(std::string name, MemoryRegion& target, uint64_t offset, uint64_t size) {
  MemoryRegionPtr region(new MemoryRegion(std::move(name), Kind::Alias, size));
  region->target_ = &target;
  region->target_offset_ = offset;
  const MemoryTransaction transaction;
  target.aliases_.push_back(region.get());
  return region;
}

void MemoryRegion::add(MemoryRegion& child, uint64_t offset, int priority) {
  assert(kind_ == Kind::Container && !child.parent_);
  const MemoryTransaction transaction;
  const auto before = std::find_if(children_.begin(), children_.end(),
                                   [&](const Child& other) { return other.priority <= priority; });
  children_.insert(before, {&child, offset, priority});
  child.parent_ = this;
  changed();
}

void MemoryRegion::remove(MemoryRegion& child) {
  assert(child.parent_ == this);
  const MemoryTransaction transaction;
  std::erase_if(children_, [&](const Child& c) { return c.region == &child; });
  child.parent_ = nullptr;
  changed();
}

void MemoryRegion::move(uint64_t offset) {
  assert(parent_);
  const MemoryTransaction transaction;
  for (Child& child : parent_->children_) {
    if (child.region != this || child.offset == offset) continue;
    child.offset = offset;
    changed();
  }
}

void MemoryRegion::set_enabled(bool enabled) {
  const MemoryTransaction transaction;
  if (enabled_ == enabled) return;
  enabled_ = enabled;
  changed();
}

void MemoryRegion::set_readable(bool readable) {
  assert(kind_ == Kind::RomDevice);
  const MemoryTransaction transaction;
  if (readable_ == readable) return;
  readable_ = readable;
  changed();
}

void MemoryRegion::changed() {
  if (telling_) return;  // an alias of what it lies in
  telling_ = true;
  for (AddressSpace* const space : spaces_)
    if (std::find(to_update.begin(), to_update.end(), space) == to_update.end()) to_update.push_back(space);
  if (parent_) parent_->changed();
  for (MemoryRegion* const alias : aliases_) alias->changed();
  telling_ = false;
}

}  // namespace lyrebird::system
