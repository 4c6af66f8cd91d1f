// SPDX-License-Identifier: Apache-2.0
/// The machine as a whole, and calls about other processes' memory.
#pragma once

#include <sys/sysinfo.h>
#include <sys/uio.h>

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::kernel {

Errno<Long> sysinfo(Thread& t, Ptr<struct sysinfo> to);
Errno<Long> sethostname(Thread& t, Buffer name, Size size);
Errno<Long> setdomainname(Thread& t, Buffer name, Size size);
Errno<Long> syslog(Thread& t, Int action, Buffer to, Int size);
Errno<Long> acct(Thread& t, Path path);
Errno<Long> swapon(Thread& t, Path path, Flags flags);
Errno<Long> swapoff(Thread& t, Path path);
Errno<Long> process_vm_readv(Thread& t, Int pid, Ptr<struct iovec> local, Size local_count,
                             Ptr<struct iovec> remote, Size remote_count, Flags flags);
Errno<Long> process_vm_writev(Thread& t, Int pid, Ptr<struct iovec> local, Size local_count,
                              Ptr<struct iovec> remote, Size remote_count, Flags flags);
Errno<Fd> open_by_handle_at(Thread& t, Fd mount, Addr handle, OpenFlags flags);
Errno<Long> mbind(Thread& t, Addr address, Size size, Int mode, Addr nodes, Size node_count, Flags flags);
Errno<Long> set_mempolicy(Thread& t, Int mode, Addr nodes, Size node_count);
Errno<Long> get_mempolicy(Thread& t, Addr mode, Addr nodes, Size node_count, Addr address, Flags flags);
Errno<Long> pkey_mprotect(Thread& t, Addr address, Size size, Flags prot, Int key);
Errno<Long> pkey_alloc(Thread& t, Flags flags, Hex rights);
Errno<Long> pkey_free(Thread& t, Int key);

}  // namespace lyrebird::user::sys::kernel
