// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/net.h"

#include <linux/filter.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/syscalls/io.h"

namespace lyrebird::user::sys::net {
namespace {

uint64_t word(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
uint64_t word(int value) { return static_cast<uint64_t>(value); }

/// A socket address. Its contents are in network order or bytes, but for the family.
struct Address {
  sockaddr_storage host{};
  socklen_t size = 0;

  int64_t get(Thread& t, uint64_t from, uint32_t given) {
    if (given > sizeof host) return -EINVAL;
    size = given;
    if (!from && given == 0) return 0;
    if (!t.memory().read(from, &host, given)) return -EFAULT;
    swap_family(t);
    return 0;
  }
  /// As move_addr_to_user: cut to the guest's room, and the true size told.
  int64_t put(Thread& t, uint64_t to, uint64_t size_at) {
    if (!to) return 0;
    uint32_t room;
    if (!get_u32(t, size_at, room)) return -EFAULT;
    if (static_cast<int32_t>(room) < 0) return -EINVAL;
    swap_family(t);
    const uint32_t part = std::min({room, static_cast<uint32_t>(size), static_cast<uint32_t>(sizeof host)});
    if (!t.memory().write(to, &host, part) || !put_u32(t, size_at, size)) return -EFAULT;
    return 0;
  }
  void swap_family(Thread& t) {
    if (t.abi().model.big_endian) host.ss_family = __builtin_bswap16(host.ss_family);
  }
};

/// SOCK_NONBLOCK and SOCK_CLOEXEC are O_ flags, which a guest may number its own way.
int host_type(Thread& t, int type) {
  constexpr int kTypes = 0xf;
  return (type & kTypes) |
         static_cast<int>(flags_to_host(t.abi().open_flags, static_cast<uint32_t>(type & ~kTypes)));
}

}  // namespace

Errno<Fd> socket(Thread& t, Int domain, Int type, Int protocol) {
  return host::call(SYS_socket, domain.value, host_type(t, type), protocol.value);
}

Errno<Long> socketpair(Thread& t, Int domain, Int type, Int protocol, Addr to) {
  int fds[2];
  const int64_t result = host::call(SYS_socketpair, domain.value, host_type(t, type), protocol.value, fds);
  if (result < 0) return result;
  if (put_u32(t, to, static_cast<uint32_t>(fds[0])) && put_u32(t, to + 4, static_cast<uint32_t>(fds[1])))
    return 0;
  host::call(SYS_close, fds[0]);
  host::call(SYS_close, fds[1]);
  return -EFAULT;
}

Errno<Long> bind(Thread& t, Fd fd, Addr from, Uint size) {
  Address address;
  if (const int64_t error = address.get(t, from, size)) return error;
  return host::call(SYS_bind, fd.value, &address.host, address.size);
}
Errno<Long> connect(Thread& t, Fd fd, Addr from, Uint size) {
  Address address;
  if (const int64_t error = address.get(t, from, size)) return error;
  return host::safe_syscall(SYS_connect, word(fd.value), word(&address.host), address.size);
}
Errno<Long> listen(Thread&, Fd fd, Int backlog) { return host::call(SYS_listen, fd.value, backlog.value); }

Errno<Fd> accept(Thread& t, Fd fd, Addr to, Addr size) { return accept4(t, fd, to, size, OpenFlags{0}); }
Errno<Fd> accept4(Thread& t, Fd fd, Addr to, Addr size, OpenFlags flags) {
  Address address;
  address.size = sizeof address.host;
  const int64_t result = host::safe_syscall(SYS_accept4, word(fd.value), to ? word(&address.host) : 0,
                                            to ? word(&address.size) : 0, static_cast<uint64_t>(flags.value));
  if (result < 0) return result;
  const int64_t error = address.put(t, to, size);
  if (error) host::call(SYS_close, result);
  return error ? error : result;
}

Errno<Long> getsockname(Thread& t, Fd fd, Addr to, Addr size) {
  Address address;
  address.size = sizeof address.host;
  const int64_t result = host::call(SYS_getsockname, fd.value, &address.host, &address.size);
  if (result < 0) return result;
  return to ? address.put(t, to, size) : -EFAULT;
}
Errno<Long> getpeername(Thread& t, Fd fd, Addr to, Addr size) {
  Address address;
  address.size = sizeof address.host;
  const int64_t result = host::call(SYS_getpeername, fd.value, &address.host, &address.size);
  if (result < 0) return result;
  return to ? address.put(t, to, size) : -EFAULT;
}

Errno<Long> sendto(Thread& t, Fd fd, Buffer from, Size size, Flags flags, Addr to, Uint to_size) {
  Address address;
  if (to)
    if (const int64_t error = address.get(t, to, to_size)) return error;
  uint64_t length = size;
  void* const data = t.memory().for_kernel(from, length);
  // A message must go whole.
  if (length != size) return -EFAULT;
  return host::safe_syscall(SYS_sendto, word(fd.value), word(data), length, flags,
                            to ? word(&address.host) : 0, address.size);
}

Errno<Long> recvfrom(Thread& t, Fd fd, Buffer to, Size size, Flags flags, Addr from, Addr from_size) {
  Address address;
  address.size = sizeof address.host;
  uint64_t length = size;
  void* const data = t.memory().for_kernel(to, length);
  const int64_t result = host::safe_syscall(SYS_recvfrom, word(fd.value), word(data), length, flags,
                                            from ? word(&address.host) : 0, from ? word(&address.size) : 0);
  if (result < 0) return result;
  const int64_t error = address.put(t, from, from_size);
  return error ? error : result;
}

// --- messages ------------------------------------------------------------------------------------

namespace {

/// struct msghdr: pointers and sizes as the guest's words (uapi/linux/socket.h: user_msghdr).
struct GuestMessage {
  uint64_t name = 0, vector = 0, vector_count = 0, control = 0, control_size = 0;
  uint32_t name_size = 0, flags = 0;
  uint64_t at = 0;

