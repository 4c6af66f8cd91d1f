// SPDX-License-Identifier: Apache-2.0
/// Waiting on descriptors: poll, select, epoll, and the descriptors made to be waited on.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <time.h>

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::poll {

Errno<Long> ppoll(Thread& t, Addr fds, Uint count, Ptr<struct timespec> timeout, Addr mask, Size mask_size);
Errno<Long> pselect6(Thread& t, Int count, Addr in, Addr out, Addr except, Ptr<struct timespec> timeout,
                     Addr mask_and_size);
/// What both forms of select share: `left` (or null) is counted down, as Linux does.
int64_t select_for(Thread& t, int count, uint64_t in, uint64_t out, uint64_t except, struct timespec* left,
                   uint64_t mask, uint64_t mask_size);
Errno<Fd> epoll_create1(Thread& t, Flags flags);
Errno<Long> epoll_ctl(Thread& t, Fd epoll, Int operation, Fd fd, Ptr<struct epoll_event> event);
Errno<Long> epoll_pwait(Thread& t, Fd epoll, Ptr<struct epoll_event> events, Int max, Int timeout_ms,
                        Addr mask, Size mask_size);
Errno<Long> epoll_pwait2(Thread& t, Fd epoll, Ptr<struct epoll_event> events, Int max,
                         Ptr<struct timespec> timeout, Addr mask, Size mask_size);
Errno<Fd> eventfd2(Thread& t, Uint value, Flags flags);
Errno<Fd> timerfd_create(Thread& t, Int clock, OpenFlags flags);
Errno<Long> timerfd_settime(Thread& t, Fd fd, Flags flags, Ptr<struct itimerspec> value,
                            Ptr<struct itimerspec> old);
Errno<Long> timerfd_gettime(Thread& t, Fd fd, Ptr<struct itimerspec> value);
Errno<Fd> inotify_init1(Thread& t, OpenFlags flags);
Errno<Long> inotify_rm_watch(Thread& t, Fd fd, Int watch);
Errno<Fd> fanotify_init(Thread& t, Flags flags, OpenFlags event_flags);

}  // namespace lyrebird::user::sys::poll
