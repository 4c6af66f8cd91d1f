// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/io.h"

#include <fcntl.h>

#include <cerrno>
#include <climits>

#include "user/abi/structs.h"
#include "user/host/private_fds.h"
#include "user/host/safe_syscall.h"
#include "user/syscalls/directory.h"

namespace lyrebird::user {

HostVector host_vector(Thread& t, Ptr<struct iovec> vector, uint64_t count) {
  HostVector host;
  if (count > IOV_MAX) return {{}, -EINVAL, false};
  host.parts.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    struct iovec part;
    if (!vector.at(t, i).get(t, part)) return {{}, -EFAULT, false};
    if (Long::from(t, part.iov_len) < 0) return {{}, -EINVAL, false};
    if (host.cut) continue;
    uint64_t size = part.iov_len;
    void* const base = t.memory().for_kernel(untag(t, reinterpret_cast<uint64_t>(part.iov_base)), size);
    host.cut = size != part.iov_len;
    host.parts.push_back({base, size});
  }
  return host;
}

}  // namespace lyrebird::user

namespace lyrebird::user::sys::io {
namespace {

uint64_t word(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
uint64_t word(int value) { return static_cast<uint64_t>(value); }

int64_t on_buffer(Thread& t, long number, Fd fd, uint64_t address, uint64_t size, uint64_t more = 0) {
  void* const buffer = t.memory().for_kernel(address, size);
  return host::safe_syscall(number, word(fd.value), word(buffer), size, more);
}

int64_t on_vector(Thread& t, long number, Fd fd, Ptr<struct iovec> vector, uint64_t count, uint64_t low = 0,
                  uint64_t high = 0, uint64_t flags = 0) {
  HostVector host = host_vector(t, vector, count);
  if (host.error) return host.error;
  return host::safe_syscall(number, word(fd.value), word(host.parts.data()), host.parts.size(), low, high,
                            flags);
}

/// A file offset in guest memory, for the duration of one host call.
class GuestOffset {
 public:
  /// `wide`: it has 64 bits even where the guest's long has 32.
  GuestOffset(Thread& t, uint64_t address, bool wide = true)
      : t_(t), address_(address), wide_(wide || word_size(t) == 8) {
    ok_ = !address || (wide_ ? get_u64(t, address, value_) : get_word(t, address, value_));
  }
  bool ok() const { return ok_; }
  uint64_t pointer() { return address_ ? word(&value_) : 0; }
  int64_t finish(int64_t result) {
    if (result < 0 || !address_) return result;
    const bool done = wide_ ? put_u64(t_, address_, value_) : put_word(t_, address_, value_);
    return done ? result : -EFAULT;
  }

 private:
  Thread& t_;
  uint64_t address_, value_ = 0;
  bool wide_, ok_;
};

}  // namespace

Errno<Long> read(Thread& t, Fd fd, Buffer to, Size size) { return on_buffer(t, SYS_read, fd, to, size); }
Errno<Long> write(Thread& t, Fd fd, Buffer from, Size size) {
  return on_buffer(t, SYS_write, fd, from, size);
}
Errno<Long> readv(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count) {
  return on_vector(t, SYS_readv, fd, vector, count);
}
Errno<Long> writev(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count) {
  return on_vector(t, SYS_writev, fd, vector, count);
}
Errno<Long> pread64(Thread& t, Fd fd, Buffer to, Size size, Offset offset) {
  return on_buffer(t, SYS_pread64, fd, to, size, static_cast<uint64_t>(offset.value));
}
Errno<Long> pwrite64(Thread& t, Fd fd, Buffer from, Size size, Offset offset) {
  return on_buffer(t, SYS_pwrite64, fd, from, size, static_cast<uint64_t>(offset.value));
}

namespace {
/// preadv and its kin pass the offset as two longs, whatever their size.
uint64_t joined(Thread& t, uint64_t low, uint64_t high) { return word_size(t) == 8 ? low : low | high << 32; }
}  // namespace

Errno<Long> preadv(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high) {
  return on_vector(t, SYS_preadv, fd, vector, count, joined(t, low, high));
}
Errno<Long> pwritev(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high) {
  return on_vector(t, SYS_pwritev, fd, vector, count, joined(t, low, high));
}
Errno<Long> preadv2(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high, Flags flags) {
  return on_vector(t, SYS_preadv2, fd, vector, count, joined(t, low, high), 0, flags);
}
Errno<Long> pwritev2(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Hex low, Hex high, Flags flags) {
  return on_vector(t, SYS_pwritev2, fd, vector, count, joined(t, low, high), 0, flags);
}

namespace {
int64_t seek(Thread& t, int fd, int64_t offset, int whence) {
  if (word_size(t) == 4 && whence == SEEK_SET) offset = wide_cookie(offset);
  const int64_t result = host::call(SYS_lseek, fd, offset, whence);
  return word_size(t) == 4 ? narrow_cookie(fd, result) : result;
}
}  // namespace

Errno<Long> lseek(Thread& t, Fd fd, Long offset, Int whence) {
  const int64_t result = seek(t, fd, offset, whence);
  return word_size(t) == 4 && result > INT32_MAX ? -EOVERFLOW : result;
}

Errno<Long> llseek(Thread& t, Fd fd, Uint high, Uint low, Addr to, Int whence) {
  const int64_t result = seek(t, fd, static_cast<int64_t>(uint64_t{high} << 32 | low), whence);
  if (result < 0) return result;
  return put_u64(t, to, static_cast<uint64_t>(result)) ? 0 : -EFAULT;
}

Errno<Long> close(Thread&, Fd fd) {
  if (host::is_private_fd(fd)) return -EBADF;
  return host::call(SYS_close, fd.value);
}

Errno<Long> close_range(Thread&, Uint first, Uint last, Flags flags) {
  if (first > last || (flags & ~uint32_t{CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC})) return -EINVAL;
  // The emulator's own descriptors stay: the range falls apart around them.
  uint64_t begin = first;
  for (const int own : host::private_fds()) {
    const uint64_t at = static_cast<uint64_t>(own);
    if (at < begin || at > last) continue;
    if (at > begin) {
      const int64_t result = host::call(SYS_close_range, begin, at - 1, flags.value);
      if (result < 0) return result;
    }
    begin = at + 1;
  }
  return begin > last ? 0 : host::call(SYS_close_range, begin, uint64_t{last}, flags.value);
}

Errno<Fd> dup(Thread&, Fd fd) {
  if (host::is_private_fd(fd)) return -EBADF;
  return host::call(SYS_dup, fd.value);
}
Errno<Fd> dup3(Thread&, Fd from, Fd to, OpenFlags flags) {
  if (host::is_private_fd(from)) return -EBADF;
  if (host::is_private_fd(to) && !host::move_private_fd(to)) return -EBUSY;
  return host::call(SYS_dup3, from.value, to.value, flags.value);
}

namespace {
/// Of a guest with 32-bit longs: the locks with 64-bit offsets, whose host command is another.
bool is_wide_lock(Thread& t, int& command) {
  constexpr int kGetLock64 = 12, kSetLockWait64 = 14;
  if (word_size(t) == 8) return false;
  if (command >= F_OFD_GETLK && command <= F_OFD_SETLKW) return true;
  if (command < kGetLock64 || command > kSetLockWait64) return false;
  command -= kGetLock64 - F_GETLK;
  return true;
}
}  // namespace

Errno<Long> fcntl(Thread& t, Fd fd, Int command, Hex argument) {
  if (host::is_private_fd(fd)) return -EBADF;
  const bool wide_lock = is_wide_lock(t, command.value);
  switch (command) {
    case F_GETLK:
    case F_OFD_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW: {
      Ptr<struct flock> guest = Ptr<struct flock>::from(t, argument);
      if (wide_lock) guest.layout = &kFlock64;
      struct flock lock;
      if (!guest.get(t, lock)) return -EFAULT;
      const int64_t result = host::safe_syscall(SYS_fcntl, word(fd.value), word(command.value), word(&lock));
      const bool asks = command == F_GETLK || command == F_OFD_GETLK;
      if (result < 0 || !asks) return result;
      return guest.put(t, lock) ? result : -EFAULT;
    }
    case F_GETFL: {
      const int64_t result = host::call(SYS_fcntl, fd.value, F_GETFL, 0);
      return result < 0
                 ? result
                 : static_cast<int64_t>(flags_to_guest(t.abi().open_flags, static_cast<uint32_t>(result)));
    }
    case F_SETFL:
      return host::call(SYS_fcntl, fd.value, F_SETFL,
                        flags_to_host(t.abi().open_flags, static_cast<uint32_t>(argument)));
    case F_GETOWN_EX:
    case F_SETOWN_EX: {
      struct f_owner_ex owner;
      const uint64_t at = untag(t, argument);
      if (command == F_SETOWN_EX) {
        if (!t.memory().get(at, owner)) return -EFAULT;
        return host::call(SYS_fcntl, fd.value, F_SETOWN_EX, &owner);
      }
      const int64_t result = host::call(SYS_fcntl, fd.value, F_GETOWN_EX, &owner);
      if (result < 0) return result;
      return t.memory().put(at, owner) ? result : -EFAULT;
    }
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT: {
      uint64_t size = 8;
      void* const hint = t.memory().for_kernel(untag(t, argument), size);
      return size == 8 ? host::call(SYS_fcntl, fd.value, command.value, hint) : -EFAULT;
    }
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
    case F_GETFD:
    case F_SETFD:
    case F_SETOWN:
    case F_GETOWN:
    case F_SETSIG:
    case F_GETSIG:
    case F_SETLEASE:
    case F_GETLEASE:
    case F_NOTIFY:
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
    case F_ADD_SEALS:
    case F_GET_SEALS:
      return host::call(SYS_fcntl, fd.value, command.value, argument.value);
    default:
      // Also what the host kernel may know: its argument could be a pointer.
      return host::call(SYS_fcntl, fd.value, F_GETFD, 0) < 0 ? -EBADF : -EINVAL;
  }
}

Errno<Long> flock(Thread&, Fd fd, Int operation) {
  return host::safe_syscall(SYS_flock, word(fd.value), word(operation.value));
}
Errno<Long> fsync(Thread&, Fd fd) { return host::call(SYS_fsync, fd.value); }
Errno<Long> fdatasync(Thread&, Fd fd) { return host::call(SYS_fdatasync, fd.value); }
Errno<Long> sync(Thread&) { return host::call(SYS_sync); }
Errno<Long> syncfs(Thread&, Fd fd) { return host::call(SYS_syncfs, fd.value); }
Errno<Long> sync_file_range(Thread&, Fd fd, Offset offset, Offset size, Flags flags) {
  return host::call(SYS_sync_file_range, fd.value, offset.value, size.value, flags.value);
}
Errno<Long> ftruncate(Thread&, Fd fd, Offset size) { return host::call(SYS_ftruncate, fd.value, size.value); }
Errno<Long> fallocate(Thread&, Fd fd, Int mode, Offset offset, Offset size) {
  return host::safe_syscall(SYS_fallocate, word(fd.value), word(mode.value),
                            static_cast<uint64_t>(offset.value), static_cast<uint64_t>(size.value));
}
Errno<Long> fadvise64(Thread&, Fd fd, Offset offset, Offset size, Int advice) {
  return host::call(SYS_fadvise64, fd.value, offset.value, size.value, advice.value);
}
Errno<Long> readahead(Thread&, Fd fd, Offset offset, Size size) {
  return host::call(SYS_readahead, fd.value, offset.value, size.value);
}

namespace {
int64_t send_file(Thread& t, Fd out, Fd in, uint64_t offset, uint64_t size, bool wide) {
  GuestOffset at(t, offset, wide);
  if (!at.ok()) return -EFAULT;
  return at.finish(host::safe_syscall(SYS_sendfile, word(out.value), word(in.value), at.pointer(), size));
}
}  // namespace

Errno<Long> sendfile(Thread& t, Fd out, Fd in, Addr offset, Size size) {
  return send_file(t, out, in, offset, size, false);
}
Errno<Long> sendfile64(Thread& t, Fd out, Fd in, Addr offset, Size size) {
  return send_file(t, out, in, offset, size, true);
}

namespace {
int64_t between(Thread& t, long number, Fd in, uint64_t in_offset, Fd out, uint64_t out_offset, uint64_t size,
                uint32_t flags) {
  GuestOffset from(t, in_offset), to(t, out_offset);
  if (!from.ok() || !to.ok()) return -EFAULT;
  const int64_t result =
      host::safe_syscall(number, word(in.value), from.pointer(), word(out.value), to.pointer(), size, flags);
  const int64_t first = from.finish(result);
  return first < 0 ? first : to.finish(result);
}
}  // namespace

Errno<Long> copy_file_range(Thread& t, Fd in, Addr in_offset, Fd out, Addr out_offset, Size size,
                            Flags flags) {
  return between(t, SYS_copy_file_range, in, in_offset, out, out_offset, size, flags);
}
Errno<Long> splice(Thread& t, Fd in, Addr in_offset, Fd out, Addr out_offset, Size size, Flags flags) {
  return between(t, SYS_splice, in, in_offset, out, out_offset, size, flags);
}
Errno<Long> tee(Thread&, Fd in, Fd out, Size size, Flags flags) {
  return host::safe_syscall(SYS_tee, word(in.value), word(out.value), size, flags);
}
Errno<Long> vmsplice(Thread& t, Fd fd, Ptr<struct iovec> vector, Size count, Flags flags) {
  HostVector host = host_vector(t, vector, count);
  if (host.error) return host.error;
  return host::safe_syscall(SYS_vmsplice, word(fd.value), word(host.parts.data()), host.parts.size(), flags);
}

Errno<Long> pipe2(Thread& t, Addr to, OpenFlags flags) {
  int fds[2];
  const int64_t result = host::call(SYS_pipe2, fds, flags.value);
  if (result < 0) return result;
  if (put_u32(t, to, static_cast<uint32_t>(fds[0])) && put_u32(t, to + 4, static_cast<uint32_t>(fds[1])))
    return 0;
  host::call(SYS_close, fds[0]);
  host::call(SYS_close, fds[1]);
  return -EFAULT;
}

Errno<Long> fchdir(Thread&, Fd fd) { return host::call(SYS_fchdir, fd.value); }
Errno<Long> fchmod(Thread&, Fd fd, Mode mode) { return host::call(SYS_fchmod, fd.value, mode.value); }
Errno<Long> fchown(Thread&, Fd fd, Int user, Int group) {
  return host::call(SYS_fchown, fd.value, user.value, group.value);
}

Errno<Fd> memfd_create(Thread&, Name name, Flags flags) {
  if (name.error) return name.error;
  return host::call(SYS_memfd_create, name.text.c_str(), flags.value);
}
Errno<Long> vhangup(Thread&) { return host::call(SYS_vhangup); }

}  // namespace lyrebird::user::sys::io
