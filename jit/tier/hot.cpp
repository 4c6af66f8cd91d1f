// SPDX-License-Identifier: Apache-2.0
#include "jit/tier/hot.h"

#include <algorithm>
#include <utility>

namespace lyrebird::jit {

bool HotSet::add(ir::BlockKey key) {
  if (++samples_ % kHalfLife == 0) age();
  Score& score = scores_[key];
  if (score.settled) return false;
  if (++score.samples >= score.needed && !score.hot) {
    score.hot = true;
    hot_.push_back(key);
  }
  return true;
}

void HotSet::age() {
  for (auto it = scores_.begin(); it != scores_.end();) {
    Score& score = it->second;
    score.samples /= 2;
    const bool forget = score.samples == 0 && !score.hot && !score.settled && score.needed == kHot;
    it = forget ? scores_.erase(it) : std::next(it);
  }
}

std::vector<ir::BlockKey> HotSet::take_hot(size_t most) {
  std::vector<ir::BlockKey> hot = std::exchange(hot_, {});
  std::sort(hot.begin(), hot.end(), [&](auto a, auto b) { return scores_[a].samples > scores_[b].samples; });
  if (hot.size() > most) {
    hot_.assign(hot.begin() + static_cast<ptrdiff_t>(most), hot.end());
    hot.resize(most);
  }
  for (const ir::BlockKey key : hot) scores_[key].settled = true;
  return hot;
}

void HotSet::unsettle(ir::BlockKey key) {
  Score& score = scores_[key];
  score.samples = 0;
  score.hot = score.settled = false;
  score.needed = std::min(score.needed * 4, 1u << 16);
}

}  // namespace lyrebird::jit
