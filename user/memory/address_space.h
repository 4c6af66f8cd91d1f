// SPDX-License-Identifier: Apache-2.0
/// The guest's address space: which guest pages exist, with what rights, backed by what.
///
/// host address = base() + guest address. With base 0 the guest lives among the emulator's own
/// mappings: every place is taken with MAP_FIXED_NOREPLACE, and what the guest did not map
/// itself it can't unmap, replace or protect. Guest execute rights never become host execute
/// rights; the host gets read rights instead.
///
/// Address results are `int64_t`: the address, or -errno. Page size is 4096 on both sides.
/// Lock: one reader-writer lock, taken inside each call (but not by who asks again for what it found mapped
/// and nobody has unmapped since); the code-change callback runs under it and must not call back. Under it,
/// for moments, watched_mutex_.
///
/// Coherent code (x86): a page that code was fetched from is watched, which is to say read-only on
/// the host, until the guest writes to it; then what was made of it is forgotten. The write faults,
/// code_written() answers, and the one instruction is tried again under an UnwatchedFetch. Memory
/// shared with itself is watched at all its addresses; what another process writes is not seen.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <shared_mutex>
#include <string>
#include <vector>

#include "frontend/frontend.h"

namespace lyrebird::user {

inline constexpr uint64_t kPage = 4096;

/// Where things go in the guest's address space.
struct SpaceLayout {
  uint64_t base = 0;         ///< host address of guest address 0
  uint64_t min_address = 0;  ///< nothing below (vm.mmap_min_addr)
  uint64_t task_size = 0;    ///< nothing at or above
  uint64_t mmap_bottom = 0;  ///< mmap without an address: highest free place in
  uint64_t mmap_top = 0;     ///<   [mmap_bottom, mmap_top)
  uint64_t pie_base = 0;     ///< where a position-independent main program goes
  /// Libraries get a place that their name decides, in [image_bottom, image_top), a multiple of
  /// image_slot; 0: wherever there is room.
  uint64_t image_bottom = 0, image_top = 0, image_slot = 0;
  bool reserved = false;  ///< [base, base + task_size) is taken at once and kept
};
/// For guests whose pointers have 64 bits: base 0, places that no host mapping uses, with or
/// without sanitizers.
SpaceLayout layout_64bit();
/// For guests whose pointers have 32 bits, as a 64-bit Linux lays them out: base 0 where the host's
/// first 4 GiB are free. `stack_size`: what is kept free at the top.
SpaceLayout layout_32bit(uint64_t stack_size);

/// One guest mapping, as /proc/self/maps shows it.
struct Region {
  uint64_t start = 0, end = 0;
  uint32_t prot = 0;  ///< PROT_READ, PROT_WRITE, PROT_EXEC
  bool guarded = false;
  bool shared = false;
  bool grows_down = false;
  bool no_fork = false;
  uint64_t offset = 0;  ///< into the file, at start
  uint64_t device = 0, inode = 0;
  uint64_t identity = 0;  ///< of the file's name, size, time and beginning; 0: not a regular file
  std::shared_ptr<const std::string> name;  ///< file or [stack] and the like; null: anonymous
};

struct MapRequest {
  uint64_t address = 0;
  uint64_t size = 0;
  uint32_t prot = 0;  ///< host values
  bool guarded = false;
  int flags = 0;  ///< host MAP_* values
  int fd = -1;
  uint64_t offset = 0;
  const char* name = nullptr;  ///< instead of the file's own
  bool low = false;            ///< below 2 GiB (x86-64's MAP_32BIT)
};

class AddressSpace final : public frontend::CodeSource {
 public:
  explicit AddressSpace(const SpaceLayout& layout);
  ~AddressSpace() override;
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  const SpaceLayout& layout() const { return layout_; }
  uint64_t base() const { return layout_.base; }
  /// Told of ranges whose code may have changed or gone.
  void on_code_change(void (*callback)(void* context, uint64_t start, uint64_t size), void* context) {
    code_changed_ = callback;
    code_changed_context_ = context;
  }

