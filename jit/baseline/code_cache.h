// SPDX-License-Identifier: Apache-2.0
/// Memory for generated code, mapped twice: once to write, once to execute, so that no
/// page is ever both. Bounded; what does not fit is refused.
///
/// Thread-safe; mutex_ is a leaf lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace lyrebird::jit::baseline {

class CodeCache {
 public:
  static constexpr size_t kSegment = size_t{256} << 10;
  static constexpr size_t kAlignment = 32;

  explicit CodeCache(size_t capacity);
  ~CodeCache();
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;

  /// False if the host gave no memory to execute.
  bool usable() const { return execute_ != nullptr; }
  /// Where to run `size` bytes of code, aligned to kAlignment; nullptr if the cache is full.
  uint8_t* allocate(size_t size);
  void release(const uint8_t* code, size_t size);
  /// Where to write what runs at `code`.
  uint8_t* writable(const uint8_t* code) const { return write_ + (code - execute_); }
  bool contains(uint64_t address) const {
    return address - reinterpret_cast<uint64_t>(execute_) < capacity_ && usable();
  }
  /// Start of the allocation that holds the address; nullptr if there is none.
  const uint8_t* start_of(uint64_t address);
  /// In the child of a fork: the memory is still the parent's. Gets its own, empty but for the
  /// first `keep` bytes, at the same addresses.
  void after_fork_in_child(size_t keep);

 private:
  bool map(void* write_at, void* execute_at);
  void mark(const uint8_t* code, bool start);

  size_t capacity_ = 0;
  uint8_t* write_ = nullptr;
  uint8_t* execute_ = nullptr;

  std::mutex mutex_;
  std::vector<uint32_t> live_;    ///< bytes in use of each segment
  std::vector<uint32_t> free_;    ///< segments without live bytes, last one taken first
  std::vector<uint64_t> starts_;  ///< a bit for every kAlignment bytes: an allocation starts there
  uint32_t current_ = 0;
  size_t used_ = 0;  ///< of the current segment
};

}  // namespace lyrebird::jit::baseline
