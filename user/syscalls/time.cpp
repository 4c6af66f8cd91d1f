// SPDX-License-Identifier: Apache-2.0
#include "user/syscalls/time.h"

#include <cerrno>

#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"

namespace lyrebird::user::sys::time {
namespace {

uint64_t word(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }
uint64_t word(int value) { return static_cast<uint64_t>(value); }

/// A host call that fills a struct for the guest. `fill` gets the host struct's address.
template <typename T, typename Fill>
int64_t fetch(Thread& t, Ptr<T> to, Fill fill) {
  T value{};
  const int64_t result = fill(&value);
  if (result < 0 || to.null()) return result;
  return to.put(t, value) ? result : -EFAULT;
}

/// Reads an optional struct. False: EFAULT.
template <typename T>
bool optional(Thread& t, Ptr<T> from, T& value, T*& pointer) {
  pointer = from.null() ? nullptr : &value;
  return from.null() || from.get(t, value);
}

}  // namespace

Errno<Long> clock_gettime(Thread& t, Int clock, Ptr<struct timespec> to) {
  struct timespec value;
  // Through the host's vDSO: no system call for the common clocks.
  if (::clock_gettime(clock, &value) != 0) return -errno;
  return to.put(t, value) ? 0 : -EFAULT;
}
Errno<Long> clock_settime(Thread& t, Int clock, Ptr<struct timespec> from) {
  struct timespec value;
  return from.get(t, value) ? host::call(SYS_clock_settime, clock.value, &value) : -EFAULT;
}
Errno<Long> clock_getres(Thread& t, Int clock, Ptr<struct timespec> to) {
  return fetch(t, to,
               [&](struct timespec* value) { return host::call(SYS_clock_getres, clock.value, value); });
}

Errno<Long> clock_adjtime(Thread& t, Int clock, Ptr<struct timex> guest) {
  struct timex value;
  if (!guest.get(t, value)) return -EFAULT;
  const int64_t result = host::call(SYS_clock_adjtime, clock.value, &value);
  if (result < 0) return result;
  return guest.put(t, value) ? result : -EFAULT;
}
Errno<Long> adjtimex(Thread& t, Ptr<struct timex> guest) {
  struct timex value;
  if (!guest.get(t, value)) return -EFAULT;
  const int64_t result = host::call(SYS_adjtimex, &value);
  if (result < 0) return result;
  return guest.put(t, value) ? result : -EFAULT;
}

Errno<Long> clock_nanosleep(Thread& t, Int clock, Flags flags, Ptr<struct timespec> request,
                            Ptr<struct timespec> rest) {
  struct timespec value, left{};
  if (!request.get(t, value)) return -EFAULT;
  if (t.resuming) value = t.sleep_rest;
  const int64_t result =
      host::safe_syscall(SYS_clock_nanosleep, word(clock.value), flags, word(&value), word(&left));
  if (flags & TIMER_ABSTIME) return result;
  // A sleep that a signal without a handler interrupted goes on for what was left.
  if (result == -kERestartNoIntr && t.resuming)
    left = value;
  else if (result != -kERestartNoHand)
    return result;
  if (!rest.null() && !rest.put(t, left)) return -EFAULT;
  t.sleep_rest = left;
  return -kERestartRestartBlock;
}

Errno<Long> nanosleep(Thread& t, Ptr<struct timespec> request, Ptr<struct timespec> rest) {
  return clock_nanosleep(t, Int{CLOCK_MONOTONIC}, Flags{0}, request, rest);
}

Errno<Long> gettimeofday(Thread& t, Ptr<struct timeval> to, Ptr<struct timezone> zone) {
  struct timeval now;
  struct timezone here;
  if (::gettimeofday(&now, &here) != 0) return -errno;
  if (!to.null() && !to.put(t, now)) return -EFAULT;
  if (!zone.null() && !zone.put(t, here)) return -EFAULT;
  return 0;
}
Errno<Long> settimeofday(Thread& t, Ptr<struct timeval> from, Ptr<struct timezone> zone) {
  struct timeval now, *now_pointer;
  struct timezone here, *here_pointer;
  if (!optional(t, from, now, now_pointer) || !optional(t, zone, here, here_pointer)) return -EFAULT;
  return host::call(SYS_settimeofday, now_pointer, here_pointer);
}

Errno<Long> getitimer(Thread& t, Int which, Ptr<struct itimerval> to) {
  return fetch(t, to, [&](struct itimerval* value) { return host::call(SYS_getitimer, which.value, value); });
}
Errno<Long> setitimer(Thread& t, Int which, Ptr<struct itimerval> from, Ptr<struct itimerval> old) {
  struct itimerval value, *pointer;
  if (!optional(t, from, value, pointer)) return -EFAULT;
  return fetch(t, old,
               [&](struct itimerval* was) { return host::call(SYS_setitimer, which.value, pointer, was); });
}

/// struct sigevent: value, signal, notification, thread id (uapi/asm-generic/siginfo.h).
bool get_sigevent(Thread& t, uint64_t from, struct sigevent& event) {
  uint64_t value;
  uint32_t signal, notify, tid;
  const uint64_t after = from + word_size(t);
  if (!get_word(t, from, value) || !get_u32(t, after, signal) || !get_u32(t, after + 4, notify) ||
      !get_u32(t, after + 8, tid))
    return false;
  event = {};
  event.sigev_value.sival_ptr = reinterpret_cast<void*>(value);
  event.sigev_signo = static_cast<int>(signal);
  event.sigev_notify = static_cast<int>(notify);
  event._sigev_un._tid = static_cast<pid_t>(tid);
  return true;
}

// The host's timers do the work: their signals come with the value the guest gave. The kernel's
// default value is the timer's number, which is the host's too.
Errno<Long> timer_create(Thread& t, Int clock, Addr guest_event, Addr id) {
  struct sigevent event;
  if (guest_event && !get_sigevent(t, guest_event, event)) return -EFAULT;
  int timer = 0;
  const int64_t result = host::call(SYS_timer_create, clock.value, guest_event ? &event : nullptr, &timer);
  if (result < 0) return result;
  if (put_u32(t, id, static_cast<uint32_t>(timer))) return 0;
  host::call(SYS_timer_delete, timer);
  return -EFAULT;
}
Errno<Long> timer_settime(Thread& t, Int id, Flags flags, Ptr<struct itimerspec> from,
                          Ptr<struct itimerspec> old) {
  struct itimerspec value;
  if (from.null()) return -EINVAL;
  if (!from.get(t, value)) return -EFAULT;
  return fetch(t, old, [&](struct itimerspec* was) {
    return host::call(SYS_timer_settime, id.value, flags.value, &value, was);
  });
}
Errno<Long> timer_gettime(Thread& t, Int id, Ptr<struct itimerspec> to) {
  return fetch(t, to,
               [&](struct itimerspec* value) { return host::call(SYS_timer_gettime, id.value, value); });
}
Errno<Long> timer_getoverrun(Thread&, Int id) { return host::call(SYS_timer_getoverrun, id.value); }
Errno<Long> timer_delete(Thread&, Int id) { return host::call(SYS_timer_delete, id.value); }

}  // namespace lyrebird::user::sys::time
