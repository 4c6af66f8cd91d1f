// SPDX-License-Identifier: Apache-2.0
/// System calls about signals.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user {

/// sigset_t in guest memory: the kernel's 64 bits, as guest longs.
bool get_sigset(Thread& t, uint64_t addr, SigSet& set);
bool put_sigset(Thread& t, uint64_t addr, SigSet set);

namespace sys::sig {

Errno<Int> rt_sigaction(Thread& t, Signal signal, Addr action, Addr old, Size set_size);
Errno<Int> rt_sigprocmask(Thread& t, Int how, Addr set, Addr old, Size set_size);
Errno<Int> rt_sigpending(Thread& t, Addr set, Size set_size);
Errno<Int> rt_sigsuspend(Thread& t, Addr set, Size set_size);
Errno<Int> rt_sigtimedwait(Thread& t, Addr set, Addr info, Ptr<struct timespec> timeout, Size set_size);
Errno<Int> rt_sigqueueinfo(Thread& t, Int pid, Signal signal, Addr info);
Errno<Int> rt_tgsigqueueinfo(Thread& t, Int pid, Int tid, Signal signal, Addr info);
Errno<Int> rt_sigreturn(Thread& t);
/// From a frame of before real-time signals.
Errno<Int> sigreturn(Thread& t);
Errno<Int> sigaltstack(Thread& t, Addr stack, Addr old);
Errno<Int> kill(Thread& t, Int pid, Signal signal);
Errno<Int> tkill(Thread& t, Int tid, Signal signal);
Errno<Int> tgkill(Thread& t, Int pid, Int tid, Signal signal);
Errno<Fd> signalfd4(Thread& t, Fd fd, Addr set, Size set_size, Flags flags);
Errno<Int> pidfd_send_signal(Thread& t, Fd fd, Signal signal, Addr info, Flags flags);

}  // namespace sys::sig
}  // namespace lyrebird::user
