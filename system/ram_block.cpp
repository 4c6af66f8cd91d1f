// SPDX-License-Identifier: Apache-2.0
#include "system/ram_block.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "base/bits.h"

namespace lyrebird::system {

namespace {

/// -1 for memory without a file.
Result<int> open_file(const std::string& id, const RamOptions& options) {
  const auto fail = [](const std::string& what, const char* hint = "") {
    return Error{fmt::format("memory {}: {}{}", what, std::strerror(errno), hint)};
  };
  if (!options.path.empty()) {
    struct stat status{};
    const bool folder = stat(options.path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
    if (!folder) {
      const int fd = open(options.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      return fd < 0 ? Result<int>(fail(options.path)) : Result<int>(fd);
    }
    std::string name = options.path + "/lyrebird-XXXXXX";
    const int fd = mkostemp(name.data(), O_CLOEXEC);  // hugetlbfs has no O_TMPFILE before 6.x
    if (fd < 0) return fail(options.path);
    unlink(name.c_str());
    return fd;
  }
  if (!options.shared && options.hugetlb == 0) return -1;
  unsigned flags = MFD_CLOEXEC;
  if (options.hugetlb != 0) flags |= MFD_HUGETLB;
  if (options.hugetlb > 1)
    flags |= static_cast<unsigned>(std::countr_zero(options.hugetlb)) << MFD_HUGE_SHIFT;
  const int fd = memfd_create(id.c_str(), flags);
  if (fd < 0) return fail(id, options.hugetlb ? "; has this host huge pages of that size?" : "");
  return fd;
}

Result<void> bind(const std::string& id, void* host, uint64_t size, const RamOptions& options) {
  unsigned long mask[16] = {};
  for (const unsigned node : options.nodes) {
    if (node >= 64 * std::size(mask)) return Error{fmt::format("memory {}: host node {}?", id, node)};
    mask[node / 64] |= 1ul << node % 64;
  }
  const int mode = options.policy == RamOptions::Policy::Bind        ? MPOL_BIND
                   : options.policy == RamOptions::Policy::Preferred ? MPOL_PREFERRED
                                                                     : MPOL_INTERLEAVE;
  if (syscall(SYS_mbind, host, size, mode, mask, 64 * std::size(mask) + 1, 0) != 0)
    return Error{
        fmt::format("memory {}: can't have pages of these host nodes: {}", id, std::strerror(errno))};
  return {};
}

}  // namespace

Result<std::unique_ptr<RamBlock>> RamBlock::create(std::string id, uint64_t size, RamOptions options) {
  auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  auto fd = open_file(id, options);
  if (!fd) return fd.error();
  std::unique_ptr<RamBlock> block(new RamBlock);
  block->id_ = std::move(id);
  block->fd_ = *fd;
  bool huge_file = false;
  if (struct statfs fs; *fd >= 0 && fstatfs(*fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC) {
    page = static_cast<uint64_t>(fs.f_bsize);
    huge_file = true;
  }
  if (size == 0 || size > ~uint64_t{0} - page)
    return Error{fmt::format("memory {}: {} bytes?", block->id_, size)};
  block->size_ = align_up(size, page);
  const auto no_memory = [&] {
    return Error{fmt::format("memory {}: can't get {} MiB from the host: {}{}", block->id_,
                             block->size_ >> 20, std::strerror(errno),
                             huge_file ? " (see /proc/sys/vm/nr_hugepages)" : "")};
  };
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  if (block->fd_ >= 0) {
    if (ftruncate(block->fd_, static_cast<off_t>(block->size_)) != 0) return no_memory();
    // Of hugetlbfs the pages are promised now: one that is missing later would end the process by SIGBUS.
    flags = MAP_SHARED | (huge_file ? 0 : MAP_NORESERVE);
  }
  if (options.preallocate) flags &= ~MAP_NORESERVE;
  void* const host = mmap(nullptr, block->size_, PROT_READ | PROT_WRITE, flags, block->fd_, 0);
  if (host == MAP_FAILED) return no_memory();
  block->host_ = static_cast<uint8_t*>(host);
  if (!options.nodes.empty())
    if (auto bound = bind(block->id_, host, block->size_, options); !bound) return bound.error();
  // Only hints: the host may be without any of them.
  if (options.huge_pages && !huge_file && options.path.empty()) madvise(host, block->size_, MADV_HUGEPAGE);
  if (options.mergeable) madvise(host, block->size_, MADV_MERGEABLE);
  madvise(host, block->size_, MADV_DONTFORK);
  if (options.preallocate && madvise(host, block->size_, MADV_POPULATE_WRITE) != 0) return no_memory();
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
