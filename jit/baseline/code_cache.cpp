// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/code_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <new>

namespace lyrebird::jit::baseline {

namespace {
size_t rounded(size_t size) { return (size + CodeCache::kAlignment - 1) & ~(CodeCache::kAlignment - 1); }
}  // namespace

CodeCache::CodeCache(size_t capacity) {
  capacity_ = (capacity + kSegment - 1) & ~(kSegment - 1);
  if (!map(nullptr, nullptr)) return;
  live_.assign(capacity_ / kSegment, 0);
  starts_.assign(capacity_ / kAlignment / 64, 0);
  for (uint32_t i = static_cast<uint32_t>(live_.size()); i-- > 1;) free_.push_back(i);
}

CodeCache::~CodeCache() {
  if (!execute_) return;
  munmap(write_, capacity_);
  munmap(execute_, capacity_);
}

bool CodeCache::map(void* write_at, void* execute_at) {
  const int fd = memfd_create("lyrebird code", MFD_CLOEXEC);
  if (fd < 0) return false;
  const int fixed = write_at ? MAP_FIXED : 0;
  void* write = MAP_FAILED;
  void* execute = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(capacity_)) == 0) {
    write = mmap(write_at, capacity_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | fixed, fd, 0);
    execute = mmap(execute_at, capacity_, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE | fixed, fd, 0);
  }
  close(fd);
  if (write == MAP_FAILED || execute == MAP_FAILED) {
    if (write != MAP_FAILED) munmap(write, capacity_);
    return false;
  }
  write_ = static_cast<uint8_t*>(write);
  execute_ = static_cast<uint8_t*>(execute);
  return true;
}

uint8_t* CodeCache::allocate(size_t size) {
  size = rounded(size);
  if (!usable() || size > kSegment) return nullptr;
  const std::lock_guard lock(mutex_);
  if (used_ + size > kSegment) {
    if (free_.empty()) return nullptr;
    if (live_[current_] == 0) free_.insert(free_.begin(), current_);
    current_ = free_.back();
    free_.pop_back();
    used_ = 0;
  }
  uint8_t* const code = execute_ + current_ * kSegment + used_;
  used_ += size;
  live_[current_] += static_cast<uint32_t>(size);
  mark(code, true);
  return code;
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

void CodeCache::after_fork_in_child(size_t keep) {
  new (&mutex_) std::mutex;
  if (!usable()) return;
  std::vector<uint8_t> kept(execute_, execute_ + keep);
  if (!map(write_, execute_)) {
    execute_ = nullptr;
    return;
  }
  std::memcpy(write_, kept.data(), keep);
  live_.assign(live_.size(), 0);
  starts_.assign(starts_.size(), 0);
  free_.clear();
  for (uint32_t i = static_cast<uint32_t>(live_.size()); i-- > 1;) free_.push_back(i);
  current_ = 0;
  used_ = rounded(keep);
  live_[0] = static_cast<uint32_t>(used_);
}

}  // namespace lyrebird::jit::baseline
