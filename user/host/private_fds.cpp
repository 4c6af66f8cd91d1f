// SPDX-License-Identifier: Apache-2.0
#include "user/host/private_fds.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>

namespace lyrebird::user::host {
namespace {

// No lock: a child of fork() must find this usable whatever other threads were doing.
struct PrivateFd {
  std::atomic<int> fd{-1};
  void (*moved)(int) = nullptr;
};

// A process has one descriptor table, hence one list. It is filled before guest code runs.
std::array<PrivateFd, 8> list;

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
  for (PrivateFd& one : list) {
    if (one.fd != -1) continue;
    const int high = move_high(fd);
    if (high < 0) return -1;
    one.moved = moved;
    one.fd = high;
    if (moved) moved(high);
    return high;
  }
  return -1;
}

bool is_private_fd(int fd) {
  return fd >= 0 && std::any_of(list.begin(), list.end(), [&](const PrivateFd& one) { return one.fd == fd; });
}

bool move_private_fd(int fd) {
  for (PrivateFd& one : list) {
    if (one.fd != fd) continue;
    const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
    if (high < 0) return false;
    one.fd = high;
    if (one.moved) one.moved(high);
    ::close(fd);
  }
  return true;
}

std::vector<int> private_fds() {
  std::vector<int> fds;
  for (const PrivateFd& one : list)
    if (one.fd != -1) fds.push_back(one.fd);
  std::sort(fds.begin(), fds.end());
  return fds;
}

}  // namespace lyrebird::user::host
