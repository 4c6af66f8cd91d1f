// SPDX-License-Identifier: Apache-2.0
/// The machine's time, and timers on it.
///
/// Virtual time counts nanoseconds from 0 while the machine runs and stands while it is stopped. HostClock
/// follows the host's clock, CountedClock counts instructions, ManualClock is advanced by tests.
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
  /// The machine goes on, or stands.
  virtual void start() {}
  virtual void stop() {}
  /// While stopped: what a state stream says.
  virtual void set_ns(int64_t /*now*/) {}

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
  void start() override;
  void stop() override;
  void set_ns(int64_t now) override;

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

/// An instruction takes 2^shift nanoseconds. Timers are called back by whoever runs the instructions, at the
/// first chance behind their deadline.
class CountedClock final : public Clock {
 public:
  class Counter {
   public:
    /// Any thread, no lock.
    virtual uint64_t instructions() const = 0;
    /// The earliest deadline may be another one. Under the timers' lock.
    virtual void deadline_changed() = 0;

   protected:
    ~Counter() = default;
  };
  static constexpr unsigned kMaxShift = 10;
  struct Options {
    unsigned shift = 3;
    /// The shift follows what the host manages, so that time does, too, more or less.
    bool automatic = false;
    /// While nothing runs, a deadline is waited for as long as the host's clock needs.
    bool waits = true;
  };

  explicit CountedClock(const Options& options) : options_(options), shift_(options.shift) {}
  void set_counter(Counter* counter) { counter_ = counter; }

  int64_t now_ns() const override;
  void start() override;
  void set_ns(int64_t now) override { warp_to(now); }

  // For who runs the instructions; no other thread at the same time.
  bool waits() const { return options_.waits; }
  /// At least 1.
  uint64_t instructions_until(int64_t deadline) const;
  /// Nothing happened until then.
  void warp_to(int64_t ns);
  /// Adapts the shift, if that is wanted.
  void follow_host();

 private:
  void deadline_changed(int64_t) override {
    if (counter_) counter_->deadline_changed();
  }
  uint64_t instructions() const { return counter_ ? counter_->instructions() : 0; }

  const Options options_;
  Counter* counter_ = nullptr;
  std::atomic<unsigned> shift_;
  std::atomic<int64_t> offset_{0};  ///< ns at instruction 0
  int64_t host_start_ = 0, last_look_ = 0, last_ahead_ = 0;
};

}  // namespace lyrebird::system
