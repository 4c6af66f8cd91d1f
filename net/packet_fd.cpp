// SPDX-License-Identifier: Apache-2.0
#include "net/packet_fd.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "net/checksum.h"

namespace lyrebird::net {

namespace {

constexpr unsigned kFramesPerTurn = 64;
constexpr size_t kLargest = sizeof(FrameHeader) + 65536 + 18;

/// `fd`: takes frames by writev() and gives them by read(), with a FrameHeader before each if `header`.
class PacketBackend final : public Backend {
 public:
  PacketBackend(int fd, bool header, std::string text, std::string remove_path, system::EventLoop& loop)
      : loop_(loop),
        fd_(fd),
        header_(header),
        text_(std::move(text)),
        remove_path_(std::move(remove_path)),
        alive_(std::make_shared<PacketBackend*>(this)) {
    ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
    update_watch();
  }
  ~PacketBackend() override {
    *alive_ = nullptr;
    loop_.unwatch(fd_);
    ::close(fd_);
    if (!remove_path_.empty()) ::unlink(remove_path_.c_str());
  }

  void set_receiver(Receiver* receiver) override { receiver_ = receiver; }
  bool send(const FrameHeader& header, std::span<const iovec> frame) override;
  void ready() override {
    loop_.post([alive = alive_] {
      if (!*alive || !(*alive)->paused_) return;
      (*alive)->paused_ = false;
      (*alive)->on_input();
      (*alive)->update_watch();
    });
  }
  Offloads can_offload() const override {
    return header_ ? Offloads{true, true, true, true} : Offloads{.checksum = true};
  }
  Offloads wants_offload() const override { return header_ ? Offloads{true, true, true, true} : Offloads{}; }
  void set_guest_offload(const Offloads& guest) override {
    if (!header_) return;
    unsigned flags = 0;
    if (guest.checksum) {
      flags = TUN_F_CSUM | (guest.tcp4 ? TUN_F_TSO4 : 0) | (guest.tcp6 ? TUN_F_TSO6 : 0);
      if (guest.ecn && (guest.tcp4 || guest.tcp6)) flags |= TUN_F_TSO_ECN;
    }
    ::ioctl(fd_, TUNSETOFFLOAD, flags);
  }
  std::string describe() const override { return text_; }

 private:
  void update_watch();
  void on_input();

