// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/fs.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/path/proc_files.h"
#include "user/syscalls/directory.h"

namespace lyrebird::user {

HostPath host_path(Thread& t, const std::string& path, bool follow, int dir) {
  HostPath host = t.process.root.translate(path, follow, dir);
  if (follow) proc_link_target(t, host.text, host.text);
  return host;
}

HostPath host_path(Thread& t, const Path& path, bool follow, int dir) {
  if (path.error) return {{}, path.error};
  return host_path(t, path.text, follow, dir);
}

}  // namespace lyrebird::user

namespace lyrebird::user::sys::fs {
namespace {

/// A host call about one path: its number, the arguments before and after the path.
template <typename... After>
int64_t at_path(Thread& t, long number, Fd dir, const Path& path, bool follow, After... after) {
  const HostPath host = host_path(t, path, follow, dir);
  if (host.error) return host.error;
  return host::call(number, dir.value, host.c_str(), after...);
}

template <typename... After>
int64_t with_path(Thread& t, long number, const Path& path, bool follow, After... after) {
  const HostPath host = host_path(t, path, follow);
  if (host.error) return host.error;
  return host::call(number, host.c_str(), after...);
}

uint64_t word(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

/// AT_EMPTY_PATH allows a null path on new kernels; elsewhere a bad one is EFAULT.
bool is_fd_only(const Path& path, uint32_t flags) {
  return (flags & AT_EMPTY_PATH) && (path.null() || (path.error == 0 && path.text.empty()));
}

}  // namespace

Errno<Fd> openat(Thread& t, Fd dir, Path path, OpenFlags flags, Mode mode) {
  const bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
  const HostPath host = host_path(t, path, follow, dir);
  if (host.error) return host.error;
  if (const int64_t fd = open_proc_file(t, dir, host.text, flags); fd != kNotOurs) return fd;
  // A fifo's open blocks until the other end comes.
  return host::safe_syscall(SYS_openat, static_cast<uint64_t>(dir.value), word(host.c_str()),
                            static_cast<uint64_t>(flags.value), mode);
}

Errno<Fd> openat2(Thread& t, Fd dir, Path path, Ptr<struct open_how> guest_how, Size size) {
  if (path.error) return path.error;
  if (size < sizeof(struct open_how)) return -EINVAL;
  struct open_how how;
  if (!guest_how.get(t, how)) return -EFAULT;
  for (uint64_t i = sizeof how; i < size; ++i) {
    uint8_t extra;
    if (!t.memory().get(guest_how.value + i, extra)) return -EFAULT;
    if (extra) return -E2BIG;
  }
  how.flags = (how.flags & ~uint64_t{0xffffffff}) |
              flags_to_host(t.abi().open_flags, static_cast<uint32_t>(how.flags));
  // With RESOLVE_IN_ROOT and the like the path is meant below dir.
  const HostPath host =
      how.resolve ? HostPath{path.text, 0} : host_path(t, path, !(how.flags & O_NOFOLLOW), dir);
  if (host.error) return host.error;
  if (how.resolve == 0)
    if (const int64_t fd = open_proc_file(t, dir, host.text, static_cast<int>(how.flags)); fd != kNotOurs)
      return fd;
  return host::safe_syscall(SYS_openat2, static_cast<uint64_t>(dir.value), word(host.c_str()), word(&how),
                            sizeof how);
}

Errno<Long> mknodat(Thread& t, Fd dir, Path path, Mode mode, Uint device) {
  return at_path(t, SYS_mknodat, dir, path, false, mode.value, device.value);
}
Errno<Long> mkdirat(Thread& t, Fd dir, Path path, Mode mode) {
  return at_path(t, SYS_mkdirat, dir, path, false, mode.value);
}
Errno<Long> unlinkat(Thread& t, Fd dir, Path path, Flags flags) {
  return at_path(t, SYS_unlinkat, dir, path, false, flags.value);
}
Errno<Long> symlinkat(Thread& t, Name target, Fd dir, Path path) {
  if (target.error) return target.error;
  const HostPath host = host_path(t, path, false, dir);
  if (host.error) return host.error;
  return host::call(SYS_symlinkat, target.text.c_str(), dir.value, host.c_str());
}
Errno<Long> linkat(Thread& t, Fd old_dir, Path old_path, Fd new_dir, Path new_path, Flags flags) {
  const HostPath from = host_path(t, old_path, flags & AT_SYMLINK_FOLLOW, old_dir),
                 to = host_path(t, new_path, false, new_dir);
  if (from.error) return from.error;
  if (to.error) return to.error;
  return host::call(SYS_linkat, old_dir.value, from.c_str(), new_dir.value, to.c_str(), flags.value);
}
Errno<Long> renameat(Thread& t, Fd old_dir, Path old_path, Fd new_dir, Path new_path) {
  return renameat2(t, old_dir, std::move(old_path), new_dir, std::move(new_path), Flags{0});
}
Errno<Long> renameat2(Thread& t, Fd old_dir, Path old_path, Fd new_dir, Path new_path, Flags flags) {
  const HostPath from = host_path(t, old_path, false, old_dir), to = host_path(t, new_path, false, new_dir);
  if (from.error) return from.error;
  if (to.error) return to.error;
  return host::call(SYS_renameat2, old_dir.value, from.c_str(), new_dir.value, to.c_str(), flags.value);
}

Errno<Long> readlinkat(Thread& t, Fd dir, Path path, Buffer to, Int size) {
  if (path.error) return path.error;
  if (size <= 0) return -EINVAL;
  std::string target;
  if (proc_link_text(t, path.text, target)) {
    const size_t length = std::min(target.size(), static_cast<size_t>(size.value));
    return t.memory().write(to, target.data(), length) ? static_cast<int64_t>(length) : -EFAULT;
  }
  uint64_t length = static_cast<uint64_t>(size.value);
  void* const buffer = t.memory().for_kernel(to, length);
  return at_path(t, SYS_readlinkat, dir, path, false, buffer, length);
}

Errno<Long> faccessat(Thread& t, Fd dir, Path path, Flags mode) {
  return at_path(t, SYS_faccessat, dir, path, true, mode.value);
}
Errno<Long> faccessat2(Thread& t, Fd dir, Path path, Flags mode, Flags flags) {
  return at_path(t, SYS_faccessat2, dir, path, !(flags & AT_SYMLINK_NOFOLLOW), mode.value, flags.value);
}
Errno<Long> fchmodat(Thread& t, Fd dir, Path path, Mode mode) {
  return at_path(t, SYS_fchmodat, dir, path, true, mode.value);
}
Errno<Long> fchmodat2(Thread& t, Fd dir, Path path, Mode mode, Flags flags) {
  constexpr long kFchmodat2 = 452;
  return at_path(t, kFchmodat2, dir, path, !(flags & AT_SYMLINK_NOFOLLOW), mode.value, flags.value);
}
Errno<Long> fchownat(Thread& t, Fd dir, Path path, Int user, Int group, Flags flags) {
  return at_path(t, SYS_fchownat, dir, path, !(flags & AT_SYMLINK_NOFOLLOW), user.value, group.value,
                 flags.value);
}

Errno<Long> utimensat(Thread& t, Fd dir, Path path, Ptr<struct timespec> guest_times, Flags flags) {
  struct timespec times[2];
  if (!guest_times.null())
    for (unsigned i = 0; i < 2; ++i)
      if (!guest_times.at(t, i).get(t, times[i])) return -EFAULT;
  struct timespec* const host_times = guest_times.null() ? nullptr : times;
  if (path.null()) return host::call(SYS_utimensat, dir.value, nullptr, host_times, flags.value);
  return at_path(t, SYS_utimensat, dir, path, !(flags & AT_SYMLINK_NOFOLLOW), host_times, flags.value);
}

namespace {
/// What a guest with 32-bit longs has no room for, it does not get.
template <typename T>
int64_t put_fitting(Thread& t, Ptr<T> to, const T& value) {
  if (!struct_fits(t.abi().model, t.abi().desc(*to.layout), &value)) return -EOVERFLOW;
  return to.put(t, value) ? 0 : -EFAULT;
}

int64_t put_stat(Thread& t, Ptr<struct stat> to, struct stat& st) {
  if (word_size(t) == 8) return to.put(t, st) ? 0 : -EFAULT;
  st.st_ino = fold_inode(st.st_ino);
  // Device numbers and ids are cut, and so are the years after 2106.
  struct stat checked = st;
  checked.st_dev = checked.st_rdev = checked.st_uid = checked.st_gid = 0;
  checked.st_atim = checked.st_mtim = checked.st_ctim = {};
  if (!struct_fits(t.abi().model, *to.layout, &checked) && checked.st_size > INT32_MAX) return -EOVERFLOW;
  return to.put(t, st) ? 0 : -EFAULT;
}
}  // namespace

Errno<Long> newfstatat(Thread& t, Fd dir, Path path, Ptr<struct stat> to, Flags flags) {
  struct stat st;
  int64_t result;
  if (is_fd_only(path, flags)) {
    result = host::call(SYS_newfstatat, dir.value, "", &st, flags.value);
  } else {
    result = at_path(t, SYS_newfstatat, dir, path, !(flags & AT_SYMLINK_NOFOLLOW), &st, flags.value);
  }
  return result < 0 ? result : put_stat(t, to, st);
}

Errno<Long> fstat(Thread& t, Fd fd, Ptr<struct stat> to) {
  struct stat st;
  const int64_t result = host::call(SYS_fstat, fd.value, &st);
  return result < 0 ? result : put_stat(t, to, st);
}

Errno<Long> statx(Thread& t, Fd dir, Path path, Flags flags, Flags mask, Ptr<struct statx> to) {
  struct statx st;
  int64_t result;
  if (is_fd_only(path, flags))
    result = host::call(SYS_statx, dir.value, "", flags.value, mask.value, &st);
  else
    result = at_path(t, SYS_statx, dir, path, !(flags & AT_SYMLINK_NOFOLLOW), flags.value, mask.value, &st);
  if (result < 0) return result;
  if (word_size(t) == 4) st.stx_ino = fold_inode(st.stx_ino);
  return to.put(t, st) ? 0 : -EFAULT;
}

Errno<Long> statfs(Thread& t, Path path, Ptr<struct statfs> to) {
  struct statfs st;
  const int64_t result = with_path(t, SYS_statfs, path, true, &st);
  return result < 0 ? result : put_fitting(t, to, st);
}
Errno<Long> fstatfs(Thread& t, Fd fd, Ptr<struct statfs> to) {
  struct statfs st;
  const int64_t result = host::call(SYS_fstatfs, fd.value, &st);
  return result < 0 ? result : put_fitting(t, to, st);
}

Errno<Long> truncate(Thread& t, Path path, Offset size) {
  return with_path(t, SYS_truncate, path, true, size.value);
}
Errno<Long> chdir(Thread& t, Path path) { return with_path(t, SYS_chdir, path, true); }
Errno<Long> chroot(Thread& t, Path path) { return with_path(t, SYS_chroot, path, true); }

Errno<Long> getcwd(Thread& t, Buffer to, Size size) {
  char host[PATH_MAX];
  const int64_t result = host::call(SYS_getcwd, host, sizeof host);
  if (result < 0) return result;
  const std::string path = t.process.root.to_guest(host);
  if (path.size() + 1 > size) return -ERANGE;
  return t.memory().write(to, path.c_str(), path.size() + 1) ? static_cast<int64_t>(path.size()) + 1
                                                             : -EFAULT;
}

Errno<Long> mount(Thread& t, Path source, Path target, Name type, Flags flags, Addr data) {
  const HostPath to = host_path(t, target);
  if (to.error) return to.error;
  const HostPath from = source.null() ? HostPath{} : host_path(t, source);
  if (from.error) return from.error;
  if (!type.null() && type.error) return type.error;
  std::string options;
  if (data)
    if (const int64_t error = t.memory().read_string(data, options); error == -EFAULT) return error;
  return host::call(SYS_mount, source.null() ? nullptr : from.c_str(), to.c_str(),
                    type.null() ? nullptr : type.text.c_str(), flags.value, data ? options.c_str() : nullptr);
}
Errno<Long> umount2(Thread& t, Path target, Flags flags) {
  return with_path(t, SYS_umount2, target, true, flags.value);
}
Errno<Long> pivot_root(Thread& t, Path new_root, Path put_old) {
  const HostPath to = host_path(t, new_root), old = host_path(t, put_old);
  if (to.error) return to.error;
  if (old.error) return old.error;
  return host::call(SYS_pivot_root, to.c_str(), old.c_str());
}

// --- extended attributes -------------------------------------------------------------------------

namespace {

template <typename Target>
int64_t set_attribute(Thread& t, long number, Target target, const Name& name, uint64_t value, uint64_t size,
                      uint32_t flags) {
  if (name.error) return name.error;
  uint64_t length = size;
  void* const data = t.memory().for_kernel(value, length);
  if (size && length != size) return -EFAULT;
  return host::call(number, target, name.text.c_str(), size ? data : nullptr, size, flags);
}

template <typename Target>
int64_t get_attribute(Thread& t, long number, Target target, const Name& name, uint64_t value,
                      uint64_t size) {
  if (name.error) return name.error;
  uint64_t length = size;
  void* const data = t.memory().for_kernel(value, length);
  return host::call(number, target, name.text.c_str(), size ? data : nullptr, length);
}

}  // namespace

#define ON_PATH(follow)                             \
  const HostPath host = host_path(t, path, follow); \
  if (host.error) return host.error

Errno<Long> setxattr(Thread& t, Path path, Name name, Buffer value, Size size, Flags flags) {
  ON_PATH(true);
  return set_attribute(t, SYS_setxattr, host.c_str(), name, value, size, flags);
}
Errno<Long> lsetxattr(Thread& t, Path path, Name name, Buffer value, Size size, Flags flags) {
  ON_PATH(false);
  return set_attribute(t, SYS_lsetxattr, host.c_str(), name, value, size, flags);
}
Errno<Long> fsetxattr(Thread& t, Fd fd, Name name, Buffer value, Size size, Flags flags) {
  return set_attribute(t, SYS_fsetxattr, fd.value, name, value, size, flags);
}
Errno<Long> getxattr(Thread& t, Path path, Name name, Buffer value, Size size) {
  ON_PATH(true);
  return get_attribute(t, SYS_getxattr, host.c_str(), name, value, size);
}
Errno<Long> lgetxattr(Thread& t, Path path, Name name, Buffer value, Size size) {
  ON_PATH(false);
  return get_attribute(t, SYS_lgetxattr, host.c_str(), name, value, size);
}
Errno<Long> fgetxattr(Thread& t, Fd fd, Name name, Buffer value, Size size) {
  return get_attribute(t, SYS_fgetxattr, fd.value, name, value, size);
}
Errno<Long> listxattr(Thread& t, Path path, Buffer list, Size size) {
  ON_PATH(true);
  uint64_t length = size;
  void* const data = t.memory().for_kernel(list, length);
  return host::call(SYS_listxattr, host.c_str(), size ? data : nullptr, length);
}
Errno<Long> llistxattr(Thread& t, Path path, Buffer list, Size size) {
  ON_PATH(false);
  uint64_t length = size;
  void* const data = t.memory().for_kernel(list, length);
  return host::call(SYS_llistxattr, host.c_str(), size ? data : nullptr, length);
}
Errno<Long> flistxattr(Thread& t, Fd fd, Buffer list, Size size) {
  uint64_t length = size;
  void* const data = t.memory().for_kernel(list, length);
  return host::call(SYS_flistxattr, fd.value, size ? data : nullptr, length);
}
Errno<Long> removexattr(Thread& t, Path path, Name name) {
  if (name.error) return name.error;
  return with_path(t, SYS_removexattr, path, true, name.text.c_str());
}
Errno<Long> lremovexattr(Thread& t, Path path, Name name) {
  if (name.error) return name.error;
  return with_path(t, SYS_lremovexattr, path, false, name.text.c_str());
}
Errno<Long> fremovexattr(Thread&, Fd fd, Name name) {
  if (name.error) return name.error;
  return host::call(SYS_fremovexattr, fd.value, name.text.c_str());
}
#undef ON_PATH

// --- watching -------------------------------------------------------------------------------------

Errno<Long> inotify_add_watch(Thread& t, Fd fd, Path path, Flags mask) {
  constexpr uint32_t kDontFollow = 0x02000000;
  const HostPath host = host_path(t, path, !(mask & kDontFollow));
  if (host.error) return host.error;
  return host::call(SYS_inotify_add_watch, fd.value, host.c_str(), mask.value);
}

Errno<Long> fanotify_mark(Thread& t, Fd fd, Flags flags, Hex mask, Fd dir, Path path) {
  const HostPath host = path.null() ? HostPath{} : host_path(t, path, true, dir);
  if (host.error) return host.error;
  return host::call(SYS_fanotify_mark, fd.value, flags.value, mask.value, dir.value,
                    path.null() ? nullptr : host.c_str());
}

Errno<Long> name_to_handle_at(Thread& t, Fd dir, Path path, Addr handle, Addr mount_id, Flags flags) {
  uint32_t capacity;
  if (!get_u32(t, handle, capacity)) return -EFAULT;
  if (capacity > 128) return -EINVAL;
  struct {
    uint32_t bytes;
    int32_t type;
    uint8_t data[128];
  } host_handle{capacity, 0, {}};
  int32_t id = 0;
  const int64_t result =
      is_fd_only(path, flags)
          ? host::call(SYS_name_to_handle_at, dir.value, "", &host_handle, &id, flags.value)
          : at_path(t, SYS_name_to_handle_at, dir, path, flags & AT_SYMLINK_FOLLOW, &host_handle, &id,
                    flags.value);
  if (result < 0 && result != -EOVERFLOW) return result;
  if (!put_u32(t, handle, host_handle.bytes)) return -EFAULT;
  if (!put_u32(t, mount_id, static_cast<uint32_t>(id))) return -EFAULT;
  if (result < 0) return result;
  if (!put_u32(t, handle + 4, static_cast<uint32_t>(host_handle.type))) return -EFAULT;
  return t.memory().write(handle + 8, host_handle.data, host_handle.bytes) ? 0 : -EFAULT;
}

}  // namespace lyrebird::user::sys::fs
