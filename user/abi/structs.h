// SPDX-License-Identifier: Apache-2.0
/// Kernel structs as data: one member list for every guest (see data_model.h), in the order the
/// kernel's headers have them, and the few lists that one guest has for itself.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>

#include <cstddef>

#include "user/abi/data_model.h"
#include "user/syscalls/args.h"

namespace lyrebird::user {

#define LYREBIRD_FIELD(kind, type, member) \
  Field { Kind::kind, offsetof(type, member), sizeof(static_cast<type*>(nullptr)->member) }

#define LYREBIRD_STRUCT(type)     \
  template <>                     \
  struct Desc<type> {             \
    static const StructDesc desc; \
  };

LYREBIRD_STRUCT(struct timespec)
LYREBIRD_STRUCT(struct timeval)
LYREBIRD_STRUCT(struct itimerspec)
LYREBIRD_STRUCT(struct itimerval)
LYREBIRD_STRUCT(struct timezone)
LYREBIRD_STRUCT(struct stat)
LYREBIRD_STRUCT(struct epoll_event)
LYREBIRD_STRUCT(struct iovec)
LYREBIRD_STRUCT(struct rlimit)
LYREBIRD_STRUCT(struct rusage)
LYREBIRD_STRUCT(struct statfs)
LYREBIRD_STRUCT(struct statx)
LYREBIRD_STRUCT(struct open_how)
LYREBIRD_STRUCT(struct flock)
LYREBIRD_STRUCT(struct pollfd)
LYREBIRD_STRUCT(struct timex)
LYREBIRD_STRUCT(struct sysinfo)

/// asm-generic/stat.h: arm64, riscv, and other late ports.
extern const StructDesc kGenericStat;
/// epoll_event without x86-64's packing.
extern const StructDesc kAlignedEpollEvent;

}  // namespace lyrebird::user
