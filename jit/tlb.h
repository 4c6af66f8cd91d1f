// SPDX-License-Identifier: Apache-2.0
/// One vCPU's translations of guest addresses, in the form in which generated code looks them up.
///
/// There is a table of entries for each mmu index ("space"; CpuHeader::tlb_tables has the current ones),
/// direct-mapped by the number of the 4 KiB page: of kTlbSize entries at first, larger (up to kTlbMaxSize)
/// where pages keep taking each other's place, which a guest with few pages may see, too, as they lie
/// wherever its kernel likes. An access of `size` bytes at `va` may go straight to host memory if
///     ((va + size - 1) & kTlbPageMask) == tag      any alignment, or
///     (va & (kTlbPageMask | size - 1)) == tag      natural alignment only
/// for the tag (read or write) of the entry of va; the host address is va + addend then. What may be written
/// so may be read so. All bits of the address count, so what the guest has as a tag in the top byte makes an
/// entry of its own. Everything else goes through read(), write() and locate(): I/O, ROM, pages with
/// translated code, accesses that cross pages.
///
/// Spaces whose pages belong mostly to one context (Arm: ASID) have a table for each of the last contexts, so
/// that a switch costs nothing; in others (a kernel's) a switch drops what is not global.
///
/// The owner's thread fills and flushes; under mutex_, so that others can take away the right to write
/// (protect()) while it runs. Lock order: mutex_ is the last but for RamBlock's listeners, which are called
/// without it.
///
/// Code: each table knows where the pages that were fetched from lie, and has a jump tag: entries of the jump
/// cache are marked with it and die when the table gets another one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "ir/cpu_header.h"
#include "system/address_space.h"

namespace lyrebird::jit {

struct ThreadContext;

inline constexpr unsigned kTlbPageBits = 12;
inline constexpr uint64_t kTlbPageSize = uint64_t{1} << kTlbPageBits;
inline constexpr uint64_t kTlbPageMask = ~(kTlbPageSize - 1);
inline constexpr unsigned kTlbSize = 1u << 10, kTlbMaxSize = 1u << 13;
using ir::kTlbSpaces;
/// No page has this tag: none of the bits that alignment needs are in it alone.
inline constexpr uint64_t kTlbNone = ~uint64_t{0};
/// In a tag: allowed, but not by plain access to memory.
inline constexpr uint64_t kTlbSlow = uint64_t{1} << 11;

struct alignas(32) TlbEntry {  // never on two cache lines
  uint64_t read = kTlbNone;
  std::atomic<uint64_t> write{kTlbNone};
  uint64_t addend = 0;    ///< host address less guest address; 0: no memory
  uint64_t physical = 0;  ///< of the page, and kTlbGlobal, kTlbLarge

  /// The page's address, or kTlbNone.
  uint64_t page() const {
    const uint64_t tag = read != kTlbNone ? read : write.load(std::memory_order_relaxed);
    return tag == kTlbNone ? tag : tag & kTlbPageMask;
  }
};
inline constexpr unsigned kTlbEntryBits = 5;
static_assert(sizeof(TlbEntry) == 1u << kTlbEntryBits);
/// kTlbUpper: not global, but in the half that a split space shares among contexts (Tlb::set_upper_table()).
inline constexpr uint64_t kTlbGlobal = 1, kTlbLarge = 2, kTlbUpper = 4;

/// What the guest's tables say.
struct GuestPage {
  uint64_t physical = 0;
  uint8_t bits = 12;
  bool read = false, write = false, execute = false, global = false, guarded = false;
};

/// The guest's side of it; accel/ makes it from the frontend.
class PageWalker {
 public:
  virtual ~PageWalker() = default;
  /// False: the fault is noted in the state, but for CpuHeader::fault_*.
  virtual bool walk(ir::CpuHeader& cpu, uint64_t va, ir::Access access, unsigned space, GuestPage& page) = 0;
  /// Notes that there is nothing at the physical address.
  virtual void bus_error(ir::CpuHeader& cpu, uint64_t va, ir::Access access, unsigned space) = 0;
  /// The space that the mode's code is fetched from.
  virtual unsigned fetch_space(uint32_t mode) const = 0;
};

/// Pages that some vCPU may have the right to write straight away; shared by a machine's vCPUs. By hash: it
/// may say yes where no is true.
class WritablePages {
 public:
  void note(const uint8_t* host) { slot(host).store(1); }
  /// Forgets it.
  bool take(const uint8_t* host) { return slot(host).load() != 0 && slot(host).exchange(0) != 0; }

