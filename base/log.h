// SPDX-License-Identifier: Apache-2.0
/// The -d log: topics that a user turns on, written to stderr or the file of -D.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string_view>

namespace lyrebird {

enum class LogTopic : uint32_t { InAsm, Ir, IrOpt, OutAsm, Exec, Cpu, Unimp, Strace, Page, Signal, Int };
inline constexpr unsigned kLogTopicCount = 11;

namespace log_detail {
extern uint32_t enabled_topics;  // written once, before guest code runs
void write(std::string_view text);
}  // namespace log_detail

inline bool log_enabled(LogTopic topic) {
  return log_detail::enabled_topics >> static_cast<unsigned>(topic) & 1;
}
void enable_log(LogTopic topic);
/// Where the log goes; stderr until called. False with errno set if it can't be opened.
/// `keep`: what is in the file stays.
bool open_log_file(const char* path, bool keep = false);

/// Writes one whole text (lines end in \n) at once, so that threads do not mix.
template <typename... Args>
void log(LogTopic topic, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(topic)) log_detail::write(fmt::format(format, std::forward<Args>(args)...));
}

/// The same for what an option of its own asked for.
void log_always(std::string_view text);

/// Something the guest asked for is not there: said once per distinct text, if -d unimp is on
/// (the guest gets its undefined-instruction exception or ENOSYS in any case).
void log_unimplemented(std::string_view text);

}  // namespace lyrebird
