// SPDX-License-Identifier: Apache-2.0
#include "user/path/root.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <vector>

namespace lyrebird::user {
namespace {

constexpr std::string_view kHostOnly[] = {"/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", "/var/run"};
constexpr unsigned kMaxLinks = 40;

bool below(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

/// Pushes the components of `path` in reverse order, so that pop_back takes the first.
void push_components(std::string_view path, std::vector<std::string>& stack) {
  size_t end = path.size();
  while (end > 0) {
    const size_t slash = path.rfind('/', end - 1);
    const size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    if (begin < end) stack.emplace_back(path.substr(begin, end - begin));
    if (slash == std::string_view::npos) break;
    end = slash;
  }
}

}  // namespace

Root::Root(std::string directory) : directory_(std::move(directory)) {
  if (!directory_.empty()) {
    char resolved[PATH_MAX];
    if (::realpath(directory_.c_str(), resolved)) directory_ = resolved;
  }
  while (!directory_.empty() && directory_.back() == '/') directory_.pop_back();
}

std::string Root::find(std::string_view guest_path, bool follow) const {
  return walk(guest_path, follow, nullptr);
}

/// With `only_last_missing` also the path of something that could be made there, and then true in it.
std::string Root::walk(std::string_view guest_path, bool follow, bool* only_last_missing) const {
  if (directory_.empty() || guest_path.empty() || guest_path[0] != '/') return {};
  std::vector<std::string> todo;
  push_components(guest_path, todo);
  std::string path = directory_;
  unsigned links = 0;
  bool dangling = false;
  while (!todo.empty()) {
    const std::string component = std::move(todo.back());
    todo.pop_back();
    if (component == ".") continue;
    if (component == "..") {
      if (path.size() > directory_.size()) path.resize(path.rfind('/'));
      continue;
    }
    const size_t parent = path.size();
    path += '/';
    path += component;
    std::array<char, PATH_MAX> target;
    const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
    if (n < 0) {
      if (errno == EINVAL) continue;
      if (errno != ENOENT || !todo.empty() || !only_last_missing || dangling) return {};
      path.resize(parent);
      if (::access(path.c_str(), F_OK) != 0) return {};
      *only_last_missing = true;
      return path.append("/").append(component);
    }
    if (todo.empty() && !follow && guest_path.back() != '/') continue;
    if (++links > kMaxLinks) return {};
    dangling |= todo.empty();
    const std::string_view link(target.data(), static_cast<size_t>(n));
    push_components(link, todo);
    path.resize(link.starts_with('/') ? directory_.size() : parent);
  }
  if (::access(path.c_str(), F_OK) != 0 && follow) return {};
  if (guest_path.back() == '/' && path != directory_) path += '/';
  return path;
}

std::string Root::to_guest(const std::string& host_path) const {
  if (directory_.empty() || !below(host_path, directory_)) return host_path;
  std::string inside = host_path.substr(directory_.size());
  if (inside.empty()) inside = "/";
  for (const std::string_view directory : kHostOnly)
    if (below(inside, directory)) return host_path;
  return inside;
}

std::string Root::translate(std::string_view guest_path, bool follow) const {
  if (!directory_.empty()) {
    bool host_only = false;
    for (const std::string_view directory : kHostOnly) host_only |= below(guest_path, directory);
    if (!host_only) {
      bool missing = false;
      std::string found = walk(guest_path, follow, &missing);
      if (missing) {
        // Whose is the directory? The host's, if it has one of that name.
        const std::string directory = found.substr(directory_.size(), found.rfind('/') - directory_.size());
        if (::access(directory.empty() ? "/" : directory.c_str(), F_OK) == 0) found.clear();
      }
      if (!found.empty()) return found;
    }
  }
  return std::string(guest_path);
}

}  // namespace lyrebird::user
