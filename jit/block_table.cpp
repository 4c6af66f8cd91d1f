// SPDX-License-Identifier: Apache-2.0
#include "jit/block_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>

namespace lyrebird::jit {

namespace {

/// Slots behind the last home.
constexpr size_t kTail = 1024;
constexpr size_t kSoonMore = size_t{1} << 15;

constexpr size_t kHugePage = size_t{2} << 20;

/// Stands where a block was; equals no key.
struct Removed final : CompiledBlock {
  Removed() { key = {~uint64_t{0}, ~uint32_t{0}}; }
};
const Removed kRemoved;

}  // namespace

BlockTable::Memory::Memory(size_t size) : bytes((size + kHugePage - 1) & ~(kHugePage - 1)) {
  if (size < kHugePage) {
    bytes = 0;
    at = std::calloc(size, 1);
  } else {
    at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) at = nullptr;
    if (at) (void)madvise(at, bytes, MADV_HUGEPAGE);  // only advice
  }
  if (!at) throw std::bad_alloc();
}

BlockTable::Memory::~Memory() {
  if (bytes != 0)
    munmap(at, bytes);
  else
    std::free(at);
}

// Empty slots are zeros.
BlockTable::BlockTable(size_t slots)
    : size_(slots), memory_((slots + kTail + 1) * sizeof(Slot)), slots_(static_cast<Slot*>(memory_.at)) {}

const CompiledBlock* BlockTable::find(uint64_t place, ir::BlockKey key) const {
  for (const Slot* slot = &slots_[home(place, key.pc)];; ++slot) {
    const uint64_t pc = slot->pc.load(std::memory_order_acquire);
    const CompiledBlock* const block = slot->block.load(std::memory_order_acquire);
    if (!block) return nullptr;
    if (pc == place && block->key == key) return block;
  }
}

bool BlockTable::insert(const CompiledBlock& block) {
  Slot* slot = &slots_[home(block.place, block.key.pc)];
  while (slot->block.load(std::memory_order_relaxed)) ++slot;
  if (slot == &slots_[size_ + kTail]) return false;
  // Generated code that finds the pc relies on the block.
  slot->block.store(&block, std::memory_order_release);
  slot->pc.store(block.place, std::memory_order_release);
  ++used_;
  ++live_;
  return true;
}

void BlockTable::remove(const CompiledBlock& block) {
  for (Slot* slot = &slots_[home(block.place, block.key.pc)]; slot->block.load(std::memory_order_relaxed);
       ++slot) {
    if (slot->block.load(std::memory_order_relaxed) != &block) continue;
    slot->block.store(&kRemoved, std::memory_order_release);
    --live_;
    return;
  }
}

size_t BlockTable::wanted() const {
  // A program that starts soon has many more.
  const size_t room = live_ < kSoonMore ? 6 : 3;
  return std::max(std::bit_ceil(room * live_ + 4), size_ / 4);
}

bool BlockTable::copy_to(BlockTable& other) const {
  constexpr size_t kAhead = 24;  // the blocks are all over memory
  for (size_t i = 0; i < size_ + kTail; ++i) {
    if (i + kAhead < size_ + kTail)
      __builtin_prefetch(slots_[i + kAhead].block.load(std::memory_order_relaxed));
    const CompiledBlock* const block = slots_[i].block.load(std::memory_order_relaxed);
    if (block && block != &kRemoved && !other.insert(*block)) return false;
  }
  return true;
}

}  // namespace lyrebird::jit
