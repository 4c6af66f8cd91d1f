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

#include "accel/soft/keep_files.h"
#include "base/fault_guard.h"
#include "base/report.h"
#include "jit/persist/directory.h"
#include "jit/persist/hash.h"
#include "jit/persist/image.h"
#include "jit/region_compiler.h"

namespace lyrebird::accel {

using jit::persist::hash_bytes;
using jit::persist::Item;

struct Keeper::Image {
  Image(const std::string& s, uint64_t k, const std::string& n, const frontend::CodeOrigin& origin)
      : stem(s),
        file(stem + jit::persist::kSuffix, k, n),
        path(stem + jit::persist::kImageSuffix),
        key(k),
        name(n),
        identity(origin.identity),
        start(origin.start),
        end(origin.end),
        guarded(origin.guarded) {}
  const std::string stem;                       ///< of the files' names
  jit::persist::File file;                      ///< what came after the image
  std::unique_ptr<jit::persist::File> regions;  ///< (images_mutex_) made when first wanted
  std::atomic<bool> stale_regions{false};       ///< one there was made from other code
  const std::string path;
  const uint64_t key;
  const std::string name;
  const uint64_t identity, start, end;  ///< of the mapping
  const bool guarded;
  uint32_t number = 0;
  std::atomic<bool> look_again{false};  ///< others may have written since

  enum class State : uint8_t {
    Untried,
    None,      ///< there is no image
    Ready,     ///< `image` is there to be used
    Rejected,  ///< the guest's code is or was another: nothing of it is kept
  };
  std::atomic<State> state{State::Untried};
  // What `state` is about stays, whatever it becomes.
  std::unique_ptr<jit::persist::Image> image;
  bool in_place = false;
  std::vector<std::atomic<bool>> loaded;  ///< (in_place) of each page: load_page() was there

  uint32_t pages() const { return static_cast<uint32_t>((end - start) >> jit::persist::kImagePageBits); }
};

struct Keeper::RegionNote {
  Image* image = nullptr;
  Item item;
  std::vector<uint8_t> code;  ///< of the item
};

namespace {

/// So many regions of one file are enough.
constexpr uint64_t kMostRegions = 4096;

/// Fewer new blocks than that, and few beside those that are kept, are not worth a write.
constexpr size_t kFew = 16;
constexpr size_t kFewOf = 32;
/// So many new ones, and so many beside those of the image, are worth a new image.
constexpr size_t kMany = 64;
constexpr size_t kManyOf = 8;

bool covers(const frontend::CodeOrigin& origin, uint64_t pc, uint64_t size) {
  return pc >= origin.start && pc < origin.end && size <= origin.end - pc;
}

uint64_t guest_hash(const frontend::CodeOrigin& origin, uint64_t pc, uint64_t size) {
  return hash_bytes(origin.host + (pc - origin.start), size, origin.guarded ? 2 : 1) | 1;
}

uint64_t page_hash(const frontend::CodeOrigin& origin, uint64_t page) {
  constexpr uint64_t kSize = uint64_t{1} << jit::persist::kImagePageBits;
  return hash_bytes(origin.host + page * kSize, kSize, origin.guarded ? 2 : 1) | 1;
}

/// Whether the guest's code is what the image was made from.
bool matches(const jit::persist::Image& image, const frontend::CodeOrigin& origin) {
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return false;
  guard.arm();
  const auto pages = image.pages();
  for (size_t page = 0; page < pages.size(); ++page)
    if (pages[page].hash && pages[page].hash != page_hash(origin, page)) return false;
  return true;
}

std::unique_ptr<jit::persist::Image> open_image(const std::string& path, uint64_t key, uint32_t pages) {
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return nullptr;
  guard.arm();
  return jit::persist::Image::open(path, key, pages);
}

/// Hashes the pages that the blocks lie in; those that were made from something else go. False if
/// the guest's code can't be read.
bool hash_pages(std::vector<jit::KeptBlock>& blocks, const frontend::CodeOrigin& origin,
                std::vector<jit::persist::ImagePage>& pages) {
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return false;
  guard.arm();
  std::erase_if(blocks, [&](const jit::KeptBlock& kept) {
    return kept.block && guest_hash(origin, kept.key.pc, kept.guest_size) != kept.block->keep.guest_hash;
  });
  for (const jit::KeptBlock& kept : blocks) {
    const uint64_t first = (kept.key.pc - origin.start) >> jit::persist::kImagePageBits;
    const uint64_t last = (kept.key.pc + kept.guest_size - 1 - origin.start) >> jit::persist::kImagePageBits;
    for (uint64_t page = first; page <= last; ++page)
      if (pages[page].hash == 0) pages[page].hash = page_hash(origin, page);
  }
  return true;
}

/// Without those whose guest code is another now.
void drop_changed(std::vector<Item>& items, const frontend::CodeOrigin& origin) {
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) {
    items.clear();
    return;
  }
  guard.arm();
  std::erase_if(items, [&](const Item& item) {
    return item.kind != jit::persist::Kind::Baseline || !covers(origin, item.key.pc, item.guest_size) ||
           guest_hash(origin, item.key.pc, item.guest_size) != item.guest_hash;
  });
}

}  // namespace

