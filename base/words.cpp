// SPDX-License-Identifier: Apache-2.0
#include "base/words.h"

#include <fmt/format.h>

#include <algorithm>

namespace lyrebird {

std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  size_t best = std::max<size_t>(word.size() / 3, 1) + 1;
  std::string found;
  for (const std::string_view candidate : candidates) {
    // Edit distance with neighbours swapped as one step.
    std::vector<std::vector<size_t>> d(word.size() + 1, std::vector<size_t>(candidate.size() + 1));
    for (size_t i = 0; i <= word.size(); ++i)
      for (size_t j = 0; j <= candidate.size(); ++j) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        d[i][j] =
            std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (word[i - 1] != candidate[j - 1])});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    const size_t distance = d[word.size()][candidate.size()];
    if (distance < best) best = distance, found = candidate;
  }
  return found;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string other = nearest(word, candidates);
  return other.empty() ? "" : fmt::format(" (did you mean {}?)", other);
}

}  // namespace lyrebird
