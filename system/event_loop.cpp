// SPDX-License-Identifier: Apache-2.0
#include "system/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>

namespace lyrebird::system {

namespace {

/// What epoll carries. Numbers of descriptors are used again: an event of an old one must not reach the new
/// one's callback, so there is a serial number with it.
uint64_t key_of(int fd, uint32_t serial) { return uint64_t{serial} << 32 | static_cast<uint32_t>(fd); }

}  // namespace

EventLoop::EventLoop()
    : epoll_fd_(epoll_create1(EPOLL_CLOEXEC)), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  assert(epoll_fd_ >= 0 && wake_fd_ >= 0);
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = 0}};
  epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
}

EventLoop::~EventLoop() {
  close(epoll_fd_);
  close(wake_fd_);
}

void EventLoop::watch(int fd, uint32_t events, FdCallback callback) {
  const std::lock_guard lock(mutex_);
  const auto old = watches_.find(fd);
  const bool known = old != watches_.end();
  if (!known && ++next_serial_ == 0) ++next_serial_;  // 0 is the loop's own
  const uint32_t serial = known ? old->second.serial : next_serial_;
  epoll_event event{.events = events, .data = {.u64 = key_of(fd, serial)}};
  bool always = known && old->second.always_ready;
  if (!always && epoll_ctl(epoll_fd_, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
    if (errno == ENOENT)
      epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);  // closed and opened again meanwhile
    if (errno == EPERM) always = true;
  }
  if (always && !known) ++always_ready_;
  watches_[fd] = {serial, std::make_shared<FdCallback>(std::move(callback)), events, always};
  wake();
}

void EventLoop::unwatch(int fd) {
  const std::lock_guard lock(mutex_);
  const auto found = watches_.find(fd);
  if (found == watches_.end()) return;
  if (found->second.always_ready)
    --always_ready_;
  else
    epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  watches_.erase(found);
}

void EventLoop::post(Callback callback) {
  bool first;
  {
    const std::lock_guard lock(mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(callback));
  }
  // The loop's own thread looks before it sleeps.
  if (first && !on_loop_thread()) wake();
}

void EventLoop::wake() {
  const uint64_t one = 1;
  // Nobody reads it: it is full after 2^64 of these.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

void EventLoop::run_posted() {
  std::vector<Callback> now;
  {
    const std::lock_guard lock(mutex_);
    now.swap(posted_);
  }
  for (const Callback& callback : now) callback();
}

void EventLoop::run() {
  while (!stop_.exchange(false)) run_once(-1);
}

void EventLoop::run_once(int timeout_ms) {
  thread_.store(std::this_thread::get_id());
  std::vector<std::pair<uint64_t, uint32_t>> ready;
  {
    const std::lock_guard lock(mutex_);
    if (always_ready_ > 0 || !posted_.empty()) timeout_ms = 0;
  }
  epoll_event events[32];
  const int count = epoll_wait(epoll_fd_, events, 32, timeout_ms);
  for (int i = 0; i < count; ++i)
    // A copy: the struct is packed, its members are not aligned.
    if (events[i].data.u64 != 0) ready.emplace_back(uint64_t{events[i].data.u64}, uint32_t{events[i].events});
  {
    const std::lock_guard lock(mutex_);
    if (always_ready_ > 0)
      for (const auto& [fd, watch] : watches_)
        if (watch.always_ready && watch.events) ready.emplace_back(key_of(fd, watch.serial), watch.events);
  }
  run_posted();
  for (const auto& [key, seen] : ready) {
    std::shared_ptr<FdCallback> callback;
    {
      const std::lock_guard lock(mutex_);
      const auto found = watches_.find(static_cast<int>(static_cast<uint32_t>(key)));
      if (found != watches_.end() && found->second.serial == key >> 32) callback = found->second.callback;
    }
    if (callback) (*callback)(seen);
  }
  // What these posted (a device's queue has buffers) need not wait for another round.
  run_posted();
}

void EventLoop::stop() {
  stop_.store(true);
  wake();
}

}  // namespace lyrebird::system
