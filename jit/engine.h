// SPDX-License-Identifier: Apache-2.0
/// An executor: turns IR blocks into something that runs, and runs it. Knows no guest.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ir/block.h"
#include "ir/cpu_header.h"
#include "ir/region.h"
#include "jit/code_observer.h"

namespace lyrebird {
class Report;
}

namespace lyrebird::jit::persist {
class Image;
class ImageWriter;
struct ImagePage;
}  // namespace lyrebird::jit::persist

namespace lyrebird::jit {

/// Guest code that something was made from.
struct GuestRange {
  uint64_t pc = 0;
  uint32_t size = 0;  ///< bytes; 0 counts as 1
  uint64_t last() const { return pc + (size ? size - 1 : 0); }
  bool overlaps(uint64_t first, uint64_t last_byte) const { return pc <= last_byte && last() >= first; }
};

/// A block as an executor holds it. Immutable once published, shared by all guest threads.
struct CompiledBlock {
  /// What keeping the translation for other processes needs. Not part of the block: the owner of the
  /// map writes it before publication.
  struct Keep {
    uint64_t guest_hash = 0;
    uint32_t image = 0;
    uint32_t epoch = 0;  ///< 0: not to be kept, or kept already
  };
  virtual ~CompiledBlock() = default;
  /// The map forgets the block; threads may still be running it. Called with the map's mutex held.
  virtual void removed() {}
  ir::BlockKey key;
  /// What the map files it under, with key: where its code lies. User mode: key.pc, which publication
  /// puts here. System mode: the host address of the guest's code, by the owner of the map.
  uint64_t place = 0;
  uint32_t guest_size = 0;
  uint32_t guest_count = 0;
  /// What a region was made from besides guest_size bytes at key.pc; nullptr: nothing.
  std::unique_ptr<const std::vector<GuestRange>> more;
  const void* entry = nullptr;  ///< where execution starts; its type is the engine's
  uint32_t host_size = 0;       ///< bytes of memory it takes, for the map's limit
  bool no_room = false;         ///< slower than it could be, as the engine's memory is full
  uint16_t mode_tag = 0;        ///< StateLayout's, of key.mode, if keys of the engine's jump cache have it
  Keep keep;

 private:
  friend class BlockMap;
  CompiledBlock* older_ = nullptr;  ///< blocks in the order of their publication
  CompiledBlock* newer_ = nullptr;
};

/// A translation to be kept: a block of this process, or what save() wrote, or one of an image.
struct KeptBlock {
  ir::BlockKey key;
  uint32_t guest_size = 0, guest_count = 0;
  const CompiledBlock* block = nullptr;
  const std::span<const uint8_t>* saved = nullptr;
  const persist::Image* image = nullptr;
  uint32_t number = 0;  ///< in the image
};

/// Finds the block for a key without a lock, or nullptr. Implemented by jit/block_map.h.
class BlockMap;
/// One guest thread's own small cache of the map, and its scratch memory (jit/thread_context.h).
struct ThreadContext;

/// Why run() came back. `None`: no block for (cpu.pc, cpu.mode) yet.
struct Stop {
  ir::ExitKind kind = ir::ExitKind::None;
  uint64_t detail = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::unique_ptr<CompiledBlock> compile(const ir::Block& block) = 0;
  /// Whether compile() gains by the IR passes more than they cost.
  virtual bool wants_passes() const { return true; }
  /// Optimised code for each region, entered like the block of the first part's key; nullptr where
  /// there is none to be had. Thread-safe, and slow: never called by a guest thread.
  virtual std::vector<std::unique_ptr<CompiledBlock>> compile_regions(std::span<const ir::Region> regions) {
    return std::vector<std::unique_ptr<CompiledBlock>>(regions.size());
  }
  /// Runs `first` and on through the map's blocks until something stops it. At return
  /// cpu.pc and all state are precise. Host SIGSEGV/SIGBUS inside guest memory accesses
  /// come back as ExitKind::MemoryFault through base/fault_guard.h. The caller holds a
  /// ThreadContext::Running on `thread`.
  virtual Stop run(const CompiledBlock& first, ir::CpuHeader& cpu, ThreadContext& thread) = 0;
  /// Around fork(); the map's mutex is held, so that nobody changes the map meanwhile.
  virtual void before_fork() {}
  virtual void after_fork_in_parent() {}
  /// `prepared`: after before_fork(). False: all blocks are forgotten, none of them may be used any
  /// more, and the caller must start with an empty map.
  virtual bool after_fork_in_child(bool prepared) { return prepared; }
  // --- translations that outlive the process

  /// Hash of everything but the guest's code that translations depend on; 0: this engine's can't be kept.
  virtual uint64_t keep_key() const { return 0; }
  /// Appends the block, without any address of this process, to `out`. False: this block can't be kept.
  virtual bool save(const CompiledBlock&, std::vector<uint8_t>&) const { return false; }
  /// A block from what save() wrote under the same keep_key(); nullptr: it can't be used now.
  virtual std::unique_ptr<CompiledBlock> load(ir::BlockKey, uint32_t /*guest_size*/, uint32_t /*guest_count*/,
                                              std::span<const uint8_t>) {
    return nullptr;
  }

  // Images: many translations as one piece that is run where it is mapped (jit/persist/image.h). The
  // caller knows that the guest's code is what all of them were made from, and says so when it no
  // longer is.

  /// Lets the image's code be run for a guest mapping at `base`; both stay for ever. False: it can't be.
  virtual bool attach(persist::Image&, uint64_t /*base*/) { return false; }
  /// A block of the image: in place if it is attached, else a copy. nullptr: it can't be used now.
  virtual std::unique_ptr<CompiledBlock> load(const persist::Image&, uint32_t /*number*/, uint64_t /*base*/) {
    return nullptr;
  }
  /// The image's blocks no longer jump to each other; the caller takes those out that are in the map.
  virtual void detach(const persist::Image&) {}
  /// A region has taken a block's place in the map: jumps inside images lead to the map again.
  virtual void replaced(ir::BlockKey) {}
  /// Writes an image of the blocks, which are all of a mapping at `base` and stay meanwhile. Of `pages`,
  /// ImagePage::first is filled in.
  virtual bool freeze(std::span<const KeptBlock> /*blocks*/, uint64_t /*base*/, persist::ImageWriter&,
                      std::vector<persist::ImagePage>& /*pages*/) const {
    return false;
  }
  /// Adds the engine's rows to what -stats prints.
  virtual void report(Report&) const {}
  /// Who is told of all code from now on. Set before guest code runs; outlives the engine's blocks.
  void observe(CodeObserver* observer) { observer_ = observer; }

 protected:
  CodeObserver* observer_ = nullptr;
};

}  // namespace lyrebird::jit
