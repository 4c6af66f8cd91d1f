// SPDX-License-Identifier: Apache-2.0
#include "system/chardev/stream_end.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace lyrebird::system {

StreamEnd::StreamEnd(EventLoop& loop) : loop_(loop), alive_(std::make_shared<StreamEnd*>(this)) {}

StreamEnd::~StreamEnd() {
  *alive_ = nullptr;
  {
    const std::lock_guard lock(mutex_);
    send_some();  // as much as goes without waiting
  }
  detach();
}

void StreamEnd::attach(int in, int out) {
  for (const int fd : {in, out}) {
    if (fd >= 0) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
  {
    const std::lock_guard lock(mutex_);
    in_ = in;
    out_ = out;
  }
  if (receiver_) receiver_->connected(true);
  reading_ = true;
  update_watch();
}

void StreamEnd::detach() {
  int in, out;
  {
    const std::lock_guard lock(mutex_);
    in = std::exchange(in_, -1);
    out = std::exchange(out_, -1);
    waiting_.clear();
  }
  for (const int fd : {in, out}) {
    if (fd >= 0) loop_.unwatch(fd);
  }
  if (in >= 0) ::close(in);
  if (out >= 0 && out != in) ::close(out);
}

void StreamEnd::set_receiver(CharReceiver* receiver) {
  receiver_ = receiver;
  if (receiver_ && !attached()) receiver_->connected(false);
  update_watch();
}

void StreamEnd::accept_input() {
  loop_.post([alive = alive_] {
    if (!*alive) return;
    (*alive)->reading_ = true;
    (*alive)->update_watch();
  });
}

/// What the loop looks at: input while the guest has room, output while something waits.
void StreamEnd::update_watch() {
  int in, out;
  bool waits;
  {
    const std::lock_guard lock(mutex_);
    in = in_;
    out = out_;
    waits = !waiting_.empty();
  }
  const uint32_t in_events = reading_ && receiver_ ? uint32_t{EPOLLIN} : 0;
  const uint32_t out_events = waits ? uint32_t{EPOLLOUT} : 0;
  const auto watch = [&](int fd, uint32_t events) {
    if (fd < 0) return;
    if (events == 0) {
      loop_.unwatch(fd);
      return;
    }
    loop_.watch(fd, events, [alive = alive_](uint32_t seen) {
      if (*alive && (seen & EPOLLOUT)) (*alive)->flush();
      if (*alive && (seen & (EPOLLIN | EPOLLHUP | EPOLLERR))) (*alive)->on_input();
    });
  };
  if (in == out) {
    watch(in, in_events | out_events);
  } else {
    watch(in, in_events);
    watch(out, out_events);
  }
}

void StreamEnd::on_input() {
  const size_t room = receiver_ ? receiver_->room() : 0;
  if (room == 0) {
    reading_ = false;  // until accept_input()
    return update_watch();
  }
  uint8_t buffer[4096];
  if (in_ < 0) return;
  const ssize_t n = ::read(in_, buffer, std::min(room, sizeof buffer));
  if (n > 0) {
    receiver_->receive({buffer, static_cast<size_t>(n)});
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    detach();
    if (receiver_) receiver_->connected(false);
    lost();
  }
}

void StreamEnd::send_some() {
  size_t done = 0;
  while (out_ >= 0 && done < waiting_.size()) {
    const ssize_t n = ::write(out_, waiting_.data() + done, waiting_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  waiting_.erase(0, done);
}

void StreamEnd::flush() {
  {
    const std::lock_guard lock(mutex_);
    flush_posted_ = false;
    send_some();
  }
  update_watch();
}

void StreamEnd::write(std::span<const uint8_t> bytes) {
  const std::lock_guard lock(mutex_);
  if (out_ < 0) return;  // nobody there
  const size_t room = kMaxWaiting - std::min(waiting_.size(), kMaxWaiting);
  const bool first = waiting_.empty();
  waiting_.append(reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), room));
  if (first) send_some();
  if (waiting_.empty() || flush_posted_) return;
  flush_posted_ = true;
  loop_.post([alive = alive_] {
    if (*alive) (*alive)->flush();
  });
}

}  // namespace lyrebird::system