  /// personality(2)'s READ_IMPLIES_EXEC: what is mapped or protected from now on can be executed if it can be
  /// read.
  void set_read_implies_exec(bool on) { read_implies_exec_ = on; }
  bool read_implies_exec() const { return read_implies_exec_; }

  /// Guest code may change without a word. Before the first mapping.
  void set_coherent_code() { coherent_code_ = true; }
  /// A write to `address` faulted (SIGSEGV): true if the guest may write there and nothing of what
  /// was translated from the page is left, so that the write may be tried again.
  bool code_written(uint64_t address);
  /// While it lives, this thread's fetches do not watch: for the instruction that writes.
  struct UnwatchedFetch {
    UnwatchedFetch();
    ~UnwatchedFetch();
    UnwatchedFetch(const UnwatchedFetch&) = delete;
    UnwatchedFetch& operator=(const UnwatchedFetch&) = delete;
  };

  // System calls. Addresses are untagged guest addresses.
  int64_t map(const MapRequest& request);
  int64_t unmap(uint64_t address, uint64_t size);
  int64_t protect(uint64_t address, uint64_t size, uint32_t prot, bool guarded);
  int64_t remap(uint64_t old_address, uint64_t old_size, uint64_t new_size, int flags, uint64_t new_address);
  int64_t advise(uint64_t address, uint64_t size, int advice);
  /// shmat and shmdt of the System V segment `id`.
  int64_t attach(int id, uint64_t size, uint64_t address, int flags);
  int64_t detach(uint64_t address);
  /// mlockall with host MCL_* flags (later mappings of this process included), munlockall.
  int64_t lock_all(uint32_t flags);
  void unlock_all();
  /// The end of the heap after the call; the old one when `end` can't be had.
  uint64_t set_brk(uint64_t end);
  /// The heap starts at `start` (page aligned up): after the program's bss.
  void init_brk(uint64_t start);
  uint64_t brk_start() const { return brk_start_; }
  void set_limits(uint64_t address_space, uint64_t data) { limit_as_ = address_space, limit_data_ = data; }
  /// Removes every mapping (execve).
  void clear();

  /// All of [address, address + size) is mapped by the guest (whatever its rights).
  bool is_mapped(uint64_t address, uint64_t size) const;
  /// Bytes from address on, at most `size`, that the guest has mapped without a hole.
  uint64_t mapped_prefix(uint64_t address, uint64_t size) const;
  /// A MAP_GROWSDOWN mapping grows to hold `address`: the access may be tried again.
  bool grow_down(uint64_t address);
  /// Copies of all regions in address order.
  std::vector<Region> regions() const;
  bool find(uint64_t address, Region& out) const;

  void* host(uint64_t address) const { return reinterpret_cast<void*>(layout_.base + address); }
  uint64_t guest(const void* host) const { return reinterpret_cast<uint64_t>(host) - layout_.base; }

  // EFAULT-safe access. False: not all of it could be accessed (a part may have been).
  bool read(uint64_t address, void* to, size_t size) const;
  bool write(uint64_t address, const void* from, size_t size);
  /// A string of at most `max` bytes without its NUL. 0, -EFAULT or -ENAMETOOLONG.
  int64_t read_string(uint64_t address, std::string& out, size_t max = 4096) const;
  template <typename T>
  bool get(uint64_t address, T& value) const {
    return read(address, &value, sizeof value);
  }
  template <typename T>
  bool put(uint64_t address, const T& value) {
    return write(address, &value, sizeof value);
  }
  /// A pointer for a host system call that will access [address, address + size): the kernel
  /// itself finds the guest's bad pages; what is no guest memory at all becomes a pointer that
  /// makes any access fail with EFAULT. `size` shrinks to the part before a hole.
  void* for_kernel(uint64_t address, uint64_t& size) const;

