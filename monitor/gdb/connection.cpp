// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace lyrebird::gdb {

namespace {

Error failed(const std::string& where, const char* what) {
  return Error{fmt::format("-g {}: {}: {}", where, what, std::strerror(errno))};
}

Result<int> listen_on_port(const std::string& where, uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(where, "socket");
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 1) == 0)
    return fd;
  const Error error = failed(where, "can't listen");
  ::close(fd);
  return error;
}

Result<int> listen_on_path(const std::string& where) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (where.size() >= sizeof address.sun_path)
    return Error{fmt::format("-g {}: the path is too long", where)};
  std::copy(where.begin(), where.end(), address.sun_path);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed(where, "socket");
  ::unlink(where.c_str());
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(fd, 1) == 0)
    return fd;
  const Error error = failed(where, "can't listen");
  ::close(fd);
  return error;
}

}  // namespace

Result<void> Connection::accept(const std::string& where) {
  uint16_t port = 0;
  const char* const end = where.data() + where.size();
  const auto [stop, code] = std::from_chars(where.data(), end, port);
  const bool is_port = code == std::errc() && stop == end;
  const Result<int> listener = is_port ? listen_on_port(where, port) : listen_on_path(where);
  if (!listener) return listener.error();
  do {
    fd_ = ::accept4(*listener, nullptr, nullptr, SOCK_CLOEXEC);
  } while (fd_ < 0 && errno == EINTR);
  const int error = errno;
  ::close(*listener);
  if (!is_port) ::unlink(where.c_str());
  errno = error;
  if (fd_ < 0) return failed(where, "accept");
  const int on = 1;
  if (is_port) ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {};
}

std::string Connection::receive() {
  char bytes[4096];
  ssize_t n;
  do {
    n = ::recv(fd_, bytes, sizeof bytes, 0);
  } while (n < 0 && errno == EINTR);
  return {bytes, static_cast<size_t>(std::max<ssize_t>(n, 0))};
}

void Connection::send(std::string_view bytes) {
  while (open() && !bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

void Connection::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

}  // namespace lyrebird::gdb
