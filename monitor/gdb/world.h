// SPDX-License-Identifier: Apache-2.0
/// Stops and lets go the threads of the guest: the debugger's half that runs on guest threads.
///
/// All-stop, as gdb has it by default: when one thread has something to tell, every other parks
/// before its next block. A thread inside a system call counts as stopped; it parks when the call
/// is over. One mutex guards everything; no guest lock is taken under it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "monitor/gdb/memory.h"
#include "user/debugger.h"
#include "user/thread.h"

namespace lyrebird::gdb {

enum class Resume { Hold, Continue, Step };

struct StopReason {
  pid_t thread = 0;
  int signal = 0;  ///< host number
  siginfo_t info{};
  bool breakpoint = false;
  std::optional<uint64_t> watch;  ///< address of the watchpoint that was hit
};

class World final : public user::Debugger {
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
  /// The stop that all threads stand at, once.
  std::optional<StopReason> take_stop();
  /// What gdb gets when the process ends; "" as long as it lives.
  std::string take_end();
  /// The end was told: the process may go.
  void end_was_told();
  void resume(const std::map<pid_t, Resume>& threads, Resume others, pid_t signal_to, int signal);
  /// Stops the world with SIGINT.
  void interrupt();
  /// Nobody is stopped any more, ever.
  void let_go();
  void set_breakpoints(std::set<uint64_t> addresses);
  /// Threads run one instruction at a time while there is a watchpoint, and stop when its bytes
  /// have changed.
  void add_watch(uint64_t address, uint64_t size);
  void remove_watch(uint64_t address, uint64_t size);
  void pass_signals(std::set<int> signals);
  std::vector<pid_t> threads();
  /// Calls f with a thread that stands still; false: no such thread.
  template <typename F>
  bool with_thread(pid_t tid, F f) {
    const std::lock_guard lock(mutex_);
    const auto found = threads_.find(tid);
    if (found == threads_.end()) return false;
    f(*found->second.thread);
    return true;
  }
  user::Process& process() { return process_; }

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

  user::Process& process_;
  const DebugMemory memory_;
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
