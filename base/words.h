// SPDX-License-Identifier: Apache-2.0
/// What to say when a word is not one of those that there are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lyrebird {

/// The candidate most like `word`, or "" if none is much like it.
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);
/// " (did you mean X?)" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace lyrebird
