// SPDX-License-Identifier: Apache-2.0
/// Ids, capabilities, limits and usage. The set*id calls change the calling thread only, as the
/// kernel's do: the guest's libc tells its other threads by a signal of its own.
#include <linux/capability.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/times.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "user/abi/structs.h"
#include "user/host/safe_syscall.h"
#include "user/process/syscalls.h"

namespace lyrebird::user::sys::proc {

Errno<Int> getpid(Thread&) { return host::call(SYS_getpid); }
Errno<Int> getppid(Thread&) { return host::call(SYS_getppid); }
Errno<Uint> getuid(Thread&) { return host::call(SYS_getuid); }
Errno<Uint> geteuid(Thread&) { return host::call(SYS_geteuid); }
Errno<Uint> getgid(Thread&) { return host::call(SYS_getgid); }
Errno<Uint> getegid(Thread&) { return host::call(SYS_getegid); }
Errno<Int> setuid(Thread&, Uint id) { return host::call(SYS_setuid, id.value); }
Errno<Int> setgid(Thread&, Uint id) { return host::call(SYS_setgid, id.value); }
Errno<Int> setreuid(Thread&, Uint real, Uint effective) {
  return host::call(SYS_setreuid, real.value, effective.value);
}
Errno<Int> setregid(Thread&, Uint real, Uint effective) {
  return host::call(SYS_setregid, real.value, effective.value);
}
Errno<Int> setresuid(Thread&, Uint real, Uint effective, Uint saved) {
  return host::call(SYS_setresuid, real.value, effective.value, saved.value);
}
Errno<Int> setresgid(Thread&, Uint real, Uint effective, Uint saved) {
  return host::call(SYS_setresgid, real.value, effective.value, saved.value);
}

namespace {
int64_t get_three(Thread& t, long number, uint64_t real, uint64_t effective, uint64_t saved) {
  uint32_t ids[3];
  if (const int64_t error = host::call(number, &ids[0], &ids[1], &ids[2])) return error;
  return put_u32(t, real, ids[0]) && put_u32(t, effective, ids[1]) && put_u32(t, saved, ids[2]) ? 0 : -EFAULT;
}
}  // namespace

Errno<Int> getresuid(Thread& t, Addr real, Addr effective, Addr saved) {
  return get_three(t, SYS_getresuid, real, effective, saved);
}
Errno<Int> getresgid(Thread& t, Addr real, Addr effective, Addr saved) {
  return get_three(t, SYS_getresgid, real, effective, saved);
}
Errno<Uint> setfsuid(Thread&, Uint id) { return host::call(SYS_setfsuid, id.value); }
Errno<Uint> setfsgid(Thread&, Uint id) { return host::call(SYS_setfsgid, id.value); }

Errno<Int> getgroups(Thread& t, Int count, Addr list) {
  if (count < 0) return -EINVAL;
  if (count == 0) return host::call(SYS_getgroups, 0, nullptr);
  std::vector<uint32_t> groups(static_cast<size_t>(std::min<int>(count, 65536)));
  const int64_t used = host::call(SYS_getgroups, groups.size(), groups.data());
  for (int64_t i = 0; i < used; i++) {
    if (!put_u32(t, list + static_cast<uint64_t>(i) * 4, groups[static_cast<size_t>(i)])) return -EFAULT;
  }
  return used;
}

Errno<Int> setgroups(Thread& t, Int count, Addr list) {
  if (count < 0 || count > 65536) return -EINVAL;
  std::vector<uint32_t> groups(static_cast<size_t>(count.value));
  for (size_t i = 0; i < groups.size(); i++) {
    if (!get_u32(t, list + i * 4, groups[i])) return -EFAULT;
  }
  return host::call(SYS_setgroups, groups.size(), groups.data());
}

Errno<Int> setpgid(Thread&, Int pid, Int group) { return host::call(SYS_setpgid, pid.value, group.value); }
Errno<Int> getpgid(Thread&, Int pid) { return host::call(SYS_getpgid, pid.value); }
Errno<Int> getsid(Thread&, Int pid) { return host::call(SYS_getsid, pid.value); }
Errno<Int> setsid(Thread&) { return host::call(SYS_setsid); }
Errno<Int> personality(Thread& t, Uint persona) {
  // The guest's memory is never executable to the host.
  constexpr uint32_t kExec = READ_IMPLIES_EXEC, kAsk = 0xffffffff;
  const bool asks = persona == kAsk;
  const int64_t old = host::call(SYS_personality, asks ? kAsk : persona.value & ~kExec);
  if (old < 0) return old;
  const bool was = t.memory().read_implies_exec();
  if (!asks) t.memory().set_read_implies_exec((persona & kExec) != 0);
  return (old & ~int64_t{kExec}) | (was ? kExec : 0u);
}

Errno<Int> umask(Thread&, Mode mask) { return host::call(SYS_umask, mask.value); }

namespace {
struct CapHeader {
  uint32_t version;
  int32_t pid;
};
// 32-bit words on every guest; version 1 has one set of three, later ones two.
bool get_cap_header(Thread& t, uint64_t address, CapHeader& header) {
  uint32_t pid = 0;
  if (!get_u32(t, address, header.version) || !get_u32(t, address + 4, pid)) return false;
  header.pid = static_cast<int32_t>(pid);
  return true;
}
unsigned cap_words(const CapHeader& header) { return header.version == _LINUX_CAPABILITY_VERSION_1 ? 3 : 6; }
}  // namespace

Errno<Int> capget(Thread& t, Addr header_address, Addr data_address) {
  CapHeader header;
  if (!get_cap_header(t, header_address, header)) return -EFAULT;
  uint32_t data[6] = {};
  const int64_t result = host::call(SYS_capget, &header, data_address ? data : nullptr);
  if (result == -EINVAL && !put_u32(t, header_address, header.version)) return -EFAULT;
  if (result < 0 || !data_address) return result;
  for (unsigned i = 0; i < cap_words(header); i++) {
    if (!put_u32(t, data_address + 4 * i, data[i])) return -EFAULT;
  }
  return result;
}

Errno<Int> capset(Thread& t, Addr header_address, Addr data_address) {
  CapHeader header;
  if (!get_cap_header(t, header_address, header)) return -EFAULT;
  uint32_t data[6] = {};
  for (unsigned i = 0; i < cap_words(header); i++) {
    if (!get_u32(t, data_address + 4 * i, data[i])) return -EFAULT;
  }
  const int64_t result = host::call(SYS_capset, &header, data);
  if (result == -EINVAL && !put_u32(t, header_address, header.version)) return -EFAULT;
  return result;
}

namespace {

// On a guest with 32-bit longs what does not fit is its infinity.
uint64_t widen_limit(Thread& t, uint64_t value) {
  return word_size(t) == 4 && value == 0xffffffff ? RLIM_INFINITY : value;
}

int64_t change_limit(Thread& t, int pid, int resource, const rlimit* next, rlimit* old) {
  const bool ours = pid == 0 || pid == ::getpid();
  if (!ours || !EmulatedLimits::emulated(resource))
    return host::call(SYS_prlimit64, pid, resource, next, old);
  const rlimit was = t.process.limits.get(resource);
  if (next) {
    if (const int error = t.process.limits.set(resource, *next, t.memory())) return error;
  }
  if (old) *old = was;
  return 0;
}

}  // namespace

Errno<Int> getrlimit(Thread& t, Int resource, Ptr<struct rlimit> limit) {
  rlimit value{};
  if (const int64_t error = change_limit(t, 0, resource, nullptr, &value)) return error;
  if (word_size(t) == 4) {
    value.rlim_cur = std::min<rlim_t>(value.rlim_cur, UINT32_MAX);
    value.rlim_max = std::min<rlim_t>(value.rlim_max, UINT32_MAX);
  }
  return limit.put(t, value) ? 0 : -EFAULT;
}

Errno<Int> setrlimit(Thread& t, Int resource, Ptr<struct rlimit> limit) {
  rlimit value{};
  if (!limit.get(t, value)) return -EFAULT;
  value.rlim_cur = widen_limit(t, value.rlim_cur);
  value.rlim_max = widen_limit(t, value.rlim_max);
  return change_limit(t, 0, resource, &value, nullptr);
}

Errno<Int> prlimit64(Thread& t, Int pid, Int resource, Addr limit, Addr old) {
  rlimit next{}, was{};
  if (limit && (!get_u64(t, limit, next.rlim_cur) || !get_u64(t, limit + 8, next.rlim_max))) return -EFAULT;
  if (const int64_t error = change_limit(t, pid, resource, limit ? &next : nullptr, old ? &was : nullptr))
    return error;
  if (old && (!put_u64(t, old, was.rlim_cur) || !put_u64(t, old + 8, was.rlim_max))) return -EFAULT;
  return 0;
}

Errno<Int> getrusage(Thread& t, Int who, Ptr<struct rusage> usage) {
  rusage value{};
  if (const int64_t error = host::call(SYS_getrusage, who.value, &value)) return error;
  return usage.put(t, value) ? 0 : -EFAULT;
}

Errno<Long> times(Thread& t, Addr buffer) {
  tms value{};
  const int64_t ticks = host::call(SYS_times, &value);
  const unsigned word = word_size(t);
  const clock_t fields[4] = {value.tms_utime, value.tms_stime, value.tms_cutime, value.tms_cstime};
  for (unsigned i = 0; buffer && i < 4; i++) {
    if (!put_word(t, buffer + i * word, static_cast<uint64_t>(fields[i]))) return -EFAULT;
  }
  return ticks;
}

}  // namespace lyrebird::user::sys::proc
