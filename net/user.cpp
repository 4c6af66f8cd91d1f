// SPDX-License-Identifier: Apache-2.0
#include "net/user.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>

#include "base/log.h"
#include "net/checksum.h"
#include "net/slirp_library.h"

namespace lyrebird::net {

namespace {

constexpr size_t kMaxWaiting = 4096;  // frames for a guest that does not take them
constexpr unsigned kMtu = 1500, kMru = 65521;

Result<in_addr> parse_ipv4(const std::string& text, std::string_view option) {
  in_addr address;
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1) {
    return Error{fmt::format("{}={}: is not an IPv4 address", option, text)};
  }
  return address;
}

int64_t now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000ll + time.tv_nsec;
}

uint32_t to_epoll(int events) {
  return (events & SLIRP_POLL_IN ? uint32_t{EPOLLIN} : 0) |
         (events & SLIRP_POLL_OUT ? uint32_t{EPOLLOUT} : 0) |
         (events & SLIRP_POLL_PRI ? uint32_t{EPOLLPRI} : 0);
}
int from_epoll(uint32_t events) {
  return (events & EPOLLIN ? SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
         (events & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (events & EPOLLERR ? SLIRP_POLL_ERR : 0) |
         (events & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

class UserBackend final : public Backend {
 public:
  UserBackend(UserOptions options, const SlirpLibrary& library, system::EventLoop& loop)
      : options_(std::move(options)), slirp_library_(library), loop_(loop) {}
  ~UserBackend() override;
  Result<void> open();

  void set_receiver(Receiver* receiver) override { receiver_ = receiver; }
  bool send(const FrameHeader& header, std::span<const iovec> frame) override;
  void ready() override { wake(); }
  // Slirp takes segments of up to 64 KiB as they are: only checksums are to be done.
  Offloads can_offload() const override {
    return {.checksum = true, .tcp4 = true, .tcp6 = true, .ecn = true};
  }
  bool trusted() const override { return true; }
  std::string describe() const override { return fmt::format("user, net={}", options_.net); }

 private:
  struct Timer {
    SlirpTimerId id;
    void* opaque;
    int64_t deadline_ms = -1;
  };
  /// A program's or back end's end of guestfwd=.
  struct Forward final : system::CharReceiver {
    UserBackend* user;
    system::CharBackend* backend;
    in_addr address;
    uint16_t port;
    size_t room() override;
    void receive(std::span<const uint8_t> bytes) override;
  };

  static SlirpCb callbacks();
  Result<void> configure(SlirpConfig& config);
  Result<void> configure_ipv4(SlirpConfig& config);
  Result<void> configure_ipv6(SlirpConfig& config);
  Result<void> add_forwards();
  Result<void> add(const HostForward& forward);
  Result<void> add(const GuestForward& forward);
  void wake();
  void turn();
  void refill();
  void run_timers();
  void deliver();
  void watch(int fd, uint32_t events);

  const UserOptions options_;
  const SlirpLibrary& slirp_library_;
  system::EventLoop& loop_;
  Slirp* slirp_ = nullptr;
  Receiver* receiver_ = nullptr;
  int epoll_fd_ = -1, wake_fd_ = -1, timer_fd_ = -1;
  bool woken_ = false;

  // What slirp waits for: filled by refill(), by index; what there was, by descriptor.
  struct Wanted {
    int fd;
    int events;
  };
  std::vector<Wanted> wanted_;
  std::unordered_map<int, uint32_t> watched_, ready_;
  std::map<Timer*, std::unique_ptr<Timer>> timers_;
  std::deque<std::vector<uint8_t>> waiting_;  // for the guest
  std::vector<uint8_t> frame_;                // to slirp
  std::vector<const char*> dns_search_;
  std::vector<std::unique_ptr<Forward>> forwards_;
};

// --- what slirp calls ---

SlirpCb UserBackend::callbacks() {
  SlirpCb cb = {};
  const auto self = [](void* opaque) -> UserBackend& { return *static_cast<UserBackend*>(opaque); };
  static constexpr auto kSelf = self;
  cb.send_packet = [](const void* data, size_t size, void* opaque) -> ssize_t {
    UserBackend& user = kSelf(opaque);
    const auto* bytes = static_cast<const uint8_t*>(data);
    if (user.waiting_.size() < kMaxWaiting) user.waiting_.emplace_back(bytes, bytes + size);
    user.wake();
    return static_cast<ssize_t>(size);
  };
  cb.guest_error = [](const char* message, void* opaque) {
    log_unimplemented(fmt::format("network {}: the guest: {}", kSelf(opaque).options_.id, message));
  };
  cb.clock_get_ns = [](void*) { return now_ns(); };
  cb.timer_new_opaque = [](SlirpTimerId id, void* opaque_timer, void* opaque) -> void* {
    auto timer = std::make_unique<Timer>(Timer{id, opaque_timer});
    Timer* const key = timer.get();
    kSelf(opaque).timers_[key] = std::move(timer);
    return key;
  };
  cb.timer_free = [](void* timer, void* opaque) { kSelf(opaque).timers_.erase(static_cast<Timer*>(timer)); };
  cb.timer_mod = [](void* timer, int64_t expire_ms, void* opaque) {
    static_cast<Timer*>(timer)->deadline_ms = expire_ms;
    kSelf(opaque).wake();
  };
  cb.register_poll_fd = [](int, void*) {};
  cb.unregister_poll_fd = [](int fd, void* opaque) { kSelf(opaque).watch(fd, 0); };
  cb.notify = [](void* opaque) { kSelf(opaque).wake(); };
  return cb;
}

// --- life ---

UserBackend::~UserBackend() {
  if (epoll_fd_ >= 0) loop_.unwatch(epoll_fd_);
  for (const auto& forward : forwards_) forward->backend->set_receiver(nullptr);
  if (slirp_) slirp_library_.cleanup(slirp_);
  for (const int fd : {epoll_fd_, wake_fd_, timer_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

Result<void> UserBackend::configure_ipv4(SlirpConfig& config) {
  config.in_enabled = options_.ipv4;
  if (!options_.ipv4) return {};
  const size_t slash = options_.net.find('/');
  auto net = parse_ipv4(options_.net.substr(0, slash), "net");
  if (!net) return net.error();
  uint32_t mask = 0xffffff00;
  if (slash != std::string::npos) {
    const std::string width = options_.net.substr(slash + 1);
    in_addr dotted;
    if (::inet_pton(AF_INET, width.c_str(), &dotted) == 1) {
      mask = ntohl(dotted.s_addr);
    } else {
      char* end = nullptr;
      const unsigned long bits = std::strtoul(width.c_str(), &end, 10);
      if (width.empty() || *end || bits < 4 || bits > 30) {
        return Error{fmt::format("net={}: the width of the network must be from 4 to 30", options_.net)};
      }
      mask = ~0u << (32 - bits);
    }
  }
  const uint32_t network = ntohl(net->s_addr) & mask;
  config.vnetwork.s_addr = htonl(network);
  config.vnetmask.s_addr = htonl(mask);
  struct Place {
    const std::string& text;
    const char* option;
    uint32_t number;
    in_addr& result;
  };
  const Place places[] = {{options_.host, "host", 2, config.vhost},
                          {options_.dns, "dns", 3, config.vnameserver},
                          {options_.dhcp_start, "dhcpstart", 15, config.vdhcp_start}};
  for (const Place& place : places) {
    place.result.s_addr = htonl(network | place.number);
    if (place.text.empty()) continue;
    auto address = parse_ipv4(place.text, place.option);
    if (!address) return address.error();
    if ((ntohl(address->s_addr) & mask) != network) {
      return Error{
          fmt::format("{}={}: does not lie in the network {}", place.option, place.text, options_.net)};
    }
    place.result = *address;
  }
  if (config.vhost.s_addr == config.vnameserver.s_addr) {
    return Error{fmt::format("dns={}: must be another address than host=", options_.dns)};
  }
  return {};
}

Result<void> UserBackend::configure_ipv6(SlirpConfig& config) {
  config.in6_enabled = options_.ipv6;
  if (!options_.ipv6) return {};
  if (options_.ipv6_prefix_length > 126) return Error{"ipv6-prefixlen: must be at most 126"};
  if (::inet_pton(AF_INET6, options_.ipv6_prefix.c_str(), &config.vprefix_addr6) != 1) {
    return Error{fmt::format("ipv6-prefix={}: is not an IPv6 address", options_.ipv6_prefix)};
  }
  config.vprefix_len = static_cast<uint8_t>(options_.ipv6_prefix_length);
  const auto place = [&](const std::string& text, const char* option, uint8_t number,
                         in6_addr& to) -> Result<void> {
    to = config.vprefix_addr6;
    to.s6_addr[15] |= number;
    if (!text.empty() && ::inet_pton(AF_INET6, text.c_str(), &to) != 1) {
      return Error{fmt::format("{}={}: is not an IPv6 address", option, text)};
    }
    return {};
  };
  if (auto ok = place(options_.ipv6_host, "ipv6-host", 2, config.vhost6); !ok) return ok;
  return place(options_.ipv6_dns, "ipv6-dns", 3, config.vnameserver6);
}

Result<void> UserBackend::configure(SlirpConfig& config) {
  config.version = 4;
  config.restricted = options_.restrict;
  if (!options_.ipv4 && !options_.ipv6) return Error{"ipv4=off,ipv6=off: a network needs one of them"};
  if (auto ok = configure_ipv4(config); !ok) return ok;
  if (auto ok = configure_ipv6(config); !ok) return ok;
  if (!options_.tftp.empty()) {
    struct stat status;
    if (::stat(options_.tftp.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
      return Error{fmt::format("tftp={}: is not a folder", options_.tftp)};
    }
  }
  const auto text = [](const std::string& value) { return value.empty() ? nullptr : value.c_str(); };
  config.vhostname = text(options_.hostname);
  config.vdomainname = text(options_.domain_name);
  config.tftp_path = text(options_.tftp);
  config.bootfile = text(options_.boot_file);
  config.tftp_server_name = text(options_.tftp_server_name);
  for (const std::string& domain : options_.dns_search) dns_search_.push_back(domain.c_str());
  if (!dns_search_.empty()) {
    dns_search_.push_back(nullptr);
    config.vdnssearch = dns_search_.data();
  }
  config.if_mtu = kMtu;
  config.if_mru = kMru;
  return {};
}

Result<void> UserBackend::open() {
  SlirpConfig config = {};
  if (auto ok = configure(config); !ok) return ok;
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  timer_fd_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (epoll_fd_ < 0 || wake_fd_ < 0 || timer_fd_ < 0) {
    return Error{fmt::format("user networking: no descriptors left: {}", std::strerror(errno))};
  }
  watch(wake_fd_, EPOLLIN);
  watch(timer_fd_, EPOLLIN);
  // slirp keeps the pointer to it.
  static const SlirpCb kCallbacks = callbacks();
  slirp_ = slirp_library_.create(&config, &kCallbacks, this);
  if (!slirp_) return Error{"user networking: libslirp refuses these options"};
  if (auto ok = add_forwards(); !ok) return ok;
  loop_.watch(epoll_fd_, EPOLLIN, [this](uint32_t) { turn(); });
  wake();
  return {};
}

Result<void> UserBackend::add_forwards() {
  for (const HostForward& forward : options_.host_forwards) {
    if (auto ok = add(forward); !ok) return ok;
  }
  for (const GuestForward& forward : options_.guest_forwards) {
    if (auto ok = add(forward); !ok) return ok;
  }
  return {};
}

Result<void> UserBackend::add(const HostForward& forward) {
  in_addr host = {INADDR_ANY}, guest = {0};
  if (!forward.host_address.empty()) {
    auto address = parse_ipv4(forward.host_address, "hostfwd");
    if (!address) return address.error();
    host = *address;
  }
  if (!forward.guest_address.empty()) {
    auto address = parse_ipv4(forward.guest_address, "hostfwd");
    if (!address) return address.error();
    guest = *address;
  }
  errno = 0;
  if (slirp_library_.add_hostfwd(slirp_, forward.udp, host, forward.host_port, guest, forward.guest_port) ==
      0) {
    return {};
  }
  const char* hint = errno == EACCES ? "; ports below 1024 need a right, use another one" : "";
  return Error{fmt::format("hostfwd: port {} ({}) of the host can't be had: {}{}", forward.host_port,
                           forward.udp ? "udp" : "tcp", std::strerror(errno), hint)};
}

Result<void> UserBackend::add(const GuestForward& forward) {
  auto server = parse_ipv4(forward.server_address, "guestfwd");
  if (!server) return server.error();
  int failed;
  if (!forward.command.empty()) {
    failed = slirp_library_.add_exec(slirp_, forward.command.c_str(), &*server, forward.server_port);
  } else if (!forward.unix_path.empty()) {
    failed = slirp_library_.add_unix(slirp_, forward.unix_path.c_str(), &*server, forward.server_port);
  } else if (forward.backend) {
    auto end = std::make_unique<Forward>();
    end->user = this;
    end->backend = forward.backend;
    end->address = *server;
    end->port = forward.server_port;
    const SlirpWriteCb write = [](const void* data, size_t size, void* opaque) -> ssize_t {
      static_cast<Forward*>(opaque)->backend->write({static_cast<const uint8_t*>(data), size});
      return static_cast<ssize_t>(size);
    };
    failed = slirp_library_.add_guestfwd(slirp_, write, end.get(), &*server, forward.server_port);
    if (failed >= 0) {
      forward.backend->set_receiver(end.get());
      forwards_.push_back(std::move(end));
    }
  } else {
    return Error{fmt::format("guestfwd: {}: no such character back end", forward.target)};
  }
  if (failed >= 0) return {};
  return Error{fmt::format("guestfwd: {}:{} must be a free address of the guest's network",
                           forward.server_address, forward.server_port)};
}

size_t UserBackend::Forward::room() {
  return user->slirp_library_.socket_can_recv(user->slirp_, address, port);
}

void UserBackend::Forward::receive(std::span<const uint8_t> bytes) {
  user->slirp_library_.socket_recv(user->slirp_, address, port, bytes.data(), static_cast<int>(bytes.size()));
  user->wake();
}

// --- work ---

bool UserBackend::send(const FrameHeader& header, std::span<const iovec> frame) {
  frame_.clear();
  for (const iovec& piece : frame) {
    const auto* bytes = static_cast<const uint8_t*>(piece.iov_base);
    frame_.insert(frame_.end(), bytes, bytes + piece.iov_len);
  }
  if (frame_.size() > kMaxFrame || !finish_checksum(header, frame_)) return true;
  slirp_library_.input(slirp_, frame_.data(), static_cast<int>(frame_.size()));
  wake();  // it may wait for other descriptors now
  return true;
}

/// Makes turn() run in the loop's next round.
void UserBackend::wake() {
  if (woken_) return;
  woken_ = true;
  const uint64_t one = 1;
  (void)!::write(wake_fd_, &one, sizeof one);
}

void UserBackend::watch(int fd, uint32_t events) {
  const auto found = watched_.find(fd);
  if (events == 0) {
    if (found == watched_.end()) return;
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    watched_.erase(found);
    return;
  }
  if (found != watched_.end() && found->second == events) return;
  epoll_event event = {.events = events, .data = {.fd = fd}};
  const int first = found == watched_.end() ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(epoll_fd_, first, fd, &event) != 0 && (errno == ENOENT || errno == EEXIST)) {
    ::epoll_ctl(epoll_fd_, errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
  }
  watched_[fd] = events;
}

void UserBackend::turn() {
  ready_.clear();
  epoll_event events[64];
  const int count = ::epoll_wait(epoll_fd_, events, 64, 0);
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == wake_fd_ || fd == timer_fd_) {
      uint64_t value;
      (void)!::read(fd, &value, sizeof value);
    } else {
      ready_[fd] = events[i].events;
    }
  }
  woken_ = false;
  slirp_library_.pollfds_poll(
      slirp_, count < 0,
      [](int index, void* opaque) {
        const auto& user = *static_cast<UserBackend*>(opaque);
        const Wanted& wanted = user.wanted_[static_cast<size_t>(index)];
        const auto found = user.ready_.find(wanted.fd);
        const int always = SLIRP_POLL_ERR | SLIRP_POLL_HUP;
        return found == user.ready_.end() ? 0 : from_epoll(found->second) & (wanted.events | always);
      },
      this);
  run_timers();
  deliver();
  for (const auto& forward : forwards_) forward->backend->accept_input();
  refill();
}

/// What slirp waits for next, and for how long.
void UserBackend::refill() {
  wanted_.clear();
  uint32_t timeout_ms = UINT32_MAX;
  slirp_library_.pollfds_fill(
      slirp_, &timeout_ms,
      [](int fd, int events, void* opaque) {
        auto& user = *static_cast<UserBackend*>(opaque);
        user.wanted_.push_back({fd, events});
        return static_cast<int>(user.wanted_.size()) - 1;
      },
      this);
  std::unordered_map<int, uint32_t> now = {{wake_fd_, EPOLLIN}, {timer_fd_, EPOLLIN}};
  for (const Wanted& wanted : wanted_) now[wanted.fd] |= to_epoll(wanted.events);
  std::vector<int> gone;
  for (const auto& [fd, events] : watched_) {
    if (!now.contains(fd)) gone.push_back(fd);
  }
  for (const int fd : gone) watch(fd, 0);
  for (const auto& [fd, events] : now) watch(fd, events);

  const int64_t now_ms = now_ns() / 1'000'000;
  int64_t deadline = timeout_ms == UINT32_MAX ? INT64_MAX : now_ms + timeout_ms;
  for (const auto& [key, timer] : timers_) {
    if (timer->deadline_ms >= 0) deadline = std::min(deadline, timer->deadline_ms);
  }
  itimerspec time = {};
  if (deadline != INT64_MAX) {
    deadline = std::max(deadline, now_ms + 1);
    time.it_value = {deadline / 1000, deadline % 1000 * 1'000'000};
  }
  ::timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &time, nullptr);
}

void UserBackend::run_timers() {
  const int64_t now_ms = now_ns() / 1'000'000;
  std::vector<Timer*> due;
  for (const auto& [key, timer] : timers_) {
    if (timer->deadline_ms >= 0 && timer->deadline_ms <= now_ms) due.push_back(key);
  }
  for (Timer* timer : due) {
    if (!timers_.contains(timer)) continue;
    timer->deadline_ms = -1;
    slirp_library_.handle_timer(slirp_, timer->id, timer->opaque);
  }
}

void UserBackend::deliver() {
  while (!waiting_.empty()) {
    std::vector<uint8_t> frame = std::move(waiting_.front());
    waiting_.pop_front();
    if (receiver_ && !receiver_->receive({}, frame)) {
      waiting_.push_front(std::move(frame));
      return;
    }
  }
}

std::optional<uint16_t> parse_port(std::string_view text) {
  unsigned value = 0;
  if (text.empty() || text.size() > 5) return {};
  for (const char c : text) {
    if (c < '0' || c > '9') return {};
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > 65535) return {};
  return static_cast<uint16_t>(value);
}

/// Takes what is before `separator`; nullopt if it is not there.
std::optional<std::string_view> take(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  if (at == std::string_view::npos) return {};
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at + 1);
  return part;
}

}  // namespace

Result<HostForward> parse_host_forward(std::string_view text) {
  const Error error{fmt::format("hostfwd={}: must look like tcp:[ADDRESS]:PORT-[GUEST ADDRESS]:PORT", text)};
  HostForward forward;
  const auto protocol = take(text, ':');
  if (!protocol || (!protocol->empty() && *protocol != "tcp" && *protocol != "udp")) return error;
  forward.udp = *protocol == "udp";
  const auto host = take(text, ':');
  const auto host_port = host ? take(text, '-') : std::nullopt;
  const auto guest = host_port ? take(text, ':') : std::nullopt;
  if (!guest) return error;
  const auto from = parse_port(*host_port), to = parse_port(text);
  if (!from || !to || *to == 0) return error;
  forward.host_address = *host;
  forward.host_port = *from;
  forward.guest_address = *guest;
  forward.guest_port = *to;
  return forward;
}

Result<GuestForward> parse_guest_forward(std::string_view text) {
  const Error error{fmt::format("guestfwd={}: must look like tcp:SERVER:PORT-cmd:COMMAND or -BACKEND", text)};
  GuestForward forward;
  const auto protocol = take(text, ':');
  if (!protocol || (!protocol->empty() && *protocol != "tcp")) return error;
  const auto server = take(text, ':');
  const auto port_text = server ? take(text, '-') : std::nullopt;
  const auto port = port_text ? parse_port(*port_text) : std::nullopt;
  if (!port || *port == 0 || text.empty()) return error;
  forward.server_address = *server;
  forward.server_port = *port;
  if (text.starts_with("cmd:")) {
    forward.command = text.substr(4);
  } else if (text.starts_with("unix:")) {
    forward.unix_path = text.substr(5);
  } else {
    forward.target = text;
  }
  return forward;
}

Result<std::unique_ptr<Backend>> open_user(const UserOptions& options, system::EventLoop& loop) {
  auto library = slirp_library();
  if (!library) return library.error();
  auto user = std::make_unique<UserBackend>(options, **library, loop);
  if (auto opened = user->open(); !opened) return opened.error();
  return std::unique_ptr<Backend>(std::move(user));
}

}  // namespace lyrebird::net
