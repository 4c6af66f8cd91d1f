// SPDX-License-Identifier: Apache-2.0
/// All compiled blocks of one guest process or machine, found by (pc, mode).
///
/// The table grows; the old one is freed like blocks that were taken out. A thread that still
/// probes it misses what came since, and may find blocks that are out but not yet freed.
///
/// find() takes no lock. Everything that changes the map takes `mutex_`, the only lock
/// here; nothing else is locked while it is held.
///
/// Code that changes under a translation: read stamps() before the guest's bytes are
/// fetched and give it to publish(); a block whose pages were invalidated in between is
/// not taken.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "jit/block_table.h"
#include "jit/engine.h"
#include "jit/thread_context.h"

namespace lyrebird::jit {

class BlockMap {
 public:
  static constexpr unsigned kPageBits = 12;
  static constexpr size_t kDefaultLimit = size_t{256} << 20;

  struct Stats {
    uint64_t blocks = 0;        ///< in the map now
    uint64_t bytes = 0;         ///< that they take
    uint64_t published = 0;     ///< ever
    uint64_t instructions = 0;  ///< guest instructions ever published
    uint64_t invalidated = 0;   ///< taken out because their code changed
    uint64_t evicted = 0;       ///< taken out to stay below the limit
    uint64_t refused = 0;       ///< not published: the code changed during translation
    uint64_t waiting = 0;       ///< taken out, not yet freed
  };
  struct Stamps {
    uint64_t first = 0, second = 0;
  };

  explicit BlockMap(size_t limit_bytes = kDefaultLimit);
  ~BlockMap();
  BlockMap(const BlockMap&) = delete;
  BlockMap& operator=(const BlockMap&) = delete;

  const CompiledBlock* find(ir::BlockKey key) const { return find(key.pc, key); }
  /// The same where places are not addresses of the guest (CompiledBlock::place).
  const CompiledBlock* find(uint64_t place, ir::BlockKey key) const;
  /// Whether there is one at key.pc; for threads that hold no Running, and so may not look into the table.
  bool holds(ir::BlockKey key) const;

  /// Of the pages that a block at the place may lie in (two: blocks are shorter than a page).
  Stamps stamps(uint64_t place) const;
  /// Takes the block, or gives the one that another thread published first, or nullptr if the
  /// code changed since `stamps`. The caller holds a Running.
  const CompiledBlock* publish(std::unique_ptr<CompiledBlock> block, Stamps stamps);
  /// The same for more blocks of the same page; what can't be had goes.
  void publish_more(std::vector<std::unique_ptr<CompiledBlock>> blocks, Stamps stamps);
  /// As publish(), for a region: `seen` has the stamps of each of its blocks, in any order. Takes the
  /// place of the block of the same key. False if code changed since.
  struct Seen {
    uint64_t pc;
    Stamps stamps;
  };
  bool publish_region(std::unique_ptr<CompiledBlock> region, std::span<const Seen> seen);
  /// Takes out every block made from a byte of [start, start + size) (places): how many there were.
  size_t invalidate(uint64_t start, uint64_t size);
  /// Calls f under the mutex if no block lies in the page of the place, and refuses what was translated there
  /// before.
  template <typename F>
  void if_empty(uint64_t place, F f) {
    const std::lock_guard lock(mutex_);
    const uint64_t page = place >> kPageBits;
    if (pages_.contains(page)) return;
    f();
    bump_stamps(page, page);
  }

  /// The engine has no place left: takes the oldest out, unless some that are out already are only
  /// waiting to be freed.
  void make_room();

  /// Is called with every block that is taken out, while it is still whole, under the map's mutex. Set before
  /// there are blocks.
  void on_removal(std::function<void(const CompiledBlock&)> told) { on_removal_ = std::move(told); }

  /// Asks every running thread for a sample (jit/tier/sampler.h). False: none is running.
  bool request_samples();

  Stats stats() const;
  /// Calls f(block) for all blocks, oldest first, under the map's mutex.
  template <typename F>
  void for_each(F f) const {
    const std::lock_guard lock(mutex_);
    for (const CompiledBlock* block = oldest_; block; block = block->newer_) f(*block);
  }
  /// The same page by page of the guest's code, and then `last` while the blocks are still there.
  template <typename F, typename L>
  void for_each_by_page(F f, L last) const {
    const std::lock_guard lock(mutex_);
    const std::vector<OfPage> blocks = by_page();
    constexpr size_t kSoon = 8;
    for (size_t i = 0; i < blocks.size(); ++i) {
      // From a page to the next they lie anywhere.
      if (i + kSoon < blocks.size()) __builtin_prefetch(blocks[i + kSoon].block);
      if (blocks[i].block->place >> kPageBits == blocks[i].page) f(*blocks[i].block);
    }
    last();
  }

  /// Around fork(): the child gets the map in one piece. Without before_fork() the child may
  /// only throw the map away.
  void before_fork();
  void after_fork_in_parent();
  /// `survivor` is the context of the thread that forked, or nullptr.
  void after_fork_in_child(ThreadContext* survivor);

 private:
  friend struct ThreadContext;
  using Page = std::vector<CompiledBlock*>;
  static constexpr size_t kFirstTable = size_t{1} << 10;
  static constexpr unsigned kStampBits = 10;

  /// Free once every running thread has seen the generation.
  struct Retired {
    CompiledBlock* block;
    uint64_t generation;
  };
  struct RetiredTable {
    std::unique_ptr<BlockTable> table;
    uint64_t generation;
  };

  struct OfPage {
    uint64_t page;
    const CompiledBlock* block;
  };

  static unsigned stamp_of(uint64_t page) { return static_cast<unsigned>(page) & ((1u << kStampBits) - 1); }
  /// Calls f(page) for every page that the block was made from; some more than once.
  template <typename F>
  static void each_page(const CompiledBlock& block, F f);

  void insert(CompiledBlock* block);
  void bump_stamps(uint64_t first_page, uint64_t last_page);
  void remove(CompiledBlock* block);  // from table, pages, age; then it is retired
  Page& page_blocks(uint64_t page);
  /// All blocks in the order of the pages, those of two pages twice.
  std::vector<OfPage> by_page() const;
  void remove_from_page(uint64_t page, const CompiledBlock* block);
  void evict(uint64_t keep);
  void put_into_table(const CompiledBlock& block);
  bool grow_table();
  void replace_table(std::unique_ptr<BlockTable> table);
  void raise_generation();  // and tells the threads
  void free_retired();
  void add_thread(ThreadContext* thread);
  void remove_thread(ThreadContext* thread);

  std::atomic<BlockTable*> table_;
  std::array<std::atomic<uint64_t>, 1u << kStampBits> stamps_{};
  alignas(64) std::atomic<uint64_t> generation_{0};

  alignas(64) mutable std::mutex mutex_;
  const size_t limit_;
  std::unordered_map<uint64_t, Page> pages_;
  uint64_t last_page_ = 0;  ///< last published in
  Page* last_blocks_ = nullptr;
  CompiledBlock* oldest_ = nullptr;
  CompiledBlock* newest_ = nullptr;
  std::vector<Retired> retired_;
  std::vector<RetiredTable> retired_tables_;
  ThreadContext* threads_ = nullptr;
  std::function<void(const CompiledBlock&)> on_removal_;
  Stats stats_;
};

}  // namespace lyrebird::jit
