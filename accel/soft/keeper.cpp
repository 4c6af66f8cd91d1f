// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/keeper.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstring>
#include <ctime>
#include <new>
#include <utility>

#include "base/fault_guard.h"
#include "base/report.h"
#include "jit/persist/directory.h"
#include "jit/persist/hash.h"

namespace lyrebird::accel {

using jit::persist::hash_bytes;
using jit::persist::Item;

struct Keeper::Image {
  Image(std::string path, uint64_t key, const std::string& name) : file(std::move(path), key, name) {}
  jit::persist::File file;
  uint32_t number = 0;
  std::atomic<bool> look_again{false};  ///< others may have written since
};

namespace {

/// Fewer new blocks than that, and few beside those that are kept, are not worth a write.
constexpr size_t kFew = 16;
constexpr size_t kFewOf = 32;

/// What files are called: for people, and safe in any file system.
std::string plain_name(const std::string& path) {
  std::string name;
  for (const char c : path.substr(path.rfind('/') + 1)) {
    if (name.size() == 48) break;
    const auto u = static_cast<unsigned char>(c);
    name += std::isalnum(u) || c == '.' || c == '+' || c == '-' || c == '_' ? c : '_';
  }
  if (!name.empty() && name[0] == '.') name[0] = '_';
  return name.empty() ? "program" : name;
}

uint64_t guest_hash(const frontend::CodeOrigin& origin, uint64_t pc, uint64_t size) {
  return hash_bytes(origin.host + (pc - origin.start), size, origin.guarded ? 2 : 1) | 1;
}

bool covers(const frontend::CodeOrigin& origin, uint64_t pc, uint64_t size) {
  return pc >= origin.start && pc < origin.end && size <= origin.end - pc;
}

}  // namespace

KeepOptions usual_keep_options(const std::string& directory) {
  KeepOptions options;
  options.directory = directory.empty() ? jit::persist::default_directory() : directory;
  options.limit = jit::persist::default_limit();
  return options;
}

std::unique_ptr<Keeper> Keeper::create(jit::Engine& engine, frontend::CodeSource& code,
                                       const KeepOptions& options, unsigned max_instructions) {
  if (options.directory.empty()) return nullptr;
  const uint64_t engine_key = engine.keep_key();
  if (engine_key == 0 || !jit::persist::open_directory(options.directory)) return nullptr;
  const uint64_t key = hash_bytes(options.key.data(), options.key.size(), engine_key + max_instructions);
  return std::unique_ptr<Keeper>(new Keeper(engine, code, options, key));
}

Keeper::Keeper(jit::Engine& engine, frontend::CodeSource& code, const KeepOptions& options, uint64_t key)
    : engine_(engine),
      code_(code),
      options_(options),
      key_(key),
      last_save_(std::chrono::steady_clock::now()) {}

Keeper::~Keeper() = default;

// --- looking up

Keeper::Image* Keeper::image_of(const frontend::CodeOrigin& origin) {
  const std::lock_guard lock(images_mutex_);
  std::unique_ptr<Image>& image = by_origin_[{origin.identity, origin.file_start}];
  if (!image) {
    const uint64_t key = jit::persist::mix(key_ ^ origin.identity, origin.file_start ^ 0x9e3779b97f4a7c15);
    const std::string name = plain_name(origin.name ? *origin.name : "");
    image = std::make_unique<Image>(
        fmt::format("{}/{}-{:016x}{}", options_.directory, name, key, jit::persist::kSuffix), key, name);
    image->number = static_cast<uint32_t>(images_.size());
    images_.push_back(image.get());
  }
  return image.get();
}

/// Makes `place` that of the code at pc; false if it is not kept.
bool Keeper::locate(uint64_t pc, Place& place) {
  const uint64_t generation = code_.origin_generation();
  if (place.generation == generation && covers(place.origin, pc, 1)) return place.image != nullptr;
  place.generation = generation;
  place.image = nullptr;
  if (!code_.origin(pc, place.origin)) {
    place.origin = {};
    return false;
  }
  place.image = image_of(place.origin);
  return true;
}

std::unique_ptr<jit::CompiledBlock> Keeper::load(ir::BlockKey key, Place& place) {
  if (off_.load(std::memory_order_relaxed) || !locate(key.pc, place)) return nullptr;
  Image& image = *place.image;
  static thread_local std::vector<uint8_t> bytes;
  bool found = false;
  uint32_t size = 0, count = 0;
  {
    FaultGuard guard;
    if (sigsetjmp(guard.env, 0) != 0) {
      counters_.rejected.fetch_add(1, std::memory_order_relaxed);
      return nullptr;
    }
    guard.arm();
    auto item = image.file.find(key);
    if (!item && image.look_again.load(std::memory_order_relaxed) && image.look_again.exchange(false)) {
      const std::lock_guard lock(images_mutex_);
      image.file.refresh();
      item = image.file.find(key);
    }
    if (item && item->kind == jit::persist::Kind::Baseline) {
      found = covers(place.origin, key.pc, item->guest_size) &&
              guest_hash(place.origin, key.pc, item->guest_size) == item->guest_hash;
      if (found) {
        bytes.resize(item->code.size());
        std::memcpy(bytes.data(), item->code.data(), bytes.size());
        size = item->guest_size, count = item->guest_count;
      } else {
        counters_.rejected.fetch_add(1, std::memory_order_relaxed);
        return nullptr;
      }
    }
  }
  auto block = found ? engine_.load(key, size, count, bytes) : nullptr;
  (block ? counters_.hits : counters_.misses).fetch_add(1, std::memory_order_relaxed);
  return block;
}

// --- saving

void Keeper::note(jit::CompiledBlock& block, Place& place) {
  if (off_.load(std::memory_order_relaxed) || block.guest_size == 0 || !block.more.empty()) return;
  if (!locate(block.key.pc, place) || !covers(place.origin, block.key.pc, block.guest_size)) return;
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return;
  guard.arm();
  block.keep.guest_hash = guest_hash(place.origin, block.key.pc, block.guest_size);
  block.keep.image = place.image->number;
  block.keep.epoch = epoch_.load(std::memory_order_relaxed);
  noted_.fetch_add(1, std::memory_order_relaxed);
}

void Keeper::save_now_and_then(const jit::BlockMap& map) {
  const uint64_t noted = noted_.load(std::memory_order_relaxed);
  if (noted < 256 || noted % 64 != 0) return;
  if (std::chrono::steady_clock::now() - last_save_ >= options_.interval) save(map);
}

void Keeper::save(const jit::BlockMap& map) {
  const uint64_t noted = noted_.load(std::memory_order_relaxed);
  if (off_.load(std::memory_order_relaxed) || noted == 0) return;
  // To look through all blocks for a few costs more than these do.
  if (noted < kFew && noted * kFewOf < counters_.hits.load(std::memory_order_relaxed)) return;
  const std::unique_lock only(save_mutex_, std::try_to_lock);
  if (!only) return;
  last_save_ = std::chrono::steady_clock::now();
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed);
  std::vector<std::vector<Item>> by_image;
  std::vector<std::pair<uint32_t, uint32_t>> order;  // image, bytes
  std::vector<uint8_t> bytes;
  {
    const std::lock_guard lock(images_mutex_);
    by_image.resize(images_.size());
  }
  bytes.reserve(noted * 256);
  order.reserve(noted);
  map.for_each([&](const jit::CompiledBlock& block) {
    if (block.keep.epoch != epoch || block.keep.image >= by_image.size()) return;
    const size_t start = bytes.size();
    if (!engine_.save(block, bytes)) return;
    by_image[block.keep.image].push_back({.key = block.key,
                                          .guest_size = block.guest_size,
                                          .guest_count = block.guest_count,
                                          .guest_hash = block.keep.guest_hash,
                                          .more = {}});
    order.emplace_back(block.keep.image, static_cast<uint32_t>(bytes.size() - start));
  });
  noted_.store(0, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_relaxed);
  // Only now do the bytes stay where they are.
  std::vector<size_t> next(by_image.size());
  size_t at = 0;
  for (const auto& [image, size] : order) {
    by_image[image][next[image]++].code = {bytes.data() + at, size};
    at += size;
  }
  bool fresh_file = false;
  for (size_t i = 0; i < by_image.size(); ++i) {
    if (by_image[i].empty()) continue;
    Image* image;
    {
      const std::lock_guard lock(images_mutex_);
      image = images_[i];
    }
    const uint64_t there = image->file.items();
    if (there && by_image[i].size() < kFew && by_image[i].size() * kFewOf < there) continue;
    const int64_t saved = image->file.append(by_image[i]);
    if (saved < 0)
      counters_.failed.fetch_add(1, std::memory_order_relaxed);
    else
      counters_.saved.fetch_add(static_cast<uint64_t>(saved), std::memory_order_relaxed);
    fresh_file |= saved > 0;
  }
  if (fresh_file) prune();
}

