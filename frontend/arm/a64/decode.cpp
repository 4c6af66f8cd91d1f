// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/decode.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "frontend/arm/a64/chapters.h"

namespace lyrebird::arm::a64 {
namespace {

bool more_specific(const Row* a, const Row* b) {
  const int bits_a = std::popcount(a->mask), bits_b = std::popcount(b->mask);
  return bits_a != bits_b ? bits_a > bits_b : a->pattern < b->pattern;
}

/// Rows by bits 28:21 of the word, the most specific first: a word meets a handful of
/// candidates.
class Index {
 public:
  Index() {
    for (const auto& rows : {data_processing_imm_rows(), branches_rows()})
      for (const Row& row : rows) all_.push_back(&row);
    std::sort(all_.begin(), all_.end(), more_specific);
    for (uint32_t key = 0; key < kBuckets; ++key)
      for (const Row* row : all_)
        if (((key << kShift ^ row->value) & row->mask & kKeyMask) == 0) buckets_[key].push_back(row);
  }

  const Row* find(uint32_t word) const {
    for (const Row* row : buckets_[word >> kShift & (kBuckets - 1)])
      if (row->matches(word)) return row;
    return nullptr;
  }
  std::span<const Row* const> all() const { return all_; }

 private:
  static constexpr unsigned kShift = 21, kBuckets = 256;
  static constexpr uint32_t kKeyMask = (kBuckets - 1) << kShift;
  std::vector<const Row*> all_;
  std::array<std::vector<const Row*>, kBuckets> buckets_;
};

const Index& index() {
  static const Index index;
  return index;
}

}  // namespace

std::span<const Row* const> all_rows() { return index().all(); }
const Row* find_row(uint32_t word) { return index().find(word); }

}  // namespace lyrebird::arm::a64
