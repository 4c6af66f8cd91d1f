// SPDX-License-Identifier: Apache-2.0
#include "jit/block_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>

namespace lyrebird::jit {

namespace {

/// Slots behind the last home.
constexpr size_t kTail = 1024;

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmall = kHugePage / sizeof(BlockTable::Slot);

/// Stands where a block was.
const CompiledBlock kRemoved;

}  // namespace

BlockTable::Memory::Memory(size_t size)
    : bytes(size < kHugePage ? size : (size + kHugePage - 1) & ~(kHugePage - 1)) {
  at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  if (bytes >= kHugePage) (void)madvise(at, bytes, MADV_HUGEPAGE);  // only advice
}

BlockTable::Memory::~Memory() { munmap(at, bytes); }

// Empty slots are zeros.
BlockTable::BlockTable(size_t slots)
    : size_(slots), memory_((slots + kTail + 1) * sizeof(Slot)), slots_(static_cast<Slot*>(memory_.at)) {}

const CompiledBlock* BlockTable::find(uint64_t place, ir::BlockKey key) const {
  for (const Slot* slot = &slots_[home(place, key.pc)];; ++slot) {
    const uint64_t pc = slot->pc.load(std::memory_order_acquire);
    const CompiledBlock* const block = slot->block.load(std::memory_order_acquire);
    if (!block) return nullptr;
    if (pc != place || slot->mode.load(std::memory_order_acquire) != key.mode) continue;
    // At one place several may lie that are moved.
    if (slot->moved == (key.pc != place) && (!slot->moved || block->key == key)) return block;
  }
}

bool BlockTable::insert(const CompiledBlock& block) {
  Slot slot;
  slot.block.store(&block, std::memory_order_relaxed);
  slot.entry = block.entry;
  slot.mode.store(block.key.mode, std::memory_order_relaxed);
  slot.moved = block.key.pc != block.place;
  slot.mode_tag = block.mode_tag;
  return put(block.place, slot);
}

bool BlockTable::put(uint64_t place, const Slot& from) {
  const CompiledBlock* const block = from.block.load(std::memory_order_relaxed);
  Slot* slot = &slots_[home(place, from.moved ? block->key.pc : place)];
  while (slot->block.load(std::memory_order_relaxed)) ++slot;
  if (slot == &slots_[size_ + kTail]) return false;
  // Who finds the pc relies on the rest.
  slot->entry = from.entry;
  slot->mode.store(from.mode.load(std::memory_order_relaxed), std::memory_order_relaxed);
  slot->moved = from.moved;
  slot->mode_tag = from.mode_tag;
  slot->block.store(block, std::memory_order_release);
  slot->pc.store(place, std::memory_order_release);
  ++used_;
  ++live_;
  return true;
}

void BlockTable::remove(const CompiledBlock& block) {
  for (Slot* slot = &slots_[home(block.place, block.key.pc)]; slot->block.load(std::memory_order_relaxed);
       ++slot) {
    if (slot->block.load(std::memory_order_relaxed) != &block) continue;
    slot->mode.store(kNoMode, std::memory_order_release);
    slot->block.store(&kRemoved, std::memory_order_release);
    --live_;
    return;
  }
}

// Small ones grow by more: copying them to the next is most of their time.
size_t BlockTable::wanted() const {
  const size_t roomy = std::bit_ceil(6 * live_ + 4);
  return std::max(roomy <= kSmall ? roomy : std::bit_ceil(3 * live_ + 4), size_ / 4);
}

bool BlockTable::copy_to(BlockTable& other) const {
  for (size_t i = 0; i < size_ + kTail; ++i) {
    const CompiledBlock* const block = slots_[i].block.load(std::memory_order_relaxed);
    if (!block || block == &kRemoved) continue;
    if (!other.put(slots_[i].pc.load(std::memory_order_relaxed), slots_[i])) return false;
  }
  return true;
}

}  // namespace lyrebird::jit
