// SPDX-License-Identifier: Apache-2.0
#include "jit/baseline/block_pool.h"

#include <sys/mman.h>

#include <new>

namespace lyrebird::jit::baseline {

namespace {

/// The sanitizers look after the heap only.
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kHeap = true;
#else
constexpr bool kHeap = false;
#endif

constexpr size_t kHugePage = size_t{2} << 20;
/// Small programs have small pieces; who fills some gets whole huge pages, with one fault for each.
constexpr size_t kSmallPiece = size_t{128} << 10;
constexpr size_t kSmallTotal = size_t{1} << 20;

constexpr size_t rounded(size_t size) { return (size + BlockPool::kUnit - 1) & ~(BlockPool::kUnit - 1); }

void* map(size_t size) {
  void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw std::bad_alloc();
  return at;
}

/// At a multiple of its size.
std::byte* map_huge_page() {
  auto* const at = static_cast<std::byte*>(map(2 * kHugePage));
  const size_t before = -reinterpret_cast<uintptr_t>(at) & (kHugePage - 1);
  if (before) munmap(at, before);
  munmap(at + before + kHugePage, kHugePage - before);
  (void)madvise(at + before, kHugePage, MADV_HUGEPAGE);  // only advice
  return at + before;
}

}  // namespace

BlockPool::~BlockPool() {
  while (pieces_) {
    Piece* const piece = pieces_;
    pieces_ = piece->before;
    munmap(piece, piece->size);
  }
}

void BlockPool::grow() {
  const bool small = total_ < kSmallTotal;
  const size_t size = small ? kSmallPiece : kHugePage;
  auto* const at = small ? static_cast<std::byte*>(map(size)) : map_huge_page();
  pieces_ = new (at) Piece{pieces_, size};
  total_ += size;
  next_ = at + sizeof(Piece);
  left_ = size - sizeof(Piece);
}

void* BlockPool::take(size_t size) {
  size = rounded(size);
  if (kHeap || size > kLargest) return ::operator new(size);
  const std::lock_guard lock(mutex_);
  Free*& free = free_[size / kUnit];
  if (free) {
    Free* const at = free;
    free = at->next;
    return at;
  }
  if (size > left_) grow();
  void* const at = next_;
  next_ += size;
  left_ -= size;
  return at;
}

void BlockPool::give(void* at, size_t size) {
  size = rounded(size);
  if (kHeap || size > kLargest) return ::operator delete(at);
  const std::lock_guard lock(mutex_);
  free_[size / kUnit] = new (at) Free{free_[size / kUnit]};
}

}  // namespace lyrebird::jit::baseline