  // Offsets in units of the guest's word, in the kernel's order.
  bool get(Thread& t, uint64_t from) {
    at = from;
    const unsigned w = word_size(t);
    return get_word(t, from, name) && get_u32(t, from + w, name_size) && get_word(t, from + 2 * w, vector) &&
           get_word(t, from + 3 * w, vector_count) && get_word(t, from + 4 * w, control) &&
           get_word(t, from + 5 * w, control_size) && get_u32(t, from + 6 * w, flags);
  }
  bool put_results(Thread& t, uint32_t new_name_size, uint64_t new_control_size, uint32_t new_flags) const {
    const unsigned w = word_size(t);
    return put_u32(t, at + w, new_name_size) && put_word(t, at + 5 * w, new_control_size) &&
           put_u32(t, at + 6 * w, new_flags);
  }
};

/// Ancillary data: headers are { word length; int level; int type }, everything aligned to words.
class Control {
 public:
  static uint64_t guest_header(Thread& t) { return align_up(word_size(t) + 8, word_size(t)); }

  /// Guest to host. 0 or -errno.
  static int64_t to_host(Thread& t, uint64_t from, uint64_t size, std::vector<uint8_t>& out) {
    constexpr uint64_t kMost = 1u << 20;
    if (size > kMost) return -ENOBUFS;
    const uint64_t header = guest_header(t), word = word_size(t);
    for (uint64_t at = 0; at + header <= size;) {
      uint64_t length;
      uint32_t level, type;
      if (!get_word(t, from + at, length) || !get_u32(t, from + at + word, level) ||
          !get_u32(t, from + at + word + 4, type))
        return -EFAULT;
      if (length < header || length > size - at) return -EINVAL;
      std::vector<uint8_t> data(length - header);
      if (!t.memory().read(from + at + header, data.data(), data.size())) return -EFAULT;
      swap_words(t, level, type, data);
      cmsghdr host{};
      host.cmsg_len = CMSG_LEN(data.size());
      host.cmsg_level = static_cast<int>(level);
      host.cmsg_type = static_cast<int>(type);
      const size_t start = out.size();
      out.resize(start + CMSG_SPACE(data.size()));
      std::memcpy(out.data() + start, &host, sizeof host);
      if (!data.empty()) std::memcpy(out.data() + start + CMSG_LEN(0), data.data(), data.size());
      at += align_up(length, word);
    }
    return 0;
  }

