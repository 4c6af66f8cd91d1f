// SPDX-License-Identifier: Apache-2.0
/// System calls about processes: exec, wait, identity, limits, prctl, pidfds.
#pragma once

#include <sys/resource.h>

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::proc {

Errno<Int> execve(Thread& t, Path path, Addr arguments, Addr environment);
Errno<Int> execveat(Thread& t, Fd dir, Path path, Addr arguments, Addr environment, Flags flags);

Errno<Int> wait4(Thread& t, Int pid, Addr status, Flags options, Ptr<struct rusage> usage);
Errno<Int> waitid(Thread& t, Int type, Int id, Addr info, Flags options, Ptr<struct rusage> usage);
Errno<Int> prctl(Thread& t, Int option, Hex a, Hex b, Hex c, Hex d);
Errno<Int> ptrace(Thread& t, Int request, Int pid, Hex address, Hex data);

Errno<Int> getpid(Thread& t);
Errno<Int> getppid(Thread& t);
Errno<Uint> getuid(Thread& t);
Errno<Uint> geteuid(Thread& t);
Errno<Uint> getgid(Thread& t);
Errno<Uint> getegid(Thread& t);
Errno<Int> setuid(Thread& t, Uint id);
Errno<Int> setgid(Thread& t, Uint id);
Errno<Int> setreuid(Thread& t, Uint real, Uint effective);
Errno<Int> setregid(Thread& t, Uint real, Uint effective);
Errno<Int> setresuid(Thread& t, Uint real, Uint effective, Uint saved);
Errno<Int> setresgid(Thread& t, Uint real, Uint effective, Uint saved);
Errno<Int> getresuid(Thread& t, Addr real, Addr effective, Addr saved);
Errno<Int> getresgid(Thread& t, Addr real, Addr effective, Addr saved);
Errno<Uint> setfsuid(Thread& t, Uint id);
Errno<Uint> setfsgid(Thread& t, Uint id);
Errno<Int> getgroups(Thread& t, Int count, Addr list);
Errno<Int> setgroups(Thread& t, Int count, Addr list);
Errno<Int> setpgid(Thread& t, Int pid, Int group);
Errno<Int> getpgid(Thread& t, Int pid);
Errno<Int> getsid(Thread& t, Int pid);
Errno<Int> setsid(Thread& t);
Errno<Int> capget(Thread& t, Addr header, Addr data);
Errno<Int> capset(Thread& t, Addr header, Addr data);
Errno<Int> personality(Thread& t, Uint persona);
Errno<Int> umask(Thread& t, Mode mask);

Errno<Int> getrlimit(Thread& t, Int resource, Ptr<struct rlimit> limit);
Errno<Int> setrlimit(Thread& t, Int resource, Ptr<struct rlimit> limit);
Errno<Int> prlimit64(Thread& t, Int pid, Int resource, Addr limit, Addr old);
Errno<Int> getrusage(Thread& t, Int who, Ptr<struct rusage> usage);
Errno<Long> times(Thread& t, Addr buffer);

Errno<Fd> pidfd_open(Thread& t, Int pid, Flags flags);
Errno<Fd> pidfd_getfd(Thread& t, Fd pidfd, Fd fd, Flags flags);
Errno<Int> process_mrelease(Thread& t, Fd pidfd, Flags flags);

}  // namespace lyrebird::user::sys::proc
