// SPDX-License-Identifier: Apache-2.0
/// Files by name: open, stat, link, rename, attributes, mounts.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "user/path/root.h"
#include "user/syscalls/dispatch.h"

namespace lyrebird::user {

/// A guest path as the host finds it: -L ROOT and the emulated part of /proc applied. `dir`: what a
/// relative path starts from.
HostPath host_path(Thread& t, const std::string& path, bool follow, int dir = AT_FDCWD);
/// error: also what reading the path gave.
HostPath host_path(Thread& t, const Path& path, bool follow = true, int dir = AT_FDCWD);

}  // namespace lyrebird::user

namespace lyrebird::user::sys::fs {

Errno<Fd> openat(Thread& t, Fd dir, Path path, OpenFlags flags, Mode mode);
Errno<Fd> openat2(Thread& t, Fd dir, Path path, Ptr<struct open_how> how, Size size);
Errno<Long> mknodat(Thread& t, Fd dir, Path path, Mode mode, Uint device);
Errno<Long> mkdirat(Thread& t, Fd dir, Path path, Mode mode);
Errno<Long> unlinkat(Thread& t, Fd dir, Path path, Flags flags);
Errno<Long> symlinkat(Thread& t, Name target, Fd dir, Path path);
Errno<Long> linkat(Thread& t, Fd old_dir, Path old_path, Fd new_dir, Path new_path, Flags flags);
Errno<Long> renameat(Thread& t, Fd old_dir, Path old_path, Fd new_dir, Path new_path);
Errno<Long> renameat2(Thread& t, Fd old_dir, Path old_path, Fd new_dir, Path new_path, Flags flags);
Errno<Long> readlinkat(Thread& t, Fd dir, Path path, Buffer to, Int size);
Errno<Long> faccessat(Thread& t, Fd dir, Path path, Flags mode);
Errno<Long> faccessat2(Thread& t, Fd dir, Path path, Flags mode, Flags flags);
Errno<Long> fchmodat(Thread& t, Fd dir, Path path, Mode mode);
Errno<Long> fchmodat2(Thread& t, Fd dir, Path path, Mode mode, Flags flags);
Errno<Long> fchownat(Thread& t, Fd dir, Path path, Int user, Int group, Flags flags);
Errno<Long> utimensat(Thread& t, Fd dir, Path path, Ptr<struct timespec> times, Flags flags);
Errno<Long> newfstatat(Thread& t, Fd dir, Path path, Ptr<struct stat> to, Flags flags);
Errno<Long> fstat(Thread& t, Fd fd, Ptr<struct stat> to);
Errno<Long> statx(Thread& t, Fd dir, Path path, Flags flags, Flags mask, Ptr<struct statx> to);
Errno<Long> statfs(Thread& t, Path path, Ptr<struct statfs> to);
Errno<Long> fstatfs(Thread& t, Fd fd, Ptr<struct statfs> to);
Errno<Long> truncate(Thread& t, Path path, Offset size);
Errno<Long> chdir(Thread& t, Path path);
Errno<Long> chroot(Thread& t, Path path);
Errno<Long> getcwd(Thread& t, Buffer to, Size size);
Errno<Long> mount(Thread& t, Path source, Path target, Name type, Flags flags, Addr data);
Errno<Long> umount2(Thread& t, Path target, Flags flags);
Errno<Long> pivot_root(Thread& t, Path new_root, Path put_old);

Errno<Long> setxattr(Thread& t, Path path, Name name, Buffer value, Size size, Flags flags);
Errno<Long> lsetxattr(Thread& t, Path path, Name name, Buffer value, Size size, Flags flags);
Errno<Long> fsetxattr(Thread& t, Fd fd, Name name, Buffer value, Size size, Flags flags);
Errno<Long> getxattr(Thread& t, Path path, Name name, Buffer value, Size size);
Errno<Long> lgetxattr(Thread& t, Path path, Name name, Buffer value, Size size);
Errno<Long> fgetxattr(Thread& t, Fd fd, Name name, Buffer value, Size size);
Errno<Long> listxattr(Thread& t, Path path, Buffer list, Size size);
Errno<Long> llistxattr(Thread& t, Path path, Buffer list, Size size);
Errno<Long> flistxattr(Thread& t, Fd fd, Buffer list, Size size);
Errno<Long> removexattr(Thread& t, Path path, Name name);
Errno<Long> lremovexattr(Thread& t, Path path, Name name);
Errno<Long> fremovexattr(Thread& t, Fd fd, Name name);

Errno<Long> inotify_add_watch(Thread& t, Fd fd, Path path, Flags mask);
Errno<Long> fanotify_mark(Thread& t, Fd fd, Flags flags, Hex mask, Fd dir, Path path);
Errno<Long> name_to_handle_at(Thread& t, Fd dir, Path path, Addr handle, Addr mount_id, Flags flags);

}  // namespace lyrebird::user::sys::fs
