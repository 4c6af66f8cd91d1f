// SPDX-License-Identifier: Apache-2.0
/// The host's end of a guest's virtio sockets: streams between ports of the guest and programs of the host.
///
/// open_vsock_host() has them as Unix sockets, as Firecracker and Cloud Hypervisor do:
///     a program that wants the guest's port P connects to PATH, writes "CONNECT P\n", and reads "OK N\n"
///     when the guest has accepted; the connection is closed if it does not what the guest connects to port P
///     of the host (CID 2) goes to PATH_P, where a program listens
///
/// Everything is called on the event loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "system/event_loop.h"

namespace lyrebird::net {

class VsockHost {
 public:
  virtual ~VsockHost() = default;
  /// A program wants the guest's port. The socket is the receiver's from then on; it blocks nobody. Called
  /// without any lock.
  using Incoming = std::function<void(int socket, uint32_t port)>;
  virtual void set_incoming(Incoming incoming) = 0;
  /// A socket that blocks nobody, connected to who listens at the host's port; -1: nobody does.
  virtual int connect(uint32_t port) = 0;
};

Result<std::unique_ptr<VsockHost>> open_vsock_host(const std::string& path, system::EventLoop& loop);

}  // namespace lyrebird::net
