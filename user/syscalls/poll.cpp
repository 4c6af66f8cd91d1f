// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/poll.h"

#include <sys/select.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <vector>

#include "base/bits.h"
#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/signals/deliver.h"
#include "user/signals/syscalls.h"

namespace lyrebird::user::sys::poll {
namespace {

uint64_t word(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
uint64_t word(int value) { return static_cast<uint64_t>(value); }

/// Runs `wait(mask pointer)`, a host call that sleeps, with the guest's mask at `mask` (0: none).
template <typename Wait>
int64_t with_mask(Thread& t, uint64_t mask, uint64_t mask_size, Wait wait) {
  if (!mask) return wait(nullptr);
  if (mask_size != sizeof(SigSet)) return -EINVAL;
  SigSet set;
  if (!get_sigset(t, mask, set)) return -EFAULT;
  TemporaryMask temporary(t, set);
  if (temporary.ready()) return temporary.finish(-kERestartNoHand);
  return temporary.finish(wait(temporary.host()));
}

/// A relative time-out that the call counts down in place, as Linux does for ppoll and pselect6.
class Countdown {
 public:
  Countdown(Thread& t, Ptr<struct timespec> guest) : t_(t), guest_(guest) {
    ok_ = guest.null() || guest.get(t, value_);
  }
  bool ok() const { return ok_; }
  struct timespec* value() { return guest_.null() ? nullptr : &value_; }
  uint64_t pointer() { return word(value()); }
  /// The kernel has counted down value_; the guest's may be read-only, which is no error.
  void finish() {
    if (!guest_.null()) (void)guest_.put(t_, value_);
  }

 private:
  Thread& t_;
  Ptr<struct timespec> guest_;
  struct timespec value_{};
  bool ok_;
};

}  // namespace

Errno<Long> ppoll(Thread& t, Addr fds, Uint count, Ptr<struct timespec> timeout, Addr mask, Size mask_size) {
  if (count > 1u << 20) return -EINVAL;
  std::vector<struct pollfd> host(count);
  for (uint32_t i = 0; i < count; ++i)
    if (!Ptr<struct pollfd>{{fds}}.at(t, i).get(t, host[i])) return -EFAULT;
  Countdown left(t, timeout);
  if (!left.ok()) return -EFAULT;
  const int64_t result = with_mask(t, mask, mask_size, [&](const SigSet* set) {
    return host::safe_syscall(SYS_ppoll, word(host.data()), count, left.pointer(), word(set), sizeof(SigSet));
  });
  left.finish();
  if (result < 0) return result;
  for (uint32_t i = 0; i < count; ++i)
    if (!Ptr<struct pollfd>{{fds}}.at(t, i).put(t, host[i])) return -EFAULT;
  return result;
}

namespace {

/// A guest's fd_set: an array of longs.
struct FdSet {
  std::vector<uint64_t> words;
  uint64_t address = 0;