  system::EventLoop& loop_;
  const int fd_;
  const bool header_;
  const std::string text_, remove_path_;
  std::shared_ptr<PacketBackend*> alive_;
  Receiver* receiver_ = nullptr;
  std::vector<uint8_t> held_;  // a frame the guest had no room for, with its header
  const std::unique_ptr<uint8_t[]> buffer_ = std::make_unique_for_overwrite<uint8_t[]>(kLargest);
  std::vector<uint8_t> copy_;
  bool paused_ = false, refused_ = false;
};

void PacketBackend::update_watch() {
  const uint32_t events = (paused_ ? 0 : uint32_t{EPOLLIN}) | (refused_ ? uint32_t{EPOLLOUT} : 0);
  if (events == 0) {
    loop_.unwatch(fd_);
    return;
  }
  loop_.watch(fd_, events, [this](uint32_t seen) {
    if ((seen & EPOLLOUT) && refused_) {
      refused_ = false;
      update_watch();
      if (receiver_) receiver_->can_send();
    }
    if (seen & (EPOLLIN | EPOLLERR)) on_input();
  });
}

bool PacketBackend::send(const FrameHeader& header, std::span<const iovec> frame) {
  std::vector<iovec> pieces;
  FrameHeader out = header;
  out.buffers = 0;
  if (header_) {
    pieces.push_back({&out, sizeof out});
    pieces.insert(pieces.end(), frame.begin(), frame.end());
  } else {
    copy_.clear();
    for (const iovec& piece : frame) {
      const auto* from = static_cast<const uint8_t*>(piece.iov_base);
      copy_.insert(copy_.end(), from, from + piece.iov_len);
    }
    if (!finish_checksum(header, copy_)) return true;
    pieces.push_back({copy_.data(), copy_.size()});
  }
  ssize_t n;
  do {
    n = ::writev(fd_, pieces.data(), static_cast<int>(pieces.size()));
  } while (n < 0 && errno == EINTR);
  if (n >= 0 || (errno != EAGAIN && errno != ENOBUFS)) return true;  // an error: lost, as on a cable
  refused_ = true;
  update_watch();
  return false;
}

void PacketBackend::on_input() {
  const size_t before = header_ ? sizeof(FrameHeader) : 0;
  for (unsigned n = 0; n < kFramesPerTurn; ++n) {
    if (held_.empty()) {
      const ssize_t size = ::read(fd_, buffer_.get(), kLargest);
      if (size < static_cast<ssize_t>(before)) return;
      held_.assign(buffer_.get(), buffer_.get() + size);
    }
    FrameHeader header;
    std::memcpy(&header, held_.data(), before);
    if (receiver_ && !receiver_->receive(header, std::span<const uint8_t>(held_).subspan(before))) {
      paused_ = true;
      return update_watch();
    }
    held_.clear();
  }
}

Error failed(const std::string& what) { return Error{fmt::format("{}: {}", what, std::strerror(errno))}; }

Result<void> join_bridge(const std::string& bridge, const char* interface) {
  const int control = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ifreq request = {};
  std::strncpy(request.ifr_name, bridge.c_str(), IFNAMSIZ - 1);
  request.ifr_ifindex = static_cast<int>(::if_nametoindex(interface));
  Result<void> result;
  if (::ioctl(control, SIOCBRADDIF, &request) != 0) {
    result = Error{fmt::format("bridge {}: {}; make it with: ip link add {} type bridge && ip link set {} up",
                               bridge, std::strerror(errno), bridge, bridge)};
  } else {
    std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (::ioctl(control, SIOCGIFFLAGS, &request) == 0) {
      request.ifr_flags |= IFF_UP;
      ::ioctl(control, SIOCSIFFLAGS, &request);
    }
  }
  ::close(control);
  return result;
}

}  // namespace

Result<std::unique_ptr<Backend>> open_tap(const TapOptions& options, system::EventLoop& loop) {
  int fd = options.fd;
  ifreq request = {};
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (options.vnet_header ? IFF_VNET_HDR : 0));
  if (options.interface.size() >= IFNAMSIZ)
    return Error{fmt::format("ifname={}: is too long", options.interface)};
  std::memcpy(request.ifr_name, options.interface.data(), options.interface.size());
  if (fd >= 0) {
    if (::ioctl(fd, TUNGETIFF, &request) != 0) return failed(fmt::format("fd={}: is no tap interface", fd));
  } else {
    fd = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) return failed("/dev/net/tun");
    if (::ioctl(fd, TUNSETIFF, &request) != 0) {
      const int error = errno;
      ::close(fd);
      if (error != EPERM) return Error{fmt::format("tap {}: {}", options.interface, std::strerror(error))};
      const std::string name = options.interface.empty() ? "tap0" : options.interface;
      return Error{
          fmt::format("tap {}: making an interface needs CAP_NET_ADMIN; make one for you "
                      "(sudo ip tuntap add {} mode tap user $USER && sudo ip link set {} up) and name it "
                      "with ifname=, or use -netdev user",
                      options.interface, name, name)};
    }
  }
  const bool header = request.ifr_flags & IFF_VNET_HDR;
  int size = sizeof(FrameHeader);
  if (header && ::ioctl(fd, TUNSETVNETHDRSZ, &size) != 0) {
    const Error error = failed("tap: the header's size");
    ::close(fd);
    return error;
  }
  if (!options.bridge.empty()) {
    if (auto joined = join_bridge(options.bridge, request.ifr_name); !joined) {
      ::close(fd);
      return joined.error();
    }
  }
  const std::string text = options.bridge.empty()
                               ? fmt::format("tap, ifname={}", request.ifr_name)
                               : fmt::format("bridge, br={}, ifname={}", options.bridge, request.ifr_name);
  return std::unique_ptr<Backend>(std::make_unique<PacketBackend>(fd, header, text, "", loop));
}

Result<std::unique_ptr<Backend>> open_datagram(const DatagramOptions& options, system::EventLoop& loop) {
  auto remote = resolve(options.remote, SOCK_DGRAM, false);
  if (!remote) return remote.error();
  const int fd = ::socket(remote->family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto give_up = [&](const std::string& what) -> Error {
    const Error error = failed(what);
    if (fd >= 0) ::close(fd);
    return error;
  };
  if (fd < 0) return give_up(options.remote.text());
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const auto* const to = reinterpret_cast<const sockaddr_in*>(&remote->bytes);
  const bool multicast = remote->family() == AF_INET && IN_MULTICAST(ntohl(to->sin_addr.s_addr));
  if (multicast) {
    // Everybody on this host gets it, this socket too: what it sent itself is not to be told apart.
    return give_up(options.remote.text() + ": multicast is not supported yet");
  }
  std::string path;
  if (options.local.given()) {
    auto local = resolve(options.local, SOCK_DGRAM, true);
    if (!local) {
      ::close(fd);
      return local.error();
    }
    struct stat status;
    path = options.local.path;
    if (!path.empty() && ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
      ::unlink(path.c_str());
    if (::bind(fd, local->get(), local->size) != 0) return give_up(options.local.text());
  }
  // Unix sockets of both ends may come up in any order only if the other one is there: said clearly.
  if (::connect(fd, remote->get(), remote->size) != 0) return give_up(options.remote.text());
  return std::unique_ptr<Backend>(std::make_unique<PacketBackend>(
      fd, false, fmt::format("dgram, to {}", options.remote.text()), path, loop));
}

}  // namespace lyrebird::net
