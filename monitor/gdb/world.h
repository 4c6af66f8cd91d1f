// SPDX-License-Identifier: Apache-2.0
/// A process as target: stops and lets go the threads of the guest, partly on guest threads.
///
/// All-stop, as gdb has it by default: when one thread has something to tell, every other parks
/// before its next block. A thread inside a system call counts as stopped; it parks when the call
/// is over. One mutex guards everything; no guest lock is taken under it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "monitor/gdb/files.h"
#include "monitor/gdb/memory.h"
#include "monitor/gdb/target.h"
#include "user/debugger.h"
#include "user/thread.h"

namespace lyrebird::gdb {

/// -g: waits for gdb at `where` (a port or a path); the guest then starts stopped. False: a message
/// was printed. Fits user::DebuggerStart.
bool start_debugger(user::Thread& first, const std::string& where);

class World final : public user::Debugger, public Target {
 public:
  /// All threads are stopped from the beginning; `event_fd` becomes readable when a stop or the
  /// end of the process is to be told.
  explicit World(user::Process& process);
  ~World() override;

  // On guest threads.
  bool before_run(user::Thread& t) override;
  void on_debug_stop(user::Thread& t) override;
  int on_signal(user::Thread& t, const siginfo_t& info) override;
  void on_thread_start(user::Thread& t) override;
  void on_thread_end(user::Thread& t) override;
  void on_exit(user::Thread& t, int status) override;
  void on_killed(user::Thread& t, int signal) override;
  void on_exec(user::Thread& t) override;
  void on_fork_child() override;

  // On the server's thread.
  int event_fd() const { return event_fd_; }
  std::optional<StopReason> take_stop() override;
  std::string take_end() override;
  void end_was_told() override;
  void resume(const std::map<ThreadId, Resume>& threads, Resume others, ThreadId signal_to,
              int signal) override;
  void interrupt() override;
  void let_go() override;
  void kill() override;
  void set_breakpoints(std::set<uint64_t> addresses) override;
  /// Only for writes. Threads run one instruction at a time while there is a watchpoint, and stop when its
  /// bytes have changed.
  bool add_watch(WatchKind kind, uint64_t address, uint64_t size) override;
  bool remove_watch(WatchKind kind, uint64_t address, uint64_t size) override;
  void pass_signals(std::set<int> signals) override;
  std::vector<ThreadId> threads() override;
  std::string describe(ThreadId) override { return "standing still"; }
  bool with_cpu(ThreadId thread, bool changes, const std::function<void(ir::CpuHeader&)>& f) override;
  std::string read_memory(ThreadId, uint64_t address, uint64_t size) override {
    return memory_.read(address, size);
  }
  bool write_memory(ThreadId, uint64_t address, std::string_view bytes) override {
    return memory_.write(address, bytes);
  }
  bool attached() const override { return false; }
  std::string features() const override {
    return ";QPassSignals+;qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+";
  }
  std::optional<std::string> object(std::string_view kind) override;
  std::optional<std::string> answer(std::string_view packet) override;

 private:
  struct Watched {
    user::Thread* thread;
    Resume resume = Resume::Continue;
  };
  struct Watch {
    uint64_t address;
    std::string bytes;  ///< at the last look
  };
  using Lock = std::unique_lock<std::mutex>;

  void stop_world(Lock& lock, const StopReason& reason);
  void inject_signal(user::Thread& t);
  void wait_until_running(Lock& lock, pid_t tid);
  void kick_others(pid_t except);
  void signal_event();
  void update_attention();
  std::optional<uint64_t> changed_watch();
  void end(const std::string& packet);
  std::string auxv() const;

  user::Process& process_;
  const DebugMemory memory_;
  std::unique_ptr<Files> files_;
  const int event_fd_;
  /// Some thread may not simply run.
  std::atomic<bool> attention_{true};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<pid_t, Watched> threads_;
  bool stopped_ = true, detached_ = false, interrupt_ = false, told_ = false;
  std::optional<StopReason> stop_;
  std::string end_;
  pid_t signal_to_ = 0;
  int signal_ = 0;
  std::set<int> passed_;
  std::map<pid_t, int> injected_;  ///< signals from gdb itself: not to be told again
  std::set<uint64_t> breakpoints_;
  std::vector<Watch> watches_;
};

}  // namespace lyrebird::gdb
