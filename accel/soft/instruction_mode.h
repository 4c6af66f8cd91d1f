// SPDX-License-Identifier: Apache-2.0
/// -icount: virtual time is the number of instructions, and vCPUs take turns, so that a machine that nothing
/// from outside disturbs does the same every time.
///
/// One vCPU has the turn until it has used up its quantum, sleeps or is switched off; who is next depends on
/// the guest alone. Threads follow: acquire() waits until the turn comes. While all sleep, time goes straight
/// to the next deadline (which is waited for in host time, unless told otherwise).
///
/// Blocks take their instructions from the budget in the vCPU's state when they begin, and stop before they
/// have begun once it is used up (SystemConfig::count_instructions): a deadline is met at the next block.
///
/// Lock order: mutex_ is the last.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

#include "frontend/system_frontend.h"
#include "system/clock.h"

namespace lyrebird::accel {

class SystemVcpu;

class InstructionMode final : private system::CountedClock::Counter {
 public:
  InstructionMode(const frontend::SystemFrontend& frontend, system::CountedClock& clock);
  ~InstructionMode();

  /// Before anything runs, in the order of their numbers.
  void add(SystemVcpu& vcpu);

  // The vCPU's own thread, outside of guest code.

  /// Waits for the turn. False: it is to come back (kicked).
  bool acquire(SystemVcpu& vcpu);
  /// run() ends; the turn is kept, unless it was switched off.
  void release(SystemVcpu& vcpu);
  /// With the turn: whether next_slice() is due.
  bool due(const SystemVcpu& vcpu) const;
  /// Runs timers, passes on the turn. As acquire().
  bool next_slice(SystemVcpu& vcpu);
  /// Sleeps until wake(). As acquire().
  bool sleep(SystemVcpu& vcpu);
  /// Others first. As acquire().
  bool yield(SystemVcpu& vcpu);
  /// While nothing runs: a step finds something to use up. It counts if the vCPU has the turn.
  void prepare_step(SystemVcpu& vcpu);

  // Any thread.

  /// Its interrupt lines or requests have changed.
  void look(SystemVcpu& vcpu);
  void set_power(SystemVcpu& vcpu, bool on);
  /// See Vcpu::set_held(): the turn goes to those that are not.
  void set_held(SystemVcpu& vcpu, bool held);
  uint64_t instructions() const override;

 private:
  enum class State : uint8_t { Off, Ready, Asleep };
  struct Member {
    SystemVcpu* vcpu;
    int64_t* budget;
    State state;
    bool held = false;
  };
  using Lock = std::unique_lock<std::mutex>;

  void deadline_changed() override;
  bool acquire(Lock& lock, SystemVcpu& vcpu);
  /// Another vCPU that is in the state and not held, next in order; its own number if there is none.
  size_t next(size_t from, State state) const;
  void pass(size_t to);
  void wake_up(size_t member);
  void idle(Lock& lock, SystemVcpu& vcpu);
  bool any_ready() const;

  const frontend::SystemFrontend& frontend_;
  system::CountedClock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Member> members_;
  size_t current_ = 0;
  uint64_t quantum_end_ = 0;
  std::atomic<bool> dirty_{false};  ///< deadlines are others
  /// What the count will be when the budget is used up; whose that is.
  std::atomic<uint64_t> end_{0};
  std::atomic<int64_t*> budget_{nullptr};
};

}  // namespace lyrebird::accel
