// SPDX-License-Identifier: Apache-2.0
/// Memory for what is known about blocks. There are 100,000 of some hundred bytes in a large program, and
/// the page faults of an ordinary heap take longer than all else that is done to load one.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>

namespace lyrebird::jit::baseline {

/// Any thread may ask. Memory is used again for blocks of about the same size, and never given back to the
/// host.
class BlockPool {
 public:
  static constexpr size_t kUnit = 16;
  static constexpr size_t kLargest = 2048;  ///< more than that comes from the heap

  BlockPool() = default;
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  /// Throws std::bad_alloc.
  void* take(size_t size);
  /// `size`: as it was asked for.
  void give(void* at, size_t size);

  /// Around fork(), as the engine has it.
  void before_fork() { mutex_.lock(); }
  void after_fork() { mutex_.unlock(); }

 private:
  struct Free {
    Free* next;
  };
  /// In front of each piece of the host's memory.
  struct Piece {
    Piece* before;
    size_t size;
  };
  static_assert(sizeof(Piece) % kUnit == 0);
  void grow();

  std::mutex mutex_;
  std::array<Free*, kLargest / kUnit + 1> free_{};  ///< by size
  std::byte* next_ = nullptr;
  size_t left_ = 0;
  size_t total_ = 0;
  Piece* pieces_ = nullptr;
};

}  // namespace lyrebird::jit::baseline