/// Reading the whole directory every time would cost more than it gives.
void Keeper::prune() {
  const std::string stamp = options_.directory + "/.pruned";
  struct stat st;
  const bool small = options_.limit < (uint64_t{64} << 20);
  if (!small && ::lstat(stamp.c_str(), &st) == 0 && std::abs(::time(nullptr) - st.st_mtime) < 10) return;
  jit::persist::prune_directory(options_.directory, options_.limit);
  jit::persist::touch(stamp);
}

// --- fork

void Keeper::before_fork() {
  save_mutex_.lock();
  images_mutex_.lock();
}

void Keeper::after_fork_in_parent() {
  images_mutex_.unlock();
  save_mutex_.unlock();
}

void Keeper::after_fork_in_child(bool prepared) {
  if (!prepared) {
    new (&save_mutex_) std::mutex;
    new (&images_mutex_) std::mutex;
    off_ = true;
    return;
  }
  // What came before the fork is the parent's to write.
  epoch_.fetch_add(1, std::memory_order_relaxed);
  noted_ = 0;
  last_save_ = std::chrono::steady_clock::now();
  for (Image* const image : images_) image->look_again = true;
  images_mutex_.unlock();
  save_mutex_.unlock();
}

void Keeper::report(Report& report) const {
  const auto get = [](const std::atomic<uint64_t>& v) { return v.load(std::memory_order_relaxed); };
  report.section("translations on disk");
  report.text("directory", options_.directory);
  report.count("blocks found", get(counters_.hits));
  report.count("not there", get(counters_.misses));
  report.count("rejected", get(counters_.rejected), "other guest code, or a damaged file");
  report.count("blocks written", get(counters_.saved));
  report.count("files that could not be written", get(counters_.failed));
}

}  // namespace lyrebird::accel
