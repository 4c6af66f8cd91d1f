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
using Statfs = struct statfs;
constexpr Field kStatfs[] = {
    F(Long, Statfs, f_type),     F(Long, Statfs, f_bsize),        F(ULong, Statfs, f_blocks),
    F(ULong, Statfs, f_bfree),   F(ULong, Statfs, f_bavail),      F(ULong, Statfs, f_files),
    F(ULong, Statfs, f_ffree),   F(S32, Statfs, f_fsid.__val[0]), F(S32, Statfs, f_fsid.__val[1]),
    F(Long, Statfs, f_namelen),  F(Long, Statfs, f_frsize),       F(Long, Statfs, f_flags),
    F(Long, Statfs, f_spare[0]), F(Long, Statfs, f_spare[1]),     F(Long, Statfs, f_spare[2]),
    F(Long, Statfs, f_spare[3])};
using Statx = struct statx;
#define STATX_TIME(member) F(S64, Statx, member.tv_sec), F(U32, Statx, member.tv_nsec), {Kind::Pad, 0, 4}
constexpr Field kStatx[] = {F(U32, Statx, stx_mask),
                            F(U32, Statx, stx_blksize),
                            F(U64, Statx, stx_attributes),
                            F(U32, Statx, stx_nlink),
                            F(U32, Statx, stx_uid),
                            F(U32, Statx, stx_gid),
                            F(U16, Statx, stx_mode),
                            {Kind::Pad, 0, 2},
                            F(U64, Statx, stx_ino),
                            F(U64, Statx, stx_size),
                            F(U64, Statx, stx_blocks),
                            F(U64, Statx, stx_attributes_mask),
                            STATX_TIME(stx_atime),
                            STATX_TIME(stx_btime),
                            STATX_TIME(stx_ctime),
                            STATX_TIME(stx_mtime),
                            F(U32, Statx, stx_rdev_major),
                            F(U32, Statx, stx_rdev_minor),
                            F(U32, Statx, stx_dev_major),
                            F(U32, Statx, stx_dev_minor),
                            F(U64, Statx, stx_mnt_id),
                            F(U32, Statx, stx_dio_mem_align),
                            F(U32, Statx, stx_dio_offset_align),
                            {Kind::Pad, 0, 96}};
#undef STATX_TIME
constexpr Field kOpenHow[] = {F(U64, open_how, flags), F(U64, open_how, mode), F(U64, open_how, resolve)};
using Flock = struct flock;
constexpr Field kFlock[] = {F(S16, Flock, l_type), F(S16, Flock, l_whence), F(Long, Flock, l_start),
                            F(Long, Flock, l_len), F(S32, Flock, l_pid)};
constexpr Field kPollfd[] = {F(S32, pollfd, fd), F(S16, pollfd, events), F(S16, pollfd, revents)};
using Timex = struct timex;
constexpr Field kTimex[] = {
    F(U32, Timex, modes),        F(Long, Timex, offset),       F(Long, Timex, freq),
    F(Long, Timex, maxerror),    F(Long, Timex, esterror),     F(S32, Timex, status),
    F(Long, Timex, constant),    F(Long, Timex, precision),    F(Long, Timex, tolerance),
    F(Long, Timex, time.tv_sec), F(Long, Timex, time.tv_usec), F(Long, Timex, tick),
    F(Long, Timex, ppsfreq),     F(Long, Timex, jitter),       F(S32, Timex, shift),
    F(Long, Timex, stabil),      F(Long, Timex, jitcnt),       F(Long, Timex, calcnt),
    F(Long, Timex, errcnt),      F(Long, Timex, stbcnt),       F(S32, Timex, tai),
    {Kind::Pad, 0, 44}};
