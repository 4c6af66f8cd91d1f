// SPDX-License-Identifier: Apache-2.0
/// The machine's time, and timers on it.
///
/// Virtual time counts nanoseconds from 0 while the machine runs and stands while it is stopped. HostClock
/// follows the host's clock; ManualClock is advanced by whoever counts instructions, and by tests.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

namespace lyrebird::system {

class EventLoop;
class Timer;

inline constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

class Clock {
 public:
  Clock();
  virtual ~Clock();
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// Any thread, no lock.
  virtual int64_t now_ns() const = 0;

  /// The earliest armed deadline, or kNever.
  int64_t next_deadline() const;
  /// Runs the callbacks of what is due. Returns the next deadline.
  int64_t run_expired();

 protected:
  /// The earliest deadline is another one. Under the timers' lock: must not call back.
  virtual void deadline_changed(int64_t /*deadline*/) {}

 private:
  friend class Timer;
  mutable std::mutex mutex_;
  std::set<std::pair<int64_t, Timer*>> armed_;
  std::condition_variable finished_;
  Timer* running_ = nullptr;
  std::thread::id running_on_;
};

/// Calls back when virtual time reaches a deadline; once per arm(). The callback runs without any lock
/// on the thread that drives the clock (the event loop's). arm() and cancel() are for any thread, also
/// with a device's mutex held: cancel() does not wait for a callback that has begun, so a callback locks its
/// device and looks again. The destructor waits.
class Timer {
 public:
  Timer(Clock& clock, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// Replaces an earlier deadline. One that has passed is called back soon. kNever cancels.
  void arm(int64_t deadline_ns);
  void cancel();
  bool armed() const;
  int64_t deadline() const;  ///< kNever if not armed

 private:
  friend class Clock;
  Clock& clock_;
  std::function<void()> callback_;
  int64_t deadline_ = kNever;  ///< under the clock's mutex
};

/// The host's monotonic clock, driven by an event loop. Stopped at first.
class HostClock final : public Clock {
 public:
  explicit HostClock(EventLoop& loop);
  ~HostClock() override;
  int64_t now_ns() const override;
  void start();
  void stop();
  /// While stopped: what a state stream says.
  void set_ns(int64_t now);

 private:
  void deadline_changed(int64_t deadline) override;
  void program(int64_t deadline);

  EventLoop& loop_;
  int timer_fd_;
  static constexpr int64_t kStopped = std::numeric_limits<int64_t>::min();
  /// virtual = monotonic + offset_, or frozen_ while offset_ is kStopped.
  std::atomic<int64_t> offset_{kStopped}, frozen_{0};
  std::atomic<bool> running_{false};
  mutable std::mutex state_mutex_;  ///< the descriptor, and changes of the above
  int64_t programmed_ = kNever;     ///< when the descriptor fires
};

/// Stands until somebody advances it. Callbacks run in advance().
class ManualClock final : public Clock {
 public:
  int64_t now_ns() const override { return now_.load(std::memory_order_acquire); }
  void advance(int64_t ns) { advance_to(now_ns() + ns); }
  /// Timers are called back at their own deadlines, in order.
  void advance_to(int64_t ns);

 private:
  std::atomic<int64_t> now_{0};
};

}  // namespace lyrebird::system
