// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/system_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <csetjmp>
#include <utility>

#include "accel/soft/keep_files.h"
#include "base/fault_guard.h"
#include "base/report.h"
#include "jit/persist/directory.h"
#include "jit/persist/hash.h"

namespace lyrebird::accel {

using jit::persist::hash_bytes;
using jit::persist::Item;

namespace {

/// A block is looked for by so many of its first bytes; where they are too few, the hash of all of them
/// tells.
constexpr uint64_t kPrefix = 32;
/// Fewer new blocks than that, and few beside those that were found, are not worth a write.
constexpr uint64_t kFew = 64;
constexpr uint64_t kFewOf = 64;
/// After so many new ones a machine that goes on running saves them.
constexpr uint64_t kMany = 4096;

/// Whether the pc is one of an address without a tag: a block at another may be no more than a jump.
bool plain(uint64_t pc) { return pc >> 52 == 0 || pc >> 52 == 0xfff; }

uint64_t seed_of(uint64_t pc, const jit::Tlb::Code& code) { return 1 + code.guarded + 2 * (pc >> 63); }

uint64_t guest_hash(uint64_t pc, const jit::Tlb::Code& code, uint64_t size) {
  return hash_bytes(code.host, size, seed_of(pc, code)) | 1;
}

/// What the file knows a block by, with a hash of its first bytes.
ir::BlockKey file_key(ir::BlockKey key, uint32_t first) {
  return {uint64_t{first} << jit::kTlbPageBits | (key.pc & ~jit::kTlbPageMask), key.mode};
}
ir::BlockKey kept_key(ir::BlockKey key, const jit::Tlb::Code& code) {
  const uint64_t in_page = key.pc & ~jit::kTlbPageMask;
  const uint64_t prefix = std::min(kPrefix, jit::kTlbPageSize - in_page);
  return file_key(key, static_cast<uint32_t>(hash_bytes(code.host, prefix, seed_of(key.pc, code) + 8)));
}

}  // namespace

std::unique_ptr<SystemKeeper> SystemKeeper::create(jit::Engine& engine, const KeepOptions& options,
                                                   const std::string& name, unsigned max_instructions) {
  if (options.directory.empty()) return nullptr;
  const uint64_t engine_key = engine.keep_key();
  if (engine_key == 0 || !jit::persist::open_directory(options.directory)) return nullptr;
  const std::string what = name + '\n' + options.key;
  const uint64_t key = hash_bytes(what.data(), what.size(), engine_key + max_instructions);
  const std::string stem = fmt::format("{}/{}-{:016x}", options.directory, plain_file_name(name), key);
  return std::unique_ptr<SystemKeeper>(new SystemKeeper(engine, options, stem, key, name));
}

SystemKeeper::SystemKeeper(jit::Engine& engine, const KeepOptions& options, const std::string& stem,
                           uint64_t key, const std::string& name)
    : engine_(engine),
      options_(options),
      file_(stem + jit::persist::kSuffix, key, name),
      last_save_(std::chrono::steady_clock::now()) {}

SystemKeeper::~SystemKeeper() = default;

std::unique_ptr<jit::CompiledBlock> SystemKeeper::load(ir::BlockKey key, const jit::Tlb::Code& code) {
  if (!plain(key.pc)) return nullptr;
  static thread_local std::vector<uint8_t> bytes;
  uint32_t size = 0, count = 0;
  {
    FaultGuard guard;
    if (sigsetjmp(guard.env, 0) != 0) {
      counters_.rejected.fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    }
    guard.arm();
    const auto item = file_.find(kept_key(key, code));
    if (!item) {
      counters_.misses.fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    }
    size = item->guest_size, count = item->guest_count;
    if (item->kind != jit::persist::Kind::Baseline || !item->more.empty() || size == 0 ||
        size > jit::kTlbPageSize - (key.pc & ~jit::kTlbPageMask) ||
        guest_hash(key.pc, code, size) != item->guest_hash) {
      counters_.rejected.fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    }
    // The engine looks at bytes that nobody can cut short.
    bytes.assign(item->code.begin(), item->code.end());
  }
  auto block = engine_.load(key, size, count, bytes);
  (block ? counters_.hits : counters_.rejected).fetch_add(1, std::memory_order_relaxed);
  return block;
}

void SystemKeeper::note(jit::CompiledBlock& block, const jit::Tlb::Code& code) {
  if (!plain(block.key.pc) || block.guest_size == 0 || block.more) return;
  block.keep.guest_hash = guest_hash(block.key.pc, code, block.guest_size);
  block.keep.image = static_cast<uint32_t>(kept_key(block.key, code).pc >> jit::kTlbPageBits);
  block.keep.epoch = epoch_.load(std::memory_order_relaxed);
  noted_.fetch_add(1, std::memory_order_relaxed);
}

void SystemKeeper::add(Batch& batch, const jit::CompiledBlock& block) const {
  if (batch.bytes.size() > options_.limit / 4) return;
  const ir::BlockKey key = file_key(block.key, block.keep.image);
  if (!batch.keys.insert({key.pc, key.mode}).second || !engine_.save(block, batch.bytes)) return;
  batch.items.push_back({.key = key,
                         .guest_size = block.guest_size,
                         .guest_count = block.guest_count,
                         .guest_hash = block.keep.guest_hash,
                         .more = {}});
  batch.ends.push_back(batch.bytes.size());
}

void SystemKeeper::removed(const jit::CompiledBlock& block) {
  if (block.keep.epoch == 0 || block.keep.epoch != epoch_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(gone_mutex_);
  add(gone_, block);
}

void SystemKeeper::save_now_and_then(const jit::BlockMap& map) {
  const uint64_t noted = noted_.load(std::memory_order_relaxed);
  if (noted < kMany || noted % 64 != 0) return;
  if (std::chrono::steady_clock::now() - last_save_.load() >= options_.interval) save(map);
}

void SystemKeeper::save(const jit::BlockMap& map) {
  const uint64_t noted = noted_.load(std::memory_order_relaxed);
  if (noted < kFew && noted * kFewOf <= counters_.hits.load(std::memory_order_relaxed)) return;
  const std::unique_lock only(save_mutex_, std::try_to_lock);
  if (!only) return;
  last_save_.store(std::chrono::steady_clock::now());
  const uint32_t epoch = epoch_.fetch_add(1, std::memory_order_relaxed);
  noted_.store(0, std::memory_order_relaxed);
  Batch batch;
  {
    const std::lock_guard lock(gone_mutex_);
    batch = std::exchange(gone_, {});
  }
  map.for_each([&](const jit::CompiledBlock& block) {
    if (block.keep.epoch == epoch) add(batch, block);
  });
  std::vector<Item>& items = batch.items;
  // Only now do the bytes stay where they are.
  for (size_t i = 0, at = 0; i < items.size(); at = batch.ends[i++])
    items[i].code = {batch.bytes.data() + at, batch.ends[i] - at};
  // Half of the room for one machine, and no more.
  const bool room = batch.bytes.size() + file_.bytes() <= options_.limit / 2;
  const int64_t done = room ? file_.append(items) : -1;
  (done < 0 ? counters_.failed : counters_.saved).fetch_add(done < 0 ? 1 : static_cast<uint64_t>(done));
  if (done <= 0) return;
  file_.refresh();
  prune_now_and_then(options_);
}

void SystemKeeper::report(Report& report) const {
  const auto get = [](const std::atomic<uint64_t>& v) { return v.load(std::memory_order_relaxed); };
  report.section("translations on disk");
  report.text("file", file_.path());
  report.count("blocks found", get(counters_.hits));
  report.count("not there", get(counters_.misses));
  report.count("rejected", get(counters_.rejected), "other guest code, or a damaged file");
  report.count("blocks written", get(counters_.saved));
  report.count("files that could not be written", get(counters_.failed));
}

}  // namespace lyrebird::accel