 private:
  static constexpr unsigned kBits = 18;
  std::atomic<uint8_t>& slot(const uint8_t* host) {
    const uint64_t page = reinterpret_cast<uint64_t>(host) >> kTlbPageBits;
    return seen_[(page ^ page >> kBits) & ((1u << kBits) - 1)];
  }
  std::unique_ptr<std::atomic<uint8_t>[]> seen_ = std::make_unique<std::atomic<uint8_t>[]>(1u << kBits);
};

/// Addresses whose accesses are to be noticed: a debugger's.
struct WatchedRange {
  uint64_t address = 0, size = 0;
  bool read = false, write = false;
};

/// Which translations to forget: as frontend::TlbFlush, which it is made from.
struct TlbScope {
  uint32_t spaces = ~0u;
  bool by_address = false, by_context = false;
  uint64_t address = 0, size = 0;
  uint32_t context = 0;
};

class Tlb {
 public:
  struct Stats {
    uint64_t fills = 0, slow = 0, io = 0, flushes = 0, context_switches = 0, protects = 0, code_fills = 0,
             new_tags = 0, grown = 0;
  };

  Tlb(ir::CpuHeader& cpu, system::AddressSpace& memory, PageWalker& walker, WritablePages& writable);
  ~Tlb();
  Tlb(const Tlb&) = delete;
  Tlb& operator=(const Tlb&) = delete;

  static Tlb& of(ir::CpuHeader& cpu) { return *static_cast<Tlb*>(cpu.tlb); }

  /// The host address for a plain access that lies in one page, or 0.
  uint64_t probe(uint64_t va, unsigned size, bool write, unsigned space) const {
    const ir::TlbTable& table = cpu_.tlb_tables[space];
    const auto* const entries = static_cast<const TlbEntry*>(table.entries);
    const TlbEntry& e = entries[va >> kTlbPageBits & table.mask >> kTlbEntryBits];
    const uint64_t tag = write ? e.write.load(std::memory_order_relaxed) : e.read;
    return ((va + size - 1) & kTlbPageMask) == tag ? va + e.addend : 0;
  }

  // Any access of up to 32 bytes. False: CpuHeader::fault_* is set, and nothing was done.
  bool read(uint64_t va, unsigned size, unsigned space, uint8_t* to);
  bool write(uint64_t va, unsigned size, unsigned space, const uint8_t* from);

  /// Bytes in one page.
  struct Piece {
    uint8_t* host = nullptr;  ///< nullptr: not memory, or a write to ROM
    uint64_t physical = 0;
    system::RamBlock* mark = nullptr;  ///< is to be told after a write
    uint64_t offset = 0;               ///< in that
  };
  /// False: as read().
  bool locate(uint64_t va, unsigned size, ir::Access access, unsigned space, Piece& piece);

  // --- code

  struct Code {
    uint8_t* host = nullptr;  ///< of the byte at pc; nullptr: not memory
    system::RamBlock* ram = nullptr;
    uint64_t offset = 0;
    uint64_t physical = 0;
    bool guarded = false;
  };
  /// Where the code at pc lies, if that is known without a walk. Makes the jump tag of the mode's space the
  /// current.
  bool find_code(uint64_t pc, uint32_t mode, Code& code);
  /// The same with a walk. False: fetch fault.
  bool locate_code(uint64_t pc, uint32_t mode, Code& code);

  // --- what the guest asks for

  void flush(const TlbScope& scope);
  void flush_all();
  void context_changed(uint32_t spaces, uint32_t context);
  /// Translations of addresses with bit 55 set come from tables of their own at `base`, as long as it is the
  /// same they do for every context. Counts from the next context_changed() on.
  void set_upper_table(uint32_t spaces, uint64_t base);
  /// Code of the mode runs next.
  void mode_changed(uint32_t mode);
  /// flush_all(), and nothing is known about contexts until the next context_changed().
  void forget();

  // --- for a debugger

