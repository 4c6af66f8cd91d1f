// SPDX-License-Identifier: Apache-2.0
#include "user/abi/structs.h"

namespace lyrebird::user {
namespace {

#define F LYREBIRD_FIELD
// glibc's struct is the kernel's where kernel and libc agree on the host; x86-64's do.
constexpr Field kTimespec[] = {F(Long, timespec, tv_sec), F(Long, timespec, tv_nsec)};
constexpr Field kTimeval[] = {F(Long, timeval, tv_sec), F(Long, timeval, tv_usec)};
constexpr Field kItimerspec[] = {F(Long, itimerspec, it_interval.tv_sec),
                                 F(Long, itimerspec, it_interval.tv_nsec),
                                 F(Long, itimerspec, it_value.tv_sec), F(Long, itimerspec, it_value.tv_nsec)};
constexpr Field kItimerval[] = {F(Long, itimerval, it_interval.tv_sec),
                                F(Long, itimerval, it_interval.tv_usec), F(Long, itimerval, it_value.tv_sec),
                                F(Long, itimerval, it_value.tv_usec)};
constexpr Field kTimezone[] = {F(S32, struct timezone, tz_minuteswest), F(S32, struct timezone, tz_dsttime)};
using Stat = struct stat;
constexpr Field kStatX86[] = {F(ULong, Stat, st_dev)};
constexpr Field kStat[] = {
    F(U64, Stat, st_dev),
    F(U64, Stat, st_ino),
    F(U32, Stat, st_mode),
    F(U32, Stat, st_nlink),
    F(U32, Stat, st_uid),
    F(U32, Stat, st_gid),
    F(U64, Stat, st_rdev),
    {Kind::Pad, 0, 8},
    F(S64, Stat, st_size),
    F(S32, Stat, st_blksize),
    {Kind::Pad, 0, 4},
    F(S64, Stat, st_blocks),
    F(S64, Stat, st_atim.tv_sec),
    F(U64, Stat, st_atim.tv_nsec),
    F(S64, Stat, st_mtim.tv_sec),
    F(U64, Stat, st_mtim.tv_nsec),
    F(S64, Stat, st_ctim.tv_sec),
    F(U64, Stat, st_ctim.tv_nsec),
    {Kind::Pad, 0, 8},
};
using EpollEvent = struct epoll_event;
constexpr Field kEpollEvent[] = {F(U32, EpollEvent, events), F(U64, EpollEvent, data.u64)};
constexpr Field kIovec[] = {F(Pointer, iovec, iov_base), F(ULong, iovec, iov_len)};
constexpr Field kRlimit[] = {F(ULong, rlimit, rlim_cur), F(ULong, rlimit, rlim_max)};
constexpr Field kRusage[] = {
    F(Long, rusage, ru_utime.tv_sec),  F(Long, rusage, ru_utime.tv_usec), F(Long, rusage, ru_stime.tv_sec),
    F(Long, rusage, ru_stime.tv_usec), F(Long, rusage, ru_maxrss),        F(Long, rusage, ru_ixrss),
    F(Long, rusage, ru_idrss),         F(Long, rusage, ru_isrss),         F(Long, rusage, ru_minflt),
    F(Long, rusage, ru_majflt),        F(Long, rusage, ru_nswap),         F(Long, rusage, ru_inblock),
    F(Long, rusage, ru_oublock),       F(Long, rusage, ru_msgsnd),        F(Long, rusage, ru_msgrcv),
    F(Long, rusage, ru_nsignals),      F(Long, rusage, ru_nvcsw),         F(Long, rusage, ru_nivcsw)};
#undef F

}  // namespace

#define DEFINE(type, fields) const StructDesc Desc<type>::desc = {#type, sizeof(type), fields}
DEFINE(struct timespec, kTimespec);
DEFINE(struct timeval, kTimeval);
DEFINE(struct itimerspec, kItimerspec);
DEFINE(struct itimerval, kItimerval);
DEFINE(struct timezone, kTimezone);
DEFINE(struct stat, kStatX86);
DEFINE(struct epoll_event, kEpollEvent);
DEFINE(struct iovec, kIovec);
DEFINE(struct rlimit, kRlimit);
DEFINE(struct rusage, kRusage);

const StructDesc kGenericStat = {
    .name = "stat", .host_size = sizeof(struct stat), .fields = kStat, .packed = false, .same_order = false};
const StructDesc kAlignedEpollEvent = {.name = "epoll_event",
                                       .host_size = sizeof(struct epoll_event),
                                       .fields = kEpollEvent,
                                       .packed = false,
                                       .same_order = false};

}  // namespace lyrebird::user
