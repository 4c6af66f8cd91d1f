// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/old.h"

#include <fcntl.h>
#include <linux/net.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "user/host/safe_syscall.h"
#include "user/process/syscalls.h"
#include "user/signals/syscalls.h"
#include "user/syscalls/fs.h"
#include "user/syscalls/io.h"
#include "user/syscalls/ipc.h"
#include "user/syscalls/memory.h"
#include "user/syscalls/net.h"
#include "user/syscalls/poll.h"
#include "user/syscalls/time.h"
#include "user/threads/clone.h"
#include "user/threads/syscalls.h"

namespace lyrebird::user::sys::old {
namespace {

constexpr Fd kHere{AT_FDCWD};

template <typename T>
Ptr<T> at(uint64_t address) {
  return Ptr<T>{{address}};
}

/// Words of the guest's memory as the registers of another call.
bool get_words(Thread& t, uint64_t from, uint64_t* words, unsigned count) {
  for (unsigned i = 0; i < count; ++i)
    if (!get_word(t, from + i * word_size(t), words[i])) return false;
  return true;
}

}  // namespace

// --- files by name -------------------------------------------------------------------------------

Errno<Fd> open(Thread& t, Path path, OpenFlags flags, Mode mode) {
  return fs::openat(t, kHere, std::move(path), flags, mode);
}
Errno<Fd> creat(Thread& t, Path path, Mode mode) {
  return fs::openat(t, kHere, std::move(path), OpenFlags{O_CREAT | O_WRONLY | O_TRUNC}, mode);
}
Errno<Long> stat(Thread& t, Path path, Ptr<struct stat> to) {
  return fs::newfstatat(t, kHere, std::move(path), to, Flags{0});
}
Errno<Long> lstat(Thread& t, Path path, Ptr<struct stat> to) {
  return fs::newfstatat(t, kHere, std::move(path), to, Flags{AT_SYMLINK_NOFOLLOW});
}
Errno<Long> access(Thread& t, Path path, Flags mode) {
  return fs::faccessat(t, kHere, std::move(path), mode);
}
Errno<Long> rename(Thread& t, Path from, Path to) {
  return fs::renameat(t, kHere, std::move(from), kHere, std::move(to));
}
Errno<Long> mkdir(Thread& t, Path path, Mode mode) { return fs::mkdirat(t, kHere, std::move(path), mode); }
Errno<Long> rmdir(Thread& t, Path path) {
  return fs::unlinkat(t, kHere, std::move(path), Flags{AT_REMOVEDIR});
}
Errno<Long> unlink(Thread& t, Path path) { return fs::unlinkat(t, kHere, std::move(path), Flags{0}); }
Errno<Long> link(Thread& t, Path from, Path to) {
  return fs::linkat(t, kHere, std::move(from), kHere, std::move(to), Flags{0});
}
Errno<Long> symlink(Thread& t, Name target, Path path) {
  return fs::symlinkat(t, std::move(target), kHere, std::move(path));
}
Errno<Long> readlink(Thread& t, Path path, Buffer to, Int size) {
  return fs::readlinkat(t, kHere, std::move(path), to, size);
}
Errno<Long> mknod(Thread& t, Path path, Mode mode, Uint device) {
  return fs::mknodat(t, kHere, std::move(path), mode, device);
}
Errno<Long> chmod(Thread& t, Path path, Mode mode) { return fs::fchmodat(t, kHere, std::move(path), mode); }
Errno<Long> chown(Thread& t, Path path, Int user, Int group) {
  return fs::fchownat(t, kHere, std::move(path), user, group, Flags{0});
}
Errno<Long> lchown(Thread& t, Path path, Int user, Int group) {
  return fs::fchownat(t, kHere, std::move(path), user, group, Flags{AT_SYMLINK_NOFOLLOW});
}
Errno<Long> umount(Thread& t, Path path) { return fs::umount2(t, std::move(path), Flags{0}); }

namespace {
int64_t set_times(Thread& t, Fd dir, const Path& path, const struct timespec* times) {
  if (path.null()) return host::call(SYS_utimensat, dir.value, nullptr, times, 0);
  const HostPath host = host_path(t, path, true, dir);
  if (host.error) return host.error;
  return host::call(SYS_utimensat, dir.value, host.c_str(), times, 0);
}
}  // namespace

Errno<Long> utime(Thread& t, Path path, Addr guest_times) {
  struct timespec times[2] = {};
  uint64_t words[2];
  if (guest_times && !get_words(t, guest_times, words, 2)) return -EFAULT;
  for (unsigned i = 0; guest_times && i < 2; ++i) times[i].tv_sec = Long::from(t, words[i]);
  if (path.error) return path.error;
  return set_times(t, kHere, path, guest_times ? times : nullptr);
}
Errno<Long> utimes(Thread& t, Path path, Ptr<struct timeval> times) {
  return path.null() ? -EFAULT : futimesat(t, kHere, std::move(path), times).raw;
}
Errno<Long> futimesat(Thread& t, Fd dir, Path path, Ptr<struct timeval> guest_times) {
  struct timespec times[2] = {};
  for (unsigned i = 0; !guest_times.null() && i < 2; ++i) {
    struct timeval one;
    if (!guest_times.at(t, i).get(t, one)) return -EFAULT;
    if (one.tv_usec < 0 || one.tv_usec >= 1'000'000) return -EINVAL;
    times[i] = {one.tv_sec, one.tv_usec * 1000};
  }
  return set_times(t, dir, path, guest_times.null() ? nullptr : times);
}

Errno<Long> statfs64(Thread& t, Path path, Size size, Ptr<struct statfs> to) {
  if (size != struct_size(t, *to.layout)) return -EINVAL;
  return fs::statfs(t, std::move(path), to);
}
Errno<Long> fstatfs64(Thread& t, Fd fd, Size size, Ptr<struct statfs> to) {
  if (size != struct_size(t, *to.layout)) return -EINVAL;
  return fs::fstatfs(t, fd, to);
}

// --- descriptors ---------------------------------------------------------------------------------

Errno<Fd> dup2(Thread& t, Fd from, Fd to) {
  if (from.value != to.value) return io::dup3(t, from, to, OpenFlags{0});
  return io::fcntl(t, from, Int{F_GETFD}, Hex{0}).raw < 0 ? -EBADF : to.value;
}
Errno<Long> pipe(Thread& t, Addr to) { return io::pipe2(t, to, OpenFlags{0}); }

Errno<Long> poll(Thread& t, Addr fds, Uint count, Int timeout_ms) {
  if (count > 1u << 20) return -EINVAL;
  std::vector<struct pollfd> host(count);
  for (uint32_t i = 0; i < count; ++i)
    if (!at<struct pollfd>(fds).at(t, i).get(t, host[i])) return -EFAULT;
  const int64_t result = host::safe_syscall(SYS_poll, reinterpret_cast<uint64_t>(host.data()), count,
                                            static_cast<uint64_t>(static_cast<int64_t>(timeout_ms.value)));
  if (result < 0) return result;
  for (uint32_t i = 0; i < count; ++i)
    if (!at<struct pollfd>(fds).at(t, i).put(t, host[i])) return -EFAULT;
  return result;
}

Errno<Long> select(Thread& t, Int count, Addr in, Addr out, Addr except, Ptr<struct timeval> timeout) {
  struct timeval limit;
  struct timespec left{};
  if (!timeout.null()) {
    if (!timeout.get(t, limit)) return -EFAULT;
    if (limit.tv_sec < 0 || limit.tv_usec < 0) return -EINVAL;
    left = {limit.tv_sec + limit.tv_usec / 1'000'000, limit.tv_usec % 1'000'000 * 1000};
  }
  const int64_t result = poll::select_for(t, count, in, out, except, timeout.null() ? nullptr : &left, 0, 0);
  limit = {left.tv_sec, left.tv_nsec / 1000};
  // The guest's may be read-only, which is no error.
  if (!timeout.null()) (void)timeout.put(t, limit);
  return result;
}
Errno<Long> select_block(Thread& t, Addr arguments) {
  uint64_t words[5];
  if (!get_words(t, arguments, words, 5)) return -EFAULT;
  return select(t, Int{static_cast<int>(words[0])}, Addr{words[1]}, Addr{words[2]}, Addr{words[3]},
                at<struct timeval>(words[4]));
}

Errno<Fd> epoll_create(Thread& t, Int size) {
  return size <= 0 ? -EINVAL : poll::epoll_create1(t, Flags{0}).raw;
}
Errno<Long> epoll_wait(Thread& t, Fd epoll, Ptr<struct epoll_event> events, Int max, Int timeout_ms) {
  return poll::epoll_pwait(t, epoll, events, max, timeout_ms, Addr{0}, Size{0});
}
Errno<Fd> inotify_init(Thread& t) { return poll::inotify_init1(t, OpenFlags{0}); }
Errno<Fd> eventfd(Thread& t, Uint value) { return poll::eventfd2(t, value, Flags{0}); }
Errno<Fd> signalfd(Thread& t, Fd fd, Addr set, Size set_size) {
  return sig::signalfd4(t, fd, set, set_size, Flags{0});
}

// --- processes -----------------------------------------------------------------------------------

Errno<Int> fork(Thread& t) {
  CloneRequest request;
  request.exit_signal = SIGCHLD;
  return do_clone(t, request);
}
Errno<Int> vfork(Thread& t) {
  CloneRequest request;
  request.flags = CLONE_VFORK | CLONE_VM;
  request.exit_signal = SIGCHLD;
  return do_clone(t, request);
}
Errno<Int> clone(Thread& t, Hex flags, Addr stack, Addr parent_tid, Addr child_tid, Hex tls) {
  return thread::clone_backwards(t, flags, stack, parent_tid, tls, child_tid);
}
Errno<Int> pause(Thread&) { return host::safe_syscall(SYS_pause); }
Errno<Int> waitpid(Thread& t, Int pid, Addr status, Flags options) {
  return proc::wait4(t, pid, status, options, at<struct rusage>(0));
}
Errno<Int> getpgrp(Thread& t) { return proc::getpgid(t, Int{0}); }
Errno<Int> nice(Thread&, Int increment) {
  const int64_t now = 20 - host::call(SYS_getpriority, PRIO_PROCESS, 0);
  const int64_t wanted = now + std::clamp(increment.value, -40, 40);
  const int64_t result = host::call(SYS_setpriority, PRIO_PROCESS, 0, std::clamp<int64_t>(wanted, -20, 19));
  return result == -EACCES ? -EPERM : result;
}
Errno<Int> getrlimit(Thread& t, Int resource, Ptr<struct rlimit> limit) {
  if (const int64_t error = proc::getrlimit(t, resource, limit).raw) return error;
  rlimit value;
  if (!limit.get(t, value)) return -EFAULT;
  value.rlim_cur = std::min<rlim_t>(value.rlim_cur, INT32_MAX);
  value.rlim_max = std::min<rlim_t>(value.rlim_max, INT32_MAX);
  return limit.put(t, value) ? 0 : -EFAULT;
}

// --- time ----------------------------------------------------------------------------------------

Errno<Long> alarm(Thread&, Uint seconds) { return host::call(SYS_alarm, seconds.value); }
Errno<Long> time(Thread& t, Addr to) {
  const time_t now = ::time(nullptr);
  if (to && !put_word(t, to, static_cast<uint64_t>(now))) return -EFAULT;
  return now;
}
Errno<Long> stime(Thread& t, Addr from) {
  uint64_t seconds;
  if (!get_word(t, from, seconds)) return -EFAULT;
  const struct timespec value{Long::from(t, seconds), 0};
  return host::call(SYS_clock_settime, CLOCK_REALTIME, &value);
}

// --- ids -----------------------------------------------------------------------------------------

namespace {
constexpr uint32_t kOverflowId = 65534;
uint16_t narrow_id(uint32_t id) { return static_cast<uint16_t>(id > 65535 ? kOverflowId : id); }

int64_t get_three(Thread& t, long number, const uint64_t (&to)[3]) {
  uint32_t ids[3];
  if (const int64_t error = host::call(number, &ids[0], &ids[1], &ids[2])) return error;
  for (unsigned i = 0; i < 3; ++i)
    if (!put_u16(t, to[i], narrow_id(ids[i]))) return -EFAULT;
  return 0;
}
}  // namespace

Errno<Uint> getuid16(Thread&) { return narrow_id(static_cast<uint32_t>(host::call(SYS_getuid))); }
Errno<Uint> geteuid16(Thread&) { return narrow_id(static_cast<uint32_t>(host::call(SYS_geteuid))); }
Errno<Uint> getgid16(Thread&) { return narrow_id(static_cast<uint32_t>(host::call(SYS_getgid))); }
Errno<Uint> getegid16(Thread&) { return narrow_id(static_cast<uint32_t>(host::call(SYS_getegid))); }
Errno<Int> getresuid16(Thread& t, Addr real, Addr effective, Addr saved) {
  return get_three(t, SYS_getresuid, {real, effective, saved});
}
Errno<Int> getresgid16(Thread& t, Addr real, Addr effective, Addr saved) {
  return get_three(t, SYS_getresgid, {real, effective, saved});
}
Errno<Int> getgroups16(Thread& t, Int count, Addr list) {
  if (count < 0) return -EINVAL;
  std::vector<uint32_t> groups(static_cast<size_t>(std::min<int>(count, 65536)));
  const int64_t used = host::call(SYS_getgroups, groups.size(), groups.data());
  for (int64_t i = 0; count && i < used; ++i)
    if (!put_u16(t, list + static_cast<uint64_t>(i) * 2, narrow_id(groups[static_cast<size_t>(i)])))
      return -EFAULT;
  return used;
}
Errno<Int> setgroups16(Thread& t, Int count, Addr list) {
  if (count < 0 || count > 65536) return -EINVAL;
  std::vector<uint32_t> groups(static_cast<size_t>(count.value));
  for (size_t i = 0; i < groups.size(); ++i) {
    uint16_t id;
    if (!get_u16(t, list + i * 2, id)) return -EFAULT;
    groups[i] = id;
  }
  return host::call(SYS_setgroups, groups.size(), groups.data());
}

// --- memory --------------------------------------------------------------------------------------

Errno<Hex> mmap2(Thread& t, Hex address, Size size, Flags prot, Flags flags, Fd fd, Hex page) {
  return mem::mmap(t, address, size, prot, flags, fd, Long{static_cast<int64_t>(page.value * kPage)});
}
Errno<Hex> mmap_block(Thread& t, Addr arguments) {
  uint64_t w[6];
  if (!get_words(t, arguments, w, 6)) return -EFAULT;
  if (w[5] & (kPage - 1)) return -EINVAL;
  return mem::mmap(t, Hex{w[0]}, Size{w[1]}, Flags{static_cast<uint32_t>(w[2])},
                   Flags{static_cast<uint32_t>(w[3])}, Fd{static_cast<int>(w[4])},
                   Long{static_cast<int64_t>(w[5])});
}

// --- many calls under one number -----------------------------------------------------------------

Errno<Long> socketcall(Thread& t, Int call, Addr arguments) {
  // Words that each call takes (net/socket.c).
  static constexpr uint8_t kWords[] = {0, 3, 3, 3, 2, 3, 3, 3, 4, 4, 4, 6, 6, 2, 5, 5, 3, 3, 4, 5, 4};
  if (call < SYS_SOCKET || call > SYS_SENDMMSG) return -EINVAL;
  uint64_t w[6] = {};
  if (!get_words(t, arguments, w, kWords[call.value])) return -EFAULT;
  const auto number = [&](unsigned i) { return Int{static_cast<int>(w[i])}; };
  const auto word = [&](unsigned i) { return Uint{static_cast<uint32_t>(w[i])}; };
  const auto flags = [&](unsigned i) { return Flags{static_cast<uint32_t>(w[i])}; };
  const auto address = [&](unsigned i) { return Addr::from(t, w[i]); };
  const Fd fd{static_cast<int>(w[0])};
  switch (call) {
    case SYS_SOCKET:
      return net::socket(t, number(0), number(1), number(2)).raw;
    case SYS_BIND:
      return net::bind(t, fd, address(1), word(2));
    case SYS_CONNECT:
      return net::connect(t, fd, address(1), word(2));
    case SYS_LISTEN:
      return net::listen(t, fd, number(1));
    case SYS_ACCEPT:
      return net::accept(t, fd, address(1), address(2)).raw;
    case SYS_GETSOCKNAME:
      return net::getsockname(t, fd, address(1), address(2));
    case SYS_GETPEERNAME:
      return net::getpeername(t, fd, address(1), address(2));
    case SYS_SOCKETPAIR:
      return net::socketpair(t, number(0), number(1), number(2), address(3));
    case SYS_SEND:
      return net::sendto(t, fd, address(1), Size{w[2]}, flags(3), Addr{0}, Uint{0});
    case SYS_RECV:
      return net::recvfrom(t, fd, address(1), Size{w[2]}, flags(3), Addr{0}, Addr{0});
    case SYS_SENDTO:
      return net::sendto(t, fd, address(1), Size{w[2]}, flags(3), address(4), word(5));
    case SYS_RECVFROM:
      return net::recvfrom(t, fd, address(1), Size{w[2]}, flags(3), address(4), address(5));
    case SYS_SHUTDOWN:
      return net::shutdown(t, fd, number(1));
    case SYS_SETSOCKOPT:
      return net::setsockopt(t, fd, number(1), number(2), address(3), word(4));
    case SYS_GETSOCKOPT:
      return net::getsockopt(t, fd, number(1), number(2), address(3), address(4));
    case SYS_SENDMSG:
      return net::sendmsg(t, fd, address(1), flags(2));
    case SYS_RECVMSG:
      return net::recvmsg(t, fd, address(1), flags(2));
    case SYS_ACCEPT4:
      return net::accept4(t, fd, address(1), address(2), OpenFlags::from(t, w[3])).raw;
    case SYS_RECVMMSG:
      return net::recvmmsg(t, fd, address(1), word(2), flags(3), Ptr<struct timespec>::from(t, w[4]));
    case SYS_SENDMMSG:
      return net::sendmmsg(t, fd, address(1), word(2), flags(3));
    default:
      return -EINVAL;
  }
}

// ipc/syscall.c: the number's upper half is a version, which only msgrcv and shmat look at.
Errno<Long> ipc(Thread& t, Uint raw_call, Int first, Hex second, Hex third, Addr pointer, Hex fifth) {
  enum {
    kSemop = 1,
    kSemget,
    kSemctl,
    kSemtimedop,
    kMsgsnd = 11,
    kMsgrcv,
    kMsgget,
    kMsgctl,
    kShmat = 21,
    kShmdt,
    kShmget,
    kShmctl
  };
  const unsigned version = raw_call >> 16;
  const auto number = [](uint64_t value) { return Int{static_cast<int>(value)}; };
  const auto flags = [](uint64_t value) { return Flags{static_cast<uint32_t>(value)}; };
  switch (raw_call & 0xffff) {
    case kSemop:
      return ipc::semop(t, first, pointer, Size{second});
    case kSemtimedop:
      return ipc::semtimedop(t, first, pointer, Size{second}, Ptr<struct timespec>::from(t, fifth));
    case kSemget:
      return ipc::semget(t, first, number(second), flags(third));
    case kSemctl: {
      uint64_t argument;
      if (!pointer) return -EINVAL;
      if (!get_word(t, pointer, argument)) return -EFAULT;
      return ipc::semctl(t, first, number(second), number(third), Hex{argument});
    }
    case kMsgsnd:
      return ipc::msgsnd(t, first, pointer, Size{second}, flags(third));
    case kMsgrcv: {
      uint64_t pair[2] = {pointer, fifth};
      if (version == 0 && !get_words(t, pointer, pair, 2)) return -EFAULT;
      return ipc::msgrcv(t, first, Addr::from(t, pair[0]), Size{second}, Long::from(t, pair[1]),
                         flags(third));
    }
    case kMsgget:
      return ipc::msgget(t, first, flags(second));
    case kMsgctl:
      return ipc::msgctl(t, first, number(second), pointer);
    case kShmat: {
      if (version == 1) return -EINVAL;
      const int64_t at = ipc::shmat(t, first, pointer, flags(second)).raw;
      if (at < 0 && at >= -4095) return at;
      return put_word(t, Addr::from(t, third), static_cast<uint64_t>(at)) ? 0 : -EFAULT;
    }
    case kShmdt:
      return ipc::shmdt(t, pointer);
    case kShmget:
      return ipc::shmget(t, first, Size{second}, flags(third));
    case kShmctl:
      return ipc::shmctl(t, first, number(second), pointer);
    default:
      return -ENOSYS;
  }
}

// --- names of the system -------------------------------------------------------------------------

namespace {
int64_t short_names(Thread& t, uint64_t to, unsigned size) {
  struct utsname name;
  if (::uname(&name) != 0) return -errno;
  const std::string& release = t.process.options.uname_release;
  const char* const parts[] = {name.sysname, name.nodename, release.empty() ? name.release : release.c_str(),
                               name.version, t.abi().machine};
  for (unsigned i = 0; i < 5; ++i) {
    char text[65] = {};
    std::strncpy(text, parts[i], size - 1);
    if (!t.memory().write(to + uint64_t{i} * size, text, size)) return -EFAULT;
  }
  return 0;
}
}  // namespace

Errno<Long> olduname(Thread& t, Addr to) { return short_names(t, to, 65); }
Errno<Long> oldolduname(Thread& t, Addr to) { return short_names(t, to, 9); }

}  // namespace lyrebird::user::sys::old