  /// Accesses to these are refused as if by the guest's tables, and take_watch_hit() knows of it. Pages that
  /// have any are slow ones. While the owner does not run.
  void set_watched(std::vector<WatchedRange> ranges);
  /// The last access that was refused was because of a watched range; once.
  bool take_watch_hit() { return std::exchange(watch_hit_, false); }

  /// No thread but this one's owner may have the right to write the page straight away after this. Any
  /// thread.
  void protect(const uint8_t* host_page);
  /// The thread whose jump cache the tags are for.
  void set_thread(ThreadContext& thread) { thread_ = &thread; }

  const Stats& stats() const { return stats_; }
  /// What is in the current tables: pages side by side with the same rights are one. Any thread.
  struct Mapping {
    unsigned space = 0;
    uint64_t address = 0, size = 0, physical = 0;
    bool read = false, write = false, global = false;
    bool plain = false;  ///< memory that generated code reaches by itself
  };
  std::vector<Mapping> mappings();

 private:
  struct CodeEntry {
    uint64_t page = kTlbNone;
    Code code;
  };
  static constexpr unsigned kCodeSize = 1024, kSeenBits = 15, kTablesPerSpace = 8;
  struct Table {
    explicit Table(unsigned of_space) : space(of_space) {}
    TlbEntry& entry(uint64_t va) { return entries[va >> kTlbPageBits & (entries.size() - 1)]; }

    const unsigned space;
    std::vector<TlbEntry> entries = std::vector<TlbEntry>(kTlbSize);
    uint32_t evicted = 0;  ///< entries that others took the place of since the last change of size
    uint64_t id = 0;       ///< the context's, or the upper table's
    uint32_t context = 0;
    uint8_t sharers = 0;  ///< contexts that an upper table was used with, up to kShared
    bool live = false;    ///< has entries that count
    uint64_t used = 0;    ///< when it was current last
    uint32_t globals = 0, locals = 0;
    uint64_t large_first = ~uint64_t{0}, large_last = 0;  ///< hull of large pages
    uint64_t jump_tag = 0;
    bool any_code = false, local_code = false, upper_code = false;
    CodeEntry code[kCodeSize];
    uint64_t code_seen[(1u << kSeenBits) / 64] = {};  ///< pages whose blocks may be in the jump cache
  };
  struct Space {
    std::vector<std::unique_ptr<Table>> tables;
    Table* current = nullptr;
    uint32_t context = 0;
    uint64_t upper = 0;
    bool split = false;
  };
  /// Tables that so many contexts used are flushed for one context as if what they share were global: a guest
  /// that changes it must flush it for all of them.
  static constexpr uint8_t kShared = 3;

  /// By hash, but never the same for both halves of the address space.
  static unsigned seen_of(uint64_t page) {
    constexpr unsigned kHalf = kSeenBits - 1;
    const uint64_t number = page >> kTlbPageBits;
    return static_cast<unsigned>(((number ^ number >> kHalf) & ((1u << kHalf) - 1)) | (page >> 55 & 1)
                                                                                          << kHalf);
  }
  Table& table(unsigned space) { return *spaces_[space].current; }
  TlbEntry* fill(uint64_t va, ir::Access access, unsigned space);
  void put(TlbEntry& entry, uint64_t va, const GuestPage& page, bool split);
  void fault(uint64_t va, unsigned size, ir::Access access);
  bool is_watched(uint64_t va, uint64_t size, bool read, bool write) const;
  void clear(Table& table);
  void clear_code(Table& table);
  void drop(TlbEntry& entry);
  void drop_locals(Table& table, uint64_t kept = kTlbGlobal | kTlbUpper);
  void select(unsigned space);
  void flush_pages(Table& table, uint64_t address, uint64_t size);
  void use(unsigned space, Table& table);
  void show(const Table& table);
  void resize(Table& table, size_t size);
  void new_tag(Table& table);

  ir::CpuHeader& cpu_;
  system::AddressSpace& memory_;
  PageWalker& walker_;
  WritablePages& writable_;
  ThreadContext* thread_ = nullptr;
  std::mutex mutex_;
  Space spaces_[kTlbSpaces];
  unsigned fetch_space_ = 0;
  uint64_t next_tag_ = 0;
  uint64_t clock_ = 0;
  Stats stats_;
  std::vector<WatchedRange> watched_;
  bool watch_hit_ = false;
};

}  // namespace lyrebird::jit
