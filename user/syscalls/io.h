// SPDX-License-Identifier: Apache-2.0
/// Files by descriptor: read, write, seek, dup, fcntl, sync, splice, directories, memfd.
#pragma once

#include <sys/uio.h>

#include <vector>

#include "user/syscalls/dispatch.h"

namespace lyrebird::user {

/// A guest's array of iovec for a host system call.
struct HostVector {
  std::vector<struct iovec> parts;
  int64_t error = 0;
  bool cut = false;  ///< a part behind a hole is missing
};
HostVector host_vector(Thread& t, Ptr<struct iovec> vector, uint64_t count);

}  // namespace lyrebird::user

namespace lyrebird::user::sys::io {

Errno<Long> read(Thread& t, Fd fd, Buffer to, Size size);
Errno<Long> write(Thread& t, Fd fd, Buffer from, Size size);
Errno<Long> readv(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count);
Errno<Long> writev(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count);
Errno<Long> pread64(Thread& t, Fd fd, Buffer to, Size size, Offset offset);
Errno<Long> pwrite64(Thread& t, Fd fd, Buffer from, Size size, Offset offset);
Errno<Long> preadv(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high);
Errno<Long> pwritev(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high);
Errno<Long> preadv2(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high, Flags flags);
Errno<Long> pwritev2(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high, Flags flags);
Errno<Long> lseek(Thread& t, Fd fd, Long offset, Int whence);
/// The result goes to memory: 64 bits on 32-bit guests.
Errno<Long> llseek(Thread& t, Fd fd, Uint high, Uint low, Addr to, Int whence);
Errno<Long> close(Thread& t, Fd fd);
Errno<Long> close_range(Thread& t, Uint first, Uint last, Flags flags);
Errno<Fd> dup(Thread& t, Fd fd);
Errno<Fd> dup3(Thread& t, Fd from, Fd to, OpenFlags flags);
Errno<Long> fcntl(Thread& t, Fd fd, Int command, Hex argument);
Errno<Long> flock(Thread& t, Fd fd, Int operation);
Errno<Long> fsync(Thread& t, Fd fd);
Errno<Long> fdatasync(Thread& t, Fd fd);
Errno<Long> sync(Thread& t);
Errno<Long> syncfs(Thread& t, Fd fd);
Errno<Long> sync_file_range(Thread& t, Fd fd, Offset offset, Offset size, Flags flags);
Errno<Long> ftruncate(Thread& t, Fd fd, Offset size);
Errno<Long> fallocate(Thread& t, Fd fd, Int mode, Offset offset, Offset size);
Errno<Long> fadvise64(Thread& t, Fd fd, Offset offset, Offset size, Int advice);
Errno<Long> readahead(Thread& t, Fd fd, Offset offset, Size size);
Errno<Long> sendfile(Thread& t, Fd out, Fd in, Addr offset, Size size);
Errno<Long> sendfile64(Thread& t, Fd out, Fd in, Addr offset, Size size);
Errno<Long> copy_file_range(Thread& t, Fd in, Addr in_offset, Fd out, Addr out_offset, Size size,
                            Flags flags);
Errno<Long> splice(Thread& t, Fd in, Addr in_offset, Fd out, Addr out_offset, Size size, Flags flags);
Errno<Long> tee(Thread& t, Fd in, Fd out, Size size, Flags flags);
Errno<Long> vmsplice(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Flags flags);
Errno<Long> pipe2(Thread& t, Addr to, OpenFlags flags);
Errno<Long> getdents64(Thread& t, Fd fd, Buffer to, Size size);
Errno<Long> getdents(Thread& t, Fd fd, Buffer to, Size size);
Errno<Long> readdir(Thread& t, Fd fd, Addr to);
Errno<Long> fchdir(Thread& t, Fd fd);
Errno<Long> fchmod(Thread& t, Fd fd, Mode mode);
Errno<Long> fchown(Thread& t, Fd fd, Int user, Int group);
Errno<Fd> memfd_create(Thread& t, Name name, Flags flags);
Errno<Long> vhangup(Thread& t);

}  // namespace lyrebird::user::sys::io