  bool get(Thread& t, uint64_t from, unsigned count) {
    address = from;
    words.assign((count + 63) / 64, 0);
    if (!from) return true;
    const unsigned size = word_size(t), per = size * 8;
    for (unsigned i = 0; i * per < count; ++i) {
      uint64_t value;
      if (!get_word(t, from + uint64_t{i} * size, value)) return false;
      words[i * per / 64] |= value << (i * per % 64);
    }
    return true;
  }
  bool put(Thread& t, unsigned count) const {
    if (!address) return true;
    const unsigned size = word_size(t), per = size * 8;
    for (unsigned i = 0; i * per < count; ++i)
      if (!put_word(t, address + uint64_t{i} * size, words[i * per / 64] >> (i * per % 64))) return false;
    return true;
  }
  uint64_t pointer() { return address ? word(words.data()) : 0; }
};

}  // namespace

int64_t select_for(Thread& t, int count, uint64_t in, uint64_t out, uint64_t except, struct timespec* left,
                   uint64_t mask, uint64_t mask_size) {
  if (count < 0) return -EINVAL;
  const unsigned n = static_cast<unsigned>(std::min(count, 1 << 20));
  FdSet sets[3];
  if (!sets[0].get(t, in, n) || !sets[1].get(t, out, n) || !sets[2].get(t, except, n)) return -EFAULT;
  const int64_t result = with_mask(t, mask, mask_size, [&](const SigSet* set) {
    const uint64_t pair[2] = {word(set), sizeof(SigSet)};
    return host::safe_syscall(SYS_pselect6, n, sets[0].pointer(), sets[1].pointer(), sets[2].pointer(),
                              word(left), word(pair));
  });
  if (result < 0) return result;
  for (const FdSet& set : sets)
    if (!set.put(t, n)) return -EFAULT;
  return result;
}

Errno<Long> pselect6(Thread& t, Int count, Addr in, Addr out, Addr except, Ptr<struct timespec> timeout,
                     Addr mask_and_size) {
  Countdown left(t, timeout);
  if (!left.ok()) return -EFAULT;
  uint64_t mask = 0, mask_size = 0;
  if (mask_and_size &&
      (!get_word(t, mask_and_size, mask) || !get_word(t, mask_and_size + word_size(t), mask_size)))
    return -EFAULT;
  const int64_t result = select_for(t, count, in, out, except, left.value(), untag(t, mask), mask_size);
  left.finish();
  return result;
}

// --- epoll ---------------------------------------------------------------------------------------

Errno<Fd> epoll_create1(Thread&, Flags flags) { return host::call(SYS_epoll_create1, flags.value); }

Errno<Long> epoll_ctl(Thread& t, Fd epoll, Int operation, Fd fd, Ptr<struct epoll_event> event) {
  struct epoll_event host{};
  if (operation != EPOLL_CTL_DEL && !event.get(t, host)) return -EFAULT;
  return host::call(SYS_epoll_ctl, epoll.value, operation.value, fd.value, &host);
}

namespace {
template <typename Wait>
int64_t wait_events(Thread& t, Ptr<struct epoll_event> events, int max, uint64_t mask, uint64_t mask_size,
                    Wait wait) {
  constexpr int kMost = 1 << 18;  // more than that come with the next call
  if (max <= 0 || static_cast<size_t>(max) > INT_MAX / sizeof(struct epoll_event)) return -EINVAL;
  struct epoll_event few[64];
  std::vector<struct epoll_event> many;
  struct epoll_event* host = few;
  int most = 64;
  if (max > most) {
    most = std::min(max, kMost);
    many.resize(static_cast<size_t>(most));
    host = many.data();
  }
  const int count = std::min(max, most);
  const int64_t result =
      with_mask(t, mask, mask_size, [&](const SigSet* set) { return wait(host, count, set); });
  for (int64_t i = 0; i < result; ++i)
    if (!events.at(t, static_cast<uint64_t>(i)).put(t, host[i])) return -EFAULT;
  // epoll_wait is never restarted after a handler, and always without one.
  return result;
}
}  // namespace

Errno<Long> epoll_pwait(Thread& t, Fd epoll, Ptr<struct epoll_event> events, Int max, Int timeout_ms,
                        Addr mask, Size mask_size) {
  return wait_events(t, events, max, mask, mask_size,
                     [&](struct epoll_event* host, int count, const SigSet* set) {
                       return host::safe_syscall(SYS_epoll_pwait, word(epoll.value), word(host), word(count),
                                                 word(timeout_ms.value), word(set), sizeof(SigSet));
                     });
}
Errno<Long> epoll_pwait2(Thread& t, Fd epoll, Ptr<struct epoll_event> events, Int max,
                         Ptr<struct timespec> timeout, Addr mask, Size mask_size) {
  struct timespec value;
  if (!timeout.null() && !timeout.get(t, value)) return -EFAULT;
  return wait_events(
      t, events, max, mask, mask_size, [&](struct epoll_event* host, int count, const SigSet* set) {
        return host::safe_syscall(SYS_epoll_pwait2, word(epoll.value), word(host), word(count),
                                  timeout.null() ? 0 : word(&value), word(set), sizeof(SigSet));
      });
}

// --- descriptors to wait on ----------------------------------------------------------------------

Errno<Fd> eventfd2(Thread&, Uint value, Flags flags) {
  return host::call(SYS_eventfd2, value.value, flags.value);
}
Errno<Fd> timerfd_create(Thread&, Int clock, OpenFlags flags) {
  return host::call(SYS_timerfd_create, clock.value, flags.value);
}
Errno<Long> timerfd_settime(Thread& t, Fd fd, Flags flags, Ptr<struct itimerspec> from,
                            Ptr<struct itimerspec> old) {
  struct itimerspec value, was;
  if (!from.get(t, value)) return -EFAULT;
  const int64_t result = host::call(SYS_timerfd_settime, fd.value, flags.value, &value, &was);
  if (result < 0 || old.null()) return result;
  return old.put(t, was) ? result : -EFAULT;
}
Errno<Long> timerfd_gettime(Thread& t, Fd fd, Ptr<struct itimerspec> to) {
  struct itimerspec value;
  const int64_t result = host::call(SYS_timerfd_gettime, fd.value, &value);
  if (result < 0) return result;
  return to.put(t, value) ? 0 : -EFAULT;
}
Errno<Fd> inotify_init1(Thread&, OpenFlags flags) { return host::call(SYS_inotify_init1, flags.value); }
Errno<Long> inotify_rm_watch(Thread&, Fd fd, Int watch) {
  return host::call(SYS_inotify_rm_watch, fd.value, watch.value);
}
Errno<Fd> fanotify_init(Thread&, Flags flags, OpenFlags event_flags) {
  return host::call(SYS_fanotify_init, flags.value, event_flags.value);
}

}  // namespace lyrebird::user::sys::poll
