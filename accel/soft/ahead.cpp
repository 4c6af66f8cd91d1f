// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/ahead.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <system_error>

namespace lyrebird::accel {
namespace {
constexpr uint64_t kGuestSignals = ~(uint64_t{1} << (SIGSEGV - 1) | uint64_t{1} << (SIGBUS - 1));
}

Ahead::Ahead(Work work, Options options) : work_(std::move(work)), options_(std::move(options)) {}
Ahead::~Ahead() { stop(); }

void Ahead::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Ahead::note(const std::vector<ir::BlockKey>& next) {
  for (const ir::BlockKey key : next) {
    const uint64_t at = written_.load(std::memory_order_relaxed);
    slots_[at % kSlots].mode.store(key.mode, std::memory_order_relaxed);
    slots_[at % kSlots].pc.store(key.pc, std::memory_order_relaxed);
    written_.store(at + 1, std::memory_order_release);
  }
  if (!started_.load(std::memory_order_relaxed)) {
    if (written_.load(std::memory_order_relaxed) > 100) start();
  } else if (sleeping_.load(std::memory_order_relaxed) && sleeping_.exchange(false)) {
    const std::lock_guard lock(mutex_);
    changed_.notify_one();
  }
}

bool Ahead::await(ir::BlockKey key) const {
  if (making_.load(std::memory_order_acquire) != key.pc) return false;
  for (unsigned i = 0; i < 2000 && making_.load(std::memory_order_acquire) == key.pc; ++i)
    __builtin_ia32_pause();
  return true;
}

void Ahead::start() {
  if (started_.exchange(true)) return;
  uint64_t old = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kGuestSignals, &old, sizeof old);
  try {
    thread_ = std::thread([this] { run(); });
    if (options_.thread_made) options_.thread_made();
  } catch (const std::system_error&) {
  }
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, nullptr, sizeof old);
}

bool Ahead::take() {
  const uint64_t end = written_.load(std::memory_order_acquire);
  if (end == read_) return false;
  if (end - read_ > kSlots) read_ = end - kSlots;
  for (; read_ != end; ++read_) {
    const Slot& slot = slots_[read_ % kSlots];
    items_.push_back({{slot.pc.load(std::memory_order_relaxed), slot.mode.load(std::memory_order_relaxed)}, 0});
  }
  if (items_.size() > 1024) items_.erase(items_.begin(), items_.begin() + 512);
  return true;
}

void Ahead::run() {
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kGuestSignals, nullptr, sizeof kGuestSignals);
  pthread_setname_np(pthread_self(), "lyrebird-ahead");
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);
  std::vector<ir::BlockKey> next;
  unsigned idle = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    take();
    if (items_.empty()) {
      if (++idle < options_.patience * 20) {
        __builtin_ia32_pause();
        continue;
      }
      std::unique_lock lock(mutex_);
      sleeping_ = true;
      changed_.wait(lock, [this] { return stop_ || !sleeping_; });
      idle = 0;
      continue;
    }
    idle = 0;
    const Item item = items_.back();
    items_.pop_back();
    next.clear();
    if (demanded(item.key)) continue;
    making_.store(item.key.pc, std::memory_order_release);
    work_(item.key, next);
    making_.store(0, std::memory_order_release);
    if (item.depth < options_.depth)
      for (const ir::BlockKey key : next) items_.push_back({key, item.depth + 1});
  }
}

}  // namespace lyrebird::accel
