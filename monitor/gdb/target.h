// SPDX-License-Identifier: Apache-2.0
/// What the server debugs: a process (world.h) or a machine (machine_target.h). Threads are the guest's
/// threads, or the CPUs. All-stop: when there is a stop to tell, everything stands.
///
/// Called on the server's thread alone; registers and memory only while everything stands.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/cpu_header.h"

namespace lyrebird::gdb {

using ThreadId = int64_t;  ///< as gdb sees it: from 1

enum class Resume { Hold, Continue, Step };
enum class WatchKind { Write, Read, Access };

struct StopReason {
  ThreadId thread = 0;
  int signal = 0;  ///< host number
  bool breakpoint = false;
  std::optional<uint64_t> watch;  ///< address of the watchpoint that was hit
  WatchKind watch_kind = WatchKind::Write;
  std::string siginfo;  ///< the guest's own; empty: there is none
};

class Target {
 public:
  virtual ~Target() = default;

  // --- what happened

  /// The stop that all threads stand at, once.
  virtual std::optional<StopReason> take_stop() = 0;
  /// What gdb gets when the guest has ended ("W00"), once; "" as long as it lives.
  virtual std::string take_end() = 0;
  /// The end was told: the guest may go.
  virtual void end_was_told() = 0;

  // --- running

  /// `signal_to` gets `signal` (of the host), if that is not 0.
  virtual void resume(const std::map<ThreadId, Resume>& threads, Resume others, ThreadId signal_to,
                      int signal) = 0;
  /// Stops everything with SIGINT.
  virtual void interrupt() = 0;
  /// gdb is gone: nothing of it stays, and everything runs.
  virtual void let_go() = 0;
  virtual void kill() = 0;
  virtual void set_breakpoints(std::set<uint64_t> addresses) = 0;
  /// False: there are none of this kind.
  virtual bool add_watch(WatchKind kind, uint64_t address, uint64_t size) = 0;
  virtual bool remove_watch(WatchKind kind, uint64_t address, uint64_t size) = 0;
  virtual void pass_signals(std::set<int>) {}

  // --- looking

  virtual std::vector<ThreadId> threads() = 0;
  /// For `info threads`.
  virtual std::string describe(ThreadId thread) = 0;
  /// Calls `f` with the registers of the thread; false: no such thread. `changes`: f may write them.
  virtual bool with_cpu(ThreadId thread, bool changes, const std::function<void(ir::CpuHeader&)>& f) = 0;
  /// As much as can be read, from the start. By the thread's eyes.
  virtual std::string read_memory(ThreadId thread, uint64_t address, uint64_t size) = 0;
  /// False: nothing that could be relied on was written.
  virtual bool write_memory(ThreadId thread, uint64_t address, std::string_view bytes) = 0;

  // --- what only some have

  /// Whether the guest was there before gdb: it lets it go at its end, else it kills it.
  virtual bool attached() const = 0;
  /// Added to the answer to qSupported.
  virtual std::string features() const { return ""; }
  /// What qXfer:KIND:read gives; nullopt: no such thing.
  virtual std::optional<std::string> object(std::string_view /*kind*/) { return std::nullopt; }
  /// Answers a packet that no other target knows; nullopt: nor does this one.
  virtual std::optional<std::string> answer(std::string_view /*packet*/) { return std::nullopt; }
};

}  // namespace lyrebird::gdb
