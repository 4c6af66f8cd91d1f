// SPDX-License-Identifier: Apache-2.0
/// The names of -d's topics.
#pragma once

#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"

namespace lyrebird {

/// What is run: some topics are of programs or of machines alone.
enum class LogUser : uint8_t { Program = 1, Machine = 2 };

/// A line for each topic.
std::string log_topic_help(LogUser user);
/// Turns on what `list` (names with commas between) says, or nothing and names the word that is none.
Result<void> enable_log_topics(std::string_view list, LogUser user);

}  // namespace lyrebird
