// SPDX-License-Identifier: Apache-2.0
/// One guest thread, which is one host thread: its registers and the loop that runs it.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <atomic>
#include <memory>

#include "accel/vcpu.h"
#include "user/abi/abi.h"
#include "user/process.h"
#include "user/seccomp/seccomp.h"
#include "user/signals/thread_signals.h"
#include "user/threads/thread_extra.h"

namespace lyrebird::user {

// What a syscall function may return besides a value or -errno, as inside the Linux kernel: the
// guest never sees these. See Thread::interrupted.
inline constexpr int kERestartSys = 512;           ///< again if the handler has SA_RESTART, else EINTR
inline constexpr int kERestartNoIntr = 513;        ///< always again
inline constexpr int kERestartNoHand = 514;        ///< again if no handler runs, else EINTR
inline constexpr int kERestartRestartBlock = 516;  ///< as NoHand; time-outs were adjusted
/// The registers are already what the guest shall see (rt_sigreturn, execve).
inline constexpr int64_t kKeepRegisters = INT64_MIN;

class Thread {
 public:
  /// `from`: registers to start with (clone), or null.
  Thread(Process& process, const ir::CpuHeader* from);
  ~Thread();
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  Process& process;
  const StatePtr state;  ///< before vcpu: it is used by it
  const std::unique_ptr<accel::Vcpu> vcpu;
  ir::CpuHeader& cpu() { return *state; }
  const Abi& abi() const { return process.abi; }
  AddressSpace& memory() { return process.memory; }

  pid_t tid = 0;  ///< host tid, which is the guest's
  ThreadSignals signals;
  ThreadExtra extra;
  Seccomp seccomp;

  /// Runs guest code on the calling host thread until finish() was called; returns its status.
  int run();
  /// Makes run() return when the current syscall or signal is done. Own thread only.
  void finish(int status) { finished_ = true, status_ = status; }
  bool finished() const { return finished_; }

  /// A syscall that came back with a kERestart code: whoever starts a handler
  /// (deliver_pending_signals) decides between EINTR and a rewind and sets code to 0; if nobody
  /// does, run() rewinds the syscall. The registers hold -EINTR as result until then.
  struct {
    int code = 0;
    SyscallFrame frame;
    int rewound = 0;  ///< the code when the call was rewound, to pc `rewound_to`
    uint64_t rewound_to = 0;
  } interrupted;
  /// The MemoryFault just raised is of a store into memory from which code was translated.
  bool wrote_code();
  void rewind_interrupted();
  /// The debugger found a signal for a thread that stands at a rewound call: as if it had come
  /// while the call slept.
  void take_back_rewind();
  /// The current call is one that came back with kERestartRestartBlock, run again: a sleep goes on
  /// for sleep_rest.
  bool resuming = false;
  struct timespec sleep_rest{};

  /// The guest thread that runs on this host thread, or null. Async-signal-safe.
  static Thread* current();
  /// For whoever lends the host thread to another guest thread (vfork).
  static void set_current(Thread* thread);
  /// The debugger that watches this thread, or null.
  Debugger* debugger() const { return extra.vm_child ? nullptr : process.debugger; }

  // In user/signals: called by run().
  /// Handles pending, unblocked signals: builds a frame, stops or ends the process.
  void deliver_pending_signals();
  /// A synchronous fault of the guest's last instruction becomes its signal.
  void raise_fault(const accel::Exit& exit);

 private:
  void handle(const accel::Exit& exit);
  void do_syscall();

  bool finished_ = false;
  int status_ = 0;
};

}  // namespace lyrebird::user
