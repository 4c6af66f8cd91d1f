// SPDX-License-Identifier: Apache-2.0
#include "net/vsock_host.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>
#include <string_view>

namespace lyrebird::net {

namespace {

constexpr std::string_view kCommand = "CONNECT ";
constexpr size_t kLongestLine = 32, kMaxWaiting = 64;

bool address_of(const std::string& path, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

int connect_to(const std::string& path) {
  sockaddr_un address;
  if (!address_of(path, address)) return -1;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

class UnixHost final : public VsockHost {
 public:
  UnixHost(std::string path, system::EventLoop& loop) : path_(std::move(path)), loop_(loop) {}
  ~UnixHost() override {
    for (const int fd : waiting_) forget(fd);
    if (listener_ < 0) return;
    forget(listener_);
    ::unlink(path_.c_str());
  }

  Result<void> open() {
    sockaddr_un address;
    if (!address_of(path_, address)) return Error{fmt::format("path={}: is no name for a socket", path_)};
    struct stat status;
    if (::lstat(path_.c_str(), &status) == 0) {
      // What a process left that is gone; never what somebody listens at.
      const int other = S_ISSOCK(status.st_mode) ? connect_to(path_) : -1;
      if (other >= 0) ::close(other);
      if (other >= 0 || !S_ISSOCK(status.st_mode)) return Error{fmt::format("path={}: is in use", path_)};
      ::unlink(path_.c_str());
    }
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd, 16) != 0) {
      const Error error{fmt::format("path={}: {}", path_, std::strerror(errno))};
      if (fd >= 0) ::close(fd);
      return error;
    }
    listener_ = fd;
    loop_.watch(fd, EPOLLIN, [this](uint32_t) { accept(); });
    return {};
  }

  void set_incoming(Incoming incoming) override { incoming_ = std::move(incoming); }
  int connect(uint32_t port) override { return connect_to(fmt::format("{}_{}", path_, port)); }

 private:
  void forget(int fd) {
    loop_.unwatch(fd);
    ::close(fd);
  }

  void accept() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    if (waiting_.size() >= kMaxWaiting) {
      ::close(fd);
      return;
    }
    waiting_.insert(fd);
    loop_.watch(fd, EPOLLIN, [this, fd](uint32_t) { read_command(fd); });
  }

  /// Takes the line and nothing behind it: that is the guest's.
  void read_command(int fd) {
    char text[kLongestLine];
    const ssize_t seen = ::recv(fd, text, sizeof text, MSG_PEEK);
    if (seen < 0 && (errno == EAGAIN || errno == EINTR)) return;
    const std::string_view all(text, seen > 0 ? static_cast<size_t>(seen) : 0);
    const size_t end = all.find('\n');
    if (end == all.npos && !all.empty() && all.size() < kLongestLine) {
      // The rest comes later; what is there is not to wake the loop again and again.
      if (kCommand.starts_with(all.substr(0, kCommand.size()))) {
        loop_.watch(fd, EPOLLIN | EPOLLET, [this, fd](uint32_t) { read_command(fd); });
        return;
      }
    }
    uint32_t port = 0;
    const std::string_view number = end == all.npos || !all.starts_with(kCommand)
                                        ? std::string_view()
                                        : all.substr(kCommand.size(), end - kCommand.size());
    const auto [last, problem] = std::from_chars(number.data(), number.data() + number.size(), port);
    waiting_.erase(fd);
    loop_.unwatch(fd);
    const bool good = !number.empty() && problem == std::errc() && last == number.data() + number.size();
    if (!good || !incoming_ || ::recv(fd, text, end + 1, 0) != static_cast<ssize_t>(end + 1)) {
      ::close(fd);
      return;
    }
    incoming_(fd, port);
  }

  const std::string path_;
  system::EventLoop& loop_;
  int listener_ = -1;
  std::set<int> waiting_;  ///< have not said yet which port they want
  Incoming incoming_;
};

}  // namespace

Result<std::unique_ptr<VsockHost>> open_vsock_host(const std::string& path, system::EventLoop& loop) {
  auto host = std::make_unique<UnixHost>(path, loop);
  if (auto opened = host->open(); !opened) return opened.error();
  return std::unique_ptr<VsockHost>(std::move(host));
}

}  // namespace lyrebird::net
