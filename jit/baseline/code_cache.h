// SPDX-License-Identifier: Apache-2.0
/// Memory for generated code, mapped twice: once to write, once to execute, so that no
/// page is ever both. Bounded; what does not fit is refused.
///
/// After fork() parent and child go on with the same memory, which neither changes any more:
/// who wants to write first makes himself a copy of that granule, at the same address.
///
/// Thread-safe; mutex_ is a leaf lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace lyrebird::jit::baseline {

class CodeCache {
 public:
  static constexpr size_t kSegment = size_t{256} << 10;
  static constexpr size_t kAlignment = 32;
  static constexpr size_t kGranule = size_t{64} << 10;  ///< what is copied after fork()

  /// `image_room`: bytes of code that is run from files, besides.
  explicit CodeCache(size_t capacity, size_t image_room = 0);
  ~CodeCache();
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  /// False if the host gave no memory to execute.
  bool usable() const { return execute_ != nullptr; }
  /// Where to run `size` bytes of code, aligned to kAlignment; nullptr if the cache is full.
  uint8_t* allocate(size_t size);
  /// The same, with the code in it, whose first 8 bytes are `owner`; `line`: so many bytes behind a multiple
  /// of 64, if there is room.
  uint8_t* add(const uint8_t* code, size_t size, const void* owner, std::optional<uint32_t> line = {});
  void release(const uint8_t* code, size_t size);
  /// Writes what runs at `code`: memory that no thread runs yet.
  void write(const uint8_t* code, const void* from, size_t size);
  /// Changes the aligned 4 bytes at `code`, which threads may be running. `optional`: may be left
  /// undone (false) where it would cost a copy of memory shared with another process.
  bool patch(const uint8_t* code, int32_t value, bool optional = false);
  bool patch(const uint8_t* code, uint64_t value, bool optional = false);  ///< 8 bytes
  bool contains(uint64_t address) const {
    return address - reinterpret_cast<uint64_t>(execute_) < capacity_ && usable();
  }
  /// Lets code of the file be run, in reach of all other; it stays there. `size`: a multiple of
  /// kGranule. patch() makes a copy first. nullptr: no room.
  const uint8_t* map_image(int fd, uint64_t offset, size_t size);
  bool in_images(uint64_t address) const {
    return address - reinterpret_cast<uint64_t>(execute_) - capacity_ < total_ - capacity_ && usable();
  }
  // Places in the cache and its images, in 32 bits.
  uint32_t offset_of(const uint8_t* code) const { return static_cast<uint32_t>(code - execute_); }
  const uint8_t* at(uint32_t offset) const { return execute_ + offset; }
  /// Start of the allocation that holds the address; nullptr if there is none.
  const uint8_t* start_of(uint64_t address);

  /// Around fork(): the child keeps all code.
  void before_fork();
  void after_fork_in_parent();
  void after_fork_in_child();
  /// In the child of a fork without before_fork(): the memory is still the parent's. Gets its own,
  /// empty but for the first `keep` bytes, at the same addresses.
  void start_anew_in_child(size_t keep);

 private:
  static constexpr uint8_t kOwn = 0;        ///< (a granule's share_) not shared with another process
  static constexpr uint8_t kPatience = 64;  ///< optional patches that are left undone before a copy is made

  // Under the mutex:
  uint8_t* allocate_locked(size_t size);
  void write_locked(const uint8_t* code, const void* from, size_t size);
  bool map(void* write_at, void* execute_at);
  template <typename T>
  bool patch_word(const uint8_t* code, T value, bool optional);
  /// Makes the granules of [code, code + size) this process's own. False: no memory.
  bool own(const uint8_t* code, size_t size);
  bool replace(size_t start, size_t size, bool copy);
  size_t high_water() const;
  void share_all();
  void populate(size_t start);
  void mark(const uint8_t* code, bool start);
  bool clear_starts();  // false: no memory

  size_t capacity_ = 0;
  size_t total_ = 0;   ///< with the images, which come last
  size_t images_ = 0;  ///< bytes of these
  uint8_t* write_ = nullptr;
  uint8_t* execute_ = nullptr;

  std::mutex mutex_;
  std::vector<uint32_t> live_;  ///< bytes in use of each segment
  std::vector<uint32_t> free_;  ///< segments without live bytes, last one taken first
  /// As calloc() gives it: most of it is never touched.
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<uint64_t[], Free>
      starts_;  ///< a bit for every kAlignment bytes: an allocation starts there
  uint32_t current_ = 0;
  size_t used_ = 0;             ///< of the current segment
  uint32_t top_ = 0;            ///< the highest segment ever taken
  std::vector<uint8_t> share_;  ///< of each granule: kOwn, or 1 + optional patches refused
  size_t foreign_from_ = 0;     ///< from here to capacity_ the memory is the parent's, and unused
};

}  // namespace lyrebird::jit::baseline