using Sysinfo = struct sysinfo;
constexpr Field kSysinfo[] = {
    F(Long, Sysinfo, uptime),     F(ULong, Sysinfo, loads[0]),  F(ULong, Sysinfo, loads[1]),
    F(ULong, Sysinfo, loads[2]),  F(ULong, Sysinfo, totalram),  F(ULong, Sysinfo, freeram),
    F(ULong, Sysinfo, sharedram), F(ULong, Sysinfo, bufferram), F(ULong, Sysinfo, totalswap),
    F(ULong, Sysinfo, freeswap),  F(U16, Sysinfo, procs),       F(ULong, Sysinfo, totalhigh),
    F(ULong, Sysinfo, freehigh),  F(U32, Sysinfo, mem_unit)};
// With 32-bit longs the struct is padded to 64 bytes.
constexpr Field kNarrowSysinfo[] = {
    F(Long, Sysinfo, uptime),     F(ULong, Sysinfo, loads[0]),  F(ULong, Sysinfo, loads[1]),
    F(ULong, Sysinfo, loads[2]),  F(ULong, Sysinfo, totalram),  F(ULong, Sysinfo, freeram),
    F(ULong, Sysinfo, sharedram), F(ULong, Sysinfo, bufferram), F(ULong, Sysinfo, totalswap),
    F(ULong, Sysinfo, freeswap),  F(U16, Sysinfo, procs),       F(ULong, Sysinfo, totalhigh),
    F(ULong, Sysinfo, freehigh),  F(U32, Sysinfo, mem_unit),    {Kind::Pad, 0, 8}};
constexpr StructDesc kNarrowSysinfoDesc = {"sysinfo", sizeof(Sysinfo), kNarrowSysinfo};

#define NANOSECONDS(type, member) F(U32, type, member), {Kind::Pad, 0, 4}
constexpr Field kTimespec64Fields[] = {F(S64, timespec, tv_sec), NANOSECONDS(timespec, tv_nsec)};
constexpr Field kItimerspec64Fields[] = {
    F(S64, itimerspec, it_interval.tv_sec), NANOSECONDS(itimerspec, it_interval.tv_nsec),
    F(S64, itimerspec, it_value.tv_sec), NANOSECONDS(itimerspec, it_value.tv_nsec)};
#undef NANOSECONDS
constexpr Field kTimex64Fields[] = {
    F(U32, Timex, modes),        {Kind::Pad, 0, 4},        F(S64, Timex, offset),
    F(S64, Timex, freq),         F(S64, Timex, maxerror),  F(S64, Timex, esterror),
    F(S32, Timex, status),       {Kind::Pad, 0, 4},        F(S64, Timex, constant),
    F(S64, Timex, precision),    F(S64, Timex, tolerance), F(S64, Timex, time.tv_sec),
    F(S64, Timex, time.tv_usec), F(S64, Timex, tick),      F(S64, Timex, ppsfreq),
    F(S64, Timex, jitter),       F(S32, Timex, shift),     {Kind::Pad, 0, 4},
    F(S64, Timex, stabil),       F(S64, Timex, jitcnt),    F(S64, Timex, calcnt),
    F(S64, Timex, errcnt),       F(S64, Timex, stbcnt),    F(S32, Timex, tai),
    {Kind::Pad, 0, 44}};
constexpr Field kFlock64Fields[] = {F(S16, Flock, l_type), F(S16, Flock, l_whence), F(S64, Flock, l_start),
                                    F(S64, Flock, l_len), F(S32, Flock, l_pid)};
constexpr Field kStatfs64Fields[] = {
    F(Long, Statfs, f_type),     F(Long, Statfs, f_bsize),        F(U64, Statfs, f_blocks),
    F(U64, Statfs, f_bfree),     F(U64, Statfs, f_bavail),        F(U64, Statfs, f_files),
    F(U64, Statfs, f_ffree),     F(S32, Statfs, f_fsid.__val[0]), F(S32, Statfs, f_fsid.__val[1]),
    F(Long, Statfs, f_namelen),  F(Long, Statfs, f_frsize),       F(Long, Statfs, f_flags),
    F(Long, Statfs, f_spare[0]), F(Long, Statfs, f_spare[1]),     F(Long, Statfs, f_spare[2]),
    F(Long, Statfs, f_spare[3])};
