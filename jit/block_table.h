// SPDX-License-Identifier: Apache-2.0
/// Blocks by (place, pc, mode), where place is pc in user mode: an open hash that C++ and generated code
/// probe without a lock.
///
/// A slot is empty (no block), or holds a block, and of that what a look-up wants, as blocks lie all over
/// memory. A block that is taken out leaves a slot behind that no key ends at; slots are not used twice, so
/// whoever finds a place in a slot finds all of its block there. A block lies at its home or in one of the
/// slots behind it, with no empty one between; the table ends with an empty slot that stays so.
///
/// Writers are serialised by the owner (BlockMap).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "jit/engine.h"

namespace lyrebird::jit {

class BlockTable {
 public:
  struct Slot {
    std::atomic<uint64_t> pc{0};  ///< the place
    std::atomic<const CompiledBlock*> block{nullptr};
    const void* entry = nullptr;    ///< the block's
    std::atomic<uint32_t> mode{0};  ///< the block's; kNoMode: it was taken out
    bool moved = false;             ///< its pc is another than its place
    uint16_t mode_tag = 0;          ///< the block's
  };
  static constexpr uint32_t kNoMode = ~uint32_t{0};  ///< no block's
  static constexpr unsigned kSlotBits = 5;           ///< of sizeof(Slot)
  static_assert(sizeof(Slot) == 1u << kSlotBits);

  explicit BlockTable(size_t slots);  ///< a power of 2, at least 4

  const CompiledBlock* find(uint64_t place, ir::BlockKey key) const;
  /// Asks for the memory of a place that is looked for, or filled, soon.
  void want(uint64_t pc) const { __builtin_prefetch(&slots_[home(pc, pc)], 1); }
  /// The key is not in the table. False: no place near its home, which takes very odd keys.
  bool insert(const CompiledBlock& block);
  void remove(const CompiledBlock& block);
  /// A fuller table would be slow: copy it to one with wanted() slots.
  bool full() const { return used_ > size_ / 2; }
  size_t wanted() const;
  bool copy_to(BlockTable& other) const;

  // For generated code (user mode). The home of pc is at
  //   slots() + (((pc >> kGroup) * kFactor >> kShift) & home_mask()) + 2 * (pc & kWithin)
  // Blocks of the same 64 bytes of guest code share two lines of the host's cache that lie side by side.
  static constexpr unsigned kGroup = 6, kShift = 10;
  static constexpr uint64_t kFactor = 0x61c88647;
  static constexpr uint64_t kWithin = 0x30;
  const Slot* slots() const { return slots_; }
  uint64_t home_mask() const { return (size_ << kSlotBits) - 128; }

 private:
  /// In a machine many processes run what lies at one place, each at a pc of its own.
  size_t home(uint64_t place, uint64_t pc) const {
    const uint64_t at = place + ((pc - place) >> kGroup);
    const uint64_t group = (((at >> kGroup) * kFactor) >> kShift) & home_mask();
    return static_cast<size_t>(group + 2 * (at & kWithin)) >> kSlotBits;
  }
  bool put(uint64_t place, const Slot& from);

  size_t size_;  ///< homes; the slots are some more
  size_t used_ = 0, live_ = 0;
  /// Large tables are huge pages where the host has them: probes are spread over all of it.
  struct Memory {
    explicit Memory(size_t bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    size_t bytes;
    void* at;
  };
  Memory memory_;
  Slot* slots_;
};

}  // namespace lyrebird::jit