  // frontend::CodeSource
  bool fetch(uint64_t pc, void* to, unsigned size) override;
  bool guarded(uint64_t pc) const override;
  uint64_t origin_generation() const override { return code_generation_.load(std::memory_order_acquire); }
  bool origin(uint64_t pc, frontend::CodeOrigin& out) const override;
  /// Some mapping was ever guarded.
  bool any_guarded() const { return any_guarded_.load(std::memory_order_relaxed); }

  /// Around fork(): the lock is held over it so that the child finds consistent tables.
  void before_fork() { mutex_.lock(); }
  void after_fork(bool in_child) {
    if (in_child) lock_future_ = 0;  // as the host kernel forgets its own locks
    // The C library's lock remembers its writer's thread number, which is another in the child:
    // there it is made anew (the child has one thread).
    if (in_child)
      new (&mutex_) std::shared_mutex;
    else
      mutex_.unlock();
  }

 private:
  using Regions = std::map<uint64_t, Region>;  // by start
  Regions::iterator split(uint64_t address);
  Regions::const_iterator find_locked(uint64_t address) const;
  bool mapped_locked(uint64_t address, uint64_t size) const;
  bool any_mapped_locked(uint64_t address, uint64_t size) const;
  uint64_t find_free_locked(uint64_t size, bool low = false) const;
  bool range_allowed(uint64_t address, uint64_t size) const;
  int64_t map_locked(const MapRequest& request);
  uint64_t image_place_locked(const MapRequest& request, uint64_t size) const;
  int64_t place_locked(const MapRequest& request, uint64_t size, int host_flags);
  int64_t claim_locked(uint64_t address, uint64_t size);
  void release_locked(uint64_t address, uint64_t size);
  int64_t may_lock_new(uint64_t size) const;
  void lock_new(uint64_t address, uint64_t size);
  int64_t unmap_locked(uint64_t address, uint64_t size);
  void forget_locked(uint64_t address, uint64_t size);
  void forget_seen();
  void insert_locked(Region region);
  void merge_locked(uint64_t address);
  void code_changed(uint64_t start, uint64_t size);
  static bool same_file(const Region& a, const Region& b);
  template <typename F>
  void each_alias_locked(const Region& region, uint64_t page, F f) const;
  void watch_code_locked(const Region& region, uint64_t from, uint64_t to);
  void unwatch_locked(uint64_t start, uint64_t size, bool restore);
  void before_write(uint64_t address, uint64_t size) const;
  void new_alias_locked(const Region& region);
  int64_t remap_move(const Region& old, uint64_t old_address, uint64_t old_size, uint64_t new_size, int flags,
                     uint64_t new_address);

  SpaceLayout layout_;
  mutable std::shared_mutex mutex_;
  Regions regions_;
  std::map<uint64_t, uint64_t> segments_;  // System V: start and bytes
  uint64_t total_ = 0;                     // bytes mapped
  uint64_t brk_start_ = 0, brk_ = 0;
  uint64_t limit_as_ = ~uint64_t{0}, limit_data_ = ~uint64_t{0};
  uint32_t lock_future_ = 0;  // MCL_FUTURE, MCL_ONFAULT: new mappings are locked
  std::atomic<bool> any_guarded_{false};
  std::atomic<uint64_t> unmapped_generation_{0};  // another one whenever something is unmapped
  std::atomic<uint64_t> code_generation_{1};      // raised after executable regions change
  void (*code_changed_)(void*, uint64_t, uint64_t) = nullptr;
  void* code_changed_context_ = nullptr;
  uint32_t with_implied(uint32_t prot) const;
  bool coherent_code_ = false;
  std::atomic<bool> read_implies_exec_ = false;
  mutable std::mutex watched_mutex_;
  std::set<uint64_t> watched_;  // pages that are read-only on the host for now
  std::atomic<size_t> watched_count_{0};
};

}  // namespace lyrebird::user
