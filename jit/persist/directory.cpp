// SPDX-License-Identifier: Apache-2.0
#include "jit/persist/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace lyrebird::jit::persist {

std::string default_directory() {
  const auto set = [](const char* name) -> const char* {
    const char* const value = std::getenv(name);
    return value && *value ? value : nullptr;
  };
  if (const char* const own = set("LYREBIRD_CACHE_DIR")) return own;
  if (const char* const caches = set("XDG_CACHE_HOME"); caches && *caches == '/')
    return std::string(caches) + "/lyrebird";
  if (const char* const home = set("HOME"); home && *home == '/')
    return std::string(home) + "/.cache/lyrebird";
  return {};
}

bool parse_size(const char* text, uint64_t& size) {
  if (*text < '0' || *text > '9') return false;
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = std::strtoull(text, &end, 10);
  constexpr std::string_view kUnits = "KMG";
  const size_t unit = *end ? kUnits.find(*end) : std::string_view::npos;
  if (errno || (*end && (unit == std::string_view::npos || end[1]))) return false;
  const unsigned shift = *end ? 10 * static_cast<unsigned>(unit + 1) : 0;
  size = value > (~uint64_t{0} >> shift) ? ~uint64_t{0} : uint64_t{value} << shift;
  return true;
}

uint64_t default_limit() {
  const char* const text = std::getenv("LYREBIRD_CACHE_LIMIT");
  uint64_t limit = kDefaultLimit;
  return text && parse_size(text, limit) ? limit : kDefaultLimit;
}

namespace {
bool refuse(std::string* why, const std::string& reason) {
  if (why) *why = reason;
  return false;
}
}  // namespace

bool open_directory(const std::string& path, std::string* why) {
  if (path.empty())
    return refuse(why, "no directory: neither LYREBIRD_CACHE_DIR, XDG_CACHE_HOME nor HOME is set");
  if (::getauxval(AT_SECURE) || ::getuid() != ::geteuid() || ::getgid() != ::getegid())
    return refuse(why, "not for a program with rights that are not its user's");
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno == ENOENT) {
    // ~/.cache, as the XDG specification has it made.
    const size_t slash = path.find_last_of('/');
    if (slash != std::string::npos && slash > 0) ::mkdir(path.substr(0, slash).c_str(), S_IRWXU);
    ::mkdir(path.c_str(), S_IRWXU);
  }
  struct stat st;
  if (::lstat(path.c_str(), &st) != 0) return refuse(why, path + ": " + std::strerror(errno));
  if (!S_ISDIR(st.st_mode)) return refuse(why, path + ": is not a directory");
  if (st.st_uid != ::geteuid()) return refuse(why, path + ": belongs to another user");
  if (st.st_mode & 022) return refuse(why, path + ": others may write to it");
  return true;
}

std::vector<DirectoryEntry> list_directory(const std::string& path) {
  std::vector<DirectoryEntry> entries;
  DIR* const directory = ::opendir(path.c_str());
  if (!directory) return entries;
  while (const dirent* const entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name.find(kSuffix) == std::string::npos && name.find(kImageSuffix) == std::string::npos) continue;
    struct stat st;
    if (::fstatat(::dirfd(directory), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
      continue;
    entries.push_back(
        {path + "/" + name, static_cast<uint64_t>(st.st_size), std::max(st.st_mtime, st.st_atime)});
  }
  ::closedir(directory);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.used != b.used ? a.used > b.used : a.path < b.path;
  });
  return entries;
}

void touch(const std::string& path) {
  const int fd =
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, S_IRUSR | S_IWUSR);
  if (fd < 0) return;
  ::futimens(fd, nullptr);
  ::close(fd);
}

uint64_t prune_directory(const std::string& path, uint64_t limit) {
  uint64_t kept = 0, removed = 0;
  for (const DirectoryEntry& entry : list_directory(path)) {
    if (entry.bytes <= limit - std::min(limit, kept)) {
      kept += entry.bytes;
    } else if (::unlink(entry.path.c_str()) == 0) {
      ++removed;
    }
  }
  return removed;
}

}  // namespace lyrebird::jit::persist
