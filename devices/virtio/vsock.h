// SPDX-License-Identifier: Apache-2.0
/// virtio socket device (Virtual I/O Device 1.2, 5.10), with streams only: the guest's programs and the
/// host's talk by AF_VSOCK. The host's side of each connection is a socket that net/vsock_host.h gives.
///
/// Queues: 0 to the guest, 1 from it, 2 events. Configuration: the guest's CID (8 bytes). A connection holds
/// at most 256 KiB on its way to the host; how much may wait for the guest is the guest's to say. There are
/// at most 1024 connections. They are not part of a saved state: the guest is told that they are gone.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "devices/virtio/virtio.h"
#include "net/vsock_host.h"

namespace lyrebird::devices {

class VirtioVsock final : public VirtioDevice {
 public:
  static constexpr uint64_t kHostCid = 2, kFirstCid = 3, kLastCid = 0xffff'fffe;

  /// `cid`: the guest's.
  VirtioVsock(VirtioOptions options, uint64_t cid, std::unique_ptr<net::VsockHost> host,
              system::AddressSpace& memory, system::EventLoop& loop);
  ~VirtioVsock() override;

 private:
  /// The guest's port and the host's.
  using Key = std::pair<uint32_t, uint32_t>;
  struct Header;
  struct Connection;
  struct Reply {
    Key key;
    uint16_t type, op;
    uint32_t flags;
  };

  void process(unsigned queue) override;
  void device_reset() override;
  void config_written(uint64_t offset, unsigned size) override;
  void save_device(system::StateWriter& to) const override;
  void load_device(system::StateReader& from) override;

  /// A packet of the guest's.
  void take(const Chain& chain);
  void take(const Header& header, const Chain& chain);
  void requested(const Header& header, Key key);
  void accepted(Connection& connection);
  void take_data(Connection& connection, const Chain& chain, uint32_t size);
  void take_shutdown(Connection& connection, uint32_t flags);
  /// Fills the guest's buffers: answers first, then what the host's programs sent, in turn.
  void give();
  /// One buffer; false: there is nothing to give.
  bool give(const Chain& chain);
  bool give_answer(const Chain& chain);
  bool give_data(Connection& connection, const Chain& chain);
  void give_event();
  void put(const Chain& chain, const Reply& what, uint32_t size);

  Connection* find(Key key);
  Connection& add(Key key, int socket);
  void answer(Key key, uint16_t op, uint32_t flags = 0, uint16_t type = 1);
  /// Towards the host's program. May remove the connection.
  void flush(Connection& connection);
  void remove(Key key);
  void refuse(Key key);  ///< removes it, and the guest is told
  void on_socket(Key key, uint64_t serial, uint32_t events);
  void on_incoming(int socket, uint32_t port);

  const uint64_t cid_;
  const std::unique_ptr<net::VsockHost> host_;
  std::map<Key, std::unique_ptr<Connection>> connections_;
  std::deque<Reply> answers_;
  Key last_given_{};  ///< whose turn it was
  uint64_t next_serial_ = 0;
  uint32_t next_port_ = 1u << 30;
  bool stalled_ = false;  ///< the guest's packets wait for room for their answers
  bool tell_reset_ = false;
  std::vector<uint8_t> scratch_;
};

}  // namespace lyrebird::devices
