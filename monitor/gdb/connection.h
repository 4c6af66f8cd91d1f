// SPDX-License-Identifier: Apache-2.0
/// The socket to gdb: one client on a TCP port of the loopback interface or on a Unix socket.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace lyrebird::gdb {

class Connection {
 public:
  Connection() = default;
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// `where`: a port number, or a path. Waits for the client.
  Result<void> accept(const std::string& where);
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  /// Bytes that are there, waiting for the first; empty: gdb has gone.
  std::string receive();
  void send(std::string_view bytes);
  void close();

 private:
  int fd_ = -1;
};

}  // namespace lyrebird::gdb
