// SPDX-License-Identifier: Apache-2.0
/// Where a thread's indirect jumps go: what generated code probes inline. Its hot part is 16 bytes for a
/// target, as it shares the host's first cache with the guest's data.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ir/block.h"
#include "ir/cpu_header.h"

namespace lyrebird::jit {

struct JumpCacheEntry {
  uint64_t key;       ///< jump_key() of the target
  const void* entry;  ///< the block's
};

inline constexpr unsigned kJumpCacheBits = 13;

/// No hash: code that jumps computes it, and what lies close together never collides.
constexpr unsigned jump_cache_index(uint64_t pc) {
  return static_cast<unsigned>(pc >> 2) & ((1u << kJumpCacheBits) - 1);
}

/// What tells targets with the same index apart. `modes`: mode bits that it tells, too, or 0. Such bits
/// change what the index says already: keys are the same for the same pc and mode only.
constexpr uint64_t jump_key(uint64_t pc, uint64_t tag, uint32_t mode, uint32_t modes) {
  return pc ^ tag ^ uint64_t { mode& modes } << 2;
}

class JumpCache {
 public:
  static constexpr size_t kCount = size_t{1} << kJumpCacheBits;
  /// From the cache, where generated code finds an index's mode. Entries start it.
  static constexpr int32_t kModes = kCount * sizeof(JumpCacheEntry);

  struct Unmap {
    void operator()(JumpCache* cache) const;
  };
  using Ptr = std::unique_ptr<JumpCache, Unmap>;
  /// Empty. Memory that no jump asks for is not touched. Throws std::bad_alloc.
  static Ptr make();

  /// One that has nothing, ever.
  static const JumpCache& closed();

  void clear();
  /// Which bits of the mode keys have: what generated code that runs next takes for granted.
  void set_key_modes(uint32_t modes) {
    if (key_modes_ == modes) return;
    if (key_modes_ != kNothingYet) clear();
    key_modes_ = modes;
  }
  void put(const ir::CpuHeader& cpu, uint64_t pc, uint32_t mode, const void* entry) {
    const unsigned index = jump_cache_index(pc);
    if (key_modes_ == kNothingYet) key_modes_ = 0;
    entries_[index] = {jump_key(pc, cpu.jump_tag, mode, key_modes_), entry};
    modes_[index] = mode;
  }
  /// nullptr: not there. `index`: pc's.
  const void* find(const ir::CpuHeader& cpu, uint64_t pc, unsigned index) const {
    const JumpCacheEntry& e = entries_[index];
    const bool same = e.key == jump_key(pc, cpu.jump_tag, cpu.mode, key_modes_) && modes_[index] == cpu.mode;
    return same ? e.entry : nullptr;
  }

 private:
  static constexpr uint32_t kNothingYet = ~uint32_t{0};  ///< of key_modes_

  struct Closed {};
  JumpCache() = default;
  constexpr explicit JumpCache(Closed) : entries_{}, modes_{}, key_modes_(kNothingYet) { empty_first(); }
  /// The others are empty when they are 0: keys have the bits of their index, but for what a mode changes in
  /// them.
  constexpr void empty_first() {
    for (unsigned i = 0; i <= ir::kShortModes; ++i) entries_[i].key = ~uint64_t{0};
  }

  alignas(64) JumpCacheEntry entries_[kCount];
  alignas(64) uint32_t modes_[kCount];
  uint32_t key_modes_;
};
static_assert(sizeof(JumpCacheEntry) == 16);

// Generated code tests for requests where it goes back only. Indirect jumps find out by missing: who has
// raised a request takes the jump cache away, and the engine brings it back when it has looked. Both may be
// done in a signal's handler.

inline void close_jumps(ir::CpuHeader& cpu) { cpu.jump_cache.store(&JumpCache::closed()); }

/// Lets the thread that runs this CPU leave at the next block boundary.
inline void request_exit(ir::CpuHeader& cpu) {
  cpu.exit_request.store(1);
  close_jumps(cpu);
}

/// Before requests are looked at. False: they were open.
inline bool open_jumps(ir::CpuHeader& cpu, const JumpCache& cache) {
  if (cpu.jump_cache.load(std::memory_order_relaxed) == &cache) return false;
  cpu.jump_cache.store(&cache);
  return true;
}

}  // namespace lyrebird::jit
