// SPDX-License-Identifier: Apache-2.0
/// The jumps between blocks that were made direct, as the lists that undo them. An owner's lock guards
/// all of it (Baseline::link_mutex_).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace lyrebird::jit::baseline {

struct BaselineBlock;

struct Link {
  BaselineBlock* target = nullptr;  ///< nullptr: undone, but still in its owner's list
  uint32_t field = 0;               ///< what is patched: a place in the code cache
  int32_t stub : 30 = 0;            ///< where it leads when it is undone, from the field
  uint32_t region : 1 = 0;          ///< the field is a region's
  uint32_t listed : 1 = 0;          ///< in its owner's list: images have none
  uint32_t next_incoming = 0;       ///< of the target's
  uint32_t next_outgoing = 0;       ///< of the block that jumps
};

/// Links by number; 0 is none. Their memory is used again and goes with the pool.
class LinkPool {
 public:
  Link& operator[](uint32_t number) { return chunks_[number / kChunk][number % kChunk]; }
  uint32_t take() {
    if (free_ == 0) grow();
    const uint32_t number = free_;
    free_ = (*this)[number].next_outgoing;
    (*this)[number] = {};
    return number;
  }
  void give(uint32_t number) {
    (*this)[number] = {};
    (*this)[number].next_outgoing = free_;
    free_ = number;
  }

 private:
  static constexpr uint32_t kChunk = 512;
  void grow() {
    const auto first = static_cast<uint32_t>(chunks_.size()) * kChunk;
    chunks_.push_back(std::make_unique<Link[]>(kChunk));
    for (uint32_t i = kChunk; i-- > (first == 0 ? 1 : 0);) {
      (*this)[first + i].next_outgoing = free_;
      free_ = first + i;
    }
  }
  std::vector<std::unique_ptr<Link[]>> chunks_;
  uint32_t free_ = 0;
};

}  // namespace lyrebird::jit::baseline
