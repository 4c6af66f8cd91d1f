// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/ioctl.h"

#include <asm/termios.h>
#include <fmt/format.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kd.h>
#include <linux/loop.h>
#include <linux/nsfs.h>
#include <linux/random.h>
#include <linux/sockios.h>
#include <linux/vt.h>
#include <net/if.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/log.h"
#include "user/abi/structs.h"
#include "user/host/private_fds.h"
#include "user/host/safe_syscall.h"

#ifndef BLKSECDISCARD
#define BLKSECDISCARD _IO(0x12, 125)
#endif

namespace lyrebird::user::sys::ioctls {
namespace {

using KernelTermios = struct termios;
using KernelTermios2 = struct termios2;
using Winsize = struct winsize;
using FileCloneRange = struct file_clone_range;
using Trim = struct fstrim_range;
using Ifreq = struct ifreq;
/// struct termio (uapi/asm-generic/termios.h).
struct KernelTermio {
  uint16_t iflag, oflag, cflag, lflag;
  uint8_t line, cc[8];
};
struct BlockRange {
  uint64_t start, length;
};
struct GuestLong {
  long value;
};

// What the argument is made of; only words differ between guests of one byte order.
template <typename T>
struct Layout;
#define FIELDS(type, ...)                                                                         \
  template <>                                                                                     \
  struct Layout<type> {                                                                           \
    static constexpr Field fields[] = {__VA_ARGS__};                                              \
    static constexpr StructDesc desc{.name = #type, .host_size = sizeof(type), .fields = fields}; \
  };
#define F LYREBIRD_FIELD
FIELDS(uint8_t, {Kind::U8, 0, 1})
FIELDS(uint16_t, {Kind::U16, 0, 2})
FIELDS(uint32_t, {Kind::U32, 0, 4})
FIELDS(uint64_t, {Kind::U64, 0, 8})
FIELDS(GuestLong, F(Long, GuestLong, value))
FIELDS(KernelTermios, F(U32, KernelTermios, c_iflag), F(U32, KernelTermios, c_oflag),
       F(U32, KernelTermios, c_cflag), F(U32, KernelTermios, c_lflag), F(U8, KernelTermios, c_line),
       F(Bytes, KernelTermios, c_cc))
FIELDS(KernelTermios2, F(U32, KernelTermios2, c_iflag), F(U32, KernelTermios2, c_oflag),
       F(U32, KernelTermios2, c_cflag), F(U32, KernelTermios2, c_lflag), F(U8, KernelTermios2, c_line),
       F(Bytes, KernelTermios2, c_cc), F(U32, KernelTermios2, c_ispeed), F(U32, KernelTermios2, c_ospeed))
FIELDS(KernelTermio, F(U16, KernelTermio, iflag), F(U16, KernelTermio, oflag), F(U16, KernelTermio, cflag),
       F(U16, KernelTermio, lflag), F(U8, KernelTermio, line), F(Bytes, KernelTermio, cc))
FIELDS(Winsize, F(U16, Winsize, ws_row), F(U16, Winsize, ws_col), F(U16, Winsize, ws_xpixel),
       F(U16, Winsize, ws_ypixel))
FIELDS(FileCloneRange, F(S64, FileCloneRange, src_fd), F(U64, FileCloneRange, src_offset),
       F(U64, FileCloneRange, src_length), F(U64, FileCloneRange, dest_offset))
FIELDS(Trim, F(U64, Trim, start), F(U64, Trim, len), F(U64, Trim, minlen))
FIELDS(BlockRange, F(U64, BlockRange, start), F(U64, BlockRange, length))
FIELDS(Ifreq, F(Bytes, Ifreq, ifr_name), F(Bytes, Ifreq, ifr_ifru))
#undef F
#undef FIELDS

enum class Direction : uint8_t { None, Value, In, Out, InOut };

struct Row {
  uint32_t request;
  const char* name;
  Direction direction;
  const StructDesc* argument;
};

template <typename T>
constexpr const StructDesc* layout_of() {
  if constexpr (std::is_void_v<T>)
    return nullptr;
  else
    return &Layout<T>::desc;
}

constexpr Row kRows[] = {
#define IOCTL(request, direction, argument) \
  {static_cast<uint32_t>(request), #request, Direction::direction, layout_of<argument>()},
#include "user/syscalls/ioctls.inc"
};

const Row* find_row(uint32_t request) {
  for (const Row& row : kRows)
    if (row.request == request) return &row;
  return nullptr;
}

uint64_t word(int value) { return static_cast<uint64_t>(value); }

int64_t by_row(Thread& t, Fd fd, const Row& row, uint64_t argument) {
  if (row.direction == Direction::None || row.direction == Direction::Value)
    return host::safe_syscall(SYS_ioctl, word(fd.value), row.request,
                              row.direction == Direction::None ? 0 : argument);
  alignas(16) char buffer[256] = {};
  const uint64_t at = untag(t, argument);
  const bool reads = row.direction != Direction::Out, writes = row.direction != Direction::In;
  if (reads && !get_struct(t, at, *row.argument, buffer)) return -EFAULT;
  const int64_t result =
      host::safe_syscall(SYS_ioctl, word(fd.value), row.request, reinterpret_cast<uint64_t>(buffer));
  if (result < 0 || !writes) return result;
  return put_struct(t, at, *row.argument, buffer) ? result : -EFAULT;
}

/// struct ifconf { int size; struct ifreq* list }.
int64_t interface_list(Thread& t, Fd fd, uint64_t argument) {
  const uint64_t at = untag(t, argument);
  uint32_t size;
  uint64_t list;
  if (!get_u32(t, at, size) || !get_word(t, at + word_size(t), list)) return -EFAULT;
  const unsigned one = struct_size(t, Layout<Ifreq>::desc);
  std::vector<Ifreq> host(list ? std::min<size_t>(size / one, 4096) : 0);
  struct ifconf conf;
  conf.ifc_len = static_cast<int>(host.size() * sizeof(Ifreq));
  conf.ifc_req = list ? host.data() : nullptr;
  const int64_t result = host::call(SYS_ioctl, fd.value, SIOCGIFCONF, &conf);
  if (result < 0) return result;
  const size_t count = static_cast<size_t>(conf.ifc_len) / sizeof(Ifreq);
  for (size_t i = 0; list && i < count; ++i)
    if (!put_struct(t, untag(t, list) + i * one, Layout<Ifreq>::desc, &host[i])) return -EFAULT;
  return put_u32(t, at, static_cast<uint32_t>(count * one)) ? result : -EFAULT;
}

/// Structs that end in an array whose length they hold: copied whole, both ways.
int64_t counted(Thread& t, Fd fd, uint32_t request, uint64_t argument, unsigned header, unsigned count_at,
                unsigned element) {
  const uint64_t at = untag(t, argument);
  uint32_t count = 0;
  if (!t.memory().read(at + count_at, &count, element == sizeof(file_dedupe_range_info) ? 2 : 4))
    return -EFAULT;
  if (count > 65536) return -EINVAL;
  std::vector<char> buffer(header + size_t{count} * element);
  if (!t.memory().read(at, buffer.data(), header)) return -EFAULT;
  (void)t.memory().read(at + header, buffer.data() + header, buffer.size() - header);
  const int64_t result = host::call(SYS_ioctl, fd.value, request, buffer.data());
  if (result < 0) return result;
  return t.memory().write(at, buffer.data(), buffer.size()) ? result : -EFAULT;
}

/// A request that is in no table but whose number tells direction and size (uapi/asm-generic/ioctl.h).
int64_t by_number(Thread& t, Fd fd, uint32_t request, uint64_t argument) {
  const unsigned direction = _IOC_DIR(request), size = _IOC_SIZE(request);
  if (!t.abi().model.like_host() || direction == _IOC_NONE || size == 0) {
    // Tell a wrong descriptor first.
    const int64_t open = host::call(SYS_fcntl, fd.value, 1 /* F_GETFD */, 0);
    if (open < 0) return open;
    log_unimplemented(fmt::format("ioctl {:#x}", request));
    return -ENOTTY;
  }
  std::vector<char> buffer(size);
  const uint64_t at = untag(t, argument);
  if ((direction & _IOC_WRITE) && !t.memory().read(at, buffer.data(), size)) return -EFAULT;
  const int64_t result =
      host::safe_syscall(SYS_ioctl, word(fd.value), request, reinterpret_cast<uint64_t>(buffer.data()));
  if (result < 0 || !(direction & _IOC_READ)) return result;
  return t.memory().write(at, buffer.data(), size) ? result : -EFAULT;
}

}  // namespace

Errno<Long> ioctl(Thread& t, Fd fd, IoctlRequest request, Hex argument) {
  if (host::is_private_fd(fd)) return -EBADF;
  if (const Row* const row = find_row(request)) return by_row(t, fd, *row, argument);
  switch (request.value) {
    case SIOCGIFCONF:
      return interface_list(t, fd, argument);
    case static_cast<uint32_t>(FS_IOC_FIEMAP):
      return counted(t, fd, request, argument, 32, 24, 56);
    case static_cast<uint32_t>(FIDEDUPERANGE):
      return counted(t, fd, request, argument, sizeof(file_dedupe_range), 16, sizeof(file_dedupe_range_info));
    default:
      return by_number(t, fd, request, argument);
  }
}

}  // namespace lyrebird::user::sys::ioctls

namespace lyrebird::user {

void IoctlRequest::print(Thread&, std::string& out) const {
  if (const auto* const row = sys::ioctls::find_row(value))
    out += row->name;
  else
    print_hex(out, value);
}

}  // namespace lyrebird::user
