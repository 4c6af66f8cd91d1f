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

// Times of 64 bits, the same for all guests (uapi/linux/time_types.h): nanoseconds are the low half.
extern const StructDesc kTimespec64, kItimerspec64, kTimex64;
using Timespec64 = As<struct timespec, kTimespec64>;
using Itimerspec64 = As<struct itimerspec, kItimerspec64>;
using Timex64 = As<struct timex, kTimex64>;
// What 32-bit guests have beside the struct of the same name.
extern const StructDesc kFlock64, kStatfs64;
using Statfs64 = As<struct statfs, kStatfs64>;

// i386: arch/x86/include/uapi/asm/stat.h.
extern const StructDesc kI386Stat, kI386Stat64, kI386OldStat;
using I386Stat = As<struct stat, kI386Stat>;
using I386Stat64 = As<struct stat, kI386Stat64>;
using I386OldStat = As<struct stat, kI386OldStat>;

/// asm-generic/stat.h: arm64, riscv, and other late ports.
extern const StructDesc kGenericStat;
/// epoll_event without x86-64's packing.
extern const StructDesc kAlignedEpollEvent;

}  // namespace lyrebird::user
