// SPDX-License-Identifier: Apache-2.0
/// What one guest thread owns while it runs blocks: the jump cache in front of the
/// block map, the interpreter's value frame, and its place in the grace period of
/// freed blocks.
///
/// The jump cache may only be used while `generation` equals the map's: whoever takes
/// blocks out of the map raises the map's generation first, and a thread that sees the
/// difference drops its cache (refresh()) before it looks anything up. Blocks taken out
/// are freed when every running thread has refreshed since.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "jit/block_table.h"
#include "jit/direct/area.h"
#include "jit/engine.h"
#include "jit/jump_cache.h"

namespace lyrebird::jit {

class Sampler;
class Tlb;

inline constexpr unsigned kFrameSize = 32768;
// Bits of CpuHeader::refresh_request.
inline constexpr uint32_t kRefreshRequest = 1;  ///< blocks were taken out of the map
inline constexpr uint32_t kSampleRequest = 2;   ///< note in the sampler where you are
inline constexpr uint32_t kRemakeRequest = 4;   ///< ThreadContext::remake

inline void request_refresh(ir::CpuHeader& cpu, uint32_t bits) {
  cpu.refresh_request.fetch_or(bits);
  close_jumps(cpu);
}

/// ThreadContext::generation of a thread that must ask for every single block.
inline constexpr uint64_t kNoChaining = ~uint64_t{0};

struct ThreadContext {
  explicit ThreadContext(BlockMap& map);
  ~ThreadContext();
  ThreadContext(const ThreadContext&) = delete;
  ThreadContext& operator=(const ThreadContext&) = delete;

  /// Held around every use of blocks; blocks seen under it stay alive until refresh() or its end.
  class Running {
   public:
    explicit Running(ThreadContext& thread);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    ThreadContext& thread_;
  };

  /// Drops the jump cache if blocks were taken out of the map. No block pointer from before
  /// may be used after.
  void refresh();
  /// The block for (pc, mode) of the CPU, or nullptr. System mode: only if no walk is needed to know where
  /// the code lies.
  const CompiledBlock* find_block(ir::CpuHeader& cpu);
  /// Lets indirect jumps, and in system mode those to other pages, find the block of (pc, mode) of the CPU.
  void note_jump(const ir::CpuHeader& cpu, const CompiledBlock& block);

  /// Whether jumps go from block to block inside the engine. Off: run() comes back after each block.
  void set_chaining(bool on);

  // The order is the interpreter's: what every jump touches comes first.
  const std::atomic<uint64_t>* map_generation;
  uint64_t generation = kNoChaining;
  JumpCache::Ptr jump_cache = JumpCache::make();
  const void* current_op = nullptr;  ///< the engine's own: what touches guest memory just now
  Stop stop;
  BlockMap& map;
  bool chaining = true;
  bool has_constants = false;  ///< the interpreter's own: they are in the frame
  /// Set by an engine that comes back with Stop{None}: the guest instruction at cpu.pc is to be run by
  /// the interpreter, which knows what to make of it.
  bool interpret_next = false;
  /// With interpret_next: that instruction faulted for what CpuHeader::fault_* says already, unless what was
  /// in the way is the emulator's own affair.
  bool fault_known = false;
  /// Set by an engine: that block, compiled anew, is another one than it was.
  std::optional<ir::BlockKey> remake;
  /// The CPU that runs on this thread: the map makes requests of it.
  std::atomic<ir::CpuHeader*> cpu{nullptr};
  /// What directly translated code runs on; nullptr: none has run yet.
  direct::Area::Ptr area;
  Sampler* sampler = nullptr;  ///< where samples go; nullptr: nowhere
  Tlb* tlb = nullptr;          ///< (system mode) of the CPU that runs on this thread
  /// What generated code probes when its jump cache misses; renewed by refresh(). Empty without chaining and
  /// in system mode.
  const BlockTable::Slot* table_slots = nullptr;
  uint64_t table_mask = 0;
  uint64_t cached_generation = 0;                       ///< that the jump cache belongs to
  std::atomic<uint64_t> seen_generation{~uint64_t{0}};  ///< ~0: not running
  ThreadContext* next_registered = nullptr;             ///< the map's list

  alignas(32) uint8_t record[96] = {};  ///< the engine's own: what it is running just now

  alignas(64) uint8_t frame[kFrameSize];
};

// Where generated code finds things. ThreadContext has a reference in it, which offsetof is not
// promised to work with; every compiler we use does it right.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
inline constexpr int32_t kThreadStopKind = offsetof(ThreadContext, stop) + offsetof(Stop, kind);
inline constexpr int32_t kThreadTableSlots = offsetof(ThreadContext, table_slots);
inline constexpr int32_t kThreadJumpCache = offsetof(ThreadContext, jump_cache);
inline constexpr int32_t kThreadTableMask = offsetof(ThreadContext, table_mask);
#pragma GCC diagnostic pop

}  // namespace lyrebird::jit