std::string plain_file_name(const std::string& path) {
  std::string name;
  for (const char c : path.substr(path.rfind('/') + 1)) {
    if (name.size() == 48) break;
    const auto u = static_cast<unsigned char>(c);
    name += std::isalnum(u) || c == '.' || c == '+' || c == '-' || c == '_' ? c : '_';
  }
  if (!name.empty() && name[0] == '.') name[0] = '_';
  return name.empty() ? "program" : name;
}

void prune_now_and_then(const KeepOptions& options) {
  const std::string stamp = options.directory + "/.pruned";
  struct stat st;
  const bool small = options.limit < (uint64_t{64} << 20);
  if (!small && ::lstat(stamp.c_str(), &st) == 0 && std::abs(::time(nullptr) - st.st_mtime) < 10) return;
  jit::persist::prune_directory(options.directory, options.limit);
  jit::persist::touch(stamp);
}

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
  const std::array<uint64_t, 4> id{origin.identity, origin.file_start, origin.start, origin.end};
  std::unique_ptr<Image>& image = by_origin_[id];
  if (!image) {
    const uint64_t key = hash_bytes(id.data(), sizeof id, key_);
    const std::string name = plain_file_name(origin.name ? *origin.name : "");
    image = std::make_unique<Image>(fmt::format("{}/{}-{:016x}", options_.directory, name, key), key, name,
                                    origin);
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

/// Looks for the image of what `place` lies in.
void Keeper::try_image(Image& image, const Place& place) {
  const uint64_t changes = changes_.load();
  // What is at `place` may be another mapping by now: then next time.
  if (code_.origin_generation() != place.generation) return;
  const std::lock_guard lock(images_mutex_);
  if (image.state.load() != Image::State::Untried) return;
  image.image = open_image(image.path, image.key, image.pages());
  Image::State state = Image::State::None;
  if (image.image) {
    state = matches(*image.image, place.origin) ? Image::State::Ready : Image::State::Rejected;
    any_image_ = true;
    image.state = state;
    // Who changes the guest's code from here on finds the image; who did before shows here.
    if (changes_.load() != changes) state = Image::State::Rejected;
    if (state == Image::State::Ready) image.in_place = engine_.attach(*image.image, image.start);
    if (image.in_place) image.loaded = std::vector<std::atomic<bool>>(image.pages());
    image.image->close_file();
    counters_.images.fetch_add(state == Image::State::Ready, std::memory_order_relaxed);
    if (state == Image::State::Ready) counters_.in_images.fetch_add(image.image->blocks().size());
  }
  image.state = state;
}

std::vector<std::pair<uint64_t, uint64_t>> Keeper::changed(uint64_t start, uint64_t size) {
  changes_.fetch_add(1);
  if (!any_image_.load() || size == 0) return {};
  std::vector<std::pair<uint64_t, uint64_t>> gone;
  const std::lock_guard lock(images_mutex_);
  for (Image* const image : images_) {
    if (image->end <= start || start + size - 1 < image->start) continue;
    if (image->state.load() != Image::State::Ready) continue;
    image->state = Image::State::Rejected;
    engine_.detach(*image->image);
    gone.emplace_back(image->start, image->end - image->start);
  }
  return gone;
}

/// What the page's blocks are entered at from elsewhere than by the jumps inside the image; once.
void Keeper::load_page(Image& image, uint64_t page, uint32_t but, Blocks& more) {
  if (image.loaded[page].exchange(true, std::memory_order_relaxed)) return;
  const auto blocks = image.image->blocks();
  const auto pages = image.image->pages();
  const uint32_t end = page + 1 < pages.size() ? pages[page + 1].first : static_cast<uint32_t>(blocks.size());
  for (uint32_t number = pages[page].first; number < end; ++number) {
    if (!blocks[number].entry || number == but) continue;
    if (auto block = engine_.load(*image.image, number, image.start)) more.push_back(std::move(block));
  }
  counters_.hits.fetch_add(more.size(), std::memory_order_relaxed);
}

std::unique_ptr<jit::CompiledBlock> Keeper::load(ir::BlockKey key, Place& place, Blocks& more) {
  if (off_.load(std::memory_order_relaxed) || !locate(key.pc, place)) return nullptr;
  Image& image = *place.image;
  if (image.state.load(std::memory_order_acquire) == Image::State::Untried) try_image(image, place);
  if (image.state.load(std::memory_order_acquire) == Image::State::Ready) {
    const int64_t number = image.image->find(key.pc - image.start, key.mode);
    if (number >= 0) {
      auto block = engine_.load(*image.image, static_cast<uint32_t>(number), image.start);
      (block ? counters_.hits : counters_.rejected).fetch_add(1, std::memory_order_relaxed);
      if (block && image.in_place)
        load_page(image, (key.pc - image.start) >> jit::persist::kImagePageBits,
                  static_cast<uint32_t>(number), more);
      return block;
    }
  }
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

// --- regions

namespace {

struct RangeBytes {
  const uint8_t* host;
  uint64_t size, hash;
  bool guarded;
};

/// Hashes, or compares. False if they differ, or can't be read.
bool check_bytes(std::span<RangeBytes> ranges, bool fill) {
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return false;
  guard.arm();
  for (RangeBytes& range : ranges) {
    const uint64_t hash = hash_bytes(range.host, range.size, range.guarded ? 2 : 1) | 1;
    if (fill) range.hash = hash;
    if (hash != range.hash) return false;
  }
  return true;
}

/// The file's translation for the key, copied. False: there is none.
bool read_region(const jit::persist::File& file, ir::BlockKey key, Item& item, std::vector<uint8_t>& code) {
  FaultGuard guard;
  if (sigsetjmp(guard.env, 0) != 0) return false;
  guard.arm();
  auto found = file.find(key);
  if (!found || found->kind != jit::persist::Kind::Region) return false;
  code.assign(found->code.begin(), found->code.end());
  item = std::move(*found);
  item.code = code;
  return true;
}

}  // namespace

/// nullptr: there is no compiler that regions could be of.
jit::persist::File* Keeper::region_file(Image& image) {
  const std::lock_guard lock(images_mutex_);
  if (!compiler_id_) compiler_id_ = jit::region_compiler_id();
  if (*compiler_id_ == 0) return nullptr;
  if (!image.regions)
    image.regions =
        std::make_unique<jit::persist::File>(image.stem + ".regions" + jit::persist::kSuffix,
                                             jit::persist::mix(image.key, *compiler_id_), image.name);
  return image.regions.get();
}

/// Whether all of the ranges are code that may be kept, and is what it was; `fill`: makes the hashes instead.
bool Keeper::check_ranges(std::vector<jit::persist::CheckedRange>& ranges, bool fill) {
  std::vector<RangeBytes> bytes;
  for (const jit::persist::CheckedRange& range : ranges) {
    frontend::CodeOrigin origin;
    if (!code_.origin(range.pc, origin) || !covers(origin, range.pc, range.size)) return false;
    bytes.push_back({origin.host + (range.pc - origin.start), range.size, range.hash, origin.guarded});
  }
  if (!check_bytes(bytes, fill)) return false;
  for (size_t i = 0; i < ranges.size(); ++i) ranges[i].hash = bytes[i].hash;
  return true;
}

Keeper::KeptRegion Keeper::load_region(ir::BlockKey key, const jit::BlockMap& map) {
  KeptRegion kept;
  Place place;
  if (!options_.regions || off_.load(std::memory_order_relaxed) || !locate(key.pc, place)) return kept;
  Item item;
  std::vector<uint8_t> code;
  const jit::persist::File* const file = region_file(*place.image);
  if (!file || !read_region(*file, key, item, code)) return kept;
  std::vector<jit::persist::CheckedRange> ranges = item.more;
  ranges.insert(ranges.begin(), {key.pc, item.guest_size, item.guest_hash});
  // Before the guest's bytes are read, as everywhere.
  for (const auto& range : ranges) kept.seen.push_back({range.pc, map.stamps(range.pc)});
  if (check_ranges(ranges, false)) {
    kept.refused = code.empty();
    if (!kept.refused) kept.block = engine_.load(key, item.guest_size, item.guest_count, code);
  } else {
    place.image->stale_regions = true;
  }
  if (kept.refused) return kept;
  (kept.block ? counters_.regions_found : counters_.regions_rejected).fetch_add(1, std::memory_order_relaxed);
  if (!kept.block || item.more.empty()) return kept;
  std::vector<jit::GuestRange> more;
  for (const auto& range : item.more) more.push_back({range.pc, static_cast<uint32_t>(range.size)});
  kept.block->more = std::make_unique<const std::vector<jit::GuestRange>>(std::move(more));
  return kept;
}

/// A region's key, and what it is made from; nullptr: it can't be kept.
std::shared_ptr<Keeper::RegionNote> Keeper::describe(ir::BlockKey key,
                                                     std::vector<jit::persist::CheckedRange> ranges) {
  Place place;
  if (!options_.regions || off_.load(std::memory_order_relaxed) || ranges.front().size == 0 ||
      !locate(key.pc, place) || !region_file(*place.image) || !check_ranges(ranges, true))
    return nullptr;
  auto note = std::make_shared<RegionNote>();
  note->image = place.image;
  note->item = {.key = key,
                .kind = jit::persist::Kind::Region,
                .guest_size = static_cast<uint32_t>(ranges.front().size),
                .guest_hash = ranges.front().hash,
                .more = {ranges.begin() + 1, ranges.end()},
                .code = {}};
  return note;
}

std::shared_ptr<Keeper::RegionNote> Keeper::describe_region(const jit::CompiledBlock& region) {
  std::vector<jit::persist::CheckedRange> ranges{{region.key.pc, region.guest_size, 0}};
  if (region.more)
    for (const jit::GuestRange& range : *region.more) ranges.push_back({range.pc, range.size, 0});
  auto note = describe(region.key, std::move(ranges));
  if (!note || !engine_.save(region, note->code)) return nullptr;
  note->item.guest_count = region.guest_count;
  note->item.code = note->code;
  return note;
}

std::shared_ptr<Keeper::RegionNote> Keeper::describe_refusal(ir::BlockKey key, uint32_t guest_size) {
  return describe(key, {{key.pc, guest_size, 0}});
}

void Keeper::note_region(std::shared_ptr<RegionNote> note) {
  const std::lock_guard lock(images_mutex_);
  region_notes_.push_back(std::move(note));
}

void Keeper::save_regions() {
  const std::unique_lock only(save_mutex_, std::try_to_lock);
  if (!only) return;
  std::vector<std::shared_ptr<RegionNote>> notes;
  {
    const std::lock_guard lock(images_mutex_);
    notes.swap(region_notes_);
  }
  if (notes.empty()) return;
  std::map<Image*, std::vector<Item>> items;
  for (const auto& note : notes) items[note->image].push_back(note->item);
  for (auto& [image, regions] : items) {
    jit::persist::File& file = *region_file(*image);
    // What nobody can use any more would be in the way for ever.
    if (image->stale_regions.exchange(false) || file.items() > kMostRegions) {
      ::unlink(file.path().c_str());
      file.refresh();
    }
    const int64_t done = file.append(regions);
    if (done < 0)
      counters_.failed.fetch_add(1);
    else
      counters_.regions_saved.fetch_add(static_cast<uint64_t>(done));
  }
  prune();
}

// --- saving

void Keeper::note(jit::CompiledBlock& block, Place& place) {
  if (off_.load(std::memory_order_relaxed) || block.guest_size == 0 || block.more) return;
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
  if (off_.load(std::memory_order_relaxed)) return;
  save_regions();
  if (noted == 0) return;
  // To look through all blocks for a few costs more than these do.
  if (noted < kFew && noted * kFewOf < counters_.hits.load(std::memory_order_relaxed)) return;
  // Before any lock is taken, as the guest's address space has one of its own.
  std::vector<Image*> images;
  {
    const std::lock_guard lock(images_mutex_);
    images = images_;
  }
  std::vector<frontend::CodeOrigin> origins(images.size());
  for (size_t i = 0; i < images.size(); ++i)
    if (!mapped_as_before(*images[i], origins[i])) origins[i] = {};
  const std::unique_lock only(save_mutex_, std::try_to_lock);
  if (!only) return;
  last_save_ = std::chrono::steady_clock::now();
  const uint32_t epoch = epoch_.load(std::memory_order_relaxed);
  std::vector<Fresh> fresh(images.size());
  int64_t saved = 0;
  const auto note_block = [&](const jit::CompiledBlock& block) {
    if (block.keep.epoch != epoch || block.keep.image >= fresh.size()) return;
    fresh[block.keep.image].push_back(&block);
  };
  const auto write = [&] {
    noted_.store(0, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_relaxed);
    for (size_t i = 0; i < images.size(); ++i) {
      Image& image = *images[i];
      const Image::State state = image.state.load();
      if (fresh[i].empty() || state == Image::State::Rejected) continue;
      const uint64_t in_image = state == Image::State::Ready ? image.image->blocks().size() : 0;
      const uint64_t there = image.file.items() + fresh[i].size();
      int64_t done;
      if (options_.images && origins[i].host && there >= kMany && there * kManyOf >= in_image) {
        done = freeze(image, origins[i], fresh[i]);
      } else {
        if (in_image && fresh[i].size() < kFew && fresh[i].size() * kFewOf < in_image) continue;
        done = append(image, fresh[i]);
      }
      (done < 0 ? counters_.failed : counters_.saved).fetch_add(done < 0 ? 1 : static_cast<uint64_t>(done));
      if (done > 0) saved += done;
    }
  };
  map.for_each_by_page(note_block, write);
  if (saved > 0) prune();
}

bool Keeper::mapped_as_before(const Image& image, frontend::CodeOrigin& origin) const {
  return code_.origin(image.start, origin) && origin.identity == image.identity &&
         origin.start == image.start && origin.end == image.end && origin.guarded == image.guarded;
}

/// Block by block to the file beside the image.
int64_t Keeper::append(Image& image, const Fresh& fresh) {
  std::vector<Item> items;
  std::vector<uint8_t> bytes;
  std::vector<size_t> ends;
  for (const jit::CompiledBlock* const block : fresh) {
    if (!engine_.save(*block, bytes)) continue;
    items.push_back({.key = block->key,
                     .guest_size = block->guest_size,
                     .guest_count = block->guest_count,
                     .guest_hash = block->keep.guest_hash,
                     .more = {}});
    ends.push_back(bytes.size());
  }
  // Only now do the bytes stay where they are.
  for (size_t i = 0, at = 0; i < items.size(); at = ends[i++])
    items[i].code = {bytes.data() + at, ends[i] - at};
  return image.file.append(items);
}

/// A new image of the old one, what came after it, and `fresh`. The number of blocks added.
int64_t Keeper::freeze(Image& image, const frontend::CodeOrigin& origin, const Fresh& fresh) {
  const jit::persist::FileLock lock(image.file.path());
  if (!lock) return 0;  // somebody else is at it
  const auto old = open_image(image.path, image.key, image.pages());
  if (old && !matches(*old, origin)) return 0;
  image.file.refresh();
  std::vector<uint8_t> bytes;
  std::vector<Item> items = image.file.all(bytes);
  drop_changed(items, origin);
  std::vector<jit::KeptBlock> blocks;
  blocks.reserve(fresh.size() + items.size() + (old ? old->blocks().size() : 0));
  for (const jit::CompiledBlock* const block : fresh)
    blocks.push_back({.key = block->key,
                      .guest_size = block->guest_size,
                      .guest_count = block->guest_count,
                      .block = block});
  for (const Item& item : items)
    blocks.push_back({.key = item.key,
                      .guest_size = item.guest_size,
                      .guest_count = item.guest_count,
                      .saved = &item.code});
  if (old) {
    const auto all = old->blocks();
    for (uint32_t number = 0; number < all.size(); ++number)
      blocks.push_back({.key = {image.start + all[number].pc, old->mode(all[number])},
                        .guest_size = all[number].guest_size,
                        .guest_count = all[number].guest_count,
                        .image = old.get(),
                        .number = number});
  }
  std::vector<jit::persist::ImagePage> pages(image.pages());
  if (!hash_pages(blocks, origin, pages)) return 0;
  jit::persist::ImageWriter writer(
      {.path = image.path, .key = image.key, .of = image.name, .pages = image.pages()});
  if (!engine_.freeze(blocks, image.start, writer, pages)) return -1;
  ::unlink(image.file.path().c_str());
  image.file.refresh();
  return static_cast<int64_t>(fresh.size());
}

void Keeper::prune() { prune_now_and_then(options_); }

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
  region_notes_.clear();
  for (Image* const image : images_) image->look_again = true;
  images_mutex_.unlock();
  save_mutex_.unlock();
}

void Keeper::report(Report& report) const {
  const auto get = [](const std::atomic<uint64_t>& v) { return v.load(std::memory_order_relaxed); };
  report.section("translations on disk");
  report.text("directory", options_.directory);
  report.count("images", get(counters_.images));
  report.count("  blocks in these", get(counters_.in_images));
  report.count("blocks found", get(counters_.hits));
  report.count("not there", get(counters_.misses));
  report.count("rejected", get(counters_.rejected), "other guest code, or a damaged file");
  report.count("blocks written", get(counters_.saved));
  if (options_.regions) {
    report.count("regions found", get(counters_.regions_found));
    report.count("regions rejected", get(counters_.regions_rejected), "other guest code, or a damaged file");
    report.count("regions written", get(counters_.regions_saved));
  }
  report.count("files that could not be written", get(counters_.failed));
}

}  // namespace lyrebird::accel
