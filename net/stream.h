// SPDX-License-Identifier: Apache-2.0
/// Frames over a stream socket, each after its length (32 bits, big-endian): another machine's network card
/// at the other end (-netdev stream; -netdev socket with listen= or connect=).
#pragma once

#include <memory>

#include "net/backend.h"
#include "net/socket_address.h"
#include "system/event_loop.h"

namespace lyrebird::net {

struct StreamOptions {
  std::string id;
  SocketAddress address;
  bool server = false;  // one connection at a time; the link is down without one
};

Result<std::unique_ptr<Backend>> open_stream(const StreamOptions& options, system::EventLoop& loop);

}  // namespace lyrebird::net
