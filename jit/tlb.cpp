// SPDX-License-Identifier: Apache-2.0
#include "jit/tlb.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/bits.h"
#include "base/guest_bytes.h"
#include "jit/thread_context.h"

namespace lyrebird::jit {

using ir::Access;

namespace {

/// Bits 63:56 may be the guest's tag.
constexpr uint64_t kTagless = low_mask(56);
constexpr unsigned kJumpTagShift = 52;
/// The top bit stays clear: the same tag on both halves of the address space makes different words.
constexpr uint64_t kJumpTags = 1u << (63 - kJumpTagShift);
/// Beyond so many pages looking at each of them is dearer than looking at all entries.
constexpr uint64_t kManyPages = 64;
/// A table grows when so many times its entries lost their place.
constexpr uint32_t kEvictionsToGrow = 2;

bool same_page(uint64_t tag, uint64_t address) {
  return tag != kTlbNone && ((tag ^ address) & kTlbPageMask & kTagless) == 0;
}

/// The page of an entry's tag lies in [first, last] (both without the guest's tag).
bool in_range(uint64_t tag, uint64_t first, uint64_t last) {
  const uint64_t page = tag & kTlbPageMask & kTagless;
  return page <= last && page + (kTlbPageSize - 1) >= first;
}

}  // namespace

Tlb::Tlb(ir::CpuHeader& cpu, system::AddressSpace& memory, PageWalker& walker, WritablePages& writable)
    : cpu_(cpu), memory_(memory), walker_(walker), writable_(writable) {
  for (unsigned space = 0; space < kTlbSpaces; ++space) {
    spaces_[space].tables.push_back(std::make_unique<Table>(space));
    use(space, *spaces_[space].tables.front());
  }
  cpu.tlb = this;
}

Tlb::~Tlb() {
  cpu_.tlb = nullptr;
  for (ir::TlbTable& table : cpu_.tlb_tables) table = {};
}

void Tlb::use(unsigned space, Table& table) {
  spaces_[space].current = &table;
  table.used = ++clock_;
  show(table);
}

/// To generated code, if it is the current one.
void Tlb::show(const Table& table) {
  Space& space = spaces_[table.space];
  if (space.current != &table) return;
  cpu_.tlb_tables[table.space] = {space.current->entries.data(), (table.entries.size() - 1) << kTlbEntryBits};
}

/// What is in it stays as far as it has a place.
void Tlb::resize(Table& t, size_t size) {
  std::vector<TlbEntry> old(size);
  old.swap(t.entries);
  t.evicted = 0;
  for (const TlbEntry& e : old) {
    const uint64_t page = e.page();
    if (page == kTlbNone) continue;
    TlbEntry& to = t.entry(page);
    to.read = e.read;
    to.write.store(e.write.load(std::memory_order_relaxed), std::memory_order_relaxed);
    to.addend = e.addend;
    to.physical = e.physical;
  }
  show(t);
}

// --- data

void Tlb::fault(uint64_t va, unsigned size, Access access) {
  cpu_.fault_address = va;
  cpu_.fault_size = size;
  cpu_.fault_access = static_cast<uint32_t>(access);
}

bool Tlb::is_watched(uint64_t va, uint64_t size, bool read, bool write) const {
  const uint64_t first = va & kTagless;
  for (const WatchedRange& range : watched_) {
    const uint64_t start = range.address & kTagless;
    if (((read && range.read) || (write && range.write)) && first - start < range.size) return true;
    if (((read && range.read) || (write && range.write)) && start - first < size) return true;
  }
  return false;
}

void Tlb::set_watched(std::vector<WatchedRange> ranges) {
  watched_ = std::move(ranges);
  watch_hit_ = false;
  flush_all();
}

void Tlb::put(TlbEntry& e, uint64_t va, const GuestPage& page, bool split) {
  const uint64_t tag = va & kTlbPageMask;
  const uint64_t physical =
      (page.physical & ~low_mask(page.bits)) | (va & low_mask(page.bits) & kTlbPageMask);
  e.physical = physical |
               (page.global            ? kTlbGlobal
                : split && bit(va, 55) ? kTlbUpper
                                       : 0) |
               (page.bits > kTlbPageBits ? kTlbLarge : 0);
  const auto host = memory_.host(physical);
  const bool plain =
      host && host->size >= kTlbPageSize && (reinterpret_cast<uint64_t>(host->pointer) & ~kTlbPageMask) == 0;
  e.addend = plain ? reinterpret_cast<uint64_t>(host->pointer) - tag : 0;
  e.read = !page.read ? kTlbNone : plain ? tag : tag | kTlbSlow;
  uint64_t write = page.write ? tag | kTlbSlow : kTlbNone;
  if (page.write && plain && host->writable) {
    // Noted before the look at has_code(): whoever sets that looks at the note after it.
    writable_.note(host->pointer);
    // Who asks for the right to write relies on that to read, too.
    if (page.read && !host->ram->has_code(host->ram_offset)) write = tag;
  }
  if (!watched_.empty() && is_watched(tag, kTlbPageSize, true, true)) {
    if (e.read != kTlbNone) e.read |= kTlbSlow;
    if (write != kTlbNone) write |= kTlbSlow;
  }
  e.write.store(write, std::memory_order_relaxed);
}

TlbEntry* Tlb::fill(uint64_t va, Access access, unsigned space) {
  GuestPage page;
  if (!walker_.walk(cpu_, va, access, space, page)) return nullptr;
  ++stats_.fills;
  const std::lock_guard lock(mutex_);
  Table& t = table(space);
  const uint64_t before = t.entry(va).page();
  if (before != kTlbNone && before != (va & kTlbPageMask) && t.entries.size() < kTlbMaxSize &&
      ++t.evicted > kEvictionsToGrow * t.entries.size()) {
    ++stats_.grown;
    resize(t, 2 * t.entries.size());
  }
  TlbEntry& e = t.entry(va);
  put(e, va, page, spaces_[space].split);
  t.live = true;
  ++(e.physical & (kTlbGlobal | kTlbUpper) ? t.globals : t.locals);
  if (page.bits > kTlbPageBits) {
    const uint64_t first = va & ~low_mask(page.bits) & kTagless;
    t.large_first = std::min(t.large_first, first);
    t.large_last = std::max(t.large_last, first | (low_mask(page.bits) & kTagless));
  }
  return &e;
}

bool Tlb::locate(uint64_t va, unsigned size, Access access, unsigned space, Piece& piece) {
  const bool write = access == Access::Write;
  const auto tag_of = [write](const TlbEntry& e) {
    return write ? e.write.load(std::memory_order_relaxed) : e.read;
  };
  if (!watched_.empty() && is_watched(va, size, !write, write)) {
    watch_hit_ = true;
    fault(va, size, access);
    return false;
  }
  TlbEntry* e = &table(space).entry(va);
  if ((tag_of(*e) & ~kTlbSlow) != (va & kTlbPageMask)) {
    e = fill(va, access, space);
    // What the walker allows now it may not have allowed for long.
    if (!e || (tag_of(*e) & ~kTlbSlow) != (va & kTlbPageMask)) {
      fault(va, size, access);
      return false;
    }
  }
  piece.physical = (e->physical & kTlbPageMask) | (va & ~kTlbPageMask);
  piece.host = e->addend ? reinterpret_cast<uint8_t*>(va + e->addend) : nullptr;
  piece.mark = nullptr;
  if (!write || !(tag_of(*e) & kTlbSlow) || !piece.host) return true;
  ++stats_.slow;
  const auto host = memory_.host(piece.physical);
  if (!host || !host->writable) {
    piece.host = nullptr;
    return true;
  }
  if (host->ram->has_code(host->ram_offset)) {
    piece.mark = host->ram;
    piece.offset = host->ram_offset;
    return true;
  }
  // The code that was there is gone.
  const std::lock_guard lock(mutex_);
  writable_.note(host->pointer);
  if (host->ram->has_code(host->ram_offset)) {
    piece.mark = host->ram;
    piece.offset = host->ram_offset;
  } else if (e->read != kTlbNone &&
             (watched_.empty() || !is_watched(va & kTlbPageMask, kTlbPageSize, true, true))) {
    e->write.store(va & kTlbPageMask, std::memory_order_relaxed);
  }
  return true;
}

bool Tlb::read(uint64_t va, unsigned size, unsigned space, uint8_t* to) {
  const unsigned first = static_cast<unsigned>(std::min<uint64_t>(size, kTlbPageSize - (va & ~kTlbPageMask)));
  Piece pieces[2];
  const unsigned sizes[2] = {first, size - first};
  const unsigned count = first < size ? 2 : 1;
  for (unsigned i = 0; i < count; ++i)
    if (!locate(i == 0 ? va : va + first, sizes[i], Access::Read, space, pieces[i])) return false;
  uint8_t bytes[32];
  for (unsigned i = 0, at = 0; i < count; at += sizes[i++]) {
    if (pieces[i].host) {
      copy_guest_bytes(bytes + at, pieces[i].host, sizes[i]);
      continue;
    }
    ++stats_.io;
    for (unsigned done = 0; done < sizes[i];) {
      const unsigned some = std::min(8u, sizes[i] - done);
      const system::MemoryResult result = memory_.read(pieces[i].physical + done, some);
      if (!result.ok) {
        walker_.bus_error(cpu_, va + at + done, Access::Read, space);
        fault(va + at + done, size, Access::Read);
        return false;
      }
      std::memcpy(bytes + at + done, &result.value, some);
      done += some;
    }
  }
  std::memcpy(to, bytes, size);
  return true;
}

bool Tlb::write(uint64_t va, unsigned size, unsigned space, const uint8_t* from) {
  const unsigned first = static_cast<unsigned>(std::min<uint64_t>(size, kTlbPageSize - (va & ~kTlbPageMask)));
  Piece pieces[2];
  const unsigned sizes[2] = {first, size - first};
  const unsigned count = first < size ? 2 : 1;
  for (unsigned i = 0; i < count; ++i)
    if (!locate(i == 0 ? va : va + first, sizes[i], Access::Write, space, pieces[i])) return false;
  for (unsigned i = 0, at = 0; i < count; at += sizes[i++]) {
    if (pieces[i].host) {
      copy_guest_bytes(pieces[i].host, from + at, sizes[i]);
      if (pieces[i].mark) pieces[i].mark->mark(pieces[i].offset, sizes[i]);
      continue;
    }
    ++stats_.io;
    for (unsigned done = 0; done < sizes[i];) {
      const unsigned some = std::min(8u, sizes[i] - done);
      uint64_t value = 0;
      std::memcpy(&value, from + at + done, some);
      if (!memory_.write(pieces[i].physical + done, some, value)) {
        walker_.bus_error(cpu_, va + at + done, Access::Write, space);
        fault(va + at + done, size, Access::Write);
        return false;
      }
      done += some;
    }
  }
  return true;
}

// --- code

bool Tlb::find_code(uint64_t pc, uint32_t mode, Code& code) {
  mode_changed(mode);
  Table& t = table(fetch_space_);
  const CodeEntry& e = t.code[pc >> kTlbPageBits & (kCodeSize - 1)];
  if (e.page != (pc & kTlbPageMask)) return false;
  code = e.code;
  const uint64_t in_page = pc & ~kTlbPageMask;
  if (code.host) code.host += in_page;
  code.offset += in_page;
  code.physical += in_page;
  const unsigned bit = seen_of(pc);
  t.code_seen[bit / 64] |= uint64_t{1} << (bit % 64);
  return true;
}

bool Tlb::locate_code(uint64_t pc, uint32_t mode, Code& code) {
  if (find_code(pc, mode, code)) return true;
  GuestPage page;
  if (!walker_.walk(cpu_, pc, Access::Fetch, fetch_space_, page)) {
    fault(pc, 1, Access::Fetch);
    return false;
  }
  ++stats_.code_fills;
  Table& t = table(fetch_space_);
  CodeEntry& e = t.code[pc >> kTlbPageBits & (kCodeSize - 1)];
  const uint64_t physical =
      (page.physical & ~low_mask(page.bits)) | (pc & low_mask(page.bits) & kTlbPageMask);
  e.page = pc & kTlbPageMask;
  e.code = {.physical = physical, .guarded = page.guarded};
  if (const auto host = memory_.host(physical); host && host->size >= kTlbPageSize) {
    e.code.host = host->pointer;
    e.code.ram = host->ram;
    e.code.offset = host->ram_offset;
  }
  t.any_code = true;
  const bool upper = spaces_[fetch_space_].split && bit(pc, 55);
  t.local_code |= !page.global && !upper;
  t.upper_code |= !page.global && upper;
  t.live = true;
  if (page.bits > kTlbPageBits) {
    const uint64_t first = pc & ~low_mask(page.bits) & kTagless;
    t.large_first = std::min(t.large_first, first);
    t.large_last = std::max(t.large_last, first | (low_mask(page.bits) & kTagless));
  }
  return find_code(pc, mode, code);
}

void Tlb::new_tag(Table& t) {
  ++stats_.new_tags;
  if (++next_tag_ == kJumpTags) {
    next_tag_ = 1;
    if (thread_) thread_->jump_cache->clear();
    for (Space& space : spaces_)
      for (auto& other : space.tables) other->jump_tag = 0;
  }
  t.jump_tag = next_tag_ << kJumpTagShift;
}

void Tlb::clear_code(Table& t) {
  if (!t.any_code) return;
  for (CodeEntry& e : t.code) e.page = kTlbNone;
  std::memset(t.code_seen, 0, sizeof t.code_seen);
  t.any_code = t.local_code = t.upper_code = false;
  new_tag(t);
  // The wrap of the tags takes all of them away.
  Table& fetch = table(fetch_space_);
  if (fetch.jump_tag == 0) new_tag(fetch);
  cpu_.jump_tag = fetch.jump_tag;
}

// --- flushes

void Tlb::drop(TlbEntry& e) {
  e.read = kTlbNone;
  e.write.store(kTlbNone, std::memory_order_relaxed);
  e.addend = 0;
}

void Tlb::clear(Table& t) {
  if (!t.live) return;
  if (t.entries.size() > kTlbSize) resize(t, kTlbSize);
  if (t.globals + t.locals != 0)
    for (TlbEntry& e : t.entries) drop(e);
  t.evicted = 0;
  t.globals = t.locals = 0;
  t.large_first = ~uint64_t{0};
  t.large_last = 0;
  clear_code(t);
  t.sharers = 0;
  t.live = false;
}

void Tlb::drop_locals(Table& t, uint64_t kept) {
  const bool upper = !(kept & kTlbUpper);
  if (t.locals != 0 || upper)
    for (TlbEntry& e : t.entries)
      if (!(e.physical & kept)) drop(e);
  t.locals = 0;
  if (t.local_code || (upper && t.upper_code)) clear_code(t);
}

void Tlb::flush_pages(Table& t, uint64_t address, uint64_t size) {
  if (!t.live) return;
  const uint64_t first = address & kTagless, last = (address + (size ? size - 1 : 0)) & kTagless;
  const uint64_t pages = ((last & kTlbPageMask) - (first & kTlbPageMask)) / kTlbPageSize + 1;
  const bool large = first <= t.large_last && last >= t.large_first;
  if (large) {
    // Pages of a large one that was touched lie anywhere in it.
    clear(t);
    return;
  }
  if (pages > kManyPages) {
    for (TlbEntry& e : t.entries) {
      const uint64_t write = e.write.load(std::memory_order_relaxed);
      if ((e.read != kTlbNone && in_range(e.read, first, last)) ||
          (write != kTlbNone && in_range(write, first, last)))
        drop(e);
    }
    clear_code(t);
    return;
  }
  for (uint64_t i = 0; i < pages; ++i) {
    const uint64_t page = address + i * kTlbPageSize;
    TlbEntry& e = t.entry(page);
    if (same_page(e.read, page) || same_page(e.write.load(std::memory_order_relaxed), page)) drop(e);
    const unsigned bit = seen_of(page);
    if (t.code_seen[bit / 64] >> (bit % 64) & 1) clear_code(t);
  }
}

void Tlb::flush(const TlbScope& scope) {
  ++stats_.flushes;
  const std::lock_guard lock(mutex_);
  for (unsigned space = 0; space < kTlbSpaces; ++space) {
    if (!(scope.spaces >> space & 1)) continue;
    for (auto& t : spaces_[space].tables) {
      if (!t->live) continue;
      if (scope.by_address)
        flush_pages(*t, scope.address, scope.size);
      else if (!scope.by_context)
        clear(*t);
      else if (spaces_[space].split && t->sharers < kShared)
        drop_locals(*t, kTlbGlobal);
      else if (t->context == scope.context)
        drop_locals(*t);
    }
  }
}

void Tlb::flush_all() { flush({}); }

void Tlb::forget() {
  flush_all();
  for (Space& space : spaces_) {
    space.split = false;
    for (auto& t : space.tables) {
      t->context = ~uint32_t{0};
      t->id = ~uint64_t{0};
    }
  }
}

void Tlb::set_upper_table(uint32_t spaces, uint64_t base) {
  for (unsigned number = 0; number < kTlbSpaces; ++number) {
    if (!(spaces >> number & 1)) continue;
    spaces_[number].split = true;
    spaces_[number].upper = base;
  }
}

void Tlb::context_changed(uint32_t spaces, uint32_t context) {
  const std::lock_guard lock(mutex_);
  for (unsigned number = 0; number < kTlbSpaces; ++number) {
    if (!(spaces >> number & 1)) continue;
    spaces_[number].context = context;
    select(number);
  }
  Table& fetch = table(fetch_space_);
  if (fetch.jump_tag == 0) new_tag(fetch);
  cpu_.jump_tag = fetch.jump_tag;
}

/// Makes the table for the space's context the current one.
void Tlb::select(unsigned number) {
  Space& space = spaces_[number];
  Table& now = *space.current;
  const uint64_t id = space.split ? space.upper : space.context;
  if (now.id == id && now.context == space.context) return;
  ++stats_.context_switches;
  if (!space.split && (!now.live || now.globals > now.locals)) {
    // A kernel's.
    if (now.live) drop_locals(now);
    now.id = id;
    now.context = space.context;
    return;
  }
  Table* found = nullptr;
  for (auto& t : space.tables)
    if (t->id == id) found = t.get();
  if (!found && space.tables.size() < kTablesPerSpace) {
    space.tables.push_back(std::make_unique<Table>(number));
    found = space.tables.back().get();
    found->context = space.context;
  }
  if (!found) {
    found = std::min_element(space.tables.begin(), space.tables.end(), [](const auto& a, const auto& b) {
              return a->used < b->used;
            })->get();
    clear(*found);
  }
  found->id = id;
  if (found->context != space.context) {
    drop_locals(*found);
    found->context = space.context;
    if (found->sharers < kShared) ++found->sharers;
  }
  use(number, *found);
}

void Tlb::mode_changed(uint32_t mode) {
  fetch_space_ = walker_.fetch_space(mode);
  Table& t = table(fetch_space_);
  if (t.jump_tag == 0) new_tag(t);
  cpu_.jump_tag = t.jump_tag;
}

std::vector<Tlb::Mapping> Tlb::mappings() {
  std::vector<Mapping> all, joined;
  {
    const std::lock_guard lock(mutex_);
    for (unsigned space = 0; space < kTlbSpaces; ++space)
      for (const TlbEntry& e : spaces_[space].current->entries) {
        if (e.page() == kTlbNone) continue;
        const uint64_t write = e.write.load(std::memory_order_relaxed);
        all.push_back({.space = space,
                       .address = e.page(),
                       .size = kTlbPageSize,
                       .physical = e.physical & kTlbPageMask,
                       .read = e.read != kTlbNone,
                       .write = write != kTlbNone,
                       .global = (e.physical & kTlbGlobal) != 0,
                       .plain = (e.read == kTlbNone || !(e.read & kTlbSlow)) &&
                                (write == kTlbNone || !(write & kTlbSlow))});
      }
  }
  std::sort(all.begin(), all.end(), [](const Mapping& a, const Mapping& b) {
    return std::pair(a.space, a.address) < std::pair(b.space, b.address);
  });
  const auto rights = [](const Mapping& m) {
    return std::tuple(m.space, m.read, m.write, m.global, m.plain);
  };
  for (const Mapping& m : all) {
    if (!joined.empty() && rights(joined.back()) == rights(m) &&
        joined.back().address + joined.back().size == m.address &&
        joined.back().physical + joined.back().size == m.physical)
      joined.back().size += m.size;
    else
      joined.push_back(m);
  }
  return joined;
}

void Tlb::protect(const uint8_t* host_page) {
  const auto page = reinterpret_cast<uint64_t>(host_page);
  const std::lock_guard lock(mutex_);
  ++stats_.protects;
  for (Space& space : spaces_)
    for (auto& t : space.tables) {
      if (!t->live) continue;
      for (TlbEntry& e : t->entries) {
        const uint64_t tag = e.write.load(std::memory_order_relaxed);
        if (tag != kTlbNone && !(tag & kTlbSlow) && tag + e.addend == page)
          e.write.store(tag | kTlbSlow, std::memory_order_relaxed);
      }
    }
}

}  // namespace lyrebird::jit
