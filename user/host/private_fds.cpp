// SPDX-License-Identifier: Apache-2.0
#include "user/host/private_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

namespace lyrebird::user::host {
namespace {

struct PrivateFd {
  int fd;
  void (*moved)(int);
};

// A process has one descriptor table, hence one list.
std::mutex mutex;
std::vector<PrivateFd>& list() {
  static std::vector<PrivateFd> fds;
  return fds;
}

int move_high(int fd) {
  for (const int lowest : {900, 200, 20}) {
    const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, lowest);
    if (moved < 0) continue;
    ::close(fd);
    return moved;
  }
  return -1;
}

}  // namespace

int adopt_private_fd(int fd, void (*moved)(int fd)) {
  const std::lock_guard lock(mutex);
  const int high = move_high(fd);
  if (high < 0) return -1;
  list().push_back({high, moved});
  if (moved) moved(high);
  return high;
}

bool is_private_fd(int fd) {
  const std::lock_guard lock(mutex);
  return std::any_of(list().begin(), list().end(), [&](const PrivateFd& one) { return one.fd == fd; });
}

bool move_private_fd(int fd) {
  const std::lock_guard lock(mutex);
  for (PrivateFd& one : list()) {
    if (one.fd != fd) continue;
    const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
    if (high < 0) return false;
    one.fd = high;
    if (one.moved) one.moved(high);
    ::close(fd);
    return true;
  }
  return true;
}

std::vector<int> private_fds() {
  const std::lock_guard lock(mutex);
  std::vector<int> fds;
  for (const PrivateFd& one : list()) fds.push_back(one.fd);
  std::sort(fds.begin(), fds.end());
  return fds;
}

}  // namespace lyrebird::user::host
