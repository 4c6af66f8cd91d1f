// SPDX-License-Identifier: Apache-2.0
/// System calls about threads: clone, futexes, robust lists, exit, scheduling.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::thread {

/// Argument order of asm-generic with CLONE_BACKWARDS (arm64, arm, ppc, i386).
Errno<Int> clone_backwards(Thread& t, Hex flags, Addr stack, Addr parent_tid, Hex tls, Addr child_tid);
Errno<Int> clone3(Thread& t, Addr args, Size size);
Errno<Int> exit(Thread& t, Int status);
Errno<Int> exit_group(Thread& t, Int status);
Errno<Int> set_tid_address(Thread& t, Addr address);
Errno<Int> set_robust_list(Thread& t, Addr head, Size size);
Errno<Int> get_robust_list(Thread& t, Int tid, Addr head, Addr size);
Errno<Int> unshare(Thread& t, Hex flags);
Errno<Int> setns(Thread& t, Fd fd, Flags type);

/// `timeout` is a number for the operations that wake.
Errno<Int> futex(Thread& t, Addr word, Flags op, Uint value, Ptr<struct timespec> timeout, Addr word2, Uint value3);
Errno<Int> futex_waitv(Thread& t, Addr waiters, Uint count, Flags flags, Addr timeout, Int clock);
Errno<Int> membarrier(Thread& t, Int command, Flags flags, Int cpu);

Errno<Int> gettid(Thread& t);
Errno<Int> sched_yield(Thread& t);
Errno<Int> sched_setparam(Thread& t, Int tid, Addr param);
Errno<Int> sched_getparam(Thread& t, Int tid, Addr param);
Errno<Int> sched_setscheduler(Thread& t, Int tid, Int policy, Addr param);
Errno<Int> sched_getscheduler(Thread& t, Int tid);
Errno<Int> sched_setaffinity(Thread& t, Int tid, Size size, Addr mask);
Errno<Int> sched_getaffinity(Thread& t, Int tid, Size size, Addr mask);
Errno<Int> sched_get_priority_max(Thread& t, Int policy);
Errno<Int> sched_get_priority_min(Thread& t, Int policy);
Errno<Int> sched_rr_get_interval(Thread& t, Int tid, Ptr<struct timespec> interval);
Errno<Int> sched_setattr(Thread& t, Int tid, Addr attributes, Flags flags);
Errno<Int> sched_getattr(Thread& t, Int tid, Addr attributes, Uint size, Flags flags);
Errno<Int> getcpu(Thread& t, Addr cpu, Addr node);
Errno<Int> setpriority(Thread& t, Int which, Int who, Int priority);
Errno<Int> getpriority(Thread& t, Int which, Int who);
Errno<Int> ioprio_set(Thread& t, Int which, Int who, Int priority);
Errno<Int> ioprio_get(Thread& t, Int which, Int who);
Errno<Int> kcmp(Thread& t, Int pid1, Int pid2, Int type, Hex a, Hex b);

}  // namespace lyrebird::user::sys::thread
