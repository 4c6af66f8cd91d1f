// SPDX-License-Identifier: Apache-2.0
/// The machine's event loop: descriptors, things to do posted by other threads, timers (as
/// descriptors). Callbacks run on the thread in run(), without locks; they may call anything here.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace lyrebird::system {

class EventLoop {
 public:
  using Callback = std::function<void()>;
  /// `events`: EPOLLIN, EPOLLOUT, ... that are there.
  using FdCallback = std::function<void(uint32_t events)>;

  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Level-triggered. Watching a descriptor again replaces events and callback. Any thread. A file that
  /// epoll can't watch (a regular one) counts as always ready. With EPOLLET each write to an eventfd is told
  /// once, and nobody need read it.
  void watch(int fd, uint32_t events, FdCallback callback);
  /// After it returns on the loop's thread the callback is not called again; on another thread one
  /// call may be under way.
  void unwatch(int fd);
  /// Runs `callback` on the loop's thread, in the order posted. Any thread; also before run().
  void post(Callback callback);

  /// Until stop().
  void run();
  /// One round: waits at most `timeout_ms` (-1: for ever) and calls back what is ready.
  void run_once(int timeout_ms);
  /// Makes run() return. Any thread; async-signal-safe.
  void stop();
  bool on_loop_thread() const { return thread_.load() == std::this_thread::get_id(); }

 private:
  void wake();
  void run_posted();

  int epoll_fd_, wake_fd_;
  std::atomic<bool> stop_{false};
  std::atomic<std::thread::id> thread_{};
  std::mutex mutex_;
  std::vector<Callback> posted_;
  struct Watch {
    uint32_t serial;
    std::shared_ptr<FdCallback> callback;
    uint32_t events;
    bool always_ready;
  };
  std::unordered_map<int, Watch> watches_;
  uint32_t next_serial_ = 0;
  unsigned always_ready_ = 0;
};

}  // namespace lyrebird::system