  /// Host to guest; `used` bytes were written. False: EFAULT.
  static bool to_guest(Thread& t, msghdr& host, uint64_t to, uint64_t room, uint64_t& used, uint32_t& flags) {
    const uint64_t header = guest_header(t), word = word_size(t);
    used = 0;
    for (cmsghdr* c = CMSG_FIRSTHDR(&host); c; c = CMSG_NXTHDR(&host, c)) {
      const uint64_t size = c->cmsg_len - CMSG_LEN(0);
      std::vector<uint8_t> data(CMSG_DATA(c), CMSG_DATA(c) + size);
      swap_words(t, static_cast<uint32_t>(c->cmsg_level), static_cast<uint32_t>(c->cmsg_type), data);
      uint64_t length = header + size;
      if (used + header > room) {
        flags |= MSG_CTRUNC;
        break;
      }
      if (used + length > room) {
        flags |= MSG_CTRUNC;
        length = room - used;
      }
      if (!put_word(t, to + used, length) ||
          !put_u32(t, to + used + word, static_cast<uint32_t>(c->cmsg_level)) ||
          !put_u32(t, to + used + word + 4, static_cast<uint32_t>(c->cmsg_type)) ||
          !t.memory().write(to + used + header, data.data(), length - header))
        return false;
      used = std::min(room, used + align_up(length, word));
    }
    return true;
  }

 private:
  /// What we know the inside of is numbers of 32 bits: descriptors, credentials, packet info.
  static void swap_words(Thread& t, uint32_t level, uint32_t type, std::vector<uint8_t>& data) {
    if (!t.abi().model.big_endian || level != SOL_SOCKET || (type != SCM_RIGHTS && type != SCM_CREDENTIALS))
      return;
    for (size_t i = 0; i + 4 <= data.size(); i += 4) std::reverse(data.begin() + i, data.begin() + i + 4);
  }
};

struct HostMessage {
  msghdr header{};
  Address address;
  HostVector vector;
  std::vector<uint8_t> control;
  GuestMessage guest;

  int64_t prepare(Thread& t, uint64_t at, bool sends) {
    if (!guest.get(t, at)) return -EFAULT;
    if (guest.name_size > sizeof address.host) {
      if (sends) return -EINVAL;
      guest.name_size = sizeof address.host;
    }
    const uint64_t name = untag(t, guest.name);
    if (guest.vector_count > 1024) return -EMSGSIZE;
    if (sends && name)
      if (const int64_t error = address.get(t, name, guest.name_size)) return error;
    vector = host_vector(t, Ptr<struct iovec>{{untag(t, guest.vector)}}, guest.vector_count);
    if (vector.error) return vector.error;
    if (sends && vector.cut) return -EFAULT;
    if (sends) {
      if (guest.control && guest.control_size)
        if (const int64_t error = Control::to_host(t, untag(t, guest.control), guest.control_size, control))
          return error;
    } else {
      // The host's headers may be longer than the guest's.
      control.resize(guest.control ? std::min<uint64_t>(guest.control_size, 1u << 20) * 2 : 0);
      if (t.abi().model.like_host()) control.resize(control.size() / 2);
    }
    header.msg_name = name ? &address.host : nullptr;
    header.msg_namelen = name ? (sends ? address.size : static_cast<socklen_t>(sizeof address.host)) : 0;
    header.msg_iov = vector.parts.data();
    header.msg_iovlen = vector.parts.size();
    header.msg_control = control.empty() ? nullptr : control.data();
    header.msg_controllen = control.size();
    return 0;
  }

