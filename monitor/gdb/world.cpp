// SPDX-License-Identifier: Apache-2.0
#include "monitor/gdb/world.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "monitor/gdb/connection.h"
#include "monitor/gdb/packet.h"
#include "monitor/gdb/server.h"
#include "user/host/raw_signal.h"
#include "user/signals/host_handler.h"

namespace lyrebird::gdb {

namespace {

StopReason reason_of(const user::Thread& t, const siginfo_t& info) {
  StopReason reason;
  reason.thread = t.tid;
  reason.signal = info.si_signo;
  reason.siginfo = {reinterpret_cast<const char*>(&info), sizeof info};
  return reason;
}

StopReason reason_of(const user::Thread& t, int signal) {
  siginfo_t info{};
  info.si_signo = signal;
  return reason_of(t, info);
}

/// Serves until gdb or the guest is gone.
void serve(Server& server, Connection& connection, World& world) {
  while (!server.done()) {
    pollfd ready[2] = {{connection.fd(), POLLIN, 0}, {world.event_fd(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0) continue;
    if (ready[1].revents) server.on_event();
    if (server.done() || !ready[0].revents) continue;
    const std::string bytes = connection.receive();
    if (bytes.empty())
      server.detach();
    else
      server.receive(bytes);
  }
  connection.close();
}

struct ServerThread {
  Connection connection;
  std::unique_ptr<Server> server;
  World* world = nullptr;
};

void* server_main(void* argument) {
  const std::unique_ptr<ServerThread> thread(static_cast<ServerThread*>(argument));
  serve(*thread->server, thread->connection, *thread->world);
  return nullptr;
}

}  // namespace

bool start_debugger(user::Thread& first, const std::string& where) {
  user::Process& process = first.process;
  const Registers* const registers = find_registers(process.abi.name);
  if (!registers) {
    std::fputs(fmt::format("{}: -g: not for this guest yet\n", process.options.invoked_as).c_str(), stderr);
    return false;
  }
  // Lives as long as the process.
  World* const world = new World(process);
  auto thread = std::make_unique<ServerThread>();
  thread->world = world;
  if (const Result<void> connected = thread->connection.accept(where); !connected) {
    std::fputs(fmt::format("{}: {}\n", process.options.invoked_as, connected.error().message).c_str(),
               stderr);
    return false;
  }
  thread->server =
      std::make_unique<Server>(*world, *registers, first.tid,
                               [connection = &thread->connection](auto bytes) { connection->send(bytes); });
  process.debugger = world;
  process.signals.actions->set_intercept(true);
  world->on_thread_start(first);
  // The guest's signals are not for the server's thread.
  const uint64_t mask = user::host::set_signal_mask(SIG_BLOCK, ~user::kHostFaults);
  pthread_t id;
  const int error = pthread_create(&id, nullptr, server_main, thread.release());
  user::host::set_signal_mask(SIG_SETMASK, mask);
  if (!error) pthread_detach(id);
  return !error;
}

World::World(user::Process& process)
    : process_(process),
      memory_(process),
      files_(std::make_unique<Files>(process)),
      event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

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
  wait_until_running(lock, static_cast<pid_t>(reason.thread));
  if (detached_) return;
  stopped_ = true;
  interrupt_ = false;
  stop_ = reason;
  update_attention();
  kick_others(static_cast<pid_t>(reason.thread));
  signal_event();
  wait_until_running(lock, static_cast<pid_t>(reason.thread));
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
    stop_world(lock, reason_of(t, SIGINT));
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
  StopReason reason = reason_of(t, SIGTRAP);
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

bool World::add_watch(WatchKind kind, uint64_t address, uint64_t size) {
  if (kind != WatchKind::Write) return false;
  const Lock lock(mutex_);
  watches_.push_back({address, memory_.read(address, size)});
  update_attention();
  return true;
}

bool World::remove_watch(WatchKind kind, uint64_t address, uint64_t size) {
  if (kind != WatchKind::Write) return false;
  const Lock lock(mutex_);
  std::erase_if(watches_, [&](const Watch& w) { return w.address == address && w.bytes.size() == size; });
  update_attention();
  return true;
}

int World::on_signal(user::Thread& t, const siginfo_t& info) {
  Lock lock(mutex_);
  if (detached_ || passed_.contains(info.si_signo)) return info.si_signo;
  if (const auto own = injected_.find(t.tid); own != injected_.end() && own->second == info.si_signo) {
    injected_.erase(own);
    return info.si_signo;
  }
  stop_world(lock, reason_of(t, info));
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

void World::resume(const std::map<ThreadId, Resume>& threads, Resume others, ThreadId signal_to, int signal) {
  const Lock lock(mutex_);
  for (auto& [tid, watched] : threads_) {
    const auto found = threads.find(tid);
    watched.resume = found == threads.end() ? others : found->second;
  }
  signal_to_ = static_cast<pid_t>(signal_to);
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

std::vector<ThreadId> World::threads() {
  const Lock lock(mutex_);
  std::vector<ThreadId> ids;
  for (const auto& [tid, watched] : threads_) ids.push_back(tid);
  return ids;
}

bool World::with_cpu(ThreadId thread, bool, const std::function<void(ir::CpuHeader&)>& f) {
  const Lock lock(mutex_);
  const auto found = threads_.find(static_cast<pid_t>(thread));
  if (found == threads_.end()) return false;
  f(found->second.thread->cpu());
  return true;
}

void World::kill() { user::host::die_by_signal(SIGKILL); }

std::string World::auxv() const {
  std::string bytes;
  const user::DataModel& model = process_.abi.model;
  for (const uint64_t value : process_.program.auxv) {
    for (unsigned i = 0; i < model.word; i++)
      bytes += static_cast<char>(value >> 8 * (model.big_endian ? model.word - 1 - i : i));
  }
  return bytes;
}

std::optional<std::string> World::object(std::string_view kind) {
  if (kind == "auxv") return auxv();
  if (kind == "exec-file") return process_.program.exe;
  return std::nullopt;
}

std::optional<std::string> World::answer(std::string_view packet) {
  Fields f(packet);
  if (!f.eat("vFile:")) return std::nullopt;
  return files_->answer(f);
}

}  // namespace lyrebird::gdb
