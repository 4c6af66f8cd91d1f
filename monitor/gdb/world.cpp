// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/world.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "monitor/gdb/packet.h"
#include "user/signals/host_handler.h"

namespace lyrebird::gdb {

World::World(user::Process& process)
    : process_(process), memory_(process), event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

World::~World() { ::close(event_fd_); }

void World::signal_event() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
}

void World::update_attention() {
  bool special = stopped_ || interrupt_ || !watches_.empty();
  for (const auto& [tid, watched] : threads_) special |= watched.resume != Resume::Continue;
  attention_.store(special && !detached_);
}

void World::kick_others(pid_t except) {
  for (const auto& [tid, watched] : threads_) {
    if (tid != except) watched.thread->vcpu->kick();
  }
}

void World::wait_until_running(Lock& lock, pid_t tid) {
  changed_.wait(lock, [&] {
    if (detached_) return true;
    const auto found = threads_.find(tid);
    return !stopped_ && (found == threads_.end() || found->second.resume != Resume::Hold);
  });
}

// The caller stays until gdb lets it go on.
void World::stop_world(Lock& lock, const StopReason& reason) {
  wait_until_running(lock, reason.thread);
  if (detached_) return;
  stopped_ = true;
  interrupt_ = false;
  stop_ = reason;
  update_attention();
  kick_others(reason.thread);
  signal_event();
  wait_until_running(lock, reason.thread);
}

// gdb's "signal" for a thread that did not stop because of one.
void World::inject_signal(user::Thread& t) {
  if (detached_ || signal_to_ != t.tid || !signal_) return;
  siginfo_t info{};
  info.si_signo = injected_[t.tid] = signal_;
  signal_ = signal_to_ = 0;
  t.take_back_rewind();
  t.signals.slots.put(info.si_signo, info);
  t.signals.pending.store(true);
  t.vcpu->kick();
}

bool World::before_run(user::Thread& t) {
  if (!attention_.load()) return false;
  Lock lock(mutex_);
  if (interrupt_ && !stopped_ && !detached_) {
    StopReason reason;
    reason.thread = t.tid;
    reason.signal = reason.info.si_signo = SIGINT;
    stop_world(lock, reason);
    inject_signal(t);
  }
  wait_until_running(lock, t.tid);
  const auto found = threads_.find(t.tid);
  if (detached_ || found == threads_.end()) return false;
  return found->second.resume == Resume::Step || !watches_.empty();
}

void World::on_debug_stop(user::Thread& t) {
  Lock lock(mutex_);
  if (detached_) return;
  const auto found = threads_.find(t.tid);
  const bool stepped = found != threads_.end() && found->second.resume == Resume::Step;
  StopReason reason;
  reason.thread = t.tid;
  reason.signal = reason.info.si_signo = SIGTRAP;
  reason.watch = changed_watch();
  reason.breakpoint = !stepped && !reason.watch && breakpoints_.contains(t.cpu().pc);
  // Just a step on the way to a watchpoint.
  if (!stepped && !reason.watch && !reason.breakpoint) return;
  // Another thread was first: a breakpoint is met again when this one is let go.
  if (stopped_ && reason.breakpoint) return;
  stop_world(lock, reason);
  inject_signal(t);
}

std::optional<uint64_t> World::changed_watch() {
  std::optional<uint64_t> hit;
  for (Watch& watch : watches_) {
    std::string now = memory_.read(watch.address, watch.bytes.size());
    if (now == watch.bytes) continue;
    watch.bytes = std::move(now);
    if (!hit) hit = watch.address;
  }
  return hit;
}

void World::set_breakpoints(std::set<uint64_t> addresses) {
  process_.accelerator.set_breakpoints({addresses.begin(), addresses.end()});
  const Lock lock(mutex_);
  breakpoints_ = std::move(addresses);
}

void World::add_watch(uint64_t address, uint64_t size) {
  const Lock lock(mutex_);
  watches_.push_back({address, memory_.read(address, size)});
  update_attention();
}

