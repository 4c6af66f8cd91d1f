// SPDX-License-Identifier: Apache-2.0
/// The beginning and the end of guest threads on their host threads.
#pragma once

#include <cstdint>

#include "user/signals/sigset.h"

namespace lyrebird::user {

class Process;
class Thread;

/// Runs the process's first thread on the calling host thread, after start_first_thread(); then ends
/// the process (or only this host thread, if the guest has others).
[[noreturn]] void run_first_thread(Thread& t);

/// Handlers on this host thread now belong to `t`, which is about to run on it.
void attach_to_host_thread(Thread& t);
/// The guest thread is over: robust futexes are released, clear_child_tid is cleared and woken.
/// Its memory belongs to other guest threads afterwards.
void release_guest_thread(Thread& t);

/// exit_group(2): also what the end of the last thread comes to.
[[noreturn]] void end_process(Thread& t, int status);
/// Ends only the calling host thread, never running the libc's exit.
[[noreturn]] void end_host_thread(int status);

/// Walks a list as the kernel's exit_robust_list() does, marking each futex FUTEX_OWNER_DIED.
void release_robust_list(Thread& t);

}  // namespace lyrebird::user
