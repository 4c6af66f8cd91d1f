// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/code_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace lyrebird::jit::baseline {

namespace {
size_t rounded(size_t size) { return (size + CodeCache::kAlignment - 1) & ~(CodeCache::kAlignment - 1); }

/// What must be written can't be: to go on would run wrong code.
[[noreturn]] void no_memory() {
  std::fputs("lyrebird: no memory left for a copy of generated code\n", stderr);
  std::abort();
}
}  // namespace

CodeCache::CodeCache(size_t capacity, size_t image_room) {
  capacity_ = (capacity + kSegment - 1) & ~(kSegment - 1);
  total_ = capacity_ + ((image_room + kSegment - 1) & ~(kSegment - 1));
  if (!map(nullptr, nullptr)) return;
  if (!clear_starts()) {
    execute_ = nullptr;
    return;
  }
  live_.assign(capacity_ / kSegment, 0);
  share_.assign(total_ / kGranule, kOwn);
  foreign_from_ = capacity_;
  for (uint32_t i = static_cast<uint32_t>(live_.size()); i-- > 1;) free_.push_back(i);
}

bool CodeCache::clear_starts() {
  starts_.reset(static_cast<uint64_t*>(std::calloc(capacity_ / kAlignment / 64, sizeof(uint64_t))));
  return starts_ != nullptr;
}

CodeCache::~CodeCache() {
  if (!execute_) return;
  munmap(write_, total_);
  munmap(execute_, total_);
}

