// SPDX-License-Identifier: Apache-2.0
/// Reads guest code for a decoder.
#pragma once

#include <algorithm>
#include <cstdint>

#include "frontend/frontend.h"

namespace lyrebird::x86 {

inline constexpr uint64_t kPageSize = 4096;
inline constexpr unsigned kLongest = 15;  ///< bytes of an instruction

/// The guest's bytes, read a piece of a page at a time.
class Window {
 public:
  Window(frontend::CodeSource& code, bool wraps) : code_(code), wraps_(wraps) {}

  /// Copies up to kLongest bytes from pc on; gives how many there are. pc grows from call to call.
  unsigned read(uint64_t pc, uint8_t* to) {
    const uint64_t first = bytes_in_page(pc);
    unsigned count = take(pc, to, static_cast<unsigned>(std::min<uint64_t>(kLongest, first)));
    if (count == first && count < kLongest) {
      const uint64_t next = wraps_ ? static_cast<uint32_t>(pc + first) : pc + first;
      if (code_.fetch(next, to + count, kLongest - count)) count = kLongest;
    }
    return count;
  }

 private:
  static uint64_t bytes_in_page(uint64_t pc) { return kPageSize - (pc & (kPageSize - 1)); }

  /// `count` bytes of one page, or 0.
  unsigned take(uint64_t pc, uint8_t* to, unsigned count) {
    if (pc < start_ || pc + count > start_ + size_) {
      start_ = pc;
      size_ = static_cast<unsigned>(std::min<uint64_t>(sizeof bytes_, bytes_in_page(pc)));
      if (!code_.fetch(pc, bytes_, size_)) size_ = 0;
    }
    if (size_ == 0) return 0;
    std::copy_n(bytes_ + (pc - start_), count, to);
    return count;
  }

  frontend::CodeSource& code_;
  const bool wraps_;
  uint64_t start_ = 0;
  unsigned size_ = 0;
  uint8_t bytes_[64];
};

/// What a source of less than a page can give.
inline unsigned available_bytes(frontend::CodeSource& code, uint64_t pc, uint8_t* to) {
  unsigned count = 0;
  while (count < kLongest && code.fetch(pc + count, to + count, 1)) ++count;
  return count;
}

}  // namespace lyrebird::x86
