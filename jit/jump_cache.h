// SPDX-License-Identifier: Apache-2.0
/// Where a thread's indirect jumps go: what generated code probes inline. Its hot part is 16 bytes for a
/// target, as it shares the host's first cache with the guest's data.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ir/cpu_header.h"
#include "jit/direct/area.h"
#include "jit/engine.h"

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

/// What tells targets with the same index apart: `jump_tag` is CpuHeader's, `mode_tag` StateLayout's, or 0
/// where there are none. Neither pcs of the same index nor mode tags are so far apart that two such sums are
/// the same.
constexpr uint64_t jump_key(uint64_t pc, uint64_t jump_tag, uint32_t mode_tag) {
  static_assert(ir::kOtherMode < 1u << kJumpCacheBits);
  return (pc + (uint64_t{mode_tag} << 2)) ^ jump_tag;
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
  void put(const ir::CpuHeader& cpu, const CompiledBlock& block) {
    const unsigned index = jump_cache_index(block.key.pc);
    entries_[index] = {jump_key(block.key.pc, cpu.jump_tag, block.mode_tag), block.entry};
    modes_[index] = block.key.mode;
  }
  /// nullptr: not there. `index`: pc's. For engines without mode tags.
  const void* find(const ir::CpuHeader& cpu, uint64_t pc, unsigned index) const {
    const JumpCacheEntry& e = entries_[index];
    return e.key == jump_key(pc, cpu.jump_tag, 0) && modes_[index] == cpu.mode ? e.entry : nullptr;
  }

 private:
  struct Closed {};
  JumpCache() = default;
  constexpr explicit JumpCache(Closed) : entries_{}, modes_{} { empty_few(); }
  /// No pc of the other entries has the key 0. The keys that these get are those of no mode tag.
  constexpr void empty_few() {
    for (unsigned tag = 0; tag <= ir::kOtherMode; ++tag) {
      const unsigned index = (kCount - tag) % kCount;
      entries_[index].key = (index + kCount / 2) % kCount << 2;
    }
  }

  alignas(64) JumpCacheEntry entries_[kCount];
  alignas(64) uint32_t modes_[kCount];
};
static_assert(sizeof(JumpCacheEntry) == 16);

// Generated code tests for requests where it goes back only. Indirect jumps find out by missing: who has
// raised a request takes the jump cache away, and the engine brings it back when it has looked. Both may be
// done in a signal's handler.

inline void close_jumps(ir::CpuHeader& cpu) {
  cpu.jump_cache.store(&JumpCache::closed());
  if (void* const area = cpu.direct_area.load(std::memory_order_relaxed))
    static_cast<direct::Area*>(area)->close();
}

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
