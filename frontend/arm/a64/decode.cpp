// SPDX-License-Identifier: Apache-2.0
#include "frontend/arm/a64/decode.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <vector>

#include "frontend/arm/a64/chapters.h"

namespace lyrebird::arm::a64 {
namespace {

bool more_specific(const Row* a, const Row* b) {
  const int bits_a = std::popcount(a->mask), bits_b = std::popcount(b->mask);
  return bits_a != bits_b ? bits_a > bits_b : a->value < b->value;
}

/// Rows by bits 28:21 of the word, the most specific first: a word meets a handful of
/// candidates. A bucket is filled when its first word comes, because most programs are short
/// and use few of them.
class Index {
 public:
  Index() {
    rows_.reserve(1024);
    keys_.reserve(1024);
#define A64_ADD_CHAPTER(name) add(name##_rows());
    A64_CHAPTERS(A64_ADD_CHAPTER)
#undef A64_ADD_CHAPTER
  }
  ~Index() {
    for (const auto& bucket : buckets_) delete[] bucket.load(std::memory_order_relaxed);
  }

  const Row* find(uint32_t word) {
    for (const Candidate* c = bucket(word);; ++c)
      if ((word & c->mask) == c->value && (!c->row || c->row->matches(word))) return c->row;
  }
  std::span<const Row* const> all() const { return rows_; }

 private:
  static constexpr unsigned kShift = 21, kBuckets = 256;
  static constexpr uint32_t kKeyMask = (kBuckets - 1) << kShift;
  struct Key {
    uint32_t mask, value;
  };
  /// A row, and what of it most words fail at. The last one of a bucket has no row and fits every word.
  struct Candidate {
    uint32_t mask, value;
    const Row* row;
  };

  void add(std::span<const Row> rows) {
    for (const Row& row : rows) {
      rows_.push_back(&row);
      keys_.push_back({row.mask & kKeyMask, row.value & kKeyMask});
    }
  }

  const Candidate* bucket(uint32_t word) {
    auto& slot = buckets_[word >> kShift & (kBuckets - 1)];
    const Candidate* const candidates = slot.load(std::memory_order_acquire);
    return candidates ? candidates : fill(slot, word & kKeyMask);
  }

  const Candidate* fill(std::atomic<const Candidate*>& slot, uint32_t key) {
    std::vector<const Row*> found;
    for (size_t i = 0; i < keys_.size(); ++i)
      if ((key & keys_[i].mask) == keys_[i].value) found.push_back(rows_[i]);
    std::sort(found.begin(), found.end(), more_specific);
    std::unique_ptr<Candidate[]> list(new Candidate[found.size() + 1]{});
    for (size_t i = 0; i < found.size(); ++i) list[i] = {found[i]->mask, found[i]->value, found[i]};
    // Threads may race to fill the same bucket: the first one's list stays.
    const Candidate* expected = nullptr;
    return slot.compare_exchange_strong(expected, list.get(), std::memory_order_acq_rel) ? list.release()
                                                                                         : expected;
  }

  std::vector<const Row*> rows_;
  std::vector<Key> keys_;  ///< as rows_: what their bits 28:21 ask for
  std::atomic<const Candidate*> buckets_[kBuckets] = {};
};

Index& index() {
  static Index index;
  return index;
}

}  // namespace

std::span<const Row* const> all_rows() { return index().all(); }
const Row* find_row(uint32_t word) { return index().find(word); }

}  // namespace lyrebird::arm::a64
