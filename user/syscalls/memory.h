// SPDX-License-Identifier: Apache-2.0
/// mmap and its family.
#pragma once

#include "user/syscalls/dispatch.h"

namespace lyrebird::user::sys::mem {

// As in Linux, brk, mmap and mremap's new address take no tagged pointers: two names for one
// place would come of it (Documentation/arch/arm64/tagged-address-abi).
Errno<Hex> brk(Thread& t, Hex end);
Errno<Hex> mmap(Thread& t, Hex address, Size size, Flags prot, Flags flags, Fd fd, Long offset);
Errno<Long> munmap(Thread& t, Addr address, Size size);
Errno<Long> mprotect(Thread& t, Addr address, Size size, Flags prot);
Errno<Hex> mremap(Thread& t, Addr old_address, Size old_size, Size new_size, Flags flags, Hex new_address);
Errno<Long> madvise(Thread& t, Addr address, Size size, Int advice);
Errno<Long> mincore(Thread& t, Addr address, Size size, Addr vector);
Errno<Long> msync(Thread& t, Addr address, Size size, Flags flags);
Errno<Long> mlock(Thread& t, Addr address, Size size);
Errno<Long> mlock2(Thread& t, Addr address, Size size, Flags flags);
Errno<Long> munlock(Thread& t, Addr address, Size size);
Errno<Long> mlockall(Thread& t, Flags flags);
Errno<Long> munlockall(Thread& t);

}  // namespace lyrebird::user::sys::mem