#define TIMES                                                                                \
  F(U32, Stat, st_atim.tv_sec), F(U32, Stat, st_atim.tv_nsec), F(U32, Stat, st_mtim.tv_sec), \
      F(U32, Stat, st_mtim.tv_nsec), F(U32, Stat, st_ctim.tv_sec), F(U32, Stat, st_ctim.tv_nsec)
constexpr Field kI386StatFields[] = {F(U32, Stat, st_dev),
                                     F(U32, Stat, st_ino),
                                     F(U16, Stat, st_mode),
                                     F(U16, Stat, st_nlink),
                                     F(U16, Stat, st_uid),
                                     F(U16, Stat, st_gid),
                                     F(U32, Stat, st_rdev),
                                     F(S32, Stat, st_size),
                                     F(U32, Stat, st_blksize),
                                     F(U32, Stat, st_blocks),
                                     TIMES,
                                     {Kind::Pad, 0, 8}};
constexpr Field kI386Stat64Fields[] = {F(U64, Stat, st_dev),
                                       {Kind::Pad, 0, 4},
                                       F(U32, Stat, st_ino),
                                       F(U32, Stat, st_mode),
                                       F(U32, Stat, st_nlink),
                                       F(U32, Stat, st_uid),
                                       F(U32, Stat, st_gid),
                                       F(U64, Stat, st_rdev),
                                       {Kind::Pad, 0, 4},
                                       F(S64, Stat, st_size),
                                       F(U32, Stat, st_blksize),
                                       F(U64, Stat, st_blocks),
                                       TIMES,
                                       F(U64, Stat, st_ino)};
constexpr Field kI386OldStatFields[] = {
    F(U16, Stat, st_dev),         F(U16, Stat, st_ino),        F(U16, Stat, st_mode),
    F(U16, Stat, st_nlink),       F(U16, Stat, st_uid),        F(U16, Stat, st_gid),
    F(U16, Stat, st_rdev),        F(S32, Stat, st_size),       F(U32, Stat, st_atim.tv_sec),
    F(U32, Stat, st_mtim.tv_sec), F(U32, Stat, st_ctim.tv_sec)};
#undef TIMES
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
DEFINE(struct statfs, kStatfs);
DEFINE(struct statx, kStatx);
DEFINE(struct open_how, kOpenHow);
DEFINE(struct flock, kFlock);
DEFINE(struct pollfd, kPollfd);
DEFINE(struct timex, kTimex);
const StructDesc Desc<struct sysinfo>::desc = {.name = "sysinfo",
                                               .host_size = sizeof(struct sysinfo),
                                               .fields = kSysinfo,
                                               .narrow = &kNarrowSysinfoDesc};
#undef DEFINE

// Of these only 32-bit guests have their own: the host's layout is not among them.
#define OWN_LAYOUT(name_, type, fields_) \
  const StructDesc name_ = {             \
      .name = #type, .host_size = sizeof(struct type), .fields = fields_, .same_order = false}
OWN_LAYOUT(kTimespec64, timespec, kTimespec64Fields);
OWN_LAYOUT(kItimerspec64, itimerspec, kItimerspec64Fields);
OWN_LAYOUT(kTimex64, timex, kTimex64Fields);
OWN_LAYOUT(kFlock64, flock, kFlock64Fields);
OWN_LAYOUT(kStatfs64, statfs, kStatfs64Fields);
OWN_LAYOUT(kI386Stat, stat, kI386StatFields);
OWN_LAYOUT(kI386Stat64, stat, kI386Stat64Fields);
OWN_LAYOUT(kI386OldStat, stat, kI386OldStatFields);
#undef OWN_LAYOUT

const StructDesc kGenericStat = {
    .name = "stat", .host_size = sizeof(struct stat), .fields = kStat, .packed = false, .same_order = false};
const StructDesc kAlignedEpollEvent = {.name = "epoll_event",
                                       .host_size = sizeof(struct epoll_event),
                                       .fields = kEpollEvent,
                                       .packed = false,
                                       .same_order = false};

}  // namespace lyrebird::user