  int64_t finish_receive(Thread& t, int64_t result) {
    uint64_t used = 0;
    uint32_t flags = static_cast<uint32_t>(header.msg_flags);
    if (guest.control &&
        !Control::to_guest(t, header, untag(t, guest.control), guest.control_size, used, flags))
      return -EFAULT;
    if (guest.name) {
      address.swap_family(t);
      const uint32_t part = std::min<uint32_t>(guest.name_size, header.msg_namelen);
      if (!t.memory().write(untag(t, guest.name), &address.host, part)) return -EFAULT;
    }
    return guest.put_results(t, header.msg_namelen, used, flags & ~uint32_t{MSG_CMSG_CLOEXEC}) ? result
                                                                                               : -EFAULT;
  }
};

int64_t send_one(Thread& t, Fd fd, uint64_t message, uint32_t flags) {
  HostMessage host;
  if (const int64_t error = host.prepare(t, message, true)) return error;
  return host::safe_syscall(SYS_sendmsg, word(fd.value), word(&host.header), flags);
}

int64_t receive_one(Thread& t, Fd fd, uint64_t message, uint32_t flags) {
  HostMessage host;
  if (const int64_t error = host.prepare(t, message, false)) return error;
  const int64_t result = host::safe_syscall(SYS_recvmsg, word(fd.value), word(&host.header), flags);
  return result < 0 ? result : host.finish_receive(t, result);
}

/// struct mmsghdr: a msghdr of 7 words (padded) and the length.
uint64_t many_size(Thread& t) { return align_up(7 * uint64_t{word_size(t)} + 4, word_size(t)); }

}  // namespace

Errno<Long> sendmsg(Thread& t, Fd fd, Addr message, Flags flags) { return send_one(t, fd, message, flags); }
Errno<Long> recvmsg(Thread& t, Fd fd, Addr message, Flags flags) {
  return receive_one(t, fd, message, flags);
}

Errno<Long> sendmmsg(Thread& t, Fd fd, Addr messages, Uint count, Flags flags) {
  const uint32_t most = std::min<uint32_t>(count, 1024);
  for (uint32_t i = 0; i < most; ++i) {
    const uint64_t at = messages + i * many_size(t);
    const int64_t result = send_one(t, fd, at, flags);
    if (result < 0) return i ? int64_t{i} : result;
    if (!put_u32(t, at + 7 * word_size(t), static_cast<uint32_t>(result))) return i ? int64_t{i} : -EFAULT;
  }
  return most;
}

Errno<Long> recvmmsg(Thread& t, Fd fd, Addr messages, Uint count, Flags flags, Ptr<struct timespec> timeout) {
  struct timespec limit{}, start{}, now{};
  if (!timeout.null() && !timeout.get(t, limit)) return -EFAULT;
  ::clock_gettime(CLOCK_MONOTONIC, &start);
  const uint32_t most = std::min<uint32_t>(count, 1024);
  uint32_t each = flags & ~uint32_t{MSG_WAITFORONE};
  for (uint32_t i = 0; i < most; ++i) {
    const uint64_t at = messages + i * many_size(t);
    const int64_t result = receive_one(t, fd, at, each);
    if (result < 0) return i ? int64_t{i} : result;
    if (!put_u32(t, at + 7 * word_size(t), static_cast<uint32_t>(result))) return i ? int64_t{i} : -EFAULT;
    if (flags & MSG_WAITFORONE) each |= MSG_DONTWAIT;
    if (timeout.null()) continue;
    // As Linux: looked at after each message only.
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t passed = (now.tv_sec - start.tv_sec) * 1'000'000'000 + now.tv_nsec - start.tv_nsec;
    if (passed >= limit.tv_sec * 1'000'000'000 + limit.tv_nsec) return int64_t{i} + 1;
  }
  return most;
}

// --- options -------------------------------------------------------------------------------------

namespace {

/// Options whose value is a struct with a pointer or words in it; all others are bytes or ints.
bool is_filter(int level, int option) {
  return level == SOL_SOCKET && (option == SO_ATTACH_FILTER || option == SO_ATTACH_REUSEPORT_CBPF);
}
bool is_timeval(int level, int option) {
  return level == SOL_SOCKET && (option == SO_RCVTIMEO_OLD || option == SO_SNDTIMEO_OLD);
}

int64_t attach_filter(Thread& t, Fd fd, int option, uint64_t value) {
  uint16_t count;
  uint64_t code;
  if (!t.memory().get(value, count) || !get_word(t, value + word_size(t), code)) return -EFAULT;
  if (t.abi().model.big_endian) count = __builtin_bswap16(count);
  std::vector<sock_filter> filter(count);
  if (!t.memory().read(untag(t, code), filter.data(), count * sizeof(sock_filter))) return -EFAULT;
  if (t.abi().model.big_endian)
    for (sock_filter& one : filter) one.code = __builtin_bswap16(one.code), one.k = __builtin_bswap32(one.k);
  const sock_fprog program{count, filter.data()};
  return host::call(SYS_setsockopt, fd.value, SOL_SOCKET, option, &program, sizeof program);
}

}  // namespace

Errno<Long> setsockopt(Thread& t, Fd fd, Int level, Int option, Addr value, Uint size) {
  if (is_filter(level, option)) return attach_filter(t, fd, option, value);
  if (is_timeval(level, option)) {
    struct timeval time;
    if (!Ptr<struct timeval>{{value}}.get(t, time)) return -EFAULT;
    return host::call(SYS_setsockopt, fd.value, level.value, option.value, &time, sizeof time);
  }
  if (size > 1u << 16) return -EINVAL;
  std::vector<uint8_t> data(size);
  if (value && !t.memory().read(value, data.data(), size)) return -EFAULT;
  if (t.abi().model.big_endian && size == 4) std::reverse(data.begin(), data.end());
  return host::call(SYS_setsockopt, fd.value, level.value, option.value, value ? data.data() : nullptr,
                    size.value);
}

Errno<Long> getsockopt(Thread& t, Fd fd, Int level, Int option, Addr value, Addr size_at) {
  uint32_t size;
  if (!get_u32(t, size_at, size)) return -EFAULT;
  if (static_cast<int32_t>(size) < 0) return -EINVAL;
  if (is_timeval(level, option)) {
    struct timeval time;
    socklen_t length = sizeof time;
    const int64_t result = host::call(SYS_getsockopt, fd.value, level.value, option.value, &time, &length);
    if (result < 0) return result;
    const uint32_t own = struct_size(t, Desc<struct timeval>::desc);
    if (size < own) return -EINVAL;
    if (!Ptr<struct timeval>{{value}}.put(t, time) || !put_u32(t, size_at, own)) return -EFAULT;
    return 0;
  }
  std::vector<uint8_t> data(std::min<uint32_t>(size, 1u << 16));
  socklen_t length = static_cast<socklen_t>(data.size());
  const int64_t result =
      host::call(SYS_getsockopt, fd.value, level.value, option.value, data.data(), &length);
  if (result < 0) {
    // Some options tell the size they need with ERANGE.
    if (result == -ERANGE && !put_u32(t, size_at, length)) return -EFAULT;
    return result;
  }
  const size_t part = std::min<size_t>(length, data.size());
  if (t.abi().model.big_endian && part == 4) std::reverse(data.begin(), data.begin() + 4);
  if (!t.memory().write(value, data.data(), part) || !put_u32(t, size_at, length)) return -EFAULT;
  return result;
}

Errno<Long> shutdown(Thread&, Fd fd, Int how) { return host::call(SYS_shutdown, fd.value, how.value); }

}  // namespace lyrebird::user::sys::net
