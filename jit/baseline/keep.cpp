// SPDX-License-Identifier: Apache-2.0
// Blocks that outlive the process: one by one (save(), load()), and as images that are run in place.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "base/host_shifts.h"
#include "jit/baseline/baseline.h"
#include "jit/baseline/moves.h"
#include "jit/persist/build.h"
#include "jit/persist/hash.h"
#include "jit/persist/image.h"
#include "jit/region_compiler.h"
#include "jit/thread_context.h"

namespace lyrebird::jit {

using baseline::BaselineBlock;
using baseline::BlockInfo;
using baseline::kDistance;
using baseline::kMoveIndex;

namespace {

template <typename T>
T load_from(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void store_to(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

size_t padded(size_t size) { return (size + 7) & ~size_t{7}; }

/// A pointer into this program as a distance. False: it is none.
bool make_distance(uint8_t* word) {
  auto value = load_from<uint64_t>(word);
  if (value & kDistance) return true;
  value -= persist::image_base();
  if (value >= persist::image_size()) return false;
  store_to(word, value | kDistance);
  return true;
}

void make_pointer(uint8_t* word) {
  const auto value = load_from<uint64_t>(word);
  if (value & kDistance) store_to(word, (value & ~kDistance) + persist::image_base());
}

/// Guest addresses as distances from the pc.
void unplace(uint8_t* code, BlockInfo info, uint64_t pc) {
  for (unsigned i = 0; i < info.moves(); ++i) {
    uint8_t* const at = code + (info.move(i) & ~kMoveIndex);
    store_to(at, load_from<uint64_t>(at) - pc);
  }
}

/// And back, for another pc.
void place(uint8_t* code, BlockInfo info, uint64_t pc) {
  for (unsigned i = 0; i < info.moves(); ++i) {
    const uint32_t move = info.move(i);
    uint8_t* const at = code + (move & ~kMoveIndex);
    const uint64_t address = load_from<uint64_t>(at) + pc;
    store_to(at, address);
    if (!(move & kMoveIndex)) continue;
    const baseline::JumpPlaces places = baseline::jump_places(address);
    store_to(at - baseline::kMoveModeAt, places.mode);
    store_to(at - baseline::kMoveEntryAt, places.entry);
  }
}

/// Lets each jump to another block go to its stub. `at`: where the code will run, of which a region's jumps
/// have to know.
void unlink_code(uint8_t* code, BlockInfo info, ir::BlockKey key, const uint8_t* at) {
  for (unsigned i = 0; i < info.exits(); ++i) {
    const ExitPlan exit = info.exit(i, key);
    if (exit.patch == 0) continue;
    if (info.region())
      store_to(code + exit.patch, reinterpret_cast<uint64_t>(at) + exit.stub);
    else
      store_to(code + exit.patch, static_cast<int32_t>(exit.stub - (exit.patch + 4)));
  }
}

}  // namespace

uint64_t Baseline::keep_key() const {
  const auto id = persist::build_id();
  if (!usable_ || id.empty()) return 0;
  static_assert(std::has_unique_object_representations_v<baseline::HostFeatures>);
  uint64_t key = persist::hash_bytes(&host_, sizeof host_,
                                     1 + options_.zero_base + 2 * layout_.sse_floats + 4 * options_.system +
                                         16 * layout_.other_carry + 8 * host_shifts_tell_first_step() +
                                         32 * fp_traps_ + 64 * (mode_tag_ != nullptr));
  for (const auto* const pins : {&pins_.pins, &pins_.vectors})
    for (const baseline::Pin& pin : *pins) key = persist::mix(key ^ pin.offset, pin.reg + 0x9e3779b97f4a7c15);
  if (every_block_) {
    const uint64_t compiler = region_compiler_id();
    if (compiler == 0) return 0;
    key = persist::mix(key, compiler);
  }
  return persist::hash_bytes(id.data(), id.size(), key) | 1;
}

// --- one by one: the info, padded to 8 bytes, then the code

bool Baseline::save(const CompiledBlock& compiled, std::vector<uint8_t>& out) const {
  const auto& block = static_cast<const BaselineBlock&>(compiled);
  if (!can_keep(block)) return false;
  const size_t start = out.size(), info_size = padded(block.info.size());
  const uint32_t size = block.info.code_size();
  out.resize(start + info_size + size);
  std::memcpy(out.data() + start, block.info.bytes(), block.info.size());
  uint8_t* const code = out.data() + start + info_size;
  std::memcpy(code, block.code, size);
  std::memset(code, 0, kCodeHeader);
  unlink_code(code, block.info, block.key, nullptr);
  unplace(code, block.info, block.key.pc);
  for (unsigned i = 0; i < block.info.pointers(); ++i) {
    if (make_distance(code + block.info.pointer(i))) continue;
    out.resize(start);
    return false;
  }
  return true;
}

bool Baseline::can_keep(const BaselineBlock& block) const {
  return block.code && (!options_.system || block.info.movable()) &&
         !strip_tags_.load(std::memory_order_relaxed);
}

Baseline::BlockPtr Baseline::copy_in(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count,
                                     BlockInfo info, const uint8_t* from) {
  if (strip_tags_.load(std::memory_order_relaxed)) return nullptr;
  const uint32_t size = info.code_size();
  const uint8_t* const code = cache_.allocate(size);
  if (!code) return nullptr;
  BlockPtr block = make_block(key, guest_size, guest_count, info.bytes(), info.size());
  block->code = code;
  static thread_local std::vector<uint8_t> bytes;
  bytes.assign(from, from + size);
  store_to<const BaselineBlock*>(bytes.data(), block.get());
  unlink_code(bytes.data(), info, key, code);
  place(bytes.data(), info, key.pc);
  for (unsigned i = 0; i < info.pointers(); ++i) make_pointer(bytes.data() + info.pointer(i));
  cache_.write(code, bytes.data(), size);
  complete(*block);
  if (observer_)
    observer_->made({.key = key,
                     .guest_size = guest_size,
                     .tier = "kept",
                     .code = code,
                     .size = size,
                     .start = info.region() ? info.after_check() : kCodeHeader,
                     .hot_size = size - (info.region() ? info.after_check() : kCodeHeader),
                     .marks = {}});
  (info.region() ? counters_.regions_loaded : counters_.loaded).fetch_add(1, std::memory_order_relaxed);
  return block;
}

std::unique_ptr<CompiledBlock> Baseline::load(ir::BlockKey key, uint32_t guest_size, uint32_t guest_count,
                                              std::span<const uint8_t> kept) {
  const auto info = BlockInfo::check(kept);
  if (!info) return nullptr;
  const size_t info_size = padded(info->size());
  if (info_size > kept.size() || info->code_size() > kept.size() - info_size) return nullptr;
  return copy_in(key, guest_size, guest_count, *info, kept.data() + info_size);
}

// --- images

Baseline::Place Baseline::place_in(const Attached& attached, uint32_t number) {
  const persist::Image& image = *attached.image;
  const persist::ImageBlock& block = image.blocks()[number];
  return {.block = nullptr,
          .image = &attached,
          .code = attached.code + block.code,
          .info = BlockInfo(image.info(block)),
          .key = {attached.base + block.pc, image.mode(block)}};
}

Baseline::Place Baseline::place_of(uint64_t owner) const {
  if (owner & 1) {
    const Attached* const attached = attached_of(static_cast<uint32_t>(owner >> 32));
    return place_in(*attached, static_cast<uint32_t>(owner) >> 1);
  }
  auto* const block = reinterpret_cast<BaselineBlock*>(owner);
  (void)block->complete.load(std::memory_order_acquire);
  return {.block = block, .image = nullptr, .code = block->code, .info = block->info, .key = block->key};
}

/// Where the image with that id is, or is to be; nullptr if there is no room.
std::atomic<Baseline::Attached*>* Baseline::image_slot(uint32_t id) {
  for (size_t i = 0; i < images_.size(); ++i) {
    auto& slot = images_[(id + i) % images_.size()];
    const Attached* const attached = slot.load(std::memory_order_acquire);
    if (!attached || attached->image->id() == id) return &slot;
  }
  return nullptr;
}

Baseline::Attached* Baseline::attached_of(uint32_t id) const {
  const auto* const slot = const_cast<Baseline*>(this)->image_slot(id);
  return slot ? slot->load(std::memory_order_acquire) : nullptr;
}

Baseline::Attached* Baseline::attached_at(uint64_t address) const {
  if (!cache_.in_images(address)) return nullptr;
  for (const auto& slot : images_) {
    Attached* const attached = slot.load(std::memory_order_acquire);
    if (attached && address - reinterpret_cast<uint64_t>(attached->code) < attached->image->code_size())
      return attached;
  }
  return nullptr;
}

bool Baseline::attach(persist::Image& image, uint64_t base) {
  if (observer_ || every_block_ || strip_tags_.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(link_mutex_);
  auto* const slot = image_slot(image.id());
  if (!slot || slot->load(std::memory_order_relaxed)) return false;
  const uint8_t* const code = cache_.map_image(image.file(), image.code_offset(), image.code_size());
  if (!code) return false;
  auto* const attached = new Attached{&image, code, base, {}};
  slot->store(attached, std::memory_order_release);
  return true;
}

std::unique_ptr<CompiledBlock> Baseline::load(const persist::Image& image, uint32_t number, uint64_t base) {
  const persist::ImageBlock& from = image.blocks()[number];
  const ir::BlockKey key{base + from.pc, image.mode(from)};
  const Attached* const attached = attached_of(image.id());
  const BlockInfo info(image.info(from));  // not looked into: it is in memory that was not asked for
  if (!attached || attached->image != &image)
    return copy_in(key, from.guest_size, from.guest_count, info, image.code() + from.code);
  if (attached->detached.load(std::memory_order_relaxed) || strip_tags_.load(std::memory_order_relaxed))
    return nullptr;
  BlockPtr block = make_block(key, from.guest_size, from.guest_count, nullptr, 0);
  block->info = info;
  block->code = attached->code + from.code;
  block->entry = block->code + from.start;
  block->host_size = sizeof(BaselineBlock);
  block->complete.store(true, std::memory_order_release);
  counters_.loaded.fetch_add(1, std::memory_order_relaxed);
  return block;
}

void Baseline::detach(const persist::Image& image) {
  const std::lock_guard lock(link_mutex_);
  Attached* const attached = attached_of(image.id());
  if (!attached || attached->image != &image || attached->detached.exchange(true)) return;
  for (uint32_t number = 0; number < image.blocks().size(); ++number) {
    const Place place = place_in(*attached, number);
    for (unsigned i = 0; i < place.info.exits(); ++i) {
      const ExitPlan exit = place.info.exit(i, place.key);
      if (exit.patch) patch(cache_.offset_of(place.code + exit.patch), false, place.code + exit.stub, false);
    }
  }
}

/// Only near it, where its back edges are, as there may be a great many: the others go on to the block,
/// which does the same.
void Baseline::replaced(ir::BlockKey key) {
  constexpr uint64_t kPages = 64;
  const std::lock_guard lock(link_mutex_);
  for (const auto& slot : images_) {
    const Attached* const attached = slot.load(std::memory_order_relaxed);
    if (!attached || attached->detached.load(std::memory_order_relaxed)) continue;
    const auto pages = attached->image->pages();
    const auto count = static_cast<uint32_t>(attached->image->blocks().size());
    const uint64_t page = (key.pc - attached->base) >> persist::kImagePageBits;
    if (page >= pages.size()) continue;
    const uint64_t end = std::min<uint64_t>(page + kPages, pages.size());
    const uint32_t last = end < pages.size() ? pages[end].first : count;
    for (uint32_t number = pages[page - std::min(page, kPages)].first; number < last; ++number) {
      const Place from = place_in(*attached, number);
      for (unsigned i = 0; i < from.info.exits(); ++i) {
        const ExitPlan exit = from.info.exit(i, from.key);
        if (exit.patch && exit.mode_known && exit.pc == key.pc && exit.mode == key.mode)
          patch(cache_.offset_of(from.code + exit.patch), false, from.code + exit.stub, false);
      }
    }
  }
}

// --- freezing

namespace {

struct Source {
  const uint8_t* code;
  BlockInfo info;
  uint32_t at;  ///< in the image
};

/// nullopt: it can't be kept.
std::optional<Source> source_of(const KeptBlock& kept) {
  if (kept.block) {
    const auto& block = static_cast<const BaselineBlock&>(*kept.block);
    if (!block.code || block.info.region()) return std::nullopt;
    return Source{block.code, block.info, 0};
  }
  if (kept.image) {
    const persist::ImageBlock& block = kept.image->blocks()[kept.number];
    return Source{kept.image->code() + block.code, BlockInfo(kept.image->info(block)), 0};
  }
  const auto info = BlockInfo::check(*kept.saved);
  if (!info || info->region() || padded(info->size()) + info->code_size() > kept.saved->size())
    return std::nullopt;
  return Source{kept.saved->data() + padded(info->size()), *info, 0};
}

/// Records and constants, which need more than instructions, leave a size that is a multiple of 16.
/// What is patched never crosses 8 bytes.
uint32_t kept_alignment(uint32_t size) { return size % 16 == 0 ? baseline::CodeCache::kAlignment : 8; }

/// Asks for memory that is wanted soon: what lies in order of the guest's code was made in another.
void want(const void* start, size_t size) {
  for (size_t at = 0; at < size; at += 64) __builtin_prefetch(static_cast<const uint8_t*>(start) + at);
}
constexpr size_t kSoon = 8;         // blocks from now
constexpr size_t kUsualInfo = 128;  // bytes of a block's info, and
constexpr size_t kUsualCode = 256;  // of its code, that most have no more of

/// The blocks' numbers, by pc, then mode.
std::vector<uint32_t> in_order(std::span<const KeptBlock> blocks, uint64_t base) {
  struct Place {
    uint64_t pc;
    uint32_t mode, number;
    bool operator<(const Place& other) const { return pc != other.pc ? pc < other.pc : mode < other.mode; }
  };
  std::vector<Place> places;
  places.reserve(blocks.size());
  for (uint32_t i = 0; i < blocks.size(); ++i)
    places.push_back({blocks[i].key.pc - base, blocks[i].key.mode, i});
  std::sort(places.begin(), places.end());
  std::vector<uint32_t> numbers;
  numbers.reserve(blocks.size());
  for (const Place& place : places) numbers.push_back(place.number);
  return numbers;
}

/// Blocks by pc and mode, for the links: most lead to code nearby, which is found in memory that was
/// looked at just before.
class Index {
 public:
  /// Of blocks in order of pc.
  explicit Index(const std::vector<persist::ImageBlock>& blocks) : blocks_(blocks) {
    const uint32_t last = blocks.back().pc;
    while (last >> shift_ > blocks.size()) ++shift_;
    first_.resize((last >> shift_) + 2, static_cast<uint32_t>(blocks.size()));
    for (size_t i = blocks.size(); i-- > 0;) first_[blocks[i].pc >> shift_] = static_cast<uint32_t>(i);
    for (size_t i = first_.size() - 1; i-- > 0;) first_[i] = std::min(first_[i], first_[i + 1]);
  }
  int64_t find(uint64_t pc, unsigned mode) const {
    if (pc > blocks_.back().pc) return -1;
    const auto end = blocks_.begin() + first_[(pc >> shift_) + 1];
    auto at =
        std::lower_bound(blocks_.begin() + first_[pc >> shift_], end, pc,
                         [](const persist::ImageBlock& block, uint64_t value) { return block.pc < value; });
    for (; at != end && at->pc == pc; ++at)
      if (at->mode == mode) return at - blocks_.begin();
    return -1;
  }

 private:
  const std::vector<persist::ImageBlock>& blocks_;
  unsigned shift_ = 0;
  std::vector<uint32_t> first_;  ///< of the blocks from each multiple of 1 << shift_ on
};

}  // namespace

bool Baseline::freeze(std::span<const KeptBlock> blocks, uint64_t base, persist::ImageWriter& writer,
                      std::vector<persist::ImagePage>& pages) const {
  if (strip_tags_.load(std::memory_order_relaxed)) return false;
  std::vector<Source> sources;
  sources.reserve(blocks.size());
  std::vector<persist::ImageBlock> table;
  table.reserve(blocks.size());
  std::vector<uint8_t> infos;
  infos.reserve(blocks.size() * 64);
  uint64_t size = 0;
  const std::vector<uint32_t> order = in_order(blocks, base);
  // What can't be kept is left out, and what is there twice.
  for (size_t next = 0; next < order.size(); ++next) {
    if (next + 2 * kSoon < order.size()) want(&blocks[order[next + 2 * kSoon]], sizeof(KeptBlock));
    if (next + kSoon < order.size())
      if (const CompiledBlock* const soon = blocks[order[next + kSoon]].block)
        want(soon, sizeof(BaselineBlock) + kUsualInfo);
    const KeptBlock& kept = blocks[order[next]];
    auto source = source_of(kept);
    const int mode = writer.mode(kept.key.mode);
    const uint64_t pc = kept.key.pc - base;
    const bool twice = !table.empty() && table.back().pc == pc && table.back().mode == mode;
    if (!source || twice || mode < 0 || pc >> persist::kImagePageBits >= pages.size() ||
        kept.guest_count > 0xff || kept.guest_size > 0x1fff || source->info.after_check() > 0x7f)
      continue;
    bool ours = true;
    for (unsigned i = 0; i < source->info.pointers(); ++i) {
      auto word = load_from<uint64_t>(source->code + source->info.pointer(i));
      ours &= make_distance(reinterpret_cast<uint8_t*>(&word));
    }
    if (!ours) continue;
    const uint32_t alignment = kept_alignment(source->info.code_size());
    size = (size + alignment - 1) & ~uint64_t{alignment - 1};
    if (!sources.empty()) size += source->info.room_for_loop(size % 64, alignment, kept.key).value_or(0);
    source->at = static_cast<uint32_t>(size);
    size += (source->info.code_size() + 7) & ~7u;
    sources.push_back(*source);
    table.push_back({.pc = static_cast<uint32_t>(pc),
                     .code = source->at,
                     .info = static_cast<uint32_t>(infos.size()),
                     .guest_size = kept.guest_size & 0x1fff,
                     .guest_count = kept.guest_count & 0xff,
                     .mode = static_cast<uint32_t>(mode) & 7,
                     .entry = 1,
                     .start = source->info.after_check() & 0x7f});
    infos.insert(infos.end(), source->info.bytes(), source->info.bytes() + source->info.size());
  }
  if (table.empty() || size > uint64_t{1} << 30 ||
      !writer.begin(size + infos.size() + table.size() * sizeof table[0]))
    return false;

  const Index index(table);
  for (uint32_t number = 0; number < table.size(); ++number) {
    if (number + kSoon < table.size()) want(sources[number + kSoon].code, kUsualCode);
    const Source& source = sources[number];
    const BlockInfo info(infos.data() + table[number].info);
    const ir::BlockKey key{base + table[number].pc, writer.modes()[table[number].mode]};
    const uint32_t end = number + 1 < table.size() ? sources[number + 1].at : static_cast<uint32_t>(size);
    uint8_t* const code = writer.room(end - source.at);
    std::memcpy(code, source.code, info.code_size());
    std::memset(code + info.code_size(), 0, end - source.at - info.code_size());
    std::memset(code, 0, kCodeHeader);
    store_to(code, baseline::image_owner(writer.id(), number));
    for (unsigned i = 0; i < info.pointers(); ++i) make_distance(code + info.pointer(i));
    for (unsigned i = 0; i < info.exits(); ++i) {
      const ExitPlan exit = info.exit(i, key);
      if (exit.patch == 0) continue;
      int64_t to = int64_t{source.at} + exit.stub;
      int64_t target = -1;
      const auto modes = writer.modes();
      const auto mode = std::find(modes.begin(), modes.end(), exit.mode);
      if (exit.mode_known && mode != modes.end())
        target = index.find(exit.pc - base, static_cast<unsigned>(mode - modes.begin()));
      if (target >= 0) {
        const Source& there = sources[static_cast<size_t>(target)];
        const BlockInfo entered(infos.data() + table[static_cast<size_t>(target)].info);
        if (const uint32_t entry = entered.entry_for(exit.pc > key.pc, exit.flags))
          to = int64_t{there.at} + entry;
        table[static_cast<size_t>(target)].entry = 0;
      }
      store_to(code + exit.patch, static_cast<int32_t>(to - (int64_t{source.at} + exit.patch + 4)));
    }
  }
  uint32_t next = 0;
  for (size_t page = 0; page < pages.size(); ++page) {
    while (next < table.size() && table[next].pc >> persist::kImagePageBits < page) ++next;
    pages[page].first = next;
  }
  return writer.finish(table, pages, infos);
}

}  // namespace lyrebird::jit