/// Shared memory without a name: tools like perf look code up in their own tables only then.
bool CodeCache::map(void* write_at, void* execute_at) {
  const int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | (write_at ? MAP_FIXED : 0);
  void* const write = mmap(write_at, total_, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (write == MAP_FAILED) return false;
  // An old size of 0 maps shared memory a second time.
  void* const execute =
      mremap(write, 0, total_, MREMAP_MAYMOVE | (execute_at ? MREMAP_FIXED : 0), execute_at);
  if (execute == MAP_FAILED || mprotect(execute, total_, PROT_READ | PROT_EXEC) != 0) {
    if (execute != MAP_FAILED) munmap(execute, total_);
    munmap(write, total_);
    return false;
  }
  write_ = static_cast<uint8_t*>(write);
  execute_ = static_cast<uint8_t*>(execute);
  return true;
}

const uint8_t* CodeCache::map_image(int fd, uint64_t offset, size_t size) {
  const std::lock_guard lock(mutex_);
  if (!usable() || size > total_ - capacity_ - images_) return nullptr;
  const size_t start = capacity_ + images_;
  void* const at = mmap(execute_ + start, size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED | MAP_POPULATE,
                        fd, static_cast<off_t>(offset));
  // Nothing may be executed there, as the file system's owner wants it.
  const bool mapped = at != MAP_FAILED;
  if (!mapped && pread(fd, write_ + start, size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size))
    return nullptr;
  std::fill_n(share_.begin() + static_cast<ptrdiff_t>(start / kGranule), size / kGranule,
              mapped ? uint8_t{1} : kOwn);
  images_ += size;
  return execute_ + start;
}

uint8_t* CodeCache::allocate(size_t size) {
  const std::lock_guard lock(mutex_);
  return allocate_locked(size);
}

uint8_t* CodeCache::add(const uint8_t* code, size_t size, const void* owner, std::optional<uint32_t> line) {
  const std::lock_guard lock(mutex_);
  static_assert(kSegment % 64 == 0);
  if (line && used_ % 64 != *line && used_ + kAlignment + rounded(size) <= kSegment) used_ += kAlignment;
  uint8_t* const at = allocate_locked(size);
  if (!at) return nullptr;
  write_locked(at, code, size);
  std::memcpy(write_ + (at - execute_), &owner, sizeof owner);
  return at;
}

uint8_t* CodeCache::allocate_locked(size_t size) {
  size = rounded(size);
  if (!usable() || size > kSegment) return nullptr;
  if (used_ + size > kSegment) {
    if (live_[current_] != 0) {
      if (free_.empty()) return nullptr;
      current_ = free_.back();
      free_.pop_back();
      top_ = std::max(top_, current_);
    }
    used_ = 0;
  }
  const size_t start = current_ * kSegment + used_;
  uint8_t* const code = execute_ + start;
  for (size_t next = (start + kGranule - 1) / kGranule * kGranule; next < start + size; next += kGranule)
    populate(next);
  used_ += size;
  live_[current_] += static_cast<uint32_t>(size);
  mark(code, true);
  return code;
}

/// Lets both mappings have the granule's pages at once: a fault for each costs more. Only advice.
void CodeCache::populate(size_t start) {
  if (share_[start / kGranule] != kOwn || start + kGranule > foreign_from_) return;
  (void)madvise(write_ + start, kGranule, MADV_POPULATE_WRITE);
  (void)madvise(execute_ + start, kGranule, MADV_POPULATE_READ);
}

void CodeCache::mark(const uint8_t* code, bool start) {
  const size_t unit = static_cast<size_t>(code - execute_) / kAlignment;
  const uint64_t bit = uint64_t{1} << (unit & 63);
  if (start)
    starts_[unit / 64] |= bit;
  else
    starts_[unit / 64] &= ~bit;
}

const uint8_t* CodeCache::start_of(uint64_t address) {
  if (!contains(address)) return nullptr;
  const std::lock_guard lock(mutex_);
  const size_t unit = (address - reinterpret_cast<uint64_t>(execute_)) / kAlignment;
  size_t word = unit / 64;
  uint64_t bits = starts_[word] & (~uint64_t{0} >> (63 - (unit & 63)));
  while (bits == 0) {
    if (word == 0) return nullptr;
    bits = starts_[--word];
  }
  return execute_ + (word * 64 + 63 - static_cast<size_t>(std::countl_zero(bits))) * kAlignment;
}

void CodeCache::release(const uint8_t* code, size_t size) {
  const std::lock_guard lock(mutex_);
  const auto segment = static_cast<uint32_t>(static_cast<size_t>(code - execute_) / kSegment);
  mark(code, false);
  live_[segment] -= static_cast<uint32_t>(rounded(size));
  if (live_[segment] == 0 && segment != current_) free_.push_back(segment);
}

void CodeCache::write(const uint8_t* code, const void* from, size_t size) {
  const std::lock_guard lock(mutex_);
  write_locked(code, from, size);
}

void CodeCache::write_locked(const uint8_t* code, const void* from, size_t size) {
  if (!own(code, size)) no_memory();
  std::memcpy(write_ + (code - execute_), from, size);
}

template <typename T>
bool CodeCache::patch_word(const uint8_t* code, T value, bool optional) {
  const std::lock_guard lock(mutex_);
  uint8_t& share = share_[static_cast<size_t>(code - execute_) / kGranule];
  if (optional && share != kOwn && share < kPatience) {
    ++share;
    return false;
  }
  if (!own(code, sizeof value)) {
    if (optional) return false;
    no_memory();
  }
  __atomic_store_n(reinterpret_cast<T*>(write_ + (code - execute_)), value, __ATOMIC_RELEASE);
  return true;
}

bool CodeCache::patch(const uint8_t* code, int32_t value, bool optional) {
  return patch_word(code, value, optional);
}
bool CodeCache::patch(const uint8_t* code, uint64_t value, bool optional) {
  return patch_word(code, value, optional);
}

// --- fork

bool CodeCache::own(const uint8_t* code, size_t size) {
  const size_t start = static_cast<size_t>(code - execute_);
  if (start < capacity_ && start + size > foreign_from_) {
    if (!replace(foreign_from_, capacity_ - foreign_from_, false)) return false;
    foreign_from_ = capacity_;
  }
  for (size_t granule = start / kGranule; granule <= (start + size - 1) / kGranule; ++granule) {
    if (share_[granule] == kOwn) continue;
    if (!replace(granule * kGranule, kGranule, true)) return false;
    share_[granule] = kOwn;
  }
  return true;
}

/// New memory at both addresses. Other threads may be running what is copied. Needs no file
/// descriptor: the guest may have used them all.
bool CodeCache::replace(size_t start, size_t size, bool copy) {
  constexpr int kFlags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const write = mmap(nullptr, size, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (write == MAP_FAILED) return false;
  if (copy) std::memcpy(write, execute_ + start, size);
  // An old size of 0 maps shared memory a second time.
  void* const execute = mremap(write, 0, size, MREMAP_MAYMOVE);
  if (execute == MAP_FAILED || mprotect(execute, size, PROT_READ | PROT_EXEC) != 0 ||
      mremap(execute, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, execute_ + start) == MAP_FAILED) {
    if (execute != MAP_FAILED) munmap(execute, size);
    munmap(write, size);
    return false;
  }
  if (mremap(write, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, write_ + start) == MAP_FAILED) no_memory();
  return true;
}

/// All memory from here on was never used.
size_t CodeCache::high_water() const {
  const size_t used = current_ == top_ ? used_ : kSegment;
  return top_ * kSegment + ((used + kGranule - 1) & ~(kGranule - 1));
}

void CodeCache::before_fork() { mutex_.lock(); }

/// Everything that was used so far is another process's, too.
void CodeCache::share_all() {
  const auto share = [&](size_t start, size_t end) {
    for (size_t i = start / kGranule; i < end / kGranule; ++i) share_[i] = std::max<uint8_t>(share_[i], 1);
  };
  share(0, high_water());
  share(capacity_, capacity_ + images_);
}

void CodeCache::after_fork_in_parent() {
  if (usable()) share_all();
  mutex_.unlock();
}

void CodeCache::after_fork_in_child() {
  if (usable()) {
    share_all();
    foreign_from_ = std::min(foreign_from_, high_water());
    // New code goes where nothing has to be copied first.
    if (current_ == top_) used_ = high_water() - top_ * kSegment;
  }
  mutex_.unlock();
}

void CodeCache::start_anew_in_child(size_t keep) {
  new (&mutex_) std::mutex;
  if (!usable()) return;
  std::vector<uint8_t> kept(execute_, execute_ + keep);
  if (!map(write_, execute_) || !clear_starts()) {
    execute_ = nullptr;
    return;
  }
  std::memcpy(write_, kept.data(), keep);
  live_.assign(live_.size(), 0);
  share_.assign(share_.size(), kOwn);
  foreign_from_ = capacity_;
  images_ = 0;
  free_.clear();
  for (uint32_t i = static_cast<uint32_t>(live_.size()); i-- > 1;) free_.push_back(i);
  current_ = top_ = 0;
  used_ = rounded(keep);
  live_[0] = static_cast<uint32_t>(used_);
}

}  // namespace lyrebird::jit::baseline
