// SPDX-License-Identifier: Apache-2.0
/// -L ROOT: absolute paths of the guest are looked for below ROOT first.
///
/// Symbolic links are followed component by component with ROOT as `/`, so an absolute link in
/// the root stays in it. What is not there, and everything below a few directories that belong to
/// the running system (/proc, /sys, /dev, /run, /tmp), is the host's; but a new name in a directory
/// that only ROOT has belongs there.
#pragma once

#include <string>
#include <string_view>

namespace lyrebird::user {

class Root {
 public:
  Root() = default;
  explicit Root(std::string directory);

  bool empty() const { return directory_.empty(); }
  const std::string& directory() const { return directory_; }

  /// The host path for a guest path. `follow`: the last component too, if it is a link.
  std::string translate(std::string_view guest_path, bool follow) const;
  /// The name the guest knows a host path by: without the root, if translate() brings it back.
  std::string to_guest(const std::string& host_path) const;
  /// The host path of an object that must be inside the root, or empty.
  std::string find(std::string_view guest_path, bool follow) const;

 private:
  std::string walk(std::string_view guest_path, bool follow, bool* only_last_missing) const;

  std::string directory_;  // without a slash at the end
};

}  // namespace lyrebird::user
