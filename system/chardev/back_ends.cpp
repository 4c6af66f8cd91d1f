// SPDX-License-Identifier: Apache-2.0
#include "system/chardev/back_ends.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/log.h"
#include "system/chardev/stream_end.h"

namespace lyrebird::system {

namespace {

Error host_error(const std::string& what) { return Error{fmt::format("{}: {}", what, std::strerror(errno))}; }

class FileEnd final : public StreamEnd {
 public:
  using StreamEnd::StreamEnd;

  Result<void> open_file(const CharOptions& options) {
    const int out = ::open(options.path.c_str(),
                           O_WRONLY | O_CREAT | O_CLOEXEC | (options.append ? O_APPEND : O_TRUNC), 0666);
    if (out < 0) return host_error(options.path);
    int in = -1;
    if (!options.input_path.empty()) {
      in = ::open(options.input_path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
      if (in < 0) {
        ::close(out);
        return host_error(options.input_path);
      }
    }
    attach(in, out);
    return {};
  }

  Result<void> open_pipe(const CharOptions& options) {
    // Opened for both, so that nobody need be at the other end.
    const int in = ::open((options.path + ".in").c_str(), O_RDWR | O_CLOEXEC);
    const int out = ::open((options.path + ".out").c_str(), O_RDWR | O_CLOEXEC);
    if (in >= 0 && out >= 0) {
      attach(in, out);
      return {};
    }
    for (const int fd : {in, out}) {
      if (fd >= 0) ::close(fd);
    }
    const int both = ::open(options.path.c_str(), O_RDWR | O_CLOEXEC);
    if (both < 0)
      return Error{fmt::format(
          "{0}: there are neither pipes {0}.in and {0}.out nor {0} (make them with mkfifo)", options.path)};
    attach(both, both);
    return {};
  }

  Result<void> open_pty(const CharOptions& options) {
    const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0) return host_error("pty");
    char name[128];
    if (::ptsname_r(master, name, sizeof name) != 0) return host_error("pty");
    // Held open: otherwise the master fails while nobody is there.
    slave_ = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    termios mode;
    if (slave_ >= 0 && ::tcgetattr(slave_, &mode) == 0) {
      ::cfmakeraw(&mode);
      ::tcsetattr(slave_, TCSANOW, &mode);
    }
    attach(master, master);
    log_always(fmt::format("char device redirected to {} (label {})\n", name, options.label));
    return {};
  }

  ~FileEnd() override {
    if (slave_ >= 0) ::close(slave_);
  }

 private:
  int slave_ = -1;
};

// --- sockets ---

struct Address {
  sockaddr_storage bytes = {};
  socklen_t size = 0;
  int family = 0;
};

Result<Address> address_of(const CharOptions& options) {
  Address address;
  if (options.kind == CharOptions::Kind::Unix) {
    auto* const path = reinterpret_cast<sockaddr_un*>(&address.bytes);
    if (options.path.size() >= sizeof path->sun_path) {
      return Error{fmt::format("{}: is longer than the name of a socket may be", options.path)};
    }
    path->sun_family = AF_UNIX;
    std::memcpy(path->sun_path, options.path.data(), options.path.size());
    address.size = sizeof(sockaddr_un);
    address.family = AF_UNIX;
    return address;
  }
  addrinfo hints = {}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = options.server ? AI_PASSIVE : 0;
  const int error = ::getaddrinfo(options.host.empty() ? nullptr : options.host.c_str(), options.port.c_str(),
                                  &hints, &found);
  if (error != 0) return Error{fmt::format("{}:{}: {}", options.host, options.port, ::gai_strerror(error))};
  std::memcpy(&address.bytes, found->ai_addr, found->ai_addrlen);
  address.size = found->ai_addrlen;
  address.family = found->ai_family;
  ::freeaddrinfo(found);
  return address;
}

std::string name_of(const CharOptions& options) {
  return options.kind == CharOptions::Kind::Unix ? options.path
                                                 : fmt::format("{}:{}", options.host, options.port);
}

class SocketEnd final : public StreamEnd {
 public:
  SocketEnd(CharOptions options, EventLoop& loop) : StreamEnd(loop), options_(std::move(options)) {}
  ~SocketEnd() override {
    if (listener_ < 0) return;
    loop_.unwatch(listener_);
    ::close(listener_);
    if (options_.kind == CharOptions::Kind::Unix) ::unlink(options_.path.c_str());
  }

  Result<void> open() {
    auto address = address_of(options_);
    if (!address) return address.error();
    const int fd = ::socket(address->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return host_error(name_of(options_));
    const auto* const where = reinterpret_cast<const sockaddr*>(&address->bytes);
    if (!options_.server) {
      if (::connect(fd, where, address->size) != 0) {
        const Error error = host_error(name_of(options_));
        ::close(fd);
        return error;
      }
      take(fd);
      return {};
    }
    listener_ = fd;
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options_.kind == CharOptions::Kind::Unix) remove_old_socket();
    if (::bind(fd, where, address->size) != 0 || ::listen(fd, 1) != 0) return host_error(name_of(options_));
    if (options_.wait) {
      log_always(fmt::format("waiting for somebody at {} (wait=off does not)\n", name_of(options_)));
      int client;
      do {
        client = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
      } while (client < 0 && errno == EINTR);
      if (client < 0) return host_error(name_of(options_));
      take(client);
    } else {
      listen();
    }
    return {};
  }

 private:
  void remove_old_socket() {
    struct stat status;
    if (::lstat(options_.path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
      ::unlink(options_.path.c_str());
  }
  void take(int fd) {
    if (options_.no_delay) {
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    attach(fd, fd);
  }
  void listen() {
    loop_.watch(listener_, EPOLLIN, [this](uint32_t) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      loop_.unwatch(listener_);  // one at a time
      take(client);
    });
  }
  void lost() override {
    if (listener_ >= 0) listen();
  }

  const CharOptions options_;
  int listener_ = -1;
};

}  // namespace

// --- memory ---

struct RingBackend::State {
  std::mutex mutex;
  std::string bytes;
  size_t size;
};

RingBackend::RingBackend(size_t size) : state_(std::make_shared<State>()) { state_->size = size; }

void RingBackend::write(std::span<const uint8_t> bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->bytes.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (state_->bytes.size() > state_->size) state_->bytes.erase(0, state_->bytes.size() - state_->size);
}

std::string RingBackend::take() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->bytes, {});
}

Result<std::unique_ptr<CharBackend>> open_char_backend(const CharOptions& options, EventLoop& loop) {
  using Kind = CharOptions::Kind;
  switch (options.kind) {
    case Kind::Null:
      return std::unique_ptr<CharBackend>(std::make_unique<NullBackend>());
    case Kind::Ring:
      return std::unique_ptr<CharBackend>(std::make_unique<RingBackend>(options.size));
    case Kind::Unix:
    case Kind::Tcp: {
      auto socket = std::make_unique<SocketEnd>(options, loop);
      if (auto ok = socket->open(); !ok) return ok.error();
      return std::unique_ptr<CharBackend>(std::move(socket));
    }
    default:
      break;
  }
  auto file = std::make_unique<FileEnd>(loop);
  const auto ok = options.kind == Kind::File   ? file->open_file(options)
                  : options.kind == Kind::Pipe ? file->open_pipe(options)
                                               : file->open_pty(options);
  if (!ok) return ok.error();
  return std::unique_ptr<CharBackend>(std::move(file));
}

}  // namespace lyrebird::system
