// SPDX-License-Identifier: Apache-2.0
#include "user/threads/syscalls.h"

#include <linux/sched.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "base/log.h"
#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/threads/clone.h"
#include "user/threads/life.h"

namespace lyrebird::user::sys::thread {

namespace {

// struct clone_args: 64-bit fields on every guest.
struct CloneArgs {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
      cgroup;
};
static_assert(sizeof(CloneArgs) == 88);

}  // namespace

Errno<Int> clone_backwards(Thread& t, Hex flags, Addr stack, Addr parent_tid, Hex tls, Addr child_tid) {
  CloneRequest r;
  r.flags = static_cast<uint32_t>(flags.value) & ~uint64_t{CSIGNAL};
  r.exit_signal = static_cast<int>(flags.value & CSIGNAL);
  r.stack_pointer = stack;
  r.tls = tls;
  r.parent_tid = r.pidfd = parent_tid;
  r.child_tid = child_tid;
  if (r.flags & CLONE_PIDFD && r.flags & CLONE_PARENT_SETTID) return -EINVAL;
  return do_clone(t, r);
}

Errno<Int> clone3(Thread& t, Addr address, Size size) {
  if (size > kPage) return -E2BIG;
  if (size < CLONE_ARGS_SIZE_VER0) return -EINVAL;
  CloneArgs args{};
  if (!t.memory().read(address, &args, std::min<size_t>(size, sizeof args))) return -EFAULT;
  for (uint64_t extra = sizeof args; extra < size; extra++) {
    uint8_t byte = 0;
    if (!t.memory().get(address + extra, byte)) return -EFAULT;
    if (byte) return -E2BIG;
  }
  constexpr uint64_t kUnsupported = CLONE_INTO_CGROUP;
  if (args.flags & (CLONE_DETACHED | (CSIGNAL & ~uint64_t{CLONE_NEWTIME})) || args.exit_signal > kSignals)
    return -EINVAL;
  if (args.flags & (CLONE_THREAD | CLONE_PARENT) && args.exit_signal) return -EINVAL;
  if ((args.stack == 0) != (args.stack_size == 0)) return -EINVAL;
  if (args.flags & kUnsupported || args.set_tid_size) {
    log_unimplemented("clone3: set_tid or CLONE_INTO_CGROUP");
    return -EINVAL;
  }
  CloneRequest r;
  r.flags = args.flags & ~uint64_t{CLONE_CLEAR_SIGHAND};
  r.exit_signal = static_cast<int>(args.exit_signal);
  r.stack_pointer = args.stack ? untag(t, args.stack) + args.stack_size : 0;
  r.tls = args.tls;
  r.parent_tid = untag(t, args.parent_tid);
  r.child_tid = untag(t, args.child_tid);
  r.pidfd = untag(t, args.pidfd);
  r.clear_handlers = args.flags & CLONE_CLEAR_SIGHAND;
  return do_clone(t, r);
}

Errno<Int> exit(Thread& t, Int status) {
  t.finish(status & 0xff);
  return kKeepRegisters;
}

Errno<Int> exit_group(Thread& t, Int status) { end_process(t, status & 0xff); }

Errno<Int> set_tid_address(Thread& t, Addr address) {
  t.extra.clear_child_tid = address;
  return t.tid;
}

Errno<Int> set_robust_list(Thread& t, Addr head, Size size) {
  if (size != 3 * word_size(t)) return -EINVAL;
  t.extra.robust_list = head;
  // The kernel walks the list itself where it can read it, so that it is walked even when the
  // process is killed.
  if (t.abi().model.like_host() && t.memory().base() == 0)
    host::call(SYS_set_robust_list, head.value, 3 * sizeof(long));
  return 0;
}

Errno<Int> get_robust_list(Thread& t, Int tid, Addr head, Addr size) {
  if (tid != 0 && tid != t.tid) {
    uint64_t found = 0;
    bool known = false;
    t.process.threads.for_each([&](Thread& other) {
      if (other.tid == tid) known = true, found = other.extra.robust_list;
    });
    if (!known) return -ESRCH;
    return put_word(t, head, found) && put_word(t, size, 3 * word_size(t)) ? 0 : -EFAULT;
  }
  return put_word(t, head, t.extra.robust_list) && put_word(t, size, 3 * word_size(t)) ? 0 : -EFAULT;
}

// Some namespaces are refused to a process with several threads, of which the guest may know one.
Errno<Int> unshare(Thread& t, Hex flags) {
  t.process.accelerator.stop_background(true);
  return host::call(SYS_unshare, flags.value);
}

Errno<Int> setns(Thread& t, Fd fd, Flags type) {
  t.process.accelerator.stop_background(true);
  return host::call(SYS_setns, fd.value, type.value);
}

Errno<Int> membarrier(Thread&, Int command, Flags flags, Int cpu) {
  return host::call(SYS_membarrier, command.value, flags.value, cpu.value);
}

Errno<Int> gettid(Thread& t) { return t.tid; }
Errno<Int> sched_yield(Thread&) { return host::call(SYS_sched_yield); }

Errno<Int> sched_setparam(Thread& t, Int tid, Addr param) {
  uint32_t priority = 0;
  if (!get_u32(t, param, priority)) return -EFAULT;
  return host::call(SYS_sched_setparam, tid.value, &priority);
}

Errno<Int> sched_getparam(Thread& t, Int tid, Addr param) {
  uint32_t priority = 0;
  if (const int64_t error = host::call(SYS_sched_getparam, tid.value, &priority)) return error;
  return put_u32(t, param, priority) ? 0 : -EFAULT;
}

Errno<Int> sched_setscheduler(Thread& t, Int tid, Int policy, Addr param) {
  uint32_t priority = 0;
  if (!get_u32(t, param, priority)) return -EFAULT;
  return host::call(SYS_sched_setscheduler, tid.value, policy.value, &priority);
}

Errno<Int> sched_getscheduler(Thread&, Int tid) { return host::call(SYS_sched_getscheduler, tid.value); }

namespace {
// A CPU mask is an array of guest longs; on the host one of 64-bit words.
bool get_mask(Thread& t, uint64_t address, uint64_t size, std::vector<uint64_t>& mask) {
  const unsigned word = word_size(t);
  mask.assign((size + 7) / 8, 0);
  for (uint64_t at = 0; at + word <= size; at += word) {
    uint64_t value = 0;
    if (!get_word(t, address + at, value)) return false;
    mask[at / 8] |= value << 8 * (at % 8);
  }
  return true;
}
bool put_mask(Thread& t, uint64_t address, uint64_t size, const std::vector<uint64_t>& mask) {
  const unsigned word = word_size(t);
  for (uint64_t at = 0; at + word <= size; at += word) {
    if (!put_word(t, address + at, mask[at / 8] >> 8 * (at % 8))) return false;
  }
  return true;
}
constexpr uint32_t kSchedAttrSize0 = 48;  // SCHED_ATTR_SIZE_VER0
constexpr uint64_t kMaxMask = 8192;       // bytes; more CPUs than any kernel
}  // namespace

Errno<Int> sched_setaffinity(Thread& t, Int tid, Size size, Addr address) {
  std::vector<uint64_t> mask;
  if (!get_mask(t, address, std::min<uint64_t>(size, kMaxMask), mask)) return -EFAULT;
  return host::call(SYS_sched_setaffinity, tid.value, mask.size() * 8, mask.data());
}

Errno<Int> sched_getaffinity(Thread& t, Int tid, Size size, Addr address) {
  if (size & (word_size(t) - 1)) return -EINVAL;
  const uint64_t used = std::min<uint64_t>(size, kMaxMask);
  std::vector<uint64_t> mask((used + 7) / 8);
  const int64_t bytes = host::call(SYS_sched_getaffinity, tid.value, mask.size() * 8, mask.data());
  if (bytes < 0) return bytes;
  const uint64_t written = std::min<uint64_t>(static_cast<uint64_t>(bytes), used);
  return put_mask(t, address, written, mask) ? static_cast<int64_t>(written) : -EFAULT;
}

Errno<Int> sched_get_priority_max(Thread&, Int policy) {
  return host::call(SYS_sched_get_priority_max, policy.value);
}
Errno<Int> sched_get_priority_min(Thread&, Int policy) {
  return host::call(SYS_sched_get_priority_min, policy.value);
}

Errno<Int> sched_rr_get_interval(Thread& t, Int tid, Ptr<struct timespec> interval) {
  timespec time{};
  if (const int64_t error = host::call(SYS_sched_rr_get_interval, tid.value, &time)) return error;
  return interval.put(t, time) ? 0 : -EFAULT;
}

// struct sched_attr has fixed-size members and its own size in front.
Errno<Int> sched_setattr(Thread& t, Int tid, Addr address, Flags flags) {
  uint32_t size = 0;
  uint8_t attributes[kPage];
  if (!get_u32(t, address, size)) return -EFAULT;
  if (size == 0) size = kSchedAttrSize0;
  if (size < kSchedAttrSize0 || size > kPage) return -E2BIG;
  if (!t.memory().read(address, attributes, size)) return -EFAULT;
  return host::call(SYS_sched_setattr, tid.value, attributes, flags.value);
}

Errno<Int> sched_getattr(Thread& t, Int tid, Addr address, Uint size, Flags flags) {
  uint8_t attributes[kPage] = {};
  if (size > kPage) return -EINVAL;
  if (const int64_t error = host::call(SYS_sched_getattr, tid.value, attributes, size.value, flags.value))
    return error;
  return t.memory().write(address, attributes, size) ? 0 : -EFAULT;
}

Errno<Int> getcpu(Thread& t, Addr cpu_address, Addr node_address) {
  unsigned cpu = 0, node = 0;
  if (const int64_t error = host::call(SYS_getcpu, &cpu, &node, nullptr)) return error;
  if ((cpu_address && !put_u32(t, cpu_address, cpu)) || (node_address && !put_u32(t, node_address, node)))
    return -EFAULT;
  return 0;
}

Errno<Int> setpriority(Thread&, Int which, Int who, Int priority) {
  return host::call(SYS_setpriority, which.value, who.value, priority.value);
}
Errno<Int> getpriority(Thread&, Int which, Int who) {
  return host::call(SYS_getpriority, which.value, who.value);
}
Errno<Int> ioprio_set(Thread&, Int which, Int who, Int priority) {
  return host::call(SYS_ioprio_set, which.value, who.value, priority.value);
}
Errno<Int> ioprio_get(Thread&, Int which, Int who) {
  return host::call(SYS_ioprio_get, which.value, who.value);
}
Errno<Int> kcmp(Thread&, Int pid1, Int pid2, Int type, Hex a, Hex b) {
  return host::call(SYS_kcmp, pid1.value, pid2.value, type.value, a.value, b.value);
}

}  // namespace lyrebird::user::sys::thread
