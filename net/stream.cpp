// SPDX-License-Identifier: Apache-2.0
#include "net/stream.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "net/checksum.h"

namespace lyrebird::net {

namespace {

constexpr size_t kMaxWaiting = 1 << 20;

class StreamBackend final : public Backend {
 public:
  StreamBackend(StreamOptions options, system::EventLoop& loop)
      : options_(std::move(options)), loop_(loop), alive_(std::make_shared<StreamBackend*>(this)) {}
  ~StreamBackend() override {
    *alive_ = nullptr;
    for (const int fd : {fd_, listener_}) {
      if (fd < 0) continue;
      loop_.unwatch(fd);
      ::close(fd);
    }
    if (listener_ >= 0 && !options_.address.path.empty()) ::unlink(options_.address.path.c_str());
  }

  Result<void> open();

  void set_receiver(Receiver* receiver) override { receiver_ = receiver; }
  bool send(const FrameHeader& header, std::span<const iovec> frame) override;
  void ready() override {
    loop_.post([alive = alive_] {
      if (!*alive) return;
      (*alive)->paused_ = false;
      (*alive)->take_frames();
      (*alive)->update_watch();
    });
  }
  Offloads can_offload() const override { return {.checksum = true}; }
  bool link_up() const override { return fd_ >= 0; }
  std::string describe() const override {
    return fmt::format("stream, {} {}, {}", options_.server ? "server at" : "connected to",
                       options_.address.text(), fd_ >= 0 ? "up" : "down");
  }

 private:
  void listen();
  void take(int fd);
  void update_watch();
  void on_input();
  void flush();
  void take_frames();
  void lost();

  const StreamOptions options_;
  system::EventLoop& loop_;
  std::shared_ptr<StreamBackend*> alive_;
  Receiver* receiver_ = nullptr;
  int fd_ = -1, listener_ = -1;
  std::vector<uint8_t> in_, out_;
  bool paused_ = false, refused_ = false;
};

Result<void> StreamBackend::open() {
  auto address = resolve(options_.address, SOCK_STREAM, options_.server);
  if (!address) return address.error();
  const int fd = ::socket(address->family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto failed = [&]() -> Result<void> {
    const Error error{fmt::format("{}: {}", options_.address.text(), std::strerror(errno))};
    if (fd >= 0) ::close(fd);
    return error;
  };
  if (fd < 0) return failed();
  if (!options_.server) {
    if (::connect(fd, address->get(), address->size) != 0) return failed();
    take(fd);
    return {};
  }
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct stat status;
  const std::string& path = options_.address.path;
  if (!path.empty() && ::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode))
    ::unlink(path.c_str());
  if (::bind(fd, address->get(), address->size) != 0 || ::listen(fd, 1) != 0) return failed();
  listener_ = fd;
  listen();
  return {};
}

void StreamBackend::listen() {
  loop_.watch(listener_, EPOLLIN, [this](uint32_t) {
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    loop_.unwatch(listener_);
    take(client);
    if (receiver_) receiver_->link_changed(true);
  });
}

void StreamBackend::take(int fd) {
  fd_ = fd;
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails for Unix sockets, which need it not
  in_.clear();
  out_.clear();
  paused_ = false;
  update_watch();
}

void StreamBackend::lost() {
  loop_.unwatch(fd_);
  ::close(fd_);
  fd_ = -1;
  if (receiver_) receiver_->link_changed(false);
  if (refused_ && receiver_) receiver_->can_send();
  refused_ = false;
  if (listener_ >= 0) listen();
}

void StreamBackend::update_watch() {
  if (fd_ < 0) return;
  const uint32_t events = (paused_ ? 0 : uint32_t{EPOLLIN}) | (out_.empty() ? 0 : uint32_t{EPOLLOUT});
  if (events == 0) {
    loop_.unwatch(fd_);
    return;
  }
  loop_.watch(fd_, events, [this](uint32_t seen) {
    if (seen & EPOLLOUT) flush();
    if (fd_ >= 0 && (seen & (EPOLLIN | EPOLLHUP | EPOLLERR))) on_input();
  });
}

bool StreamBackend::send(const FrameHeader& header, std::span<const iovec> frame) {
  if (fd_ < 0) return true;
  if (out_.size() > kMaxWaiting) {
    refused_ = true;
    return false;
  }
  std::vector<uint8_t> bytes;
  for (const iovec& piece : frame) {
    const auto* from = static_cast<const uint8_t*>(piece.iov_base);
    bytes.insert(bytes.end(), from, from + piece.iov_len);
  }
  if (!finish_checksum(header, bytes)) return true;
  const bool first = out_.empty();
  for (int shift = 24; shift >= 0; shift -= 8) out_.push_back(static_cast<uint8_t>(bytes.size() >> shift));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
  if (!first) return true;
  const ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
  if (n > 0) out_.erase(out_.begin(), out_.begin() + n);
  if (!out_.empty()) update_watch();
  return true;
}

void StreamBackend::flush() {
  const ssize_t n = ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
  if (n > 0) out_.erase(out_.begin(), out_.begin() + n);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return lost();
  update_watch();
  if (refused_ && out_.size() < kMaxWaiting / 2) {
    refused_ = false;
    if (receiver_) receiver_->can_send();
  }
}

void StreamBackend::on_input() {
  uint8_t buffer[65536];
  const ssize_t n = ::read(fd_, buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) return lost();
  in_.insert(in_.end(), buffer, buffer + n);
  take_frames();
  update_watch();
}

void StreamBackend::take_frames() {
  size_t at = 0;
  while (in_.size() - at >= 4) {
    const size_t size =
        size_t{in_[at]} << 24 | size_t{in_[at + 1]} << 16 | size_t{in_[at + 2]} << 8 | in_[at + 3];
    if (size > kMaxFrame) {  // the other end speaks something else
      if (fd_ >= 0) lost();
      in_.clear();
      return;
    }
    if (in_.size() - at - 4 < size) break;
    if (receiver_ && !receiver_->receive({}, {in_.data() + at + 4, size})) {
      paused_ = true;
      break;
    }
    at += 4 + size;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
}

}  // namespace

Result<std::unique_ptr<Backend>> open_stream(const StreamOptions& options, system::EventLoop& loop) {
  auto backend = std::make_unique<StreamBackend>(options, loop);
  if (auto opened = backend->open(); !opened) return opened.error();
  return std::unique_ptr<Backend>(std::move(backend));
}

}  // namespace lyrebird::net
