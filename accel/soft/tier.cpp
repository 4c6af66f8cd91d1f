// SPDX-License-Identifier: Apache-2.0
#include "accel/soft/tier.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <new>
#include <system_error>
#include <utility>

namespace lyrebird::accel {

namespace {

/// Looks without news before the sleep gets longer.
constexpr unsigned kPatience = 16;

/// What may not reach the thread, as the kernel's mask: see start().
constexpr uint64_t kGuestSignals = ~(uint64_t{1} << (SIGSEGV - 1) | uint64_t{1} << (SIGBUS - 1));

std::chrono::nanoseconds time_used(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

Tier::Tier(jit::BlockMap& map, Work work, TierOptions options, Kept kept)
    : map_(&map), work_(std::move(work)), options_(std::move(options)), kept_(std::move(kept)) {}

Tier::~Tier() { stop(true); }

void Tier::stop(bool wait) {
  std::thread ending;
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    if (wait) ending = std::move(thread_);
  }
  changed_.notify_all();
  if (!ending.joinable()) return;
  ending.join();
  started_ = false;
}

void Tier::start() {
  if (started_.load(std::memory_order_relaxed) && !ended_.load(std::memory_order_relaxed)) return;
  const std::lock_guard lock(mutex_);
  if (ended_ && thread_.joinable()) {
    thread_.join();
    started_ = false;
  }
  if (started_.exchange(true)) return;
  stop_ = ended_ = false;
  // The guest's signals are for its own threads: all of them, also those that libc keeps for itself. But
  // a crash of the compiler must reach its fault guard.
  uint64_t old = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kGuestSignals, &old, sizeof old);
  try {
    thread_ = std::thread([this] { run(); });
    if (options_.thread_made) options_.thread_made();
  } catch (const std::system_error&) {
    // No thread to be had: everything stays as it is.
  }
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, nullptr, sizeof old);
}

void Tier::after_fork_in_child(jit::BlockMap& map) {
  map_ = &map;
  new (&mutex_) std::mutex;
  new (&changed_) std::condition_variable;
  new (&thread_) std::thread;
  // Between two changes of it, if the thread was in the middle of one.
  if (looking_.exchange(false)) new (&hot_) jit::HotSet;
  gathering_ = 0;
  guest_ = waiting_ = {};
  // Whatever locks the work held are held for ever here.
  started_ = working_.load();
  ended_ = false;
}

bool Tier::sleep(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [this] { return stop_; });
}

/// The processor time that passed since the last call went to where the samples were taken.
void Tier::count_time(unsigned samples, unsigned hot) {
  if (samples == 0) return;
  const auto now = time_used(CLOCK_PROCESS_CPUTIME_ID) - time_used(CLOCK_THREAD_CPUTIME_ID);
  if (hot != 0) waiting_ += (now - guest_) * hot / samples;
  guest_ = now;
}

/// Whether what is waiting takes so long that the compiler's time is little beside.
bool Tier::affordable() const {
  return waiting_ >= options_.worth && time_used(CLOCK_THREAD_CPUTIME_ID) * options_.share <= guest_;
}

bool Tier::look() {
  const bool running = map_->request_samples();
  bool news = false;
  looking_ = true;
  unsigned samples = 0, hot = 0;
  sampler_.drain([&](ir::BlockKey key) {
    if (kept_ && hot_.is_new(key) && kept_(key)) hot_.settle(key);
    news |= hot_.add(key);
    ++samples;
    hot += hot_.is_hot(key);
  });
  count_time(samples, hot);
  if (hot_.any_hot() && ++gathering_ >= options_.gather && affordable()) {
    gathering_ = 0;
    waiting_ = {};
    working_ = true;
    for (const ir::BlockKey key : work_(hot_.take_hot(options_.batch))) hot_.unsettle(key);
    working_ = false;
  }
  looking_ = false;
  return running && (news || hot_.any_hot());
}

void Tier::run() {
  // libc's start of a thread unblocks what it uses itself (32 and 33), which guests may send.
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &kGuestSignals, nullptr, sizeof kGuestSignals);
  pthread_setname_np(pthread_self(), "lyrebird-tier");
  // Guests come first. Linux gives each thread its own niceness.
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);
  auto wait = options_.first;
  unsigned quiet = 0;
  while (sleep(wait)) {
    quiet = look() ? 0 : quiet + 1;
    wait = quiet <= kPatience ? options_.tick : std::min(wait * 2, options_.rest);
  }
  ended_ = true;
}

}  // namespace lyrebird::accel
