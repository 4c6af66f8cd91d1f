// SPDX-License-Identifier: Apache-2.0
#include "system/clock.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>

#include "system/event_loop.h"

namespace lyrebird::system {

Clock::Clock() = default;
Clock::~Clock() { assert(armed_.empty()); }

int64_t Clock::next_deadline() const {
  const std::lock_guard lock(mutex_);
  return armed_.empty() ? kNever : armed_.begin()->first;
}

int64_t Clock::run_expired() {
  std::unique_lock lock(mutex_);
  while (!armed_.empty() && armed_.begin()->first <= now_ns()) {
    Timer* const timer = armed_.begin()->second;
    armed_.erase(armed_.begin());
    timer->deadline_ = kNever;
    running_ = timer;
    running_on_ = std::this_thread::get_id();
    lock.unlock();
    timer->callback_();
    lock.lock();
    running_ = nullptr;
    finished_.notify_all();
  }
  return armed_.empty() ? kNever : armed_.begin()->first;
}

Timer::Timer(Clock& clock, std::function<void()> callback) : clock_(clock), callback_(std::move(callback)) {}

Timer::~Timer() {
  std::unique_lock lock(clock_.mutex_);
  clock_.armed_.erase({deadline_, this});
  if (clock_.running_on_ == std::this_thread::get_id()) return;
  clock_.finished_.wait(lock, [this] { return clock_.running_ != this; });
}

void Timer::arm(int64_t deadline_ns) {
  const std::lock_guard lock(clock_.mutex_);
  if (deadline_ == deadline_ns) return;
  const int64_t before = clock_.armed_.empty() ? kNever : clock_.armed_.begin()->first;
  if (deadline_ != kNever) clock_.armed_.erase({deadline_, this});
  deadline_ = deadline_ns;
  if (deadline_ != kNever) clock_.armed_.emplace(deadline_, this);
  const int64_t after = clock_.armed_.empty() ? kNever : clock_.armed_.begin()->first;
  // A later deadline is left to the wake-up of the earlier one: re-arming is frequent.
  if (after < before) clock_.deadline_changed(after);
}

void Timer::cancel() { arm(kNever); }

bool Timer::armed() const { return deadline() != kNever; }

int64_t Timer::deadline() const {
  const std::lock_guard lock(clock_.mutex_);
  return deadline_;
}

namespace {

int64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

}  // namespace

HostClock::HostClock(EventLoop& loop)
    : loop_(loop), timer_fd_(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) {
  assert(timer_fd_ >= 0);
  loop_.watch(timer_fd_, EPOLLIN, [this](uint32_t) {
    uint64_t count;
    [[maybe_unused]] const ssize_t got = read(timer_fd_, &count, sizeof count);
    {
      const std::lock_guard lock(state_mutex_);
      programmed_ = kNever;
    }
    if (running_.load()) program(run_expired());
  });
}

HostClock::~HostClock() {
  loop_.unwatch(timer_fd_);
  close(timer_fd_);
}

int64_t HostClock::now_ns() const {
  const int64_t offset = offset_.load(std::memory_order_acquire);
  if (offset != kStopped) return monotonic_ns() + offset;
  return frozen_.load(std::memory_order_acquire);
}

void HostClock::start() {
  {
    const std::lock_guard lock(state_mutex_);
    if (running_.load()) return;
    offset_.store(frozen_.load() - monotonic_ns(), std::memory_order_release);
    running_.store(true);
    programmed_ = kNever;
  }
  program(next_deadline());
}

void HostClock::stop() {
  const std::lock_guard lock(state_mutex_);
  if (!running_.load()) return;
  frozen_.store(monotonic_ns() + offset_.load(), std::memory_order_release);
  offset_.store(kStopped, std::memory_order_release);
  running_.store(false);
}

void HostClock::set_ns(int64_t now) {
  const std::lock_guard lock(state_mutex_);
  assert(!running_.load());
  frozen_.store(now, std::memory_order_release);
}

void HostClock::deadline_changed(int64_t deadline) { program(deadline); }

void HostClock::program(int64_t deadline) {
  const std::lock_guard lock(state_mutex_);
  if (!running_.load() || deadline >= programmed_) return;
  programmed_ = deadline;
  // 0 would switch the descriptor off.
  const int64_t at = std::max<int64_t>(deadline - offset_.load(), 1);
  itimerspec when{};
  when.it_value.tv_sec = at / kNanosecondsPerSecond;
  when.it_value.tv_nsec = at % kNanosecondsPerSecond;
  timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr);
}

int64_t CountedClock::now_ns() const {
  return offset_.load(std::memory_order_acquire) +
         static_cast<int64_t>(instructions() << shift_.load(std::memory_order_acquire));
}

void CountedClock::start() {
  last_look_ = monotonic_ns();
  host_start_ = last_look_ - now_ns();
  last_ahead_ = 0;
}

uint64_t CountedClock::instructions_until(int64_t deadline) const {
  const int64_t ns = deadline == kNever ? int64_t{1} << 62 : deadline - now_ns();
  const unsigned shift = shift_.load();
  return ns <= 0 ? 1
                 : std::max<uint64_t>(1, (static_cast<uint64_t>(ns) + (uint64_t{1} << shift) - 1) >> shift);
}

void CountedClock::warp_to(int64_t ns) {
  offset_.store(ns - static_cast<int64_t>(instructions() << shift_.load()), std::memory_order_release);
}

void CountedClock::follow_host() {
  constexpr int64_t kPeriod = kNanosecondsPerSecond / 20, kTolerance = kPeriod / 5;
  if (!options_.automatic) return;
  const int64_t host = monotonic_ns();
  if (host - last_look_ < kPeriod) return;
  last_look_ = host;
  const int64_t now = now_ns(), ahead = now - (host - host_start_);
  const unsigned shift = shift_.load();
  // Only while it gets worse: what was lost is caught up slowly.
  unsigned better = shift;
  if (ahead > kTolerance && ahead > last_ahead_ && shift > 0) better = shift - 1;
  if (ahead < -kTolerance && ahead < last_ahead_ && shift < kMaxShift) better = shift + 1;
  last_ahead_ = ahead;
  if (better == shift) return;
  shift_.store(better, std::memory_order_release);
  warp_to(now);
}

void ManualClock::advance_to(int64_t ns) {
  for (;;) {
    const int64_t next = next_deadline();
    if (next > ns) break;
    if (next > now_ns()) now_.store(next, std::memory_order_release);
    run_expired();
  }
  now_.store(std::max(ns, now_ns()), std::memory_order_release);
}

}  // namespace lyrebird::system
