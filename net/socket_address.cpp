// SPDX-License-Identifier: Apache-2.0
#include "net/socket_address.h"

#include <fmt/core.h>
#include <netdb.h>
#include <sys/un.h>

#include <cstring>

namespace lyrebird::net {

Result<SocketAddress> parse_host_port(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size()) {
    return Error{fmt::format("{}: must look like [HOST]:PORT", text)};
  }
  return SocketAddress{text.substr(0, colon), text.substr(colon + 1), {}};
}

Result<ResolvedAddress> resolve(const SocketAddress& address, int type, bool passive) {
  ResolvedAddress result;
  if (!address.path.empty()) {
    auto* const to = reinterpret_cast<sockaddr_un*>(&result.bytes);
    if (address.path.size() >= sizeof to->sun_path) {
      return Error{fmt::format("{}: is longer than the name of a socket may be", address.path)};
    }
    to->sun_family = AF_UNIX;
    std::memcpy(to->sun_path, address.path.data(), address.path.size());
    result.size = sizeof *to;
    return result;
  }
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = type;
  hints.ai_flags = passive ? AI_PASSIVE : 0;
  const char* const host = address.host.empty() ? nullptr : address.host.c_str();
  if (const int error = ::getaddrinfo(host, address.port.c_str(), &hints, &found); error != 0) {
    return Error{fmt::format("{}: {}", address.text(), ::gai_strerror(error))};
  }
  std::memcpy(&result.bytes, found->ai_addr, found->ai_addrlen);
  result.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return result;
}

}  // namespace lyrebird::net
