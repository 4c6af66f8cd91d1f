// SPDX-License-Identifier: Apache-2.0
/// A piece of guest memory: host pages, and who wants to know which of them were written.
///
/// Pages are 4 KiB here, whatever the host or the guest uses. Everything is thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace lyrebird::system {

class RamBlock;

/// Who follows writes: translated code (the page's code is stale), the screen, migration.
enum class DirtyClient : unsigned { Code, Display, Migration };
inline constexpr unsigned kDirtyClientCount = 3;
inline constexpr uint64_t kDirtyPageBits = 12;

/// Told of writes to pages that hold translated code. Called on the writer's thread after the write (a
/// translator sets has_code and then reads the bytes, so one of the two sees the other), without any
/// lock of system/. May take its own.
class CodeWriteListener {
 public:
  virtual ~CodeWriteListener() = default;
  virtual void code_written(RamBlock& ram, uint64_t offset, uint64_t size) = 0;
};

struct RamOptions {
  bool shared = false;     ///< memfd-backed, so that another process can map it
  bool huge_pages = true;  ///< ask for transparent huge pages
  bool preallocate = false;
  bool mergeable = false;  ///< MADV_MERGEABLE
  /// A file, or a folder in which one without a name is made (of hugetlbfs, say). Implies no huge_pages.
  std::string path;
  /// Size of pages of hugetlbfs, a power of two, for a block without a path; 1: the host's usual one.
  uint64_t hugetlb = 0;
  /// Host nodes that pages come from; empty: where the host likes.
  enum class Policy { Bind, Preferred, Interleave } policy = Policy::Bind;
  std::vector<unsigned> nodes;
};

class RamBlock {
 public:
  /// `size` is rounded up to the host's page size. `id` names it in state streams.
  static Result<std::unique_ptr<RamBlock>> create(std::string id, uint64_t size, RamOptions options = {});
  ~RamBlock();
  RamBlock(const RamBlock&) = delete;
  RamBlock& operator=(const RamBlock&) = delete;

  const std::string& id() const { return id_; }
  uint8_t* host() const { return host_; }
  uint64_t size() const { return size_; }
  /// -1 if it is not shared.
  int fd() const { return fd_; }

  /// [offset, offset + size) was just written by somebody other than generated code (or was found
  /// written by it): sets the bits of the clients that follow and tells the code listener.
  void mark(uint64_t offset, uint64_t size);
  /// The same for one client.
  void mark(uint64_t offset, uint64_t size, DirtyClient client);
  bool is_dirty(uint64_t offset, DirtyClient client) const;
  /// True if any page of the range was dirty; clears them.
  bool test_and_clear(uint64_t offset, uint64_t size, DirtyClient client);
  /// Display and Migration are followed only while asked for; all pages are dirty at first.
  void follow(DirtyClient client, bool on);
  bool followed(DirtyClient client) const;

  // Translated code. A page with code is "clean" for DirtyClient::Code: stores to it must go the slow
  // way. Whoever translates sets it before it reads the page's bytes; the one who handles
  // code_written() clears it when the page has no code any more.
  void set_has_code(uint64_t offset, bool has);
  bool has_code(uint64_t offset) const {
    const uint64_t page = offset >> kDirtyPageBits;
    return code_[page / 64].load(std::memory_order_acquire) >> (page % 64) & 1;
  }
  /// One accelerator owns a machine's code; null: nobody.
  void set_code_listener(CodeWriteListener* listener) { listener_.store(listener); }

  /// Back to zeros, cheaply; host pages are given back.
  void clear();

 private:
  RamBlock() = default;
  using Bitmap = std::unique_ptr<std::atomic<uint64_t>[]>;
  static void set_bits(Bitmap& map, uint64_t first, uint64_t last);

  std::string id_;
  uint8_t* host_ = nullptr;
  uint64_t size_ = 0;
  int fd_ = -1;
  uint64_t words_ = 0;               ///< of a bitmap
  Bitmap code_;                      ///< pages that hold translated code
  Bitmap dirty_[kDirtyClientCount];  ///< of Display and Migration; null until followed
  std::atomic<uint32_t> followed_{0};
  std::atomic<CodeWriteListener*> listener_{nullptr};
};

}  // namespace lyrebird::system
