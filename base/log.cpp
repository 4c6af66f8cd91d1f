// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>

#include "base/log_file.h"

namespace lyrebird {

namespace log_detail {
uint32_t enabled_topics = 0;
static std::atomic<int> log_fd = 2;

void write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(log_fd, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}
}  // namespace log_detail

void enable_log(LogTopic topic) { log_detail::enabled_topics |= 1u << static_cast<unsigned>(topic); }

int log_file() { return log_detail::log_fd; }
void set_log_file(int fd) { log_detail::log_fd = fd; }

bool open_log_file(const char* path, bool keep) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | (keep ? 0 : O_TRUNC) | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return false;
  log_detail::log_fd = fd;
  return true;
}

void log_always(std::string_view text) { log_detail::write(text); }

void log_unimplemented(std::string_view text) {
  if (!log_enabled(LogTopic::Unimp)) return;
  static std::mutex mutex;
  static std::set<std::string, std::less<>> said;
  const std::lock_guard lock(mutex);
  if (!said.emplace(text).second) return;
  log_detail::write(fmt::format("unimplemented: {}\n", text));
}

}  // namespace lyrebird
