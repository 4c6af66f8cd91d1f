// SPDX-License-Identifier: Apache-2.0
#include "jit/block_map.h"

#include <algorithm>

#include "jit/tlb.h"

namespace lyrebird::jit {

// --- ThreadContext

ThreadContext::ThreadContext(BlockMap& m) : map_generation(&m.generation_), map(m) { m.add_thread(this); }

ThreadContext::~ThreadContext() { map.remove_thread(this); }

ThreadContext::Running::Running(ThreadContext& thread) : thread_(thread) { thread.refresh(); }

ThreadContext::Running::~Running() { thread_.seen_generation.store(~uint64_t{0}, std::memory_order_release); }

void ThreadContext::refresh() {
  // Seen is stored before the generation is read again: a writer that retires blocks in
  // between either finds this thread's old value, or is noticed here.
  uint64_t now = map_generation->load();
  while (seen_generation.load(std::memory_order_relaxed) != now) {
    seen_generation.store(now);
    now = map_generation->load();
  }
  if (cached_generation != now) {
    jump_cache->clear();
    if (area) area->clear();
    cached_generation = now;
  }
  set_chaining(chaining);
}

void ThreadContext::set_chaining(bool on) {
  static const BlockTable nothing(4);
  chaining = on;
  generation = on ? cached_generation : kNoChaining;
  const BlockTable& probed = on && !tlb ? *map.table_.load(std::memory_order_acquire) : nothing;
  table_slots = probed.slots();
  table_mask = probed.home_mask();
}

const CompiledBlock* ThreadContext::find_block(ir::CpuHeader& cpu) {
  const ir::BlockKey key{cpu.pc, cpu.mode};
  if (!tlb) return map.find(key);
  Tlb::Code code;
  if (!tlb->find_code(key.pc, key.mode, code) || !code.host) return nullptr;
  return map.find(reinterpret_cast<uint64_t>(code.host), key);
}

void ThreadContext::note_jump(const ir::CpuHeader& cpu, const CompiledBlock& block) {
  const uint64_t pc = block.key.pc;
  // The bits that the jump tag changes say nothing else.
  if (tlb && pc >> 52 != 0 && pc >> 52 != 0xfff) return;
  jump_cache->put(cpu, block);
}

// --- BlockMap

BlockMap::BlockMap(size_t limit_bytes) : table_(new BlockTable(kFirstTable)), limit_(limit_bytes) {}

BlockMap::~BlockMap() {
  delete table_.load();
  for (const Retired& r : retired_) delete r.block;
  for (CompiledBlock* block = oldest_; block;) {
    CompiledBlock* const next = block->newer_;
    delete block;
    block = next;
  }
}

template <typename F>
void BlockMap::each_page(const CompiledBlock& block, F f) {
  const auto pages = [&](const GuestRange& range) {
    for (uint64_t page = range.pc >> kPageBits; page <= range.last() >> kPageBits; ++page) f(page);
  };
  pages({block.place, block.guest_size});
  if (!block.more) return;
  for (const GuestRange& range : *block.more) pages(range);
}

const CompiledBlock* BlockMap::find(uint64_t place, ir::BlockKey key) const {
  return table_.load(std::memory_order_acquire)->find(place, key);
}

bool BlockMap::holds(ir::BlockKey key) const {
  const std::lock_guard lock(mutex_);
  return find(key) != nullptr;
}

BlockMap::Stamps BlockMap::stamps(uint64_t place) const {
  const uint64_t page = place >> kPageBits;
  return {stamps_[stamp_of(page)].load(), stamps_[stamp_of(page + 1)].load()};
}

const CompiledBlock* BlockMap::publish(std::unique_ptr<CompiledBlock> owned, Stamps seen) {
  const std::lock_guard lock(mutex_);
  if (owned->place == 0) owned->place = owned->key.pc;
  const Stamps now = stamps(owned->place);
  if (now.first != seen.first || now.second != seen.second) {
    ++stats_.refused;
    return nullptr;
  }
  if (const CompiledBlock* other = find(owned->place, owned->key)) return other;
  if (stats_.bytes + owned->host_size > limit_) evict(limit_ - limit_ / 8);

  CompiledBlock* const block = owned.release();
  insert(block);
  return block;
}

void BlockMap::publish_more(std::vector<std::unique_ptr<CompiledBlock>> blocks, Stamps seen) {
  if (blocks.empty()) return;
  const std::lock_guard lock(mutex_);
  const Stamps now = stamps(blocks.front()->key.pc);
  if (now.first != seen.first || now.second != seen.second) return;
  const BlockTable& table = *table_.load(std::memory_order_relaxed);
  for (const auto& owned : blocks) table.want(owned->key.pc);
  if (const auto page = pages_.find(blocks.front()->key.pc >> kPageBits); page != pages_.end())
    page->second.reserve(page->second.size() + blocks.size());
  for (auto& owned : blocks) {
    if (stats_.bytes + owned->host_size > limit_) return;
    owned->place = owned->key.pc;
    if (!find(owned->key)) insert(owned.release());
  }
}

bool BlockMap::publish_region(std::unique_ptr<CompiledBlock> owned, std::span<const Seen> seen) {
  const std::lock_guard lock(mutex_);
  for (const Seen& part : seen) {
    const Stamps now = stamps(part.pc);
    if (now.first == part.stamps.first && now.second == part.stamps.second) continue;
    ++stats_.refused;
    return false;
  }
  if (stats_.bytes + owned->host_size > limit_) evict(limit_ - limit_ / 8);
  owned->place = owned->key.pc;
  // Out before in: who looks in between finds nothing and waits at the mutex.
  if (const CompiledBlock* const before = find(owned->key)) {
    remove(const_cast<CompiledBlock*>(before));
    raise_generation();
  }
  insert(owned.release());
  free_retired();
  return true;
}

void BlockMap::insert(CompiledBlock* block) {
  put_into_table(*block);
  each_page(*block, [&](uint64_t page) {
    Page& list = page_blocks(page);
    if (list.empty() || list.back() != block) list.push_back(block);
  });
  block->older_ = newest_;
  (newest_ ? newest_->newer_ : oldest_) = block;
  newest_ = block;
  ++stats_.blocks;
  ++stats_.published;
  stats_.bytes += block->host_size;
  stats_.instructions += block->guest_count;
}

BlockMap::Page& BlockMap::page_blocks(uint64_t page) {
  if (!last_blocks_ || last_page_ != page) {
    last_blocks_ = &pages_[page];
    last_page_ = page;
  }
  return *last_blocks_;
}

std::vector<BlockMap::OfPage> BlockMap::by_page() const {
  std::vector<uint64_t> pages;
  size_t count = 0;
  for (const auto& [page, blocks] : pages_) {
    pages.push_back(page);
    count += blocks.size();
  }
  std::sort(pages.begin(), pages.end());
  std::vector<OfPage> all;
  all.reserve(count);
  for (const uint64_t page : pages)
    for (const CompiledBlock* const block : pages_.at(page)) all.push_back({page, block});
  return all;
}

void BlockMap::replace_table(std::unique_ptr<BlockTable> table) {
  std::unique_ptr<BlockTable> old(table_.load(std::memory_order_relaxed));
  table_.store(table.release(), std::memory_order_release);
  raise_generation();
  retired_tables_.push_back({std::move(old), generation_.load(std::memory_order_relaxed)});
  free_retired();
}

bool BlockMap::grow_table() {
  const BlockTable& old = *table_.load(std::memory_order_relaxed);
  auto fresh = std::make_unique<BlockTable>(old.wanted());
  if (!old.copy_to(*fresh)) return false;
  replace_table(std::move(fresh));
  return true;
}

void BlockMap::put_into_table(const CompiledBlock& block) {
  if (table_.load(std::memory_order_relaxed)->full() && !grow_table()) evict(0);
  if (table_.load(std::memory_order_relaxed)->insert(block)) return;
  // Guest code placed so that all hashes meet: start again with nothing but this block.
  evict(0);
  replace_table(std::make_unique<BlockTable>(kFirstTable));
  (void)table_.load(std::memory_order_relaxed)->insert(block);
}

void BlockMap::bump_stamps(uint64_t first_page, uint64_t last_page) {
  const uint64_t count = std::min<uint64_t>(last_page - first_page, (1u << kStampBits) - 1) + 1;
  for (uint64_t i = 0; i < count; ++i) ++stamps_[stamp_of(first_page + i)];
}

size_t BlockMap::invalidate(uint64_t start, uint64_t size) {
  if (size == 0) return 0;
  const uint64_t last = start + size - 1 < start ? ~uint64_t{0} : start + size - 1;
  const uint64_t first_page = start >> kPageBits, last_page = last >> kPageBits;

  const std::lock_guard lock(mutex_);
  bump_stamps(first_page, last_page);
  std::vector<CompiledBlock*> hit;
  const auto collect = [&](const std::vector<CompiledBlock*>& blocks) {
    for (CompiledBlock* block : blocks) {
      const auto overlaps = [&](const GuestRange& range) { return range.overlaps(start, last); };
      if (overlaps({block->place, block->guest_size}) ||
          (block->more && std::any_of(block->more->begin(), block->more->end(), overlaps)))
        hit.push_back(block);
    }
  };
  if (last_page - first_page < pages_.size()) {
    for (uint64_t page = first_page;; ++page) {
      if (const auto it = pages_.find(page); it != pages_.end()) collect(it->second);
      if (page == last_page) break;
    }
  } else {
    for (const auto& [page, blocks] : pages_)
      if (page >= first_page && page <= last_page) collect(blocks);
  }
  std::sort(hit.begin(), hit.end());
  hit.erase(std::unique(hit.begin(), hit.end()), hit.end());
  if (hit.empty()) return 0;
  stats_.invalidated += hit.size();
  for (CompiledBlock* block : hit) remove(block);
  raise_generation();
  free_retired();
  return hit.size();
}

void BlockMap::raise_generation() {
  generation_.fetch_add(1);
  for (ThreadContext* t = threads_; t; t = t->next_registered)
    if (ir::CpuHeader* const cpu = t->cpu.load()) request_refresh(*cpu, kRefreshRequest);
}

bool BlockMap::request_samples() {
  const std::lock_guard lock(mutex_);
  bool any = false;
  for (ThreadContext* t = threads_; t; t = t->next_registered) {
    ir::CpuHeader* const cpu = t->cpu.load();
    if (!cpu || t->seen_generation.load(std::memory_order_relaxed) == ~uint64_t{0}) continue;
    request_refresh(*cpu, kSampleRequest);
    any = true;
  }
  return any;
}

void BlockMap::remove(CompiledBlock* block) {
  if (on_removal_) on_removal_(*block);
  block->removed();
  table_.load(std::memory_order_relaxed)->remove(*block);
  each_page(*block, [&](uint64_t page) { remove_from_page(page, block); });
  (block->older_ ? block->older_->newer_ : oldest_) = block->newer_;
  (block->newer_ ? block->newer_->older_ : newest_) = block->older_;
  --stats_.blocks;
  stats_.bytes -= block->host_size;
  // The caller raises the generation by one once all are out.
  retired_.push_back({block, generation_.load(std::memory_order_relaxed) + 1});
}

void BlockMap::remove_from_page(uint64_t page, const CompiledBlock* block) {
  const auto it = pages_.find(page);
  if (it == pages_.end()) return;
  std::erase(it->second, block);
  if (!it->second.empty()) return;
  if (&it->second == last_blocks_) last_blocks_ = nullptr;
  pages_.erase(it);
}

/// The oldest go. Taking them one by one would make every thread drop its jump cache
/// for every new block from then on.
void BlockMap::evict(uint64_t keep) {
  bool any = false;
  while (oldest_ && stats_.bytes > keep) {
    remove(oldest_);
    ++stats_.evicted;
    any = true;
  }
  if (!any) return;
  raise_generation();
  free_retired();
}

void BlockMap::make_room() {
  const std::lock_guard lock(mutex_);
  free_retired();
  if (retired_.empty()) evict(stats_.bytes - stats_.bytes / 8);
}

void BlockMap::free_retired() {
  uint64_t oldest_seen = ~uint64_t{0};
  for (ThreadContext* t = threads_; t; t = t->next_registered)
    oldest_seen = std::min(oldest_seen, t->seen_generation.load());
  std::erase_if(retired_, [&](const Retired& r) {
    if (r.generation > oldest_seen) return false;
    delete r.block;
    return true;
  });
  std::erase_if(retired_tables_, [&](const RetiredTable& r) { return r.generation <= oldest_seen; });
}

BlockMap::Stats BlockMap::stats() const {
  const std::lock_guard lock(mutex_);
  Stats copy = stats_;
  copy.waiting = retired_.size();
  return copy;
}

void BlockMap::add_thread(ThreadContext* thread) {
  const std::lock_guard lock(mutex_);
  thread->next_registered = threads_;
  threads_ = thread;
}

void BlockMap::remove_thread(ThreadContext* thread) {
  const std::lock_guard lock(mutex_);
  ThreadContext** link = &threads_;
  while (*link && *link != thread) link = &(*link)->next_registered;
  if (*link) *link = thread->next_registered;
  free_retired();
}

void BlockMap::before_fork() { mutex_.lock(); }

void BlockMap::after_fork_in_parent() { mutex_.unlock(); }

void BlockMap::after_fork_in_child(ThreadContext* survivor) {
  // The other threads are gone, and with them whoever would have unregistered them.
  threads_ = survivor;
  if (survivor) survivor->next_registered = nullptr;
  mutex_.unlock();
}

}  // namespace lyrebird::jit
