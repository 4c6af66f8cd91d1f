// SPDX-License-Identifier: Apache-2.0
/// Clocks, sleeping, interval and POSIX timers.
#pragma once

#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>

#include <csignal>

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::time {

/// struct sigevent of the guest. False: EFAULT.
bool get_sigevent(Thread& t, uint64_t from, struct sigevent& event);

Errno<Long> clock_gettime(Thread& t, Int clock, Ptr<struct timespec> to);
Errno<Long> clock_settime(Thread& t, Int clock, Ptr<struct timespec> from);
Errno<Long> clock_getres(Thread& t, Int clock, Ptr<struct timespec> to);
Errno<Long> clock_adjtime(Thread& t, Int clock, Ptr<struct timex> value);
Errno<Long> adjtimex(Thread& t, Ptr<struct timex> value);
Errno<Long> clock_nanosleep(Thread& t, Int clock, Flags flags, Ptr<struct timespec> request,
                            Ptr<struct timespec> rest);
Errno<Long> nanosleep(Thread& t, Ptr<struct timespec> request, Ptr<struct timespec> rest);
Errno<Long> gettimeofday(Thread& t, Ptr<struct timeval> to, Ptr<struct timezone> zone);
Errno<Long> settimeofday(Thread& t, Ptr<struct timeval> from, Ptr<struct timezone> zone);
Errno<Long> getitimer(Thread& t, Int which, Ptr<struct itimerval> to);
Errno<Long> setitimer(Thread& t, Int which, Ptr<struct itimerval> value, Ptr<struct itimerval> old);
Errno<Long> timer_create(Thread& t, Int clock, Addr event, Addr id);
Errno<Long> timer_settime(Thread& t, Int id, Flags flags, Ptr<struct itimerspec> value,
                          Ptr<struct itimerspec> old);
Errno<Long> timer_gettime(Thread& t, Int id, Ptr<struct itimerspec> to);
Errno<Long> timer_getoverrun(Thread& t, Int id);
Errno<Long> timer_delete(Thread& t, Int id);

}  // namespace lyrebird::user::sys::time
