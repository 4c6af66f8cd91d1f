// SPDX-License-Identifier: Apache-2.0
/// Values of options as the peer writes them: `virt,gic-version=3,secure=on`. A comma inside of a value is
/// written twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/words.h"

namespace lyrebird::tools {

struct Property {
  std::string name, value;
};

/// `first`: the name of what the first item is if it has no name= ("" : it must have one). An item without a
/// value is name=on; noNAME is not name=off.
std::vector<Property> parse_properties(std::string_view text, std::string_view first);

/// "on", "yes", "true", "off", "no", "false".
Result<bool> parse_switch(std::string_view what, std::string_view value);
/// With K, M, G, T after it, else in `unit`.
Result<uint64_t> parse_size(std::string_view what, std::string_view value, uint64_t unit);
Result<uint64_t> parse_number(std::string_view what, std::string_view value, uint64_t low, uint64_t high);

}  // namespace lyrebird::tools
