// SPDX-License-Identifier: Apache-2.0
#include "block/image_lock.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace lyrebird::block {

namespace {

constexpr off_t kUses = 100, kRefuses = 200;
constexpr unsigned kRead = 0, kWrite = 1, kResize = 3, kPermissions = 4;
constexpr const char* kNames[kPermissions] = {"read", "write", "write", "resize"};

struct flock byte_lock(short type, off_t byte) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return lock;
}

/// 0, or the errno of the host.
int hold(int fd, off_t byte) {
  struct flock lock = byte_lock(F_RDLCK, byte);
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

bool held_by_others(int fd, off_t byte) {
  struct flock lock = byte_lock(F_WRLCK, byte);
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

Result<void> lock_image(int fd, const std::string& path, bool write, bool share_write, bool must) {
  const unsigned uses = 1u << kRead | (write ? 1u << kWrite : 0);
  const unsigned refuses = 1u << kResize | (share_write ? 0 : 1u << kWrite);
  for (unsigned n = 0; n < kPermissions; ++n) {
    int error = 0;
    if (uses >> n & 1) error = hold(fd, kUses + n);
    if (!error && (refuses >> n & 1)) error = hold(fd, kRefuses + n);
    if (!error) continue;
    const bool none = error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK;
    if (none && !must) return {};
    return Error{
        fmt::format("{}: cannot be locked: {}; locking=off opens it without", path, std::strerror(error))};
  }
  // Locked first, then looked at: of two at once, at least one sees the other.
  for (unsigned n = 0; n < kPermissions; ++n) {
    const bool refused = (uses >> n & 1) && held_by_others(fd, kRefuses + n);
    const bool used = (refuses >> n & 1) && held_by_others(fd, kUses + n);
    if (!refused && !used) continue;
    return Error{
        fmt::format("{}: in use: another process {} the \"{}\" lock; is another machine running with this "
                    "disk? (locking=off opens it in spite of that and may destroy what is on it)",
                    path, refused ? "does not share" : "holds", kNames[n])};
  }
  return {};
}

}  // namespace lyrebird::block
