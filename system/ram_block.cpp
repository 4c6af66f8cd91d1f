// SPDX-License-Identifier: Apache-2.0
#include "system/ram_block.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bits.h"

namespace lyrebird::system {

Result<std::unique_ptr<RamBlock>> RamBlock::create(std::string id, uint64_t size, RamOptions options) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  if (size == 0 || size > ~uint64_t{0} - page) return Error{fmt::format("memory {}: {} bytes?", id, size)};
  std::unique_ptr<RamBlock> block(new RamBlock);
  block->id_ = std::move(id);
  block->size_ = align_up(size, page);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (options.shared) {
    block->fd_ = memfd_create(block->id_.c_str(), MFD_CLOEXEC);
    if (block->fd_ < 0 || ftruncate(block->fd_, static_cast<off_t>(block->size_)) != 0)
      return Error{fmt::format("memory {}: {}", block->id_, std::strerror(errno))};
    flags = MAP_SHARED | MAP_NORESERVE;
  }
  if (options.preallocate) flags = (flags & ~MAP_NORESERVE) | MAP_POPULATE;
  void* const host = mmap(nullptr, block->size_, PROT_READ | PROT_WRITE, flags, block->fd_, 0);
  if (host == MAP_FAILED)
    return Error{fmt::format("memory {}: can't get {} MiB from the host: {}", block->id_, block->size_ >> 20,
                             std::strerror(errno))};
  block->host_ = static_cast<uint8_t*>(host);
  // Only hints: the host may be without any of them.
  if (options.huge_pages) madvise(host, block->size_, MADV_HUGEPAGE);
  if (options.mergeable) madvise(host, block->size_, MADV_MERGEABLE);
  madvise(host, block->size_, MADV_DONTFORK);
  block->words_ = align_up(block->size_, uint64_t{64} << kDirtyPageBits) >> kDirtyPageBits >> 6;
  block->code_ = std::make_unique<std::atomic<uint64_t>[]>(block->words_);
  return block;
}

RamBlock::~RamBlock() {
  if (host_) munmap(host_, size_);
  if (fd_ >= 0) close(fd_);
}

void RamBlock::set_bits(Bitmap& map, uint64_t first, uint64_t last) {
  for (uint64_t page = first; page <= last; ++page) {
    std::atomic<uint64_t>& word = map[page / 64];
    const uint64_t bit = uint64_t{1} << (page % 64);
    if (!(word.load(std::memory_order_relaxed) & bit)) word.fetch_or(bit);
  }
}

void RamBlock::mark(uint64_t offset, uint64_t size) {
  if (size == 0) return;
  // The bytes before the look at the bits of code: see CodeWriteListener.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (followed_.load(std::memory_order_acquire) != 0) {
    mark(offset, size, DirtyClient::Display);
    mark(offset, size, DirtyClient::Migration);
  }
  mark(offset, size, DirtyClient::Code);
}

void RamBlock::mark(uint64_t offset, uint64_t size, DirtyClient client) {
  if (size == 0) return;
  const uint64_t first = offset >> kDirtyPageBits, last = (offset + size - 1) >> kDirtyPageBits;
  if (client != DirtyClient::Code) {
    if (followed(client)) set_bits(dirty_[static_cast<unsigned>(client)], first, last);
    return;
  }
  CodeWriteListener* const listener = listener_.load(std::memory_order_acquire);
  if (!listener) return;
  for (uint64_t page = first; page <= last;) {
    if (page % 64 == 0 && code_[page / 64].load(std::memory_order_acquire) == 0) {
      page += 64;
      continue;
    }
    if (has_code(page << kDirtyPageBits)) {
      const uint64_t from = std::max(offset, page << kDirtyPageBits);
      const uint64_t to = std::min(offset + size, (page + 1) << kDirtyPageBits);
      listener->code_written(*this, from, to - from);
    }
    ++page;
  }
}

bool RamBlock::is_dirty(uint64_t offset, DirtyClient client) const {
  if (client == DirtyClient::Code) return !has_code(offset);
  const uint64_t page = offset >> kDirtyPageBits;
  return followed(client) &&
         (dirty_[static_cast<unsigned>(client)][page / 64].load(std::memory_order_acquire) >> (page % 64) &
          1);
}

bool RamBlock::test_and_clear(uint64_t offset, uint64_t size, DirtyClient client) {
  if (size == 0 || client == DirtyClient::Code || !followed(client)) return false;
  bool dirty = false;
  const uint64_t first = offset >> kDirtyPageBits, last = (offset + size - 1) >> kDirtyPageBits;
  for (uint64_t page = first; page <= last; ++page) {
    const uint64_t bit = uint64_t{1} << (page % 64);
    dirty |= (dirty_[static_cast<unsigned>(client)][page / 64].fetch_and(~bit) & bit) != 0;
  }
  return dirty;
}

void RamBlock::follow(DirtyClient client, bool on) {
  if (client == DirtyClient::Code || followed(client) == on) return;
  Bitmap& map = dirty_[static_cast<unsigned>(client)];
  const uint32_t bit = 1u << static_cast<unsigned>(client);
  if (!on) {
    followed_.fetch_and(~bit);  // the bitmap stays: somebody may be about to write to it
    return;
  }
  if (!map) map = std::make_unique<std::atomic<uint64_t>[]>(words_);
  for (uint64_t i = 0; i < words_; ++i) map[i].store(~uint64_t{0});
  followed_.fetch_or(bit);
}

bool RamBlock::followed(DirtyClient client) const {
  return followed_.load(std::memory_order_acquire) >> static_cast<unsigned>(client) & 1;
}

void RamBlock::set_has_code(uint64_t offset, bool has) {
  const uint64_t page = offset >> kDirtyPageBits;
  const uint64_t bit = uint64_t{1} << (page % 64);
  if (has)
    code_[page / 64].fetch_or(bit);  // sequentially consistent: before the bytes are read
  else
    code_[page / 64].fetch_and(~bit);
}

void RamBlock::clear() {
  if (fd_ >= 0) {
    // Both calls are needed only as far as the host can do them; zeros are promised.
    if (fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(size_)) != 0)
      std::memset(host_, 0, size_);
  } else if (madvise(host_, size_, MADV_DONTNEED) != 0) {
    std::memset(host_, 0, size_);
  }
  mark(0, size_);
}

}  // namespace lyrebird::system
