// SPDX-License-Identifier: Apache-2.0
/// Addresses of sockets as options name them.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace lyrebird::net {

/// Unix if `path` is given, else IPv4 or IPv6.
struct SocketAddress {
  std::string host, port, path;
  bool given() const { return !port.empty() || !path.empty(); }
  std::string text() const { return path.empty() ? host + ":" + port : path; }
};

struct ResolvedAddress {
  sockaddr_storage bytes = {};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
  int family() const { return bytes.ss_family; }
};

/// "HOST:PORT"; the host may be empty.
Result<SocketAddress> parse_host_port(const std::string& text);
Result<ResolvedAddress> resolve(const SocketAddress& address, int type, bool passive);

}  // namespace lyrebird::net
