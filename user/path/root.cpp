// SPDX-License-Identifier: Apache-2.0
#include "user/path/root.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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

bool is_host_only(std::string_view path) {
  return std::ranges::any_of(kHostOnly, [&](std::string_view directory) { return below(path, directory); });
}

bool exists(const std::string& host_path) { return ::access(host_path.c_str(), F_OK) == 0; }

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

bool leads_up(std::string_view path) {
  std::vector<std::string> components;
  push_components(path, components);
  return std::ranges::find(components, "..") != components.end();
}

/// Where a name was found. Of a directory `Root` may mean both: the host can have one, too.
enum class Side { Root, Host };

struct Entry {
  enum Kind { Missing, Link, Other } kind;
  Side side;
  std::string target;  // of a link
};

Entry read_entry(const std::string& host_path, Side side) {
  std::array<char, PATH_MAX> target;
  const ssize_t n = ::readlink(host_path.c_str(), target.data(), target.size());
  if (n >= 0) return {Entry::Link, side, std::string(target.data(), static_cast<size_t>(n))};
  // What may not be searched hides the host's, and the kernel shall say so.
  return {errno == EINVAL || errno == EACCES ? Entry::Other : Entry::Missing, side, {}};
}

/// The way of one guest path through both trees.
class Lookup {
 public:
  Lookup(const std::string& root, std::string_view path, bool follow)
      : root_(root), path_(path), follow_(follow || path.ends_with('/')) {
    push_components(path, todo_);
  }

  /// From a directory that is open already: the host's or the root's, not both.
  void start_in(const std::string& guest_directory, Side side) {
    if (guest_directory != "/") at_ = guest_directory;
    side_ = side;
    one_tree_ = true;
  }

  HostPath run();

 private:
  Entry find(const std::string& name) const;
  void go_up();
  void follow(const Entry& link);
  void take_both_trees();
  HostPath found() const;
  HostPath missing(std::string name) const;
  std::string rest() const;
  HostPath as_given() const { return {std::string(path_)}; }

  const std::string& root_;
  const std::string_view path_;
  const bool follow_;
  std::vector<std::string> todo_;  // the next one last
  std::string at_;                 // as the guest names it, without links; empty for "/"
  Side side_ = Side::Root;         // which tree has it
  bool one_tree_ = false;          // only that tree counts
  bool clamped_ = false;           // `..` met the root's top, which the kernel would not know
  bool own_way_ = false;           // the kernel would not come here by the given path
  bool last_followed_ = false;
  unsigned links_ = 0;
};

HostPath Lookup::run() {
  while (!todo_.empty()) {
    const std::string component = std::move(todo_.back());
    todo_.pop_back();
    if (component == ".") continue;
    if (component == "..") {
      go_up();
      continue;
    }
    std::string name = at_ + '/' + component;
    // The links in there are no text, only the kernel can follow them.
    if (below(name, "/proc") && !(one_tree_ && side_ == Side::Root)) {
      at_ = name + rest();
      side_ = Side::Host;
      own_way_ |= links_ > 0;
      break;
    }
    const Entry entry = find(name);
    if (entry.kind == Entry::Missing) return missing(name + rest());
    if (entry.kind == Entry::Link && (follow_ || !todo_.empty())) {
      if (++links_ > kMaxLinks) return {std::string(path_), -ELOOP};
      follow(entry);
      continue;
    }
    at_ = std::move(name);
    side_ = entry.side;
  }
  return found();
}

Entry Lookup::find(const std::string& name) const {
  if (side_ == Side::Root && (one_tree_ || !is_host_only(name))) {
    Entry entry = read_entry(root_ + name, Side::Root);
    if (entry.kind != Entry::Missing || one_tree_) return entry;
  }
  return read_entry(name, Side::Host);
}

void Lookup::go_up() {
  if (at_.empty()) {
    clamped_ |= side_ == Side::Root;
    return;
  }
  at_.resize(at_.rfind('/'));
  if (one_tree_) return;
  own_way_ |= side_ == Side::Root;
  take_both_trees();
}