void World::remove_watch(uint64_t address, uint64_t size) {
  const Lock lock(mutex_);
  std::erase_if(watches_, [&](const Watch& w) { return w.address == address && w.bytes.size() == size; });
  update_attention();
}

int World::on_signal(user::Thread& t, const siginfo_t& info) {
  Lock lock(mutex_);
  if (detached_ || passed_.contains(info.si_signo)) return info.si_signo;
  if (const auto own = injected_.find(t.tid); own != injected_.end() && own->second == info.si_signo) {
    injected_.erase(own);
    return info.si_signo;
  }
  StopReason reason;
  reason.thread = t.tid;
  reason.signal = info.si_signo;
  reason.info = info;
  stop_world(lock, reason);
  if (detached_) return info.si_signo;
  const int deliver = signal_to_ == t.tid ? signal_ : 0;
  signal_ = signal_to_ = 0;
  return deliver;
}

void World::on_thread_start(user::Thread& t) {
  const Lock lock(mutex_);
  threads_[t.tid] = {&t};
}

void World::on_thread_end(user::Thread& t) {
  const Lock lock(mutex_);
  threads_.erase(t.tid);
  update_attention();
}

// Waits a moment for the server to tell gdb; a gdb that does not listen can't keep the process.
void World::end(const std::string& packet) {
  Lock lock(mutex_);
  if (detached_) return;
  end_ = packet;
  signal_event();
  changed_.wait_for(lock, std::chrono::seconds(5), [&] { return told_ || detached_; });
}

void World::on_exit(user::Thread&, int status) { end(fmt::format("W{:02x}", status & 0xff)); }
void World::on_killed(user::Thread&, int signal) { end(fmt::format("X{:02x}", signal_to_gdb(signal))); }
// What comes next is another emulator process in this one's place, which nobody debugs.
void World::on_exec(user::Thread&) {}

void World::on_fork_child() { process_.accelerator.set_breakpoints({}); }

std::optional<StopReason> World::take_stop() {
  const Lock lock(mutex_);
  uint64_t count;
  [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
  std::optional<StopReason> stop;
  std::swap(stop, stop_);
  return stop;
}

std::string World::take_end() {
  const Lock lock(mutex_);
  return std::exchange(end_, {});
}

void World::end_was_told() {
  const Lock lock(mutex_);
  told_ = true;
  changed_.notify_all();
}

void World::resume(const std::map<pid_t, Resume>& threads, Resume others, pid_t signal_to, int signal) {
  const Lock lock(mutex_);
  for (auto& [tid, watched] : threads_) {
    const auto found = threads.find(tid);
    watched.resume = found == threads.end() ? others : found->second;
  }
  signal_to_ = signal_to;
  signal_ = signal;
  changed_watch();  // what gdb itself wrote does not count
  stopped_ = false;
  update_attention();
  changed_.notify_all();
}

void World::interrupt() {
  const Lock lock(mutex_);
  if (stopped_) return;
  interrupt_ = true;
  update_attention();
  kick_others(0);
  // All of them may be in system calls: fetch one out, which runs its call again later.
  if (!threads_.empty()) user::interrupt_host_thread(threads_.begin()->first);
}

void World::let_go() {
  set_breakpoints({});
  // SIGTRAP and the like are the guest's alone again.
  process_.signals.actions->set_intercept(false);
  const Lock lock(mutex_);
  detached_ = true;
  watches_.clear();
  for (auto& [tid, watched] : threads_) watched.resume = Resume::Continue;
  stopped_ = false;
  update_attention();
  changed_.notify_all();
}

void World::pass_signals(std::set<int> signals) {
  const Lock lock(mutex_);
  passed_ = std::move(signals);
}

std::vector<pid_t> World::threads() {
  const Lock lock(mutex_);
  std::vector<pid_t> ids;
  for (const auto& [tid, watched] : threads_) ids.push_back(tid);
  return ids;
}

}  // namespace lyrebird::gdb
