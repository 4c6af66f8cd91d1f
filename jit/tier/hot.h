// SPDX-License-Identifier: Apache-2.0
/// Which blocks are worth optimising, judged by samples.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "ir/block.h"

namespace lyrebird::jit {

class HotSet {
 public:
  static constexpr uint32_t kHot = 4;  ///< samples
  /// So many samples later an old one counts half.
  static constexpr uint32_t kHalfLife = 512;

  /// Nothing is known of the block.
  bool is_new(ir::BlockKey key) const { return !scores_.contains(key); }
  /// The block needs nothing.
  void settle(ir::BlockKey key) { scores_[key].settled = true; }
  /// True if the sample told something new: the block is not settled.
  bool add(ir::BlockKey key);
  /// Takes the hottest of the blocks that became hot, hottest first. They are settled from now on.
  std::vector<ir::BlockKey> take_hot(size_t most = ~size_t{0});
  bool is_hot(ir::BlockKey key) const {
    const auto found = scores_.find(key);
    return found != scores_.end() && found->second.hot && !found->second.settled;
  }
  bool any_hot() const { return !hot_.empty(); }
  /// It was no use for now: the block has to be sampled ever more often to be taken again.
  void unsettle(ir::BlockKey key);

 private:
  struct Hash {
    size_t operator()(ir::BlockKey key) const {
      return (key.pc ^ uint64_t{key.mode} << 48) * 0x9e3779b97f4a7c15;
    }
  };
  struct Score {
    uint32_t samples = 0, needed = kHot;
    bool hot = false, settled = false;
  };
  void age();

  std::unordered_map<ir::BlockKey, Score, Hash> scores_;
  std::vector<ir::BlockKey> hot_;
  uint32_t samples_ = 0;
};

}  // namespace lyrebird::jit
