// SPDX-License-Identifier: Apache-2.0
/// Sockets.
#pragma once

#include <sys/socket.h>
#include <time.h>

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::net {

Errno<Fd> socket(Thread& t, Int domain, Int type, Int protocol);
Errno<Long> socketpair(Thread& t, Int domain, Int type, Int protocol, Addr to);
Errno<Long> bind(Thread& t, Fd fd, Addr address, Uint size);
Errno<Long> connect(Thread& t, Fd fd, Addr address, Uint size);
Errno<Long> listen(Thread& t, Fd fd, Int backlog);
Errno<Fd> accept(Thread& t, Fd fd, Addr address, Addr size);
Errno<Fd> accept4(Thread& t, Fd fd, Addr address, Addr size, OpenFlags flags);
Errno<Long> getsockname(Thread& t, Fd fd, Addr address, Addr size);
Errno<Long> getpeername(Thread& t, Fd fd, Addr address, Addr size);
Errno<Long> sendto(Thread& t, Fd fd, Buffer from, Size size, Flags flags, Addr address, Uint address_size);
Errno<Long> recvfrom(Thread& t, Fd fd, Buffer to, Size size, Flags flags, Addr address, Addr address_size);
Errno<Long> sendmsg(Thread& t, Fd fd, Addr message, Flags flags);
Errno<Long> recvmsg(Thread& t, Fd fd, Addr message, Flags flags);
Errno<Long> sendmmsg(Thread& t, Fd fd, Addr messages, Uint count, Flags flags);
Errno<Long> recvmmsg(Thread& t, Fd fd, Addr messages, Uint count, Flags flags, Ptr<struct timespec> timeout);
Errno<Long> setsockopt(Thread& t, Fd fd, Int level, Int option, Addr value, Uint size);
Errno<Long> getsockopt(Thread& t, Fd fd, Int level, Int option, Addr value, Addr size);
Errno<Long> shutdown(Thread& t, Fd fd, Int how);

}  // namespace lyrebird::user::sys::net
