// SPDX-License-Identifier: Apache-2.0
/// Networks whose descriptor gives a frame at a time: tap interfaces and datagram sockets.
#pragma once

#include <memory>

#include "net/backend.h"
#include "net/socket_address.h"
#include "system/event_loop.h"

namespace lyrebird::net {

/// An interface of the host. Needs CAP_NET_ADMIN, or one that was made for this user (ip tuntap add).
struct TapOptions {
  std::string id;
  std::string interface;  // empty: the host chooses
  std::string bridge;     // not empty: the interface becomes a port of this bridge
  int fd = -1;            // an open one, from whoever started us
  bool vnet_header = true;
};
Result<std::unique_ptr<Backend>> open_tap(const TapOptions& options, system::EventLoop& loop);

/// Frames as datagrams: from `local` to `remote`. A multicast `remote` is joined.
struct DatagramOptions {
  std::string id;
  SocketAddress local, remote;
};
Result<std::unique_ptr<Backend>> open_datagram(const DatagramOptions& options, system::EventLoop& loop);

}  // namespace lyrebird::net
