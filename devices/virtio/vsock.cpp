// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vsock.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

namespace lyrebird::devices {

/// 5.10.6, but for the padding at its end.
struct VirtioVsock::Header {
  uint64_t source_cid, target_cid;
  uint32_t source_port, target_port, size;
  uint16_t type, op;
  uint32_t flags, room, forwarded;
};

struct VirtioVsock::Connection {
  Connection(Key its_key, int its_socket, uint64_t its_serial)
      : key(its_key), socket(its_socket), serial(its_serial) {}
  ~Connection() { ::close(socket); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  uint32_t guest_has_room() const {
    const uint32_t waits = sent - guest_forwarded;
    return guest_room > waits ? guest_room - waits : 0;
  }

  const Key key;
  const int socket;
  const uint64_t serial;
  bool established = false;
  bool readable = true, writable = true, hung_up = false;  ///< the socket, as far as is known
  bool host_ended = false, told_hang_up = false;           ///< what the guest was told
  bool guest_ended = false, guest_deaf = false;            ///< the guest sends, receives no more
  bool told_end = false;                                   ///< the host's program
  std::vector<uint8_t> to_host;
  uint32_t forwarded = 0, told_forwarded = 0;  ///< bytes that the host's program got
  uint32_t guest_room = 0, guest_forwarded = 0, sent = 0;
};

namespace {

constexpr unsigned kReceive = 0, kTransmit = 1, kEvents = 2;
constexpr size_t kHeader = 44;
constexpr uint32_t kRoom = 256 << 10, kMostAtOnce = 64 << 10;
constexpr size_t kMaxConnections = 1024, kMaxAnswers = 1024;
constexpr uint16_t kStream = 1;
enum Op : uint16_t { Request = 1, Response, Reset, Shutdown, Data, CreditUpdate, CreditRequest };
constexpr uint32_t kNoReceive = 1, kNoSend = 2;
constexpr uint32_t kTransportReset = 0;
constexpr uint32_t kWatched = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

}  // namespace

VirtioVsock::VirtioVsock(VirtioOptions options, uint64_t cid, std::unique_ptr<net::VsockHost> host,
                         system::AddressSpace& memory, system::EventLoop& loop)
    : VirtioDevice(VirtioType::Vsock, std::move(options), {128, 128, 16}, sizeof cid, memory, loop),
      cid_(cid),
      host_(std::move(host)),
      scratch_(kMostAtOnce) {
  set_config<uint64_t>(0, cid_);
  host_->set_incoming([this](int socket, uint32_t port) { on_incoming(socket, port); });
}

VirtioVsock::~VirtioVsock() {
  const std::lock_guard lock(mutex());
  device_reset();
}

void VirtioVsock::device_reset() {
  while (!connections_.empty()) remove(connections_.begin()->first);
  answers_.clear();
  stalled_ = tell_reset_ = false;
}

void VirtioVsock::config_written(uint64_t, unsigned) { set_config<uint64_t>(0, cid_); }

// --- connections ---

VirtioVsock::Connection* VirtioVsock::find(Key key) {
  const auto found = connections_.find(key);
  return found == connections_.end() ? nullptr : found->second.get();
}

VirtioVsock::Connection& VirtioVsock::add(Key key, int socket) {
  const uint64_t serial = ++next_serial_;
  auto& connection = connections_[key];
  connection = std::make_unique<Connection>(key, socket, serial);
  loop().watch(socket, kWatched, [this, key, serial](uint32_t events) { on_socket(key, serial, events); });
  return *connection;
}

void VirtioVsock::remove(Key key) {
  const auto found = connections_.find(key);
  if (found == connections_.end()) return;
  loop().unwatch(found->second->socket);
  connections_.erase(found);
}

void VirtioVsock::refuse(Key key) {
  remove(key);
  answer(key, Reset);
}

void VirtioVsock::answer(Key key, uint16_t op, uint32_t flags, uint16_t type) {
  // Beyond what packets of the guest's may ask for: a guest that takes nothing loses what it was to be told.
  if (answers_.size() < 2 * kMaxAnswers) answers_.push_back({key, type, op, flags});
}

void VirtioVsock::on_socket(Key key, uint64_t serial, uint32_t events) {
  const std::lock_guard lock(mutex());
  Connection* const connection = find(key);
  if (!connection || connection->serial != serial) return;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) connection->readable = true;
  if (events & EPOLLOUT) connection->writable = true;
  if (events & (EPOLLHUP | EPOLLERR)) connection->hung_up = true;
  if (!connection->established) {
    if (connection->hung_up) refuse(key);
  } else {
    // Half of it was told when the program stopped sending.
    if (connection->host_ended && connection->hung_up && !std::exchange(connection->told_hang_up, true))
      answer(key, Shutdown, kNoSend | kNoReceive);
    flush(*connection);
  }
  give();
}

void VirtioVsock::on_incoming(int socket, uint32_t port) {
  const std::lock_guard lock(mutex());
  if (!running() || connections_.size() >= kMaxConnections) {
    ::close(socket);
    return;
  }
  while (next_port_ == ~0u || find({port, next_port_})) ++next_port_;
  const Key key = {port, next_port_++};
  add(key, socket);
  answer(key, Request);
  give();
}

void VirtioVsock::flush(Connection& connection) {
  size_t done = 0;
  while (done < connection.to_host.size() && connection.writable) {
    const ssize_t n = ::send(connection.socket, connection.to_host.data() + done,
                             connection.to_host.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      connection.writable = false;
    } else if (errno != EINTR) {
      return refuse(connection.key);
    }
  }
  connection.to_host.erase(connection.to_host.begin(),
                           connection.to_host.begin() + static_cast<ptrdiff_t>(done));
  connection.forwarded += static_cast<uint32_t>(done);
  if (connection.forwarded - connection.told_forwarded > kRoom / 2) {
    connection.told_forwarded = connection.forwarded;
    answer(connection.key, CreditUpdate);
  }
  if (!connection.guest_ended || !connection.to_host.empty()) return;
  // Ended on both sides: it is the device's to confirm (5.10.6.6).
  if (connection.guest_deaf) return refuse(connection.key);
  if (!std::exchange(connection.told_end, true)) ::shutdown(connection.socket, SHUT_WR);
}

// --- from the guest ---

void VirtioVsock::process(unsigned n) {
  if (n == kTransmit) {
    for_each_chain(n, [&](const Chain& chain) {
      if (answers_.size() >= kMaxAnswers) {
        stalled_ = true;
        return false;
      }
      take(chain);
      complete(n, chain, 0);
      return true;
    });
  }
  if (n == kEvents) give_event();
  if (running()) give();
}

void VirtioVsock::take(const Chain& chain) {
  Header header{};
  if (chain.read(0, &header, kHeader) != kHeader || header.size > chain.readable_size - kHeader)
    return fail("a packet is shorter than it says");
  if (header.source_cid != cid_) return;  // nobody to answer
  const Key key = {header.source_port, header.target_port};
  if (header.target_cid != kHostCid || header.type != kStream) {
    if (header.op != Reset && header.target_cid == kHostCid) answer(key, Reset, 0, header.type);
    return;
  }
  take(header, chain);
}

void VirtioVsock::take(const Header& header, const Chain& chain) {
  const Key key = {header.source_port, header.target_port};
  Connection* const connection = find(key);
  if (header.op == Request) return requested(header, key);
  if (header.op == Reset) return remove(key);
  if (!connection) return answer(key, Reset);
  connection->guest_room = header.room;
  connection->guest_forwarded = header.forwarded;
  if (connection->established == (header.op == Response)) return refuse(key);
  switch (header.op) {
    case Response:
      return accepted(*connection);
    case Data:
      return take_data(*connection, chain, header.size);
    case Shutdown:
      return take_shutdown(*connection, header.flags);
    case CreditUpdate:
      return;  // give() goes on by itself
    case CreditRequest:
      return answer(key, CreditUpdate);
    default:
      return refuse(key);
  }
}

void VirtioVsock::requested(const Header& header, Key key) {
  if (find(key)) return refuse(key);
  const int socket = connections_.size() < kMaxConnections ? host_->connect(key.second) : -1;
  if (socket < 0) return answer(key, Reset);
  Connection& connection = add(key, socket);
  connection.guest_room = header.room;
  connection.guest_forwarded = header.forwarded;
  connection.established = true;
  answer(key, Response);
}

void VirtioVsock::accepted(Connection& connection) {
  connection.established = true;
  // Before anything of the guest's; it does not count as sent by it.
  const std::string line = fmt::format("OK {}\n", connection.key.second);
  if (::send(connection.socket, line.data(), line.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
      static_cast<ssize_t>(line.size()))
    refuse(connection.key);
}

void VirtioVsock::take_data(Connection& connection, const Chain& chain, uint32_t size) {
  if (connection.guest_ended || size > kRoom - connection.to_host.size()) return refuse(connection.key);
  const size_t before = connection.to_host.size();
  connection.to_host.resize(before + size);
  chain.read(kHeader, connection.to_host.data() + before, size);
  flush(connection);
}

void VirtioVsock::take_shutdown(Connection& connection, uint32_t flags) {
  connection.guest_deaf |= (flags & kNoReceive) != 0;
  connection.guest_ended |= (flags & kNoSend) != 0;
  if (connection.guest_deaf) ::shutdown(connection.socket, SHUT_RD);
  flush(connection);
}

// --- to the guest ---

void VirtioVsock::give() {
  for_each_chain(kReceive, [&](const Chain& chain) {
    if (chain.writable_size <= kHeader) {
      fail("a receive buffer has no room for a packet");
      return true;
    }
    return give(chain);
  });
  if (stalled_ && answers_.size() < kMaxAnswers / 2) {
    stalled_ = false;
    retry(kTransmit);
  }
}

bool VirtioVsock::give(const Chain& chain) {
  if (!answers_.empty()) return give_answer(chain);
  // Whose turn it is: the first behind the one that had it, round and round.
  for (size_t tries = connections_.size(); tries > 0; --tries) {
    auto next = connections_.upper_bound(last_given_);
    if (next == connections_.end()) next = connections_.begin();
    if (next == connections_.end()) return false;
    last_given_ = next->first;
    Connection& connection = *next->second;
    const bool ready = connection.established && connection.readable && !connection.host_ended &&
                       !connection.guest_deaf && connection.guest_has_room() > 0;
    if (ready && give_data(connection, chain)) return true;
  }
  return !answers_.empty() && give_answer(chain);
}

bool VirtioVsock::give_answer(const Chain& chain) {
  const Reply reply = answers_.front();
  answers_.pop_front();
  put(chain, reply, 0);
  return true;
}

bool VirtioVsock::give_data(Connection& connection, const Chain& chain) {
  const uint64_t most =
      std::min<uint64_t>({chain.writable_size - kHeader, connection.guest_has_room(), kMostAtOnce});
  const ssize_t n = ::recv(connection.socket, scratch_.data(), most, MSG_DONTWAIT);
  const Key key = connection.key;
  if (n > 0) {
    connection.sent += static_cast<uint32_t>(n);
    chain.write(kHeader, scratch_.data(), static_cast<size_t>(n));
    put(chain, {key, kStream, Data, 0}, static_cast<uint32_t>(n));
    return true;
  }
  if (n == 0) {
    connection.host_ended = true;
    connection.told_hang_up = connection.hung_up;
    put(chain, {key, kStream, Shutdown, connection.hung_up ? kNoSend | kNoReceive : kNoSend}, 0);
    return true;
  }
  if (errno == EAGAIN || errno == EINTR) {
    connection.readable = errno == EINTR;
    return false;
  }
  refuse(key);
  return false;
}

void VirtioVsock::put(const Chain& chain, const Reply& what, uint32_t size) {
  Header header{};
  header.source_cid = kHostCid;
  header.target_cid = cid_;
  std::tie(header.target_port, header.source_port) = what.key;
  header.size = size;
  header.type = what.type;
  header.op = what.op;
  header.flags = what.flags;
  if (Connection* const connection = find(what.key)) {
    header.room = kRoom;
    header.forwarded = connection->told_forwarded = connection->forwarded;
  }
  chain.write(0, &header, kHeader);
  complete(kReceive, chain, static_cast<uint32_t>(kHeader + size));
}

void VirtioVsock::give_event() {
  for_each_chain(kEvents, [&](const Chain& chain) {
    if (!tell_reset_) return false;
    tell_reset_ = false;
    complete(kEvents, chain, static_cast<uint32_t>(chain.write(0, &kTransportReset, sizeof kTransportReset)));
    return true;
  });
}

// --- state ---

void VirtioVsock::save_device(system::StateWriter&) const {}

void VirtioVsock::load_device(system::StateReader&) { tell_reset_ = true; }

}  // namespace lyrebird::devices
