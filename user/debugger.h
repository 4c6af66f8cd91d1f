// SPDX-License-Identifier: Apache-2.0
/// What a debugger (monitor/gdb) hears about a guest process, on the guest thread concerned. A call
/// may block as long as the thread is to stand still.
#pragma once

#include <csignal>

#include "accel/vcpu.h"

namespace lyrebird::user {

class Thread;

class Debugger {
 public:
  virtual ~Debugger() = default;
  /// Before guest code runs on `t`: returns when it may; true: one instruction only.
  virtual bool before_run(Thread& t) = 0;
  /// ExitKind::Debug: a breakpoint of the debugger, or a step is done.
  virtual void on_debug_stop(Thread& t) = 0;
  /// A signal is about to be delivered: the number to deliver in its place, 0 for none.
  virtual int on_signal(Thread& t, const siginfo_t& info) = 0;
  virtual void on_thread_start(Thread& t) = 0;
  virtual void on_thread_end(Thread& t) = 0;
  /// The process ends with exit_group(status), or by a signal; or becomes another program.
  virtual void on_exit(Thread& t, int status) = 0;
  virtual void on_killed(Thread& t, int signal) = 0;
  virtual void on_exec(Thread& t) = 0;
  /// In fork()'s child, which nobody watches any more.
  virtual void on_fork_child() = 0;
};

}  // namespace lyrebird::user
