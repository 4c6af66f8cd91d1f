// SPDX-License-Identifier: Apache-2.0
#include "user/signals/syscalls.h"

#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "user/abi/structs.h"
#include "user/host/raw_signal.h"
#include "user/host/safe_syscall.h"
#include "user/signals/deliver.h"
#include "user/signals/siginfo.h"
#include "user/signals/signal_abi.h"
#include "user/syscalls/old.h"

namespace lyrebird::user {

bool get_sigset(Thread& t, uint64_t addr, SigSet& set) {
  if (word_size(t) == 8) return get_u64(t, addr, set);
  uint32_t low = 0, high = 0;
  if (!get_u32(t, addr, low) || !get_u32(t, addr + 4, high)) return false;
  set = low | uint64_t{high} << 32;
  return true;
}

bool put_sigset(Thread& t, uint64_t addr, SigSet set) {
  if (word_size(t) == 8) return put_u64(t, addr, set);
  return put_u32(t, addr, static_cast<uint32_t>(set)) &&
         put_u32(t, addr + 4, static_cast<uint32_t>(set >> 32));
}

namespace sys::sig {

namespace {

constexpr uint64_t kSetSize = 8;

uint64_t host_pointer(const void* p) { return reinterpret_cast<uint64_t>(p); }

bool get_info(Thread& t, uint64_t addr, siginfo_t& info) {
  uint8_t guest[kSigInfoSize];
  if (!t.memory().get(addr, guest)) return false;
  siginfo_to_host(t.abi().model, guest, info);
  return true;
}

bool put_info(Thread& t, uint64_t addr, const siginfo_t& info) {
  uint8_t guest[kSigInfoSize];
  siginfo_to_guest(t.abi().model, info, guest);
  return t.memory().put(addr, guest);
}

// struct sigaction of the kernel: handler, flags, restorer (words), mask.
bool get_action(Thread& t, uint64_t addr, GuestAction& action) {
  const unsigned word = word_size(t);
  return get_word(t, addr, action.handler) && get_word(t, addr + word, action.flags) &&
         get_word(t, addr + 2 * word, action.restorer) && get_sigset(t, addr + 3 * word, action.mask);
}

bool put_action(Thread& t, uint64_t addr, const GuestAction& action) {
  const unsigned word = word_size(t);
  return put_word(t, addr, action.handler) && put_word(t, addr + word, action.flags) &&
         put_word(t, addr + 2 * word, action.restorer) && put_sigset(t, addr + 3 * word, action.mask);
}

// stack_t: pointer, int, size.
bool get_stack(Thread& t, uint64_t addr, AltStack& stack) {
  const unsigned word = word_size(t);
  return get_word(t, addr, stack.sp) && get_u32(t, addr + word, stack.flags) &&
         get_word(t, addr + 2 * word, stack.size);
}

int set_alt_stack(Thread& t, AltStack next) {
  AltStack& stack = t.signals.alt_stack;
  if (stack.in_use(t.abi().sp(t.cpu()))) return -EPERM;
  const uint32_t mode = next.flags & ~AltStack::kAutoDisarm;
  if (mode != AltStack::kDisable && mode != AltStack::kOnStack && mode != 0) return -EINVAL;
  if (mode == AltStack::kDisable) {
    next.sp = next.size = 0;
  } else if (next.size < t.abi().signals().min_alt_stack) {
    return -ENOMEM;
  }
  stack = next;
  return 0;
}

}  // namespace

namespace {
/// `next` may be null. `was` is the action before.
int64_t change_action(Thread& t, int signal, const GuestAction* next, GuestAction& was) {
  if (signal < 1 || signal > kSignals || (next && contains(kUnblockable, signal))) return -EINVAL;
  SignalActions& actions = *t.signals.actions;
  was = actions.get(signal);
  return next ? actions.set(signal, *next) : 0;
}

/// Of the signals in `valid`, those that `given` has.
int64_t change_mask(Thread& t, int how, SigSet given, SigSet valid = ~SigSet{0}) {
  const SigSet was = t.signals.blocked.load();
  switch (how) {
    case SIG_BLOCK:
      return set_blocked(t, was | given);
    case SIG_UNBLOCK:
      return set_blocked(t, was & ~given);
    case SIG_SETMASK:
      return set_blocked(t, (was & ~valid) | given);
    default:
      return -EINVAL;
  }
}

int64_t wait_with_mask(Thread& t, SigSet given) {
  TemporaryMask mask(t, given);
  if (mask.ready()) return mask.finish(-kERestartNoHand);
  return mask.finish(host::safe_syscall(SYS_rt_sigsuspend, host_pointer(mask.host()), kSetSize));
}

SigSet pending_signals(Thread& t) {
  return (host::pending_signals() | t.signals.slots.set()) & t.signals.blocked.load();
}
}  // namespace

Errno<Int> rt_sigaction(Thread& t, Signal signal, Addr action, Addr old, Size set_size) {
  if (set_size != kSetSize) return -EINVAL;
  GuestAction next, was;
  if (action && !get_action(t, action, next)) return -EFAULT;
  if (const int64_t error = change_action(t, signal, action ? &next : nullptr, was)) return error;
  if (old && !put_action(t, old, was)) return -EFAULT;
  return 0;
}

Errno<Int> rt_sigprocmask(Thread& t, Int how, Addr set, Addr old, Size set_size) {
  if (set_size != kSetSize) return -EINVAL;
  const SigSet was = t.signals.blocked.load();
  if (set) {
    SigSet given = 0;
    if (!get_sigset(t, set, given)) return -EFAULT;
    if (const int64_t error = change_mask(t, how, given)) return error;
  }
  if (old && !put_sigset(t, old, was)) return -EFAULT;
  return 0;
}

Errno<Int> rt_sigpending(Thread& t, Addr set, Size set_size) {
  if (set_size > kSetSize) return -EINVAL;
  return put_sigset(t, set, pending_signals(t)) ? 0 : -EFAULT;
}

Errno<Int> rt_sigsuspend(Thread& t, Addr set, Size set_size) {
  if (set_size != kSetSize) return -EINVAL;
  SigSet given = 0;
  if (!get_sigset(t, set, given)) return -EFAULT;
  return wait_with_mask(t, given);
}

Errno<Int> rt_sigtimedwait(Thread& t, Addr set, Addr info, Ptr<struct timespec> timeout, Size set_size) {
  if (set_size != kSetSize) return -EINVAL;
  SigSet wanted = 0;
  if (!get_sigset(t, set, wanted)) return -EFAULT;
  timespec time{};
  if (timeout && !timeout.get(t, time)) return -EFAULT;
  siginfo_t host_info{};
  int64_t result = t.signals.slots.take(wanted, host_info);
  if (!result)
    result = host::safe_syscall(SYS_rt_sigtimedwait, host_pointer(&wanted), host_pointer(&host_info),
                                timeout ? host_pointer(&time) : 0, kSetSize);
  if (result > 0 && info && !put_info(t, info, host_info)) return -EFAULT;
  return result;
}

Errno<Int> rt_sigqueueinfo(Thread& t, Int pid, Signal signal, Addr info) {
  siginfo_t host_info{};
  if (!get_info(t, info, host_info)) return -EFAULT;
  return host::call(SYS_rt_sigqueueinfo, pid.value, signal.value, &host_info);
}

Errno<Int> rt_tgsigqueueinfo(Thread& t, Int pid, Int tid, Signal signal, Addr info) {
  siginfo_t host_info{};
  if (!get_info(t, info, host_info)) return -EFAULT;
  return host::call(SYS_rt_tgsigqueueinfo, pid.value, tid.value, signal.value, &host_info);
}

namespace {
int64_t return_from_handler(Thread& t, FrameKind kind) {
  ThreadSignals& s = t.signals;
  // A signal that is here already comes before the return.
  if (s.pending.load()) return -kERestartNoIntr;
  RestoredFrame frame;
  uint64_t bad = 0;
  if (t.abi().signals().pop_frame(t, kind, frame, bad)) {
    s.blocked.store(frame.mask & ~kUnblockable);
    if (kind == FrameKind::RealTime) set_alt_stack(t, frame.alt_stack);
  } else {
    host::set_signal_mask(SIG_SETMASK, ~kHostFaults);
    force_segv(t, t.memory().is_mapped(bad, 1) ? SEGV_ACCERR : SEGV_MAPERR, bad);
  }
  if (s.slots.set() & ~s.blocked.load()) {
    s.pending.store(true);
    return kKeepRegisters;
  }
  // Not done if one arrives before it: everything is blocked then, and delivery sets the mask.
  const SigSet host_mask = s.blocked.load() & ~kHostFaults;
  host::safe_syscall(SYS_rt_sigprocmask, SIG_SETMASK, host_pointer(&host_mask), 0, sizeof host_mask);
  return kKeepRegisters;
}
}  // namespace

Errno<Int> rt_sigreturn(Thread& t) { return return_from_handler(t, FrameKind::RealTime); }
Errno<Int> sigreturn(Thread& t) { return return_from_handler(t, FrameKind::Old); }

Errno<Int> sigaltstack(Thread& t, Addr stack, Addr old) {
  const AltStack was = t.signals.alt_stack;
  const uint32_t was_flags = was.flags_seen(t.abi().sp(t.cpu()));
  if (stack) {
    AltStack next;
    if (!get_stack(t, stack, next)) return -EFAULT;
    if (const int error = set_alt_stack(t, next)) return error;
  }
  const unsigned word = word_size(t);
  if (old && !(put_word(t, old, was.sp) && put_u32(t, old + word, was_flags) &&
               put_word(t, old + 2 * word, was.size)))
    return -EFAULT;
  return 0;
}

Errno<Int> kill(Thread&, Int pid, Signal signal) { return host::call(SYS_kill, pid.value, signal.value); }
Errno<Int> tkill(Thread&, Int tid, Signal signal) { return host::call(SYS_tkill, tid.value, signal.value); }
Errno<Int> tgkill(Thread&, Int pid, Int tid, Signal signal) {
  return host::call(SYS_tgkill, pid.value, tid.value, signal.value);
}

Errno<Fd> signalfd4(Thread& t, Fd fd, Addr set, Size set_size, Flags flags) {
  if (set_size != kSetSize) return -EINVAL;
  SigSet given = 0;
  if (!get_sigset(t, set, given)) return -EFAULT;
  return host::call(SYS_signalfd4, fd.value, &given, kSetSize, flags.value);
}

Errno<Int> pidfd_send_signal(Thread& t, Fd fd, Signal signal, Addr info, Flags flags) {
  siginfo_t host_info{};
  if (info && !get_info(t, info, host_info)) return -EFAULT;
  return host::call(SYS_pidfd_send_signal, fd.value, signal.value, info ? &host_info : nullptr, flags.value);
}

}  // namespace sys::sig

// The calls of before real-time signals: a set is one word.
namespace sys::old {

using namespace sys::sig;

namespace {
bool get_word_set(Thread& t, uint64_t at, SigSet& set) { return get_word(t, at, set); }
SigSet word_of_set(Thread& t) { return word_size(t) == 8 ? ~SigSet{0} : SigSet{0xffffffff}; }
}  // namespace

Errno<Hex> signal(Thread& t, Signal number, Addr handler) {
  GuestAction next, was;
  next.handler = handler;
  next.flags = kSaResetHand | kSaNoDefer;
  const int64_t error = change_action(t, number, &next, was);
  return error ? error : static_cast<int64_t>(was.handler);
}

// struct old_sigaction: handler, mask, flags, restorer (words).
Errno<Int> sigaction(Thread& t, Signal number, Addr action, Addr old) {
  GuestAction next, was;
  const unsigned word = word_size(t);
  if (action &&
      !(get_word(t, action, next.handler) && get_word_set(t, action + word, next.mask) &&
        get_word(t, action + 2 * word, next.flags) && get_word(t, action + 3 * word, next.restorer)))
    return -EFAULT;
  if (const int64_t error = change_action(t, number, action ? &next : nullptr, was)) return error;
  if (old && !(put_word(t, old, was.handler) && put_word(t, old + word, was.mask) &&
               put_word(t, old + 2 * word, was.flags) && put_word(t, old + 3 * word, was.restorer)))
    return -EFAULT;
  return 0;
}

Errno<Int> sigprocmask(Thread& t, Int how, Addr set, Addr old) {
  const SigSet was = t.signals.blocked.load();
  if (set) {
    SigSet given = 0;
    if (!get_word_set(t, set, given)) return -EFAULT;
    if (const int64_t error = change_mask(t, how, given, word_of_set(t))) return error;
  }
  return old && !put_word(t, old, was) ? -EFAULT : 0;
}

Errno<Int> sigpending(Thread& t, Addr set) { return put_word(t, set, pending_signals(t)) ? 0 : -EFAULT; }
Errno<Int> sigsuspend(Thread& t, Hex, Hex, Hex mask) { return wait_with_mask(t, mask); }
Errno<Hex> sgetmask(Thread& t) { return static_cast<int64_t>(t.signals.blocked.load() & word_of_set(t)); }
Errno<Hex> ssetmask(Thread& t, Hex mask) {
  const SigSet was = t.signals.blocked.load();
  const int64_t error = change_mask(t, SIG_SETMASK, mask);
  return error ? error : static_cast<int64_t>(was & word_of_set(t));
}

}  // namespace sys::old
}  // namespace lyrebird::user