void Lookup::follow(const Entry& link) {
  last_followed_ |= todo_.empty();
  own_way_ |= link.side == Side::Root;
  const bool absolute = link.target.starts_with('/');
  if (!absolute && leads_up(link.target)) {
    // What is a directory in the root may be a link to elsewhere on the host.
    char real[PATH_MAX];
    if (link.side == Side::Host && side_ == Side::Root && ::realpath((at_ + '/').c_str(), real)) {
      at_ = real;
      if (at_ == "/") at_.clear();
    }
    take_both_trees();
  } else if (absolute) {
    at_.clear();
    take_both_trees();
  }
  push_components(link.target, todo_);
}

void Lookup::take_both_trees() {
  one_tree_ = false;
  side_ = !is_host_only(at_) && exists(root_ + at_) ? Side::Root : Side::Host;
}

HostPath Lookup::found() const {
  if (one_tree_ && !clamped_) return as_given();
  if (side_ == Side::Host && !own_way_) return as_given();
  std::string path = side_ == Side::Root ? root_ + at_ : at_;
  if (path.empty() || (path_.ends_with('/') && !at_.empty() && !path.ends_with('/'))) path += '/';
  return {std::move(path)};
}

/// `name` is what the guest asks for with the links followed so far. Nothing has it: the kernel shall
/// say why, or make it where its directory is.
HostPath Lookup::missing(std::string name) const {
  if (one_tree_) return clamped_ ? HostPath{root_ + name} : as_given();
  // A link in the root must not hide what the host has below a directory of that name.
  struct stat st;
  if (own_way_ && !last_followed_ && path_.starts_with('/') && ::lstat(std::string(path_).c_str(), &st) == 0)
    return as_given();
  if (side_ == Side::Root && !exists(at_ + '/')) return {root_ + name};
  return own_way_ ? HostPath{std::move(name)} : as_given();
}

std::string Lookup::rest() const {
  std::string text;
  for (auto component = todo_.rbegin(); component != todo_.rend(); ++component) text += '/' + *component;
  if (path_.ends_with('/')) text += '/';
  return text;
}

/// What the host calls the directory that relative paths start from; empty: it has no name.
std::string name_of_directory(int dir) {
  char name[PATH_MAX];
  if (dir == AT_FDCWD) return ::getcwd(name, sizeof name) && name[0] == '/' ? name : "";
  const ssize_t n = ::readlink(fmt::format("/proc/self/fd/{}", dir).c_str(), name, sizeof name);
  return n > 0 && name[0] == '/' ? std::string(name, static_cast<size_t>(n)) : "";
}

}  // namespace

Root::Root(std::string directory) : directory_(std::move(directory)) {
  if (!directory_.empty()) {
    char resolved[PATH_MAX];
    if (::realpath(directory_.c_str(), resolved)) directory_ = resolved;
  }
  while (!directory_.empty() && directory_.back() == '/') directory_.pop_back();
}

std::string Root::to_guest(const std::string& host_path) const {
  if (directory_.empty() || !below(host_path, directory_)) return host_path;
  std::string inside = host_path.substr(directory_.size());
  if (inside.empty()) inside = "/";
  return is_host_only(inside) ? host_path : inside;
}

HostPath Root::translate(std::string_view guest_path, bool follow, int dir) const {
  const HostPath unchanged{std::string(guest_path)};
  if (directory_.empty() || guest_path.empty()) return unchanged;
  Lookup lookup(directory_, guest_path, follow);
  if (!guest_path.starts_with('/')) {
    // No link to follow: most of what walks through a directory asks so.
    if (!follow && guest_path.find('/') == std::string_view::npos && guest_path != "..") return unchanged;
    const std::string directory = name_of_directory(dir);
    if (directory.empty()) return unchanged;
    const std::string guest_directory = to_guest(directory);
    lookup.start_in(guest_directory, guest_directory == directory ? Side::Host : Side::Root);
  }
  return lookup.run();
}

}  // namespace lyrebird::user
