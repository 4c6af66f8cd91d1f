// SPDX-License-Identifier: Apache-2.0
/// -L ROOT: the guest's files are those of ROOT, laid over the host's.
///
/// Each component of a path, and of what a symbolic link in it says, is looked for below ROOT first,
/// wherever the link itself lies. What is not there, and everything below a few directories that
/// belong to the running system (/proc, /sys, /dev, /run, /tmp), is the host's; but a new name in a
/// directory that only ROOT has belongs there. A relative path starts in the one directory that the
/// kernel would take, and stays in that tree until a link leads up or to `/`.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace lyrebird::user {

/// A guest path as the host finds it, or why it can't be one (-errno).
struct HostPath {
  std::string text;
  int64_t error = 0;
  const char* c_str() const { return text.c_str(); }
};

class Root {
 public:
  Root() = default;
  explicit Root(std::string directory);

  bool empty() const { return directory_.empty(); }
  const std::string& directory() const { return directory_; }

  /// The host path for a guest path, itself where the kernel would come to the same file by it.
  /// `follow`: the last component too, if it is a link. `dir`: what a relative path starts from.
  HostPath translate(std::string_view guest_path, bool follow, int dir = AT_FDCWD) const;
  /// The name the guest knows a host path by: without the root, if translate() brings it back.
  std::string to_guest(const std::string& host_path) const;

 private:
  std::string directory_;  // without a slash at the end
};

}  // namespace lyrebird::user
